"""Sketches texts for duplicate search: the exact hash, the shingles, and the MinHash bands.

Deciding what is a duplicate does not belong here (see `duplicates.py`).

A shingle is three words in a row, as `words.find_words` counts words, so three Chinese characters; addresses count as one word
whatever they point to (every retweet shortens its link anew). Texts of fewer than five words have no shingles: one word in common
would already be a third of them. They are compared exactly only.

MinHash: Broder 1997, "On the resemblance and containment of documents". The sketch is rensa's full-set R-MinHash; its sparse variants
cap the words they look at and lose a fifth of the near duplicates. 21 bands of 6 rows find a pair of Jaccard similarity s with
probability 1 - (1 - s^6)^21: 0.998 at 0.8, 0.93 at 0.7, 0.63 at 0.6 and 0.02 at 0.3; what they find is then verified.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from rensa import RMinHash

from assets.cleaning.frames import require_columns
from assets.cleaning.words import URL, find_words

Hashes = npt.NDArray[np.uint64]

SHINGLE_WORDS = 3
MIN_WORDS = 5
BANDS = 21
ROWS = 6
_PERMUTATIONS = 128
_SEED = 42
# Changes whenever any of the above or the hashing below does: bands of different schemes must never be compared.
SCHEME = f"minhash-rensa0.5-w{SHINGLE_WORDS}-p{_PERMUTATIONS}-b{BANDS}x{ROWS}-1"

_ADDRESS = " urladdress "
_CHUNK_WORDS = 1_000_000
# Odd constants and the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_NO_HASHES: Hashes = np.empty(0, dtype=np.uint64)


def sketch(documents: pd.DataFrame) -> pd.DataFrame:
    """Sketches every document.

    Args:
        documents: One row per document, with `document_id` and `text`.

    Returns:
        One row per document, in the same order: `document_id`, `text_sha256`, `scheme`, and `bands`, a uint64 array of `BANDS` hashes,
        empty for texts of fewer than five words.

    Raises:
        ValueError: A column is missing.
    """
    require_columns(documents, ("document_id", "text"), "documents to sketch")
    texts = documents["text"].tolist()
    bands = [row for chunk in _chunks(map(shingle_words, texts)) for row in _band_rows(chunk)]
    return pd.DataFrame(
        {
            "document_id": documents["document_id"].to_numpy(dtype=object),
            "text_sha256": [text_sha256(text) for text in texts],
            "scheme": SCHEME,
            "bands": pd.Series(bands, dtype=object),
        }
    ).astype({"document_id": "str", "text_sha256": "str", "scheme": "str"})


def text_sha256(text: str) -> str:
    """Hash of the text folded for exact comparison: case and white space do not count, every other character does."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()


def fold_text(text: str) -> str:
    """The text as near duplicates see it: case and compatibility forms folded (`１．` is `1.`), one apostrophe, addresses masked."""
    folded = text.casefold().replace("’", "'")
    if not folded.isascii():
        folded = unicodedata.normalize("NFKC", folded)
    return URL.sub(_ADDRESS, folded) if "://" in folded or "www." in folded else folded


def shingle_words(text: str) -> list[str]:
    """The words that shingles are made of, in order."""
    return find_words(fold_text(text))


def shingle_set(text: str) -> Hashes:
    """The sorted distinct shingle hashes of one text; empty for texts of fewer than five words."""
    words = shingle_words(text)
    return np.unique(_shingle_hashes([words])[0]) if len(words) >= MIN_WORDS else _NO_HASHES


def jaccard(left: Hashes, right: Hashes) -> float:
    """Size of the intersection over size of the union, 0 to 1, of two sorted sets; 0 for two empty ones."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


def _chunks(documents: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    """Consecutive documents of about a million words together, so that the arrays below stay small whatever the batch."""
    chunk: list[list[str]] = []
    size = 0
    for words in documents:
        chunk.append(words)
        size += len(words)
        if size >= _CHUNK_WORDS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _band_rows(documents: list[list[str]]) -> list[Hashes]:
    """One array of band hashes per document; empty for documents of fewer than five words."""
    long_enough = [index for index, words in enumerate(documents) if len(words) >= MIN_WORDS]
    rows = [_NO_HASHES] * len(documents)
    if long_enough:
        hashes, offsets = _shingle_hashes([documents[index] for index in long_enough])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, _PERMUTATIONS, _SEED)
        bands = _hash_bands(np.array(matrix.to_rows(), dtype=np.uint64))
        for index, row in zip(long_enough, bands, strict=True):
            rows[index] = row
    return rows


def _hash_bands(signatures: Hashes) -> Hashes:
    """(documents, permutations) signatures to (documents, bands) hashes; the band's number is part of the hash."""
    rows = signatures[:, : BANDS * ROWS].reshape(-1, BANDS, ROWS)
    state = np.broadcast_to(np.arange(1, BANDS + 1, dtype=np.uint64) * _GOLDEN, rows.shape[:2])
    for row in range(ROWS):
        state = _mix(state ^ rows[:, :, row])
    return state


def _shingle_hashes(documents: Sequence[list[str]]) -> tuple[Hashes, Hashes]:
    """Shingle hashes of all documents in one flat array, and the offsets (documents + 1) where each document's begin and end."""
    lengths = np.array([len(words) for words in documents], dtype=np.int64)
    words = np.fromiter((_word_hash(word) for document in documents for word in document), dtype=np.uint64, count=int(lengths.sum()))
    windows = max(len(words) - SHINGLE_WORDS + 1, 0)
    state = np.zeros(windows, dtype=np.uint64)
    for position in range(SHINGLE_WORDS):
        state = _mix(state ^ words[position : position + windows])
    ends = np.cumsum(lengths)
    last = np.repeat(ends - SHINGLE_WORDS, lengths)[:windows]
    per_document = np.maximum(lengths - SHINGLE_WORDS + 1, 0)
    offsets = np.concatenate(([0], np.cumsum(per_document))).astype(np.uint64)
    return state[np.arange(windows) <= last], offsets


def _mix(values: Hashes) -> Hashes:
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


@lru_cache(maxsize=1 << 17)
def _word_hash(word: str) -> int:
    """64 bits that are the same on every machine and in every release, unlike Python's own hash."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")

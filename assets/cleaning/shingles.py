"""Sketches texts for duplicate search: the exact hash, the shingles, and the bands.

Deciding what is a duplicate does not belong here (see `duplicates.py`), nor does finding and hashing words (see `word_hashes.py`) or
the sketch of a set (see `minhash.py`).

A shingle is three words in a row, as `words.find_words` counts words, so three Chinese characters; addresses count as one word
whatever they point to (every retweet shortens its link anew). Texts of fewer than five words have no shingles: one word in common
would already be a third of them. They are compared exactly only.
"""

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from assets.cleaning.frames import require_columns
from assets.cleaning.minhash import BANDS, ROWS, minhash_bands
from assets.cleaning.word_hashes import Hashes, Positions, WordHashes, hash_words, odd_numbers, stir
from assets.cleaning.words import URL, find_words

SHINGLE_WORDS = 3
MIN_WORDS = 5
# Changes whenever any of the above, `minhash.py` or `word_hashes.py` gives other hashes: bands of different schemes are never compared.
SCHEME = f"minhash-w{SHINGLE_WORDS}-b{BANDS}x{ROWS}-2"

_ADDRESS = " urladdress "
# Texts of so many characters go through the arrays together: larger ones fall out of the processor's cache.
_CHUNK_CHARS = 400_000
# They tell the places of a shingle's words apart.
_PLACES = odd_numbers(SHINGLE_WORDS, seed=41)
_NO_HASHES: Hashes = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class ShingleSets:
    """The shingles of some texts.

    Attributes:
        sets: Per text its sorted distinct shingle hashes; empty for texts of fewer than five words.
        words: How many words each text has.
    """

    sets: list[Hashes]
    words: list[int]


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
    digests: list[str] = []
    bands: list[Hashes] = []
    for texts in _chunks(documents["text"].tolist()):
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        its_digests, its_bands = _sketch_texts(list(places))
        digests += [its_digests[places[text]] for text in texts]
        bands += [its_bands[places[text]] for text in texts]
    frame = documents[["document_id"]].reset_index(drop=True)
    frame = frame.assign(text_sha256=digests, scheme=SCHEME, bands=pd.Series(bands, dtype=object))
    return frame.astype(dict.fromkeys(("document_id", "text_sha256", "scheme"), "str"))


def text_sha256(text: str) -> str:
    """Hash of the text folded for exact comparison: case and white space do not count, every other character does."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()


def fold_text(text: str) -> str:
    """The text as near duplicates see it: case and compatibility forms folded (`１．` is `1.`), one apostrophe, addresses masked."""
    return _fold(text.casefold())


def shingle_words(text: str) -> list[str]:
    """The words that shingles are made of, in order."""
    return find_words(fold_text(text))


def shingle_set(text: str) -> Hashes:
    """The sorted distinct shingle hashes of one text; empty for texts of fewer than five words."""
    return shingle_sets([text]).sets[0]


def shingle_sets(texts: Sequence[str]) -> ShingleSets:
    """The sorted distinct shingle hashes of each text, and its words."""
    sets: list[Hashes] = []
    words: list[int] = []
    for chunk in _chunks(texts):
        found = hash_words([fold_text(text).encode() for text in chunk])
        hashes, counts = shingle_hashes(found)
        sets += _sorted_sets(hashes, counts)
        words += found.counts.tolist()
    return ShingleSets(sets, words)


def jaccard(left: Hashes, right: Hashes) -> float:
    """Size of the intersection over size of the union, 0 to 1, of two sorted sets; 0 for two empty ones."""
    both = np.concatenate((left, right))
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    union = len(both) - shared
    return shared / union if union else 0.0


def _fold(text: str) -> str:
    """What `fold_text` does to a text after its case is folded; the same object where there is nothing to do."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.replace("’", "'"))
    # Single characters are found at the speed of memory, and many texts have neither.
    may_hold_address = (":" in text and "://" in text) or ("." in text and "www." in text)
    return URL.sub(_ADDRESS, text) if may_hold_address else text


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Consecutive texts of about `_CHUNK_CHARS` characters together."""
    begin, size = 0, 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= _CHUNK_CHARS:
            yield texts[begin : number + 1]
            begin, size = number + 1, 0
    if begin < len(texts):
        yield texts[begin:]


def _sketch_texts(texts: list[str]) -> tuple[list[str], list[Hashes]]:
    """The exact hash and the bands of each text."""
    exact = [text.casefold() for text in texts]
    folded = [_fold(text) for text in exact]
    encoded = [text.encode() for text in folded]
    words = hash_words(encoded)
    return list(_digests(exact, folded, encoded, words)), _band_rows(words)


def _digests(exact: list[str], folded: list[str], encoded: list[bytes], found: WordHashes) -> Iterator[str]:
    """`text_sha256` of texts whose case is folded, without splitting those that have single spaces only."""
    for text, other, data, is_odd in zip(exact, folded, encoded, found.has_odd_spaces.tolist(), strict=True):
        same = data if text is other and not is_odd else " ".join(text.split()).encode()
        yield hashlib.sha256(same).hexdigest()


def _band_rows(found: WordHashes) -> list[Hashes]:
    """One array of bands per text; empty for texts of fewer than five words."""
    hashes, counts = shingle_hashes(found)
    long_enough = np.flatnonzero(counts)
    rows = [_NO_HASHES] * len(counts)
    if len(long_enough):
        for index, row in zip(long_enough.tolist(), minhash_bands(hashes, counts[long_enough]), strict=True):
            rows[index] = row
    return rows


def shingle_hashes(found: WordHashes) -> tuple[Hashes, Positions]:
    """Shingle hashes of all texts in one flat array, and how many each text has."""
    windows = max(len(found.hashes) - SHINGLE_WORDS + 1, 0)
    state = found.hashes[:windows] * _PLACES[0]
    for place in range(1, SHINGLE_WORDS):
        state += found.hashes[place : place + windows] * _PLACES[place]
    is_short, ends = found.counts < MIN_WORDS, np.cumsum(found.counts)
    begins_none = np.zeros(len(found.hashes), dtype=np.bool_)
    for place in range(MIN_WORDS):
        texts = (found.counts > place) & (is_short | (place < SHINGLE_WORDS - 1))
        begins_none[ends[texts] - 1 - place] = True
    return stir(state[~begins_none[:windows]]), np.where(is_short, 0, found.counts - SHINGLE_WORDS + 1)


def _sorted_sets(hashes: Hashes, counts: Positions) -> list[Hashes]:
    ends = np.cumsum(counts)
    begins = ends - counts
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        hashes[begin:end].sort()
    is_distinct = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
    is_distinct[begins[counts > 0]] = True
    distinct = hashes[is_distinct]
    bounds = np.append(0, np.cumsum(is_distinct))[np.append(0, ends)].tolist()
    return [distinct[begin:end] for begin, end in pairwise(bounds)]

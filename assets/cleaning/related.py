"""Finds the documents of a batch that have anything to do with another one: the same text, a band, or the same source and external id.

All others are kept without a second look, so only these few become objects. What is decided about them is in `duplicates.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.cleaning.shingles import shingle_sets
from assets.cleaning.word_hashes import Hashes, Positions

_KEYS = ["text_sha256", "source", "external_id"]
_FACTS = ["document_id", "source", "external_id", "text", "text_sha256"]
_NO_HASHES: Hashes = np.empty(0, dtype=np.uint64)
_NO_SHINGLES = (_NO_HASHES, 0)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may repeat another one or be repeated.

    Attributes:
        document_id: Its id.
        source: Where it came from.
        external_id: Its name there.
        text: Its text.
        text_sha256: `shingles.text_sha256`.
        cluster_id: Of a candidate; empty for a document of the batch.
        bands: Those that another document has too.
        shingles: `shingles.shingle_set` where it has such bands, else empty.
        words: How many words it has, where it has such bands.
    """

    document_id: str
    source: str
    external_id: str
    text: str
    text_sha256: str
    cluster_id: str
    bands: list[int]
    shingles: Hashes
    words: int

    def is_revision_of(self, other: "Document") -> bool:
        """Whether both are the same document, at the same time or another one."""
        return (self.source, self.external_id) == (other.source, other.external_id)


def related_documents(documents: pd.DataFrame, candidates: pd.DataFrame) -> Iterator[tuple[int, Document]]:
    """The documents that share a text, a band or an identity with another one, each with its row, below 0 for the candidates.

    The candidates come first, in the order in which they were kept.
    """
    scheme = documents["scheme"].iloc[0] if len(documents) else ""
    earlier = candidates.sort_values(["collected_at", "document_id"])
    keys = pd.concat([earlier[_KEYS], documents[_KEYS]], ignore_index=True)
    shared, begins = _shared_bands([*earlier["bands"].where(earlier["scheme"] == scheme, None), *documents["bands"]])
    has_shared = np.diff(begins) > 0
    is_related = has_shared | keys["text_sha256"].duplicated(keep=False) | keys[["source", "external_id"]].duplicated(keep=False)
    numbers = np.flatnonzero(is_related)
    bounds = zip(begins[numbers].tolist(), begins[numbers + 1].tolist(), strict=True)
    first = len(earlier)
    facts = documents[_FACTS].assign(cluster_id="")
    related = pd.concat([earlier[facts.columns].iloc[numbers[numbers < first]], facts.iloc[numbers[numbers >= first] - first]])
    needed = related[has_shared[numbers]].drop_duplicates("text_sha256")
    sets = shingle_sets(needed["text"].tolist())
    shingles = dict(zip(needed["text_sha256"], zip(sets.sets, sets.words, strict=True), strict=True))
    rows = related.itertuples(index=False, name=None)
    for number, (document_id, source, external_id, text, sha256, cluster_id), (begin, end) in zip(
        numbers.tolist(), rows, bounds, strict=True
    ):
        bands, (its_shingles, words) = shared[begin:end].tolist(), shingles.get(sha256, _NO_SHINGLES)
        yield number - first, Document(document_id, source, external_id, text, sha256, cluster_id, bands, its_shingles, words)


def _shared_bands(bands: list[Hashes | None]) -> tuple[Hashes, Positions]:
    """The bands that more than one document has, document by document, and the positions (documents + 1) where those of each begin."""
    arrays = [_NO_HASHES if each is None else np.asarray(each, dtype=np.uint64) for each in bands]
    flat = np.concatenate([_NO_HASHES, *arrays])
    is_shared = _is_repeated(flat)
    ends = np.append(0, np.cumsum(np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays))))
    return flat[is_shared], np.append(0, np.cumsum(is_shared))[ends]


def _is_repeated(hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Whether each hash occurs more than once.

    Only those are sorted whose first bits another one has too: each writes its number at the place of these bits, and the last one stays.
    """
    bits = max(len(hashes), 2).bit_length() + 2
    slots = hashes >> np.uint64(64 - bits)
    numbers = np.arange(len(hashes), dtype=np.int32)
    last = np.zeros(1 << bits, dtype=np.int32)
    last[slots] = numbers
    is_crowded = np.zeros(1 << bits, dtype=np.bool_)
    is_crowded[slots[last[slots] != numbers]] = True
    likely = np.flatnonzero(is_crowded[slots])
    _, inverse, counts = np.unique(hashes[likely], return_inverse=True, return_counts=True)
    found = np.zeros(len(hashes), dtype=np.bool_)
    found[likely] = counts[inverse] > 1
    return found

"""Decides which documents repeat an earlier one, in the same batch or in any increment before.

Hashing and sketching texts do not belong here (see `shingles.py`), nor does looking the candidates up in the lake (see `assets.py`).

How a document is judged, in the order collection time, revision, document id:
1. The candidates are the documents already kept that have its exact hash or share a band with it.
2. Nearest bands first, at most 32 of them are compared by the true Jaccard similarity of their shingle sets.
3. It is refused when one of them is the same text: the earliest one is named in `duplicate_of`.
4. Otherwise it is kept and becomes a candidate for those that follow.

Refused documents are never candidates, so a thousand copies of one page cost a thousand comparisons, not half a million, and the
outcome does not depend on where batches end as long as batches arrive in that order. A chain (A like B, B like C, A unlike C) keeps
A and C.

Three kinds of similar documents are kept, in the earlier one's cluster, so that no data set has them on both sides of a split:
- a later revision of the same document (same source and external id), however similar;
- another question about the same text, or a relation of other entities in it;
- a text under 50 words whose numbers, negations or emoticons differ, such as a `:)` for a `:(` (see `decisive.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import islice

import numpy as np
import pandas as pd

from assets.cleaning.decisive import says_something_else
from assets.cleaning.frames import as_table, require_columns
from assets.cleaning.shingles import Hashes, jaccard, shingle_set
from assets.schemas import CLEAN_DOCUMENTS, DUPLICATE_INDEX, REJECTED_DOCUMENTS

SKETCH_COLUMNS = ("document_id", "text_sha256", "scheme", "bands")
CANDIDATE_COLUMNS = ("document_id", "source", "external_id", "text", "collected_at", "text_sha256", "scheme", "bands", "cluster_id")

# Templates ("Order 123 has shipped") share bands without being duplicates. These bounds keep such a flood linear. Only the earliest
# documents are found by a band that is so common; of all that are found the nearest are compared. What this could miss is a duplicate
# inside a flood whose differing words fall into no band of their own.
MAX_COMPARISONS = 32
MAX_BUCKET = 64
DUPLICATE_VERSION = 1
"""Rises when other documents are refused as duplicates at the same threshold."""
_NO_HASHES: Hashes = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Deduplicated:
    """Every document, kept or refused, exactly once.

    Attributes:
        kept: One row per kept document: the columns of `clean_documents`.
        index: One row per kept document: the columns of `duplicate_index`.
        rejected: One row per duplicate: the columns of `rejected_documents`.
    """

    kept: pd.DataFrame
    index: pd.DataFrame
    rejected: pd.DataFrame


@dataclass(frozen=True)
class _Document:
    document_id: str
    source: str
    external_id: str
    text: str
    text_sha256: str
    bands: list[int]
    cluster_id: str

    def is_revision_of(self, other: "_Document") -> bool:
        return (self.source, self.external_id) == (other.source, other.external_id)


@dataclass(frozen=True)
class _Decision:
    """Either a cluster to be kept in, or a reason to be refused with what repeats what."""

    cluster_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    duplicate_of: str | None = None


@dataclass
class _Kept:
    """The documents kept so far, earliest first, findable by exact hash, band and identity."""

    documents: list[_Document] = field(default_factory=list)
    by_hash: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_band: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_identity: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, document: _Document) -> None:
        position = len(self.documents)
        self.documents.append(document)
        self.by_hash[document.text_sha256].append(position)
        self.by_identity.setdefault((document.source, document.external_id), position)
        for band in document.bands:
            if len(self.by_band[band]) < MAX_BUCKET:
                self.by_band[band].append(position)

    def same_text(self, document: _Document) -> Iterator[_Document]:
        return (self.documents[position] for position in self.by_hash.get(document.text_sha256, ()))

    def sharing_bands(self, document: _Document) -> Iterator[_Document]:
        """At most 32 documents, those that share most bands; then in the order in which they were kept."""
        shared = Counter(position for band in document.bands for position in self.by_band.get(band, ()))
        nearest = sorted(shared, key=lambda position: (-shared[position], position))[:MAX_COMPARISONS]
        return (self.documents[position] for position in sorted(nearest))

    def earlier_revision(self, document: _Document) -> _Document | None:
        position = self.by_identity.get((document.source, document.external_id))
        return None if position is None else self.documents[position]


def deduplicate(kept: pd.DataFrame, sketches: pd.DataFrame, candidates: pd.DataFrame, *, threshold: float, now: datetime) -> Deduplicated:
    """Refuses the documents of a batch that repeat an earlier one, and gives every other its cluster.

    Args:
        kept: One row per document that passed the rules (`documents.Cleaned.kept`), in any order.
        sketches: One row per document of `kept` (`shingles.sketch`), in any order.
        candidates: One row per document of an earlier increment that has the `text_sha256`, a band (of the same scheme) or the source and
            external id of a document in `kept`; more rows do no harm. The columns are `CANDIDATE_COLUMNS`. Bands of another scheme
            are not looked at.
        threshold: Jaccard similarity, above 0 to 1, from which a document is a near duplicate.
        now: Time written into `rejected_at`; with a time zone.

    Raises:
        ValueError: A column is missing, or a document has no sketch.
    """
    _check(kept, sketches, candidates)
    documents = kept.merge(sketches, on="document_id", how="left", validate="one_to_one")
    documents = documents.sort_values(["collected_at", "revision", "document_id"], ignore_index=True)
    decisions = _decide_all(documents, candidates, threshold)
    columns = ("cluster_id", "reason", "detail", "duplicate_of")
    decided = documents.assign(**{name: pd.Series([getattr(each, name) for each in decisions], dtype=object) for name in columns})
    is_kept = decided["reason"].isna()
    return Deduplicated(
        kept=as_table(decided[is_kept], CLEAN_DOCUMENTS),
        index=as_table(decided[is_kept], DUPLICATE_INDEX),
        rejected=as_table(decided[~is_kept].assign(rule_version=DUPLICATE_VERSION, rejected_at=now), REJECTED_DOCUMENTS),
    )


def similarity(left: str, right: str) -> float:
    """Jaccard similarity, 0 to 1, of two texts' shingle sets; 0 when both are too short to have any."""
    return jaccard(_cached_shingle_set(left), _cached_shingle_set(right))


def _decide_all(documents: pd.DataFrame, candidates: pd.DataFrame, threshold: float) -> list[_Decision]:
    known = _Kept()
    decisions = []
    for position, document in enumerate(_records(documents, candidates)):
        if position < len(candidates):
            known.add(document)
            continue
        decision = _decide(document, known, threshold)
        decisions.append(decision)
        if decision.cluster_id is not None:
            known.add(replace(document, cluster_id=decision.cluster_id))
    return decisions


def _decide(document: _Document, known: _Kept, threshold: float) -> _Decision:
    for other in known.same_text(document):
        if not document.is_revision_of(other) or document.document_id == other.document_id:
            detail = f"expected no earlier document with the same text, found {other.document_id}"
            return _Decision(reason="exact_duplicate", detail=detail, duplicate_of=other.document_id)
    earlier = known.earlier_revision(document)
    cluster_id = earlier.cluster_id if earlier else None
    for other in known.sharing_bands(document):
        score = 0.0 if document.is_revision_of(other) else similarity(document.text, other.text)
        if score < threshold:
            continue
        if not says_something_else(document.text, other.text):
            detail = f"expected a similarity below {threshold:.2f} to every earlier document, found {score:.2f} to {other.document_id}"
            return _Decision(reason="near_duplicate", detail=detail, duplicate_of=other.document_id)
        cluster_id = cluster_id or other.cluster_id
    return _Decision(cluster_id=cluster_id or document.document_id)


def _records(documents: pd.DataFrame, candidates: pd.DataFrame) -> Iterator[_Document]:
    """The candidates in the order in which they were kept, then the documents of the batch; bands that occur once are left out."""
    scheme = documents["scheme"].iloc[0] if len(documents) else ""
    earlier = candidates.sort_values(["collected_at", "document_id"])
    bands = pd.concat([earlier["bands"].where(earlier["scheme"] == scheme, None), documents["bands"]])
    columns = ["document_id", "source", "external_id", "text", "text_sha256"]
    rows = pd.concat([earlier[columns], documents[columns]]).itertuples(index=False, name=None)
    clusters = [*earlier["cluster_id"], *documents["document_id"]]
    for (document_id, source, external_id, text, sha256), shared, cluster_id in zip(
        rows, _shared_bands(bands.tolist()), clusters, strict=True
    ):
        yield _Document(document_id, source, external_id, text, sha256, shared, cluster_id)


def _shared_bands(bands: list[Hashes | None]) -> Iterator[list[int]]:
    """Per document its bands that some other document has too: most have none, which keeps the tables of candidates small."""
    arrays = [_NO_HASHES if each is None else np.asarray(each, dtype=np.uint64) for each in bands]
    flat = np.concatenate([_NO_HASHES, *arrays])
    _, inverse, counts = np.unique(flat, return_inverse=True, return_counts=True)
    is_shared = counts[inverse] > 1
    ends = np.cumsum([len(each) for each in arrays])
    for array, end in zip(arrays, ends, strict=True):
        yield array[is_shared[end - len(array) : end]].tolist()


@lru_cache(maxsize=1024)
def _cached_shingle_set(text: str) -> Hashes:
    return shingle_set(text)


def _check(kept: pd.DataFrame, sketches: pd.DataFrame, candidates: pd.DataFrame) -> None:
    columns = [name for name in CLEAN_DOCUMENTS.column_names() if name != "cluster_id"]
    require_columns(kept, columns, "documents to deduplicate")
    require_columns(sketches, SKETCH_COLUMNS, "sketches")
    require_columns(candidates, CANDIDATE_COLUMNS, "candidates")
    without = kept.loc[~kept["document_id"].isin(sketches["document_id"]), "document_id"]
    if len(without):
        raise ValueError(
            f"expected a sketch of every document, found none of {list(islice(without, 3))}: sketch the frame that is deduplicated"
        )

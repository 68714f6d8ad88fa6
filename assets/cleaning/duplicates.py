"""Decides which documents repeat an earlier one, in the same batch or in any increment before.

Hashing and sketching texts do not belong here (see `shingles.py`), nor does finding which documents can repeat each other at all (see
`related.py`), nor looking the candidates up in the lake (see `assets.py`).

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
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice

import numpy as np
import pandas as pd

from assets.cleaning.decisive import SHORT_WORDS, asks_something_else, says_something_else
from assets.cleaning.frames import as_table, require_columns
from assets.cleaning.related import Document, related_documents
from assets.cleaning.shingles import jaccard
from assets.cleaning.word_hashes import Hashes
from assets.schemas import CLEAN_DOCUMENTS, DUPLICATE_INDEX, REJECTED_DOCUMENTS

SKETCH_COLUMNS = ("document_id", "text_sha256", "scheme", "bands")
DOCUMENT_COLUMNS = ("document_id", "source", "external_id", "text", "collected_at", "cluster_id")
INDEX_COLUMNS = ("text_sha256", "scheme", "bands")
CANDIDATE_COLUMNS = (*DOCUMENT_COLUMNS, *INDEX_COLUMNS)

# Templates ("Order 123 has shipped") share bands without being duplicates. These bounds keep such a flood linear. Only the earliest
# documents are found by a band that is so common; of all that are found the nearest are compared. What this could miss is a duplicate
# inside a flood whose differing words fall into no band of their own.
MAX_COMPARISONS = 32
MAX_BUCKET = 64
DUPLICATE_VERSION = 2
"""Rises when other documents are refused as duplicates at the same threshold."""
_ORDER = ["collected_at", "revision", "document_id"]


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
class _Decision:
    """Either a cluster to be kept in, or a reason to be refused with what repeats what."""

    cluster_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    duplicate_of: str | None = None


@dataclass
class _Kept:
    """The documents kept so far, earliest first, findable by exact hash, band and identity."""

    documents: list[Document] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    by_hash: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_band: dict[int, tuple[int, ...]] = field(default_factory=dict)  # tuples: a garbage collection looks at every list again
    by_identity: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, document: Document, cluster_id: str) -> None:
        position = len(self.documents)
        self.documents.append(document)
        self.clusters.append(cluster_id)
        self.by_hash[document.text_sha256].append(position)
        self.by_identity.setdefault((document.source, document.external_id), position)
        for band in document.bands:
            bucket = self.by_band.get(band, ())
            if len(bucket) < MAX_BUCKET:
                self.by_band[band] = (*bucket, position)

    def same_text(self, document: Document) -> Iterator[Document]:
        return (self.documents[position] for position in self.by_hash.get(document.text_sha256, ()))

    def sharing_bands(self, document: Document) -> Iterator[tuple[Document, str]]:
        """At most 32 documents, those that share most bands; then in the order in which they were kept; each with its cluster."""
        buckets = [self.by_band[band] for band in document.bands if band in self.by_band]
        shared = Counter(chain.from_iterable(buckets)) if buckets else {}
        nearest = sorted(shared, key=lambda position: (-shared[position], position))[:MAX_COMPARISONS]
        return ((self.documents[position], self.clusters[position]) for position in sorted(nearest))

    def cluster_of_revision(self, document: Document) -> str | None:
        """The cluster of the earliest revision of the document that was kept."""
        position = self.by_identity.get((document.source, document.external_id))
        return None if position is None else self.clusters[position]


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
    documents = _with_sketches(kept, sketches).sort_values(_ORDER, ignore_index=True)
    require_columns(candidates, CANDIDATE_COLUMNS, "candidates")
    decisions = _decide_all(documents, candidates, threshold)
    refused = {row: each for row, each in decisions.items() if each.reason}
    is_kept = np.ones(len(documents), dtype=np.bool_)
    is_kept[list(refused)] = False
    clusters = documents["document_id"].copy()
    clusters.iloc[list(decisions)] = [each.cluster_id for each in decisions.values()]
    accepted = documents.assign(cluster_id=clusters)[is_kept]
    columns = {name: [getattr(each, name) for each in refused.values()] for name in ("reason", "detail", "duplicate_of")}
    rejected = documents.iloc[list(refused)].assign(**columns, rule_version=DUPLICATE_VERSION, rejected_at=now)
    return Deduplicated(
        kept=as_table(accepted, CLEAN_DOCUMENTS),
        index=as_table(accepted, DUPLICATE_INDEX),
        rejected=as_table(rejected, REJECTED_DOCUMENTS),
    )


def similarity(left: Hashes, right: Hashes) -> float:
    """Jaccard similarity, 0 to 1, of two texts' sorted shingle sets; 0 when both are too short to have any."""
    return jaccard(left, right)


def _decide_all(documents: pd.DataFrame, candidates: pd.DataFrame, threshold: float) -> dict[int, _Decision]:
    """Decisions by row, in the order of the rows; a document without one shares nothing with any other and is kept."""
    known = _Kept()
    decisions = {}
    for row, document in related_documents(documents, candidates):
        if row < 0:
            known.add(document, document.cluster_id)
            continue
        decision = decisions[row] = _decide(document, known, threshold)
        if decision.cluster_id is not None:
            known.add(document, decision.cluster_id)
    return decisions


def _decide(document: Document, known: _Kept, threshold: float) -> _Decision:
    for other in known.same_text(document):
        if not document.is_revision_of(other) or document.document_id == other.document_id:
            detail = f"expected no earlier document with the same text, found {other.document_id}"
            return _Decision(reason="exact_duplicate", detail=detail, duplicate_of=other.document_id)
    cluster_id = known.cluster_of_revision(document)
    for other, its_cluster in known.sharing_bands(document):
        score = 0.0 if document.is_revision_of(other) else similarity(document.shingles, other.shingles)
        if score < threshold:
            continue
        if not _says_something_else(document, other):
            detail = f"expected a similarity below {threshold:.2f} to every earlier document, found {score:.2f} to {other.document_id}"
            return _Decision(reason="near_duplicate", detail=detail, duplicate_of=other.document_id)
        cluster_id = cluster_id or its_cluster
    return _Decision(cluster_id=cluster_id or document.document_id)


def _says_something_else(document: Document, other: Document) -> bool:
    differs = asks_something_else if min(document.words, other.words) >= SHORT_WORDS else says_something_else
    return differs(document.text, other.text)


def _with_sketches(kept: pd.DataFrame, sketches: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in CLEAN_DOCUMENTS.column_names() if name != "cluster_id"]
    require_columns(kept, columns, "documents to deduplicate")
    require_columns(sketches, SKETCH_COLUMNS, "sketches")
    documents = kept.merge(sketches, on="document_id", how="left", validate="one_to_one")
    without = documents.loc[documents["scheme"].isna(), "document_id"]
    if len(without):
        raise ValueError(
            f"expected a sketch of every document, found none of {list(islice(without, 3))}: sketch the frame that is deduplicated"
        )
    return documents

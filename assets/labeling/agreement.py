"""How much annotators agree, per source: Krippendorff's alpha; for spans the F1 of one person measured by another.

Interval alpha where votes are numeric ratings, nominal alpha where they are labels (Krippendorff, Content Analysis, 4th ed., ch.
12; computed by the `krippendorff` package); with any number of labels per document, the mean of each label's nominal alpha. For spans
there is no count of what nobody marked, so chance cannot be taken off; F1 over all pairs of people is the usual measure (Hripcsak &
Rothschild, JAMIA 2005). Large sources are estimated on a fixed sample of documents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from assets.answers import decode_labels, decode_spans
from assets.project import Task

Level = Literal["interval", "nominal", "labels", "spans"]
MAX_UNITS_PER_SOURCE = 50_000
MAX_DISTINCT_VALUES = 200

# One row per document, answer and source with the number of human votes; the newest vote of an annotator counts.
VOTE_COUNTS_SQL = f"""
SELECT source, document_id, label, value, count(*) AS votes
FROM annotations
WHERE voter_kind = 'human' AND document_id IN (
    SELECT document_id FROM (
        SELECT source, document_id, row_number() OVER (PARTITION BY source ORDER BY hash(document_id)) AS position
        FROM clean_documents)
    WHERE position <= {MAX_UNITS_PER_SOURCE})
GROUP BY ALL
ORDER BY ALL
"""


@dataclass(frozen=True)
class Agreement:
    """Agreement on one source.

    Attributes:
        source: The source.
        score: Krippendorff's alpha, at most 1; 0 is chance. For spans F1, 0 to 1.
        level: `interval` for ratings, `nominal` for one label, `labels` for any number of labels, `spans`.
        documents: Documents with at least two votes.
        votes: Votes on them.
    """

    source: str
    score: float
    level: Level
    documents: int
    votes: int


def measure_agreement(vote_counts: pd.DataFrame, task: Task) -> list[Agreement]:
    """Agreement on every source that has a document with two votes and more than one answer, or a span.

    Args:
        vote_counts: One row per source, document and answer: `source`, `document_id`, `label`, `value`, `votes`.
        task: The task whose answers the votes are.
    """
    measure: Callable[[str, pd.DataFrame], Agreement | None] = _measure_source
    if task.has_lists:
        measure = partial(_measure_spans if task.has_spans else _measure_labels, labels=task.labels)
    measured = [measure(str(source), frame) for source, frame in vote_counts.groupby("source", sort=True)]
    return [agreement for agreement in measured if agreement is not None]


def _measure_source(source: str, frame: pd.DataFrame) -> Agreement | None:
    is_rated = bool(frame["value"].notna().all()) and frame["value"].nunique() <= MAX_DISTINCT_VALUES
    answers = frame["value"] if is_rated else frame["label"]
    table = _overlapping(frame.assign(answer=answers))
    level: Literal["interval", "nominal"] = "interval" if is_rated else "nominal"
    alpha = _alpha(table, level)
    return None if alpha is None else Agreement(source, alpha, level, len(table), int(table.to_numpy().sum()))


def _measure_labels(source: str, frame: pd.DataFrame, labels: Sequence[str]) -> Agreement | None:
    chosen = {answer: frozenset(decode_labels(answer, labels)) for answer in frame["label"].unique()}
    tables = [_overlapping(frame.assign(answer=[label in chosen[answer] for answer in frame["label"]])) for label in labels]
    alphas = [alpha for table in tables if (alpha := _alpha(table, "nominal")) is not None]
    if not alphas:
        return None
    return Agreement(source, float(np.mean(alphas)), "labels", len(tables[0]), int(tables[0].to_numpy().sum()))


def _measure_spans(source: str, frame: pd.DataFrame, labels: Sequence[str]) -> Agreement | None:
    """Pairwise F1, 2 * both / (one + other), pooled over all pairs of people on all documents."""
    voted = frame[frame.groupby("document_id")["votes"].transform("sum") >= 2]
    spans = {answer: frozenset(decode_spans(answer, labels)) for answer in voted["label"].unique()}
    both, marked = 0, 0
    for _, answers in voted.groupby("document_id"):
        counts = [(spans[label], int(votes)) for label, votes in zip(answers["label"], answers["votes"], strict=True)]
        pairs = [(one, other, n * m) for (one, n), (other, m) in combinations(counts, 2)]
        pairs += [(one, one, n * (n - 1) // 2) for one, n in counts]
        both += sum(2 * len(one & other) * count for one, other, count in pairs)
        marked += sum((len(one) + len(other)) * count for one, other, count in pairs)
    if not marked:
        return None
    return Agreement(source, both / marked, "spans", voted["document_id"].nunique(), int(voted["votes"].sum()))


def _overlapping(frame: pd.DataFrame) -> pd.DataFrame:
    """Votes per document and answer, of the documents with two votes or more."""
    table = frame.pivot_table(index="document_id", columns="answer", values="votes", aggfunc="sum", fill_value=0)
    return table[table.sum(axis=1) >= 2]


def _alpha(table: pd.DataFrame, level: Literal["interval", "nominal"]) -> float | None:
    """Krippendorff's alpha; None where there are not two answers."""
    import krippendorff  # not while definitions load

    if table.empty or (table.sum(axis=0) > 0).sum() < 2:
        return None
    domain = table.columns.to_numpy(dtype=float) if level == "interval" else np.arange(table.shape[1])
    return float(krippendorff.alpha(value_counts=table.to_numpy(dtype=np.int64), value_domain=domain, level_of_measurement=level))

"""How much annotators agree, per source, label and month.

- Everybody together: Krippendorff's alpha, interval where votes are numeric ratings, ordinal where labels have an order, nominal else
  (Krippendorff, Content Analysis, 4th ed., ch. 12; computed by the `krippendorff` package); Fleiss' kappa of the labels (Psychological
  Bulletin 76, 1971, each document with as many votes as it has). With any number of labels per document, the mean of each label's.
- Pairs: the mean of Cohen's kappa over all pairs of named people (computed by scikit-learn; linear weights where labels have an order).
- Spans: there is no count of what nobody marked, so chance cannot be taken off; F1 over all pairs of people is the usual measure (Hripcsak
  & Rothschild, JAMIA 2005).

Large sources are estimated on a fixed sample of documents. Does not belong here: single annotators (`track_record.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.answers import decode_labels, decode_spans
from assets.labeling.annotators import ANONYMOUS
from assets.markdown import markdown_table
from assets.project import Task
from assets.schemas import ANNOTATOR_AGREEMENT

Level = Literal["interval", "ordinal", "nominal", "labels", "spans"]
Measure = Literal["krippendorff_alpha", "fleiss_kappa", "cohen_kappa", "pairwise_f1"]
Counts = npt.NDArray[np.int64]
ALL = "all"
MAX_UNITS_PER_SOURCE = 50_000
MAX_DISTINCT_VALUES = 200
SHARED_DOCUMENTS = 20
"""Two people who share fewer are not compared."""

_SAMPLE_SQL = f"""
SELECT document_id FROM (
    SELECT document_id, row_number() OVER (PARTITION BY source ORDER BY hash(document_id)) AS position FROM clean_documents)
WHERE position <= {MAX_UNITS_PER_SOURCE}
"""
# One row per document, answer and source with the number of human votes, and the month in which the document's last vote came.
VOTE_COUNTS_SQL = f"""
WITH votes AS (SELECT * FROM annotations SEMI JOIN ({_SAMPLE_SQL}) USING (document_id) WHERE voter_kind = 'human'),
dated AS (SELECT document_id, strftime(max(collected_at), '%Y-%m') AS month FROM raw_annotations GROUP BY document_id)
SELECT source, document_id, label, value, month, count(*) AS votes FROM votes JOIN dated USING (document_id) GROUP BY ALL ORDER BY ALL
"""
# How often two named people gave which answers to the same documents; each pair once.
PAIRS_SQL = f"""
WITH votes AS (
    SELECT source, document_id, annotator_id, label FROM annotations SEMI JOIN ({_SAMPLE_SQL}) USING (document_id)
    WHERE voter_kind = 'human' AND NOT starts_with(annotator_id, '{ANONYMOUS}')
)
SELECT one.source, one.annotator_id AS annotator, other.annotator_id AS other, one.label AS given, other.label AS others, count(*) AS votes
FROM votes one JOIN votes other ON one.document_id = other.document_id AND one.annotator_id < other.annotator_id
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Agreement:
    """Agreement on one source, or a part of it.

    Attributes:
        source: The source.
        part: `all`, `label <label>`, or `month <YYYY-MM>` (UTC).
        measure: What was computed.
        level: `interval` for ratings, `ordinal` or `nominal` for one label, `labels` for any number of labels, `spans`.
        score: At most 1; 0 is chance. For F1 0 to 1.
        documents_count: Documents with at least two votes.
        votes_count: Votes on them.
    """

    source: str
    part: str
    measure: Measure
    level: Level
    score: float
    documents_count: int
    votes_count: int

    @property
    def is_main(self) -> bool:
        """The figure that a source is judged by."""
        return self.part == ALL and self.measure in ("krippendorff_alpha", "pairwise_f1")


def measure_agreement(vote_counts: pd.DataFrame, task: Task) -> list[Agreement]:
    """Agreement on every source that has a document with two votes and more than one answer, or a span; by label, and by month if several.

    Args:
        vote_counts: One row per source, document and answer: `source`, `document_id`, `label`, `value`, `month`, `votes`.
        task: The task whose answers the votes are.
    """
    sources = vote_counts.groupby("source", sort=True)
    return [replace(found, source=str(source)) for source, frame in sources for found in _measure_source(frame, task)]


def measure_pairs(pairs: pd.DataFrame, task: Task) -> list[Agreement]:
    """The mean of Cohen's kappa over all pairs of people with enough in common, weighted by the documents they share, per source.

    Args:
        pairs: One row per source, pair of people and pair of answers (`PAIRS_SQL`).
        task: The task; answers that are spans are not compared.
    """
    if task.has_spans:
        return []
    return [found for source, frame in pairs.groupby("source", sort=True) if (found := _mean_kappa(str(source), frame, task)) is not None]


def to_rows(agreements: Sequence[Agreement]) -> pd.DataFrame:
    """The figures as rows of `annotator_agreement`."""
    return pd.DataFrame([asdict(each) for each in agreements], columns=ANNOTATOR_AGREEMENT.column_names())


def agreement_table(agreements: Sequence[Agreement]) -> str:
    """Agreement as a Markdown table."""
    headings = ("source", "votes", "measure", "level", "score", "documents", "number of votes")
    rows = (
        (each.source, each.part, each.measure.replace("_", " "), each.level, f"{each.score:.3f}", each.documents_count, each.votes_count)
        for each in agreements
    )
    return markdown_table(headings, rows)


def _measure_source(frame: pd.DataFrame, task: Task) -> Iterator[Agreement]:
    """Every figure on one source, which is not yet named in them."""
    measure: Callable[[pd.DataFrame, Task], Iterator[Agreement]] = _measure_one_label
    if task.has_lists:
        measure = _measure_spans if task.has_spans else _measure_labels
    yield from measure(frame, task)
    months = frame.groupby("month", sort=True)
    for month, votes in months if months.ngroups > 1 else ():
        yield from (replace(found, part=f"month {month}") for found in measure(votes, task) if found.is_main)


def _measure_one_label(frame: pd.DataFrame, task: Task) -> Iterator[Agreement]:
    labels = _table(frame, "label").reindex(columns=list(task.labels), fill_value=0).to_numpy(dtype=np.int64)
    if frame["value"].notna().all() and frame["value"].nunique() <= MAX_DISTINCT_VALUES:
        values = _table(frame, "value")
        yield from _alpha(ALL, values.to_numpy(dtype=np.int64), "interval", values.columns.to_numpy(dtype=float))
    else:
        order = np.array(task.valences) if task.is_ordinal else None
        yield from _alpha(ALL, labels, "ordinal" if task.is_ordinal else "nominal", order)
    yield from _kappa(labels, "nominal", [labels])
    for number, label in enumerate(task.labels):
        yield from _alpha(f"label {label}", _one_against_others(labels, number), "nominal")


def _measure_labels(frame: pd.DataFrame, task: Task) -> Iterator[Agreement]:
    chosen = {answer: frozenset(decode_labels(answer, task.labels)) for answer in frame["label"].unique()}
    with_label = [frame.assign(chosen=[label in chosen[answer] for answer in frame["label"]]) for label in task.labels]
    tables = [_table(one, "chosen").reindex(columns=[False, True], fill_value=0).to_numpy(dtype=np.int64) for one in with_label]
    parts = [
        (label, found) for label, table in zip(task.labels, tables, strict=True) for found in _alpha(f"label {label}", table, "labels")
    ]
    if parts:
        mean = float(np.mean([found.score for _, found in parts]))
        yield Agreement("", ALL, "krippendorff_alpha", "labels", mean, parts[0][1].documents_count, parts[0][1].votes_count)
    yield from _kappa(tables[0], "labels", tables)
    yield from (found for _, found in parts)


def _measure_spans(frame: pd.DataFrame, task: Task) -> Iterator[Agreement]:
    voted = frame[frame.groupby("document_id")["votes"].transform("sum") >= 2]
    spans = {answer: frozenset(decode_spans(answer, task.labels)) for answer in voted["label"].unique()}
    counts = voted["document_id"].nunique(), int(voted["votes"].sum())
    for part, wanted in ((ALL, None), *((f"label {label}", label) for label in task.labels)):
        kept = {answer: frozenset(span for span in found if wanted in (None, span.label)) for answer, found in spans.items()}
        score = _pairwise_f1(voted, kept)
        if score is not None and (wanted is None or len(task.labels) > 1):
            yield Agreement("", part, "pairwise_f1", "spans", score, *counts)


def _pairwise_f1(voted: pd.DataFrame, spans: Mapping[str, frozenset[object]]) -> float | None:
    """2 * both / (one + other), pooled over all pairs of people on all documents; None where nobody marked anything."""
    both, marked = 0, 0
    for _, answers in voted.groupby("document_id"):
        counts = [(spans[label], int(votes)) for label, votes in zip(answers["label"], answers["votes"], strict=True)]
        pairs = [(one, other, n * m) for (one, n), (other, m) in combinations(counts, 2)]
        pairs += [(one, one, n * (n - 1) // 2) for one, n in counts]
        both += sum(2 * len(one & other) * count for one, other, count in pairs)
        marked += sum((len(one) + len(other)) * count for one, other, count in pairs)
    return both / marked if marked else None


def _table(frame: pd.DataFrame, answer: str) -> pd.DataFrame:
    """Votes per document and answer, of the documents with two votes or more."""
    table = frame.pivot_table(index="document_id", columns=answer, values="votes", aggfunc="sum", fill_value=0)
    return table[table.sum(axis=1) >= 2]


def _one_against_others(table: Counts, number: int) -> Counts:
    return np.stack([table[:, number], table.sum(axis=1) - table[:, number]], axis=1)


def _alpha(part: str, table: Counts, level: Level, domain: npt.NDArray[np.float64] | None = None) -> Iterator[Agreement]:
    """Krippendorff's alpha of votes per document and answer, (documents, answers); nothing where there are not two answers."""
    import krippendorff  # not while definitions load

    if not len(table) or (table.sum(axis=0) > 0).sum() < 2:
        return
    values = np.arange(table.shape[1]) if domain is None else domain
    of_level: Literal["interval", "ordinal", "nominal"] = level if level in ("interval", "ordinal") else "nominal"
    score = float(krippendorff.alpha(value_counts=table, value_domain=values, level_of_measurement=of_level))
    yield Agreement("", part, "krippendorff_alpha", level, score, len(table), int(table.sum()))


def _kappa(counted: Counts, level: Level, tables: Sequence[Counts]) -> Iterator[Agreement]:
    """The mean of Fleiss' kappa of some tables of votes, each (documents, answers); nothing where none has two answers."""
    found = [kappa for table in tables if (kappa := fleiss_kappa(table)) is not None]
    if found:
        yield Agreement("", ALL, "fleiss_kappa", level, float(np.mean(found)), len(counted), int(counted.sum()))


def fleiss_kappa(table: Counts) -> float | None:
    """Fleiss' kappa of votes per document and answer, (documents, answers), two or more a document; None where there is but one answer."""
    if not len(table) or (table.sum(axis=0) > 0).sum() < 2:
        return None
    votes = table.sum(axis=1)
    agreed = ((table * (table - 1)).sum(axis=1) / (votes * (votes - 1))).mean()
    by_chance = ((table.sum(axis=0) / votes.sum()) ** 2).sum()
    return float((agreed - by_chance) / (1 - by_chance))


def _mean_kappa(source: str, frame: pd.DataFrame, task: Task) -> Agreement | None:
    shared = frame.groupby(["annotator", "other"])["votes"].transform("sum")
    found = [
        (_cohen(pair, task), int(pair["votes"].sum())) for _, pair in frame[shared >= SHARED_DOCUMENTS].groupby(["annotator", "other"])
    ]
    found = [(kappa, weight) for kappa, weight in found if np.isfinite(kappa)]
    if not found:
        return None
    weights = np.array([weight for _, weight in found])
    level: Level = "labels" if task.has_lists else "ordinal" if task.is_ordinal else "nominal"
    score = float(np.average([kappa for kappa, _ in found], weights=weights))
    return Agreement(source, ALL, "cohen_kappa", level, score, int(weights.max()), 2 * int(weights.sum()))


def _cohen(pair: pd.DataFrame, task: Task) -> float:
    """Cohen's kappa of two people; NaN where both always say the same."""
    if not task.has_lists:
        return cohen_kappa(
            list(pair["given"]), list(pair["others"]), pair["votes"], list(task.labels), "linear" if task.is_ordinal else None
        )
    given, others = ([decode_labels(answer, task.labels) for answer in pair[column]] for column in ("given", "others"))
    each = [
        cohen_kappa([label in one for one in given], [label in other for other in others], pair["votes"], [False, True])
        for label in task.labels
    ]
    return float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")


def cohen_kappa(
    one: Sequence[object], other: Sequence[object], votes: pd.Series, labels: Sequence[object], weights: Literal["linear"] | None = None
) -> float:
    """Cohen's kappa of two, given how often they gave which pair of answers; NaN where both always say the same one thing.

    Args:
        one: Answers of the one, (pairs of answers,).
        other: Answers of the other, (pairs of answers,).
        votes: How often, (pairs of answers,).
        labels: All possible answers, in order.
        weights: How answers that differ count; None counts all differences alike.
    """
    from sklearn.metrics import cohen_kappa_score  # not while definitions load

    if len({*one, *other}) == 1:
        return float("nan")
    return float(cohen_kappa_score(one, other, labels=labels, weights=weights, sample_weight=votes))

"""From predictions to the rows of the evaluation report: every scorer, overall and per source, with bootstrap intervals.

Belongs here: slices, intervals, comparisons, the long frame. Does not belong here: formulas (`metrics.py`, `span_metrics.py`), words and
pictures (`report.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.project import Task
from assets.schemas import EVALUATION_REPORT
from assets.training.judging.metrics import (
    Floats,
    Statistics,
    bootstrap_metrics,
    bootstrap_weights,
    compute_label_metrics,
    compute_metrics,
    confusion_matrix,
    divide,
    interval,
    two_sided_p,
)
from assets.training.judging.predictions import Predictions, label_numbers, require_rows, span_pairs, statistics_of, word_statistics_of
from assets.training.judging.span_metrics import error_counts, word_tags

OVERALL = "overall"
BOOTSTRAP_SAMPLES = 1000
COMPARED_METRICS = ("macro_f1", "pearson_r")
"""Metrics whose difference from every other scorer is tested."""

COUNTS = r"^(?:token_)?support/|^confusion/|^errors/"
"""Metrics that are numbers of things."""

Mask = npt.NDArray[np.bool_]
Entry = tuple[str, float, float, float]
"""Metric, value, low, high; NaN where not defined."""


@dataclass(frozen=True)
class Evaluation:
    """The report in numbers.

    Attributes:
        frame: One row per scorer, slice and metric; columns of the table `evaluation_report`.
        notes: What was left out and why, a sentence each.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Judged:
    """A scorer with the sums of the rows that it has an answer for, and the same over words where answers are labelled spans.

    For spans also the kinds of error of each of those rows: (rows, kinds).
    """

    predictions: Predictions
    has_answer: Mask
    rows: Statistics
    words: Statistics | None
    errors: pd.DataFrame | None


@dataclass(frozen=True)
class _Measured:
    """One-number metrics of a scorer on a slice, and their values on the bootstrap samples."""

    numbers: dict[str, Floats]
    drawn: dict[str, Floats]

    def entries(self, prefix: str = "") -> list[Entry]:
        return [(f"{prefix}{name}", float(value), *interval(self.drawn[name])) for name, value in self.numbers.items()]


def evaluate(
    scorers: Sequence[Predictions],
    test: pd.DataFrame,
    task: Task,
    model_id: str,
    dataset_version: str,
    seed: int,
    samples: int = BOOTSTRAP_SAMPLES,
) -> Evaluation:
    """Judge every scorer on the same test rows, overall and per source.

    Intervals are the middle 95 % of a bootstrap that draws whole groups (`group_id`), since sentences of one article are not independent.
    Metrics with an interval: those of `metrics.compute_metrics`, and for labelled spans the same over words (`token_accuracy`,
    `token_macro_f1`, and so on; the averages leave out words outside all spans). Without: `precision/<label>`, `recall/<label>`,
    `f1/<label>`, `support/<label>`; `confusion/<true>/<predicted>` where a row has one label; `brier/<label>` where it has any number;
    for spans `errors/<kind>` (`span_metrics.error_counts`), and over words `token_precision/B-<label>` and so on.
    The first scorer is compared with each other one, on the rows that both answer: `difference/<metric>/<scorer>` with the interval of the
    paired bootstrap (both are measured on the same drawn groups), and its `p_value/<metric>/<scorer>` (`metrics.two_sided_p`).

    Args:
        scorers: Predictions in the order of the test rows; rows without an answer are left out for that scorer and said so.
        test: One row per document; read: `source`, `group_id`, `label`; `mean_rating` and `text` where the task needs them.
        task: Kind and labels.
        model_id: Written into every row.
        dataset_version: Written into every row.
        seed: Of the bootstrap.
        samples: Bootstrap samples.

    Raises:
        ValueError: No test rows.
        PredictionsError: Predictions do not fit the test rows or the labels.
    """
    if test.empty:
        raise ValueError("evaluation: expected test rows, found none; enlarge the data set or storage.test_share")
    bench = _Bench(test, task, seed, samples)
    judged = [bench.judge(scorer) for scorer in scorers]
    for name, mask in slices_of(test):
        for scorer in judged:
            bench.measure(scorer, name, mask)
        for rival in judged[1:]:
            bench.compare(judged[0], rival, name, mask)
    frame = pd.DataFrame(bench.found, columns=["scorer", "slice", "metric", "value", "low", "high", "rows_count"])
    frame.insert(0, "model_id", model_id)
    frame.insert(1, "dataset_version", dataset_version)
    return Evaluation(frame[EVALUATION_REPORT.column_names()], tuple(bench.notes()))


class _Bench:
    """The test rows, and what was found on them so far."""

    def __init__(self, test: pd.DataFrame, task: Task, seed: int, samples: int) -> None:
        self.test, self.task, self.seed, self.samples = test, task, seed, samples
        self.found: list[tuple[str, str, str, float, float, float, int]] = []
        self._weights: tuple[int, list[Floats]] = (0, [])
        self._gaps: dict[str, list[str]] = {}
        self._undefined: dict[tuple[str, str], list[str]] = {}
        self._measured: dict[tuple[str, str], _Measured] = {}

    def judge(self, scorer: Predictions) -> _Judged:
        require_rows(scorer, len(self.test))
        has_answer = np.array([answer is not None for answer in scorer.labels], dtype=bool)
        predictions, test = scorer.take(has_answer), self.test[has_answer]
        words = word_statistics_of(predictions, test, self.task) if self.task.kind == "token_classification" else None
        errors = None
        if self.task.has_spans:
            pairs = zip(*span_pairs(predictions, test, self.task), strict=True)
            errors = pd.DataFrame([error_counts([truth], [found]) for truth, found in pairs])
        return _Judged(scorer, has_answer, statistics_of(predictions, test, self.task), words, errors)

    def measure(self, scorer: _Judged, name: str, mask: Mask) -> None:
        answered = mask & scorer.has_answer
        if answered.sum() < mask.sum():
            gap = f"{name} {int(mask.sum() - answered.sum())} of {int(mask.sum())}"
            self._gaps.setdefault(scorer.predictions.scorer, []).append(gap)
        if not answered.any():
            return
        measured = self._draw(scorer.rows, scorer.has_answer, answered)
        self._measured[scorer.predictions.scorer, name] = measured
        part = scorer.rows.take(answered[scorer.has_answer]).total()
        entries = measured.entries() + label_entries(part, self.task.labels)
        if scorer.errors is not None:
            kinds = scorer.errors[answered[scorer.has_answer]].sum()
            entries += [(f"errors/{kind}", float(count), np.nan, np.nan) for kind, count in kinds.items()]
        else:
            entries += self._entries_of_kind(scorer.predictions.take(answered), self.test[answered], part)
        if scorer.words is not None:
            entries += self._word_entries(scorer.words, scorer.has_answer, answered)
        self._add(scorer.predictions.scorer, name, entries, int(answered.sum()))

    def compare(self, ours: _Judged, theirs: _Judged, name: str, mask: Mask) -> None:
        both = mask & ours.has_answer & theirs.has_answer
        if not both.any():
            return
        pair = [
            self._measured[scorer.predictions.scorer, name]
            if (both == (mask & scorer.has_answer)).all()
            else self._draw(scorer.rows, scorer.has_answer, both)
            for scorer in (ours, theirs)
        ]
        entries: list[Entry] = []
        for metric in COMPARED_METRICS:
            if metric in pair[0].numbers and metric in pair[1].numbers:
                drawn = pair[0].drawn[metric] - pair[1].drawn[metric]
                path = f"{metric}/{theirs.predictions.scorer}"
                entries.append((f"difference/{path}", float(pair[0].numbers[metric] - pair[1].numbers[metric]), *interval(drawn)))
                entries.append((f"p_value/{path}", two_sided_p(drawn), np.nan, np.nan))
        self._add(ours.predictions.scorer, name, entries, int(both.sum()))

    def _draw(self, statistics: Statistics, has_answer: Mask, rows: Mask) -> _Measured:
        """The same seed draws the same groups for every scorer with an answer for these rows: that is what makes comparisons paired."""
        part = statistics.take(rows[has_answer])
        groups = part.by_group(number_groups(self.test[rows]))
        if len(groups.labels) != self._weights[0]:
            self._weights = len(groups.labels), bootstrap_weights(len(groups.labels), self.samples, self.seed)
        return _Measured(compute_metrics(part.total()), bootstrap_metrics(groups, self._weights[1]))

    def _entries_of_kind(self, predictions: Predictions, test: pd.DataFrame, total: Statistics) -> list[Entry]:
        if self.task.kind != "multi_label_classification":
            return _confusion_entries(predictions, test, self.task.labels)
        if total.squared_errors is None:
            return []
        errors = divide(total.squared_errors, np.broadcast_to(total.rows[0], total.squared_errors.shape))
        return [(f"brier/{label}", float(value), np.nan, np.nan) for label, value in zip(self.task.labels, errors, strict=True)]

    def _word_entries(self, words: Statistics, has_answer: Mask, rows: Mask) -> list[Entry]:
        inside = replace(words, labels=words.labels[..., :-1])
        entries = self._draw(inside, has_answer, rows).entries("token_")
        return entries + label_entries(words.take(rows[has_answer]).total(), word_tags(self.task.labels), "token_")

    def _add(self, scorer: str, name: str, entries: Sequence[Entry], rows: int) -> None:
        for metric, value, *_ in entries:
            if np.isnan(value):
                self._undefined.setdefault((scorer, metric), []).append(name)
        self.found += [(scorer, name, *entry, rows) for entry in entries if not np.isnan(entry[1])]

    def notes(self) -> list[str]:
        """What was left out, a sentence each; metrics of one scorer that are missing at the same places share one."""
        notes = [
            f"{scorer}: not every row has a prediction, and such rows are left out ({', '.join(gaps)})."
            for scorer, gaps in self._gaps.items()
        ]
        together: dict[tuple[str, str], list[str]] = {}
        for (scorer, metric), places in self._undefined.items():
            together.setdefault((scorer, ", ".join(places)), []).append(metric)
        for (scorer, where), metrics in together.items():
            notes.append(f"{scorer}: {', '.join(metrics)} {'is' if len(metrics) == 1 else 'are'} not defined and left out ({where}).")
        return notes


def label_entries(total: Statistics, labels: Sequence[str], prefix: str = "") -> list[Entry]:
    """Precision, recall, F1 and support of every label."""
    return [
        (f"{prefix}{metric}/{label}", float(value), np.nan, np.nan)
        for metric, values in compute_label_metrics(total).items()
        for label, value in zip(labels, values, strict=True)
    ]


def slices_of(test: pd.DataFrame) -> Iterator[tuple[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]]:
    """Name and row mask of every slice: `overall`, then `source=<name>` in order of name."""
    yield OVERALL, np.ones(len(test), dtype=bool)
    for source in sorted(test["source"].unique()):
        yield f"source={source}", (test["source"] == source).to_numpy(dtype=bool)


def value_of(frame: pd.DataFrame, scorer: str, metric: str, slice_name: str = OVERALL) -> tuple[float, float, float]:
    """Value, low and high of one metric in an evaluation frame; NaN where the row is missing."""
    found = frame[(frame["scorer"] == scorer) & (frame["metric"] == metric) & (frame["slice"] == slice_name)]
    if found.empty:
        return float("nan"), float("nan"), float("nan")
    first = found.iloc[0]
    return float(first["value"]), float(first["low"]), float(first["high"])


def count_impossible_values(frame: pd.DataFrame) -> int:
    """Number of values that their metric cannot have, such as shares and p values outside 0 to 1."""
    metric = frame["metric"]
    can_be_negative = metric.str.startswith("difference/") | metric.eq("pearson_r")
    is_unbounded = metric.str.contains(COUNTS)
    can_be_two = metric.str.startswith("difference/pearson_r") | metric.eq("brier")
    high = np.where(is_unbounded, np.inf, np.where(can_be_two, 2.0, 1.0))
    low = np.where(can_be_negative, -high, 0.0)
    return int((~frame["value"].between(low - 1e-9, high + 1e-9)).sum())


def number_groups(test: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The group of every row, numbered from 0."""
    return pd.factorize(test["group_id"])[0].astype(np.int64)


def _confusion_entries(predictions: Predictions, test: pd.DataFrame, labels: Sequence[str]) -> list[Entry]:
    cells: Floats = confusion_matrix(
        label_numbers(test["label"].to_numpy(dtype=object), labels, "consensus"),
        label_numbers(predictions.labels, labels, predictions.scorer),
        len(labels),
    )
    names = [(true, predicted) for true in range(len(labels)) for predicted in range(len(labels))]
    return [(f"confusion/{labels[true]}/{labels[predicted]}", float(cells[true, predicted]), np.nan, np.nan) for true, predicted in names]

"""From predictions to the rows of the evaluation report: every scorer, overall and per source, with bootstrap intervals.

Belongs here: slices, intervals, the long frame. Does not belong here: the formulas (`metrics.py`), words and pictures (`report.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.schemas import EVALUATION_REPORT
from assets.training.metrics import (
    Floats,
    bootstrap_metrics,
    bootstrap_weights,
    compute_label_metrics,
    compute_metrics,
    confusion_matrix,
    interval,
)
from assets.training.predictions import Predictions, label_numbers, require_rows, statistics_of

OVERALL = "overall"
BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class Evaluation:
    """The report in numbers.

    Attributes:
        frame: One row per scorer, slice and metric; columns of the table `evaluation_report`.
        notes: What was left out and why, a sentence each.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]


def evaluate(
    scorers: Sequence[Predictions],
    test: pd.DataFrame,
    labels: Sequence[str],
    model_id: str,
    dataset_version: str,
    seed: int,
    samples: int = BOOTSTRAP_SAMPLES,
) -> Evaluation:
    """Judge every scorer on the same test rows, overall and per source.

    Intervals are the middle 95 % of a bootstrap that draws whole groups (`group_id`), since sentences of one article are not independent.
    Metrics: `accuracy`, `macro_f1`, `weighted_f1`, `ece`, `brier` (with probabilities), `pearson_r` (with valence), and without interval
    `precision/<label>`, `recall/<label>`, `f1/<label>`, `support/<label>`, `confusion/<true>/<predicted>`.

    Args:
        scorers: Predictions in the order of the test rows; rows without a label are left out for that scorer and said so.
        test: One row per document; read: `source`, `group_id`, `label`, `mean_rating`.
        labels: The task's labels in order.
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
    rows: list[tuple[str, str, str, float, float, float, int]] = []
    notes: dict[str, list[str]] = {}
    for scorer in scorers:
        require_rows(scorer, len(test))
        has_answer = np.array([label is not None for label in scorer.labels])
        for name, mask in slices_of(test):
            answered = mask & has_answer
            if answered.sum() < mask.sum():
                notes.setdefault(f"{scorer.scorer}: not every row has a prediction, and such rows are left out", []).append(
                    f"{name} {int(mask.sum() - answered.sum())} of {int(mask.sum())}"
                )
            found = _metrics_of_slice(scorer.take(answered), test[answered], labels, seed, samples) if answered.any() else []
            for metric, value, *_ in found:
                if np.isnan(value):
                    notes.setdefault(f"{scorer.scorer}: {metric} is not defined and left out", []).append(name)
            rows += [(scorer.scorer, name, *entry, int(answered.sum())) for entry in found if not np.isnan(entry[1])]
    frame = pd.DataFrame(rows, columns=["scorer", "slice", "metric", "value", "low", "high", "rows_count"])
    frame.insert(0, "model_id", model_id)
    frame.insert(1, "dataset_version", dataset_version)
    return Evaluation(frame[EVALUATION_REPORT.column_names()], tuple(f"{note} ({', '.join(where)})." for note, where in notes.items()))


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


def number_groups(test: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The group of every row, numbered from 0."""
    return pd.factorize(test["group_id"])[0].astype(np.int64)


def _metrics_of_slice(
    predictions: Predictions, test: pd.DataFrame, labels: Sequence[str], seed: int, samples: int
) -> list[tuple[str, float, float, float]]:
    """Name, value, low, high of every metric; NaN where not defined."""
    statistics = statistics_of(predictions, test, labels)
    groups = statistics.by_group(number_groups(test))
    drawn = bootstrap_metrics(groups, bootstrap_weights(len(groups.labels), samples, seed))
    total = statistics.total()
    found = [(name, float(value), *interval(drawn[name])) for name, value in compute_metrics(total).items()]
    for metric, values in compute_label_metrics(total).items():
        found += [(f"{metric}/{label}", float(value), np.nan, np.nan) for label, value in zip(labels, values, strict=True)]
    return found + _confusion_rows(predictions, test, labels)


def _confusion_rows(predictions: Predictions, test: pd.DataFrame, labels: Sequence[str]) -> list[tuple[str, float, float, float]]:
    cells: Floats = confusion_matrix(
        label_numbers(test["label"].to_numpy(dtype=object), labels, "consensus"),
        label_numbers(predictions.labels, labels, predictions.scorer),
        len(labels),
    )
    names = [(true, predicted) for true in range(len(labels)) for predicted in range(len(labels))]
    return [(f"confusion/{labels[true]}/{labels[predicted]}", float(cells[true, predicted]), np.nan, np.nan) for true, predicted in names]

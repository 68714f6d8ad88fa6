"""From the dev predictions of a study's trainings to the rows of `learning_curve` and `ablation_report`.

Does not belong here: formulas (`metrics.py`), what is trained (`study.py`), words and pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.project import Project, Task
from assets.schemas import ABLATION_REPORT, LEARNING_CURVE
from assets.training.jobs import Cell
from assets.training.judging.evaluation import number_groups, slices_of
from assets.training.judging.metrics import Statistics, bootstrap_metrics, bootstrap_weights, compute_metrics, interval
from assets.training.judging.predictions import predictions_of_frame, statistics_of
from assets.training.studies.ablation import Removals
from assets.training.studies.study import Key

METRIC = "macro_f1"
CURVE_METRICS = ("macro_f1", "micro_f1", "accuracy", "pearson_r", "ece")

Results = Mapping[str, tuple[Mapping[str, Any], pd.DataFrame]]
"""Facts and dev predictions of every cell, by key."""


@dataclass(frozen=True)
class Comparison:
    """Mean macro F1 of trainings on everything and of trainings without something, and the interval of the difference."""

    with_all: float
    without: float
    low: float
    high: float


def curve_rows(study_id: str, dataset_version: str, cells: Sequence[Cell], results: Results, task: Task) -> pd.DataFrame:
    """One row per cell, slice and metric that is defined, columns of `learning_curve`."""
    rows = []
    for cell in cells:
        facts, frame = results[cell.key]
        whole = max(1, *(results[other.key][0]["train_rows"] for other in cells))
        share = cell.share if cell.rows is None else min(1.0, facts["train_rows"] / whole)
        statistics = dev_statistics(frame, task)
        for name, mask in slices_of(frame):
            measured = compute_metrics(statistics.take(mask).total())
            for metric in CURVE_METRICS:
                value = float(measured.get(metric, np.nan))
                if np.isfinite(value):
                    rows.append((study_id, dataset_version, cell.method, share, facts["train_rows"], cell.seed, name, metric, value))
    return pd.DataFrame(rows, columns=LEARNING_CURVE.column_names())


def ablation_rows(
    study_id: str,
    dataset_version: str,
    project: Project,
    cells: Mapping[Key, Sequence[Cell]],
    results: Results,
    train: pd.DataFrame,
    removals: Removals,
) -> pd.DataFrame:
    """One row per thing left out and slice, columns of `ablation_report`: the mean over seeds, with the interval of the paired bootstrap.

    Args:
        study_id: Written into every row.
        dataset_version: The same.
        project: Task, seed and number of bootstrap samples.
        cells: From `ablation_cells`.
        results: Of all these cells.
        train: Train rows; read: `source`.
        removals: Labeling functions, with those that change nothing.
    """
    whole = [results[cell.key][1] for cell in cells["all", ""]]
    rows = []
    changed_rows = {("source", str(source)): int(count) for source, count in train["source"].value_counts().items()}
    changed_rows |= {("labeling_function", function): len(changed) for function, changed in removals.changed.items()}
    for key, count in changed_rows.items():
        if key[0] == "source" and key not in cells:  # the only one
            continue
        without = [results[cell.key][1] for cell in cells[key]] if key in cells else whole
        for name, numbers in compare_trainings(whole, without, project).items():
            bounds = (numbers.low, numbers.high) if key in cells else (np.nan, np.nan)
            measured = (numbers.with_all, numbers.without, numbers.with_all - numbers.without)
            rows.append((study_id, dataset_version, *key, name, count, *measured, *bounds, key in cells))
    return pd.DataFrame(rows, columns=ABLATION_REPORT.column_names()).sort_values(["slice", "difference"], ascending=[True, False])


def compare_trainings(whole: Sequence[pd.DataFrame], without: Sequence[pd.DataFrame], project: Project) -> dict[str, Comparison]:
    """By slice of dev, where macro F1 is defined. Frames of both are paired by seed."""
    found = {}
    for name, mask in slices_of(whole[0]):
        pairs = [[_measure(frame, mask, project) for frame in frames] for frames in (whole, without)]
        values = [float(np.mean([value for value, _ in side])) for side in pairs]
        if not np.isfinite(values).all():
            continue
        drawn = np.mean([mine[1] - other[1] for mine, other in zip(*pairs, strict=True)], axis=0)
        found[name] = Comparison(values[0], values[1], *interval(drawn))
    return found


def _measure(frame: pd.DataFrame, mask: npt.NDArray[np.bool_], project: Project) -> tuple[float, npt.NDArray[np.float64]]:
    """Macro F1 on some dev rows, and on every bootstrap sample of their groups; the same seed draws the same groups for every training."""
    part = dev_statistics(frame, project.task).take(mask)
    groups = part.by_group(number_groups(frame[mask]))
    weights = bootstrap_weights(len(groups.labels), project.studies.bootstrap_samples, project.training.seed)
    return float(compute_metrics(part.total())[METRIC]), bootstrap_metrics(groups, weights)[METRIC]


def dev_statistics(frame: pd.DataFrame, task: Task) -> Statistics:
    """The sums of every dev row.

    Args:
        frame: One row per dev document: `label` (the consensus), `predicted`, and what belongs to the prediction.
        task: Kind and labels.
    """
    answers = frame.drop(columns="label").rename(columns={"predicted": "label"})
    return statistics_of(predictions_of_frame("model", answers, task), frame, task)

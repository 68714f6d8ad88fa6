"""What studies train and what their curves say: cells, identities, the fitted curve and its words.

All studies are judged on the dev split: they are looked at again and again while data and settings are chosen, and a test split that
took part in choices would no longer be one. Belongs here: plain functions. Does not belong here: training (`study_run.py`), numbers from
predictions (`study_results.py`), what votes say without a voter (`ablation.py`), pictures (`study_figures.py`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.project import Project
from assets.training.jobs import Cell
from assets.training.studies.ablation import Removals
from assets.training_settings import Training

FLOORS = np.linspace(0.0, 0.98, 50)
"""Shares of the lowest error seen that are tried as the error that no number of labels removes."""
CURVE_POINTS = 40
Floats = npt.NDArray[np.float64]
Key = tuple[str, str]


class StudyError(RuntimeError):
    """A study has nothing to measure."""


def study_training(project: Project) -> Training:
    """The training settings of a study."""
    epochs = project.studies.epochs or project.training.epochs
    return project.training.model_copy(update={"epochs": epochs, "share": "all"})


def identify_study(kind: str, project: Project, dataset_version: str, extra: str = "") -> str:
    """Id of a study: a hash of all that decides its numbers.

    Args:
        kind: `curve` or `ablation`.
        project: Its task, training and study settings.
        dataset_version: Data set to train and judge on.
        extra: What else there is.
    """
    settings = project.studies.model_dump(mode="json")
    return f"{kind}-{_hash(_fixed(project, dataset_version), settings, extra)[:16]}"


def curve_cells(project: Project, dataset_version: str, train_rows: int) -> list[Cell]:
    """The trainings of a learning curve: growing shares, each within the next, and heads on a few rows."""
    fixed, studies = _fixed(project, dataset_version), project.studies
    cells = [
        _cell(fixed, name=f"{share:.3g} of the train split, seed {seed}", seed=seed, share=share)
        for seed in studies.seeds
        for share in sorted(set(studies.shares))
    ]
    if not project.task.labels_whole_texts:  # a head on frozen embeddings knows no tokens
        return cells
    return cells + [
        _cell(fixed, name=f"a head on {rows} rows, seed {seed}", seed=seed, method="few_shot_head", rows=rows)
        for seed in studies.seeds
        for rows in sorted(set(studies.few_shot_rows))
        if rows <= train_rows
    ]


def ablation_cells(project: Project, dataset_version: str, train: pd.DataFrame, removals: Removals, folder: Path) -> dict[Key, list[Cell]]:
    """The trainings of an ablation by what is left out, (`all`, ``) for nothing; one cell per seed.

    Args:
        project: Its settings.
        dataset_version: Data set to train and judge on.
        train: Train rows; read: `source`.
        removals: Labels without each labeling function; one that changes nothing is not trained without.
        folder: Where the changed labels are written for the trainings.

    Raises:
        StudyError: There is nothing to leave out.
    """
    fixed, share = _fixed(project, dataset_version), project.studies.ablation_share
    sources = sorted(train["source"].unique())
    wanted: dict[Key, dict[str, object]] = {("all", ""): {"name": "everything"}}
    if len(sources) > 1:
        wanted |= {("source", source): {"name": f"without source {source}", "without_source": source} for source in sources}
    for number, (function, changed) in enumerate(removals.changed.items()):
        if len(changed):
            path = folder / f"labels-{number}.parquet"
            changed.to_parquet(path, index=False)
            wanted["labeling_function", function] = {"name": f"without {function}", "labels": path, "content": _content_of(changed)}
    if len(wanted) == 1 and not removals.changed:
        raise StudyError(f"ablation: expected at least two sources or one labeling function to leave out, found source {sources} alone")
    return {key: [_cell(fixed, seed=seed, share=share, **facts) for seed in project.studies.seeds] for key, facts in wanted.items()}


def _cell(fixed: object, **facts: object) -> Cell:
    """A cell, named by all that decides its result."""
    content = facts.pop("content", None)
    named = {key: value for key, value in facts.items() if key not in ("name", "labels")}
    return Cell.model_validate({"key": _hash(fixed, named, content)[:24], **facts})


def _fixed(project: Project, dataset_version: str) -> list[object]:
    unimportant = {"device", "precision", "processes", "retrain_after_new_labels", "recipe", "few_shot_below", "seed"}
    training = study_training(project).model_dump(mode="json", exclude=unimportant)
    return [dataset_version, project.task.model_dump(mode="json"), training]


def _content_of(changed: pd.DataFrame) -> str:
    rows = zip(changed["document_id"], changed["label"], changed["distribution"], strict=True)
    return _hash([[document_id, label, [float(share) for share in shares]] for document_id, label, shares in rows])


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Projection:
    """A learning curve carried on: error = floor + scale * rows ** -rate.

    Attributes:
        rows: Most rows that were trained on.
        value: The curve's macro F1 there, as measured.
        doubled: As fitted, at twice the rows.
        miss: How far the same fit, made without the largest part, is from what was measured there.
        floor: Error that labels do not remove.
        scale: See above.
        rate: See above.
        first_row: Fewest rows that were trained on.
    """

    rows: int
    value: float
    doubled: float
    miss: float
    floor: float
    scale: float
    rate: float
    first_row: int

    def curve(self) -> tuple[Floats, Floats]:
        """Rows and fitted macro F1, up to twice the rows."""
        rows = np.geomspace(self.first_row, 2 * self.rows, CURVE_POINTS)
        return rows, 1 - (self.floor + self.scale * rows**-self.rate)


def project_onwards(curve: pd.DataFrame) -> Projection | None:
    """Fit the fine-tuned, overall macro F1; None with fewer than three sizes, or where more labels do not help.

    A power law with a floor, as in Hestness et al., 2017 (arXiv 1712.00409); with three sizes the floor is 0.
    """
    is_fitted = (curve["method"] == "fine_tuning") & (curve["slice"] == "overall") & (curve["metric"] == "macro_f1")
    means = curve[is_fitted].groupby("train_rows")["value"].mean().sort_index()
    if len(means) < 3:
        return None
    rows, errors = means.index.to_numpy(dtype=float), 1 - means.to_numpy(dtype=float)
    fitted, shorter = fit_power_law(rows, errors), fit_power_law(rows[:-1], errors[:-1])
    if fitted is None or shorter is None:
        return None
    floor, scale, rate = fitted
    miss = abs(shorter[0] + shorter[1] * rows[-1] ** -shorter[2] - errors[-1])
    doubled = 1 - (floor + scale * (2 * rows[-1]) ** -rate)
    return Projection(int(rows[-1]), float(1 - errors[-1]), float(doubled), float(miss), floor, scale, rate, int(rows[0]))


def fit_power_law(rows: Floats, errors: Floats) -> tuple[float, float, float] | None:
    """Floor, scale and rate of the power law with the least squared error; None where the error does not fall or is 0."""
    if errors.min() <= 0:
        return None
    found = []
    for floor in errors.min() * (FLOORS if len(rows) > 3 else FLOORS[:1]):
        slope, intercept = np.polyfit(np.log(rows), np.log(errors - floor), 1)
        fitted = floor + np.exp(intercept) * rows**slope
        found.append((float(np.square(fitted - errors).sum()), float(floor), float(np.exp(intercept)), float(-slope)))
    _, floor, scale, rate = min(found)
    return (floor, scale, rate) if rate > 0 else None


def describe_curve(curve: pd.DataFrame, projection: Projection | None) -> str:
    """The learning curve in Markdown; its picture is named `curve.png`."""
    overall = curve[(curve["slice"] == "overall") & (curve["metric"] == "macro_f1")]
    means = overall.groupby(["method", "train_rows"])["value"].agg(["mean", "min", "max"]).reset_index()
    table = [
        f"| {row['method'].replace('_', ' ')} | {row['train_rows']} | {row['mean']:.4f} | {row['min']:.4f} to {row['max']:.4f} |"
        for row in means.to_dict("records")
    ]
    lines = ["### Learning curve", "", describe_projection(projection), "", "![curve](curve.png)", ""]
    lines += ["| method | labelled rows | macro F1 on dev | seeds from to |", "|---|---|---|---|", *table, ""]
    return "\n".join([*lines, "Measured on the dev split, not on test: what is chosen by these numbers must not have seen test."])


def describe_projection(projection: Projection | None) -> str:
    """What twice the labels would give, in one sentence, and how far to trust it."""
    if projection is None:
        return "The measured sizes show no falling error to carry on: too few sizes, or more labels did not help."
    gain = projection.doubled - projection.value
    return (
        f"Trained on {projection.rows} rows, macro F1 on dev is {projection.value:.4f}; carried on, twice as many labels would give about "
        f"{projection.doubled:.4f} ({gain:+.4f}). The same fit without the largest size misses it by {projection.miss:.4f}, so "
        + ("read no gain out of this." if abs(gain) <= projection.miss else "that is how far this one may be off.")
    )

"""From a trained model's folder to its evaluation, its report and its card: the baselines and the champion beside it, on the same rows.

The numbers are in `evaluation.py`, the words in `report.py` and `model_card.py`; this module only brings them together.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from assets.project import Project, Task
from assets.training.judging.baselines import compute_baselines, describe_human_rater
from assets.training.judging.evaluation import Evaluation, evaluate
from assets.training.judging.model_card import SILVER_NOTE, has_silver_labels, render_model_card
from assets.training.judging.predictions import Predictions, predictions_of_frame
from assets.training.judging.report import Report, render_report
from assets.training.sampling import draw_share

SCORER, CHAMPION = "fine-tuned BERT", "champion until now"
CHAMPION_NOTE = (
    "The champion until now does not stand beside the model: not all of these rows were test rows for it, or its labels are others. "
    "The gate scores both anew."
)


@dataclass(frozen=True)
class Described:
    """All that is said about a model.

    Attributes:
        evaluation: The numbers.
        report: The report.
        card: The model card, Markdown.
    """

    evaluation: Evaluation
    report: Report
    card: str


def report_on(
    folder: Path,
    train: pd.DataFrame,
    test: pd.DataFrame,
    project: Project,
    tokens: Sequence[Sequence[str]] | None = None,
    champion: Path | None = None,
) -> Described:
    """Evaluate a model beside the baselines, render its report and its card.

    Args:
        folder: The model's files.
        train: The whole train split.
        test: The test split.
        project: Task and settings.
        tokens: Tokens of the train and of the test rows, joined by spaces, for languages without spaces.
        champion: A folder with the champion's `manifest.json` and `predictions.parquet`, if there is a champion.

    Raises:
        ValueError: The model did not predict every test row.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    model = read_predictions(folder, test, project)
    chosen = draw_share(train, manifest["train_share"])
    texts: tuple[Sequence[str] | None, Sequence[str] | None] = (None, None)
    if tokens is not None:
        by_id = dict(zip(train["document_id"], tokens[0], strict=True))
        texts = ([by_id[document_id] for document_id in chosen["document_id"]], tokens[1])
    task, seed = project.task, manifest["seed"]
    old = None if champion is None else champion_predictions(champion, test, task)
    scorers = [model, *([] if old is None else [old]), *compute_baselines(chosen, test, task, seed, *texts)]
    notes = _notes(test, project, seed) + ([CHAMPION_NOTE] if champion is not None and old is None else [])
    evaluation = evaluate(scorers, test, task, manifest["model_id"], manifest["dataset_version"], seed)
    report = render_report(evaluation, model, test, task, manifest, history["evaluations"], notes)
    report.json["scorer"] = SCORER
    return Described(evaluation, report, render_model_card(manifest, evaluation.frame, project))


def read_predictions(folder: Path, test: pd.DataFrame, project: Project) -> Predictions:
    """A model's own predictions in the order of the test rows.

    Raises:
        ValueError: A test row has none.
    """
    path = folder / "predictions.parquet"
    stored = pd.read_parquet(path).drop_duplicates("document_id").set_index("document_id")
    missing = int((~test["document_id"].isin(stored.index)).sum())
    if missing:
        raise ValueError(f"{path}: expected a prediction for every test row, found {missing} rows without.")
    return _in_order(SCORER, stored, test, project.task)


def champion_predictions(folder: Path, test: pd.DataFrame, task: Task) -> Predictions | None:
    """What the champion said of the test rows when it was trained.

    None where a row was not in its test split, for it may have learnt from it, or where its task was another one.

    Args:
        folder: With `manifest.json` and `predictions.parquet`.
        test: One row per document; read: `document_id`.
        task: The task now.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    stored = pd.read_parquet(folder / "predictions.parquet")
    stored = stored[stored["split"] == "test"].drop_duplicates("document_id").set_index("document_id")
    is_same_task = manifest["labels"] == list(task.labels) and manifest.get("task", {}).get("kind", task.kind) == task.kind
    if not is_same_task or "predicted" not in stored or not test["document_id"].isin(stored.index).all():
        return None
    return _in_order(CHAMPION, stored, test, task)


def _in_order(scorer: str, stored: pd.DataFrame, test: pd.DataFrame, task: Task) -> Predictions:
    frame = stored.loc[test["document_id"]].drop(columns="label", errors="ignore").rename(columns={"predicted": "label"})
    return predictions_of_frame(scorer, frame.reset_index(), task)


def _notes(test: pd.DataFrame, project: Project, seed: int) -> list[str]:
    notes = [SILVER_NOTE] if has_silver_labels(project) else []
    return notes + (list(describe_human_rater(test, seed)) if project.task.rating is not None else [])

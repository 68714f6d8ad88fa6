"""From a trained model's folder to its evaluation and its report: the baselines beside it, on the same rows.

The numbers are in `evaluation.py`, the words in `report.py`; this module only brings them together.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from assets.project import Project
from assets.training.baselines import compute_baselines, describe_human_rater
from assets.training.evaluation import Evaluation, evaluate
from assets.training.predictions import Predictions, predictions_of_probabilities
from assets.training.report import Report, render_report
from assets.training.sampling import draw_share

SCORER = "fine-tuned BERT"


def report_on(
    folder: Path, train: pd.DataFrame, test: pd.DataFrame, project: Project, tokens: Sequence[Sequence[str]] | None = None
) -> tuple[Evaluation, Report]:
    """Evaluate a model beside the baselines and render its report.

    Args:
        folder: The model's files.
        train: The whole train split.
        test: The test split.
        project: Task and settings.
        tokens: Tokens of the train and of the test rows, joined by spaces, for languages without spaces.

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
    baselines = compute_baselines(chosen, test, project.task, manifest["seed"], *texts)
    scorers = [model, *baselines]
    evaluation = evaluate(scorers, test, project.task.labels, manifest["model_id"], manifest["dataset_version"], manifest["seed"])
    notes = describe_human_rater(test, manifest["seed"])
    report = render_report(evaluation, model, test, project.task.labels, manifest, history["evaluations"], notes)
    report.json["scorer"] = SCORER
    return evaluation, report


def read_predictions(folder: Path, test: pd.DataFrame, project: Project) -> Predictions:
    """A model's own predictions in the order of the test rows.

    Raises:
        ValueError: A test row has none.
    """
    stored = pd.read_parquet(folder / "predictions.parquet").drop_duplicates("document_id").set_index("document_id")
    missing = int((~test["document_id"].isin(stored.index)).sum())
    if missing:
        raise ValueError(f"{folder / 'predictions.parquet'}: expected a prediction for every test row, found {missing} rows without.")
    probabilities = np.stack(stored.loc[test["document_id"], "probabilities"].tolist()).astype(float)
    return predictions_of_probabilities(
        SCORER, probabilities, project.task.labels, project.task.positive_label, project.task.negative_label
    )

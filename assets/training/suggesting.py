"""Wiring of `queue_predictions`: the champion is asked about the labeling queue, in a process of its own."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from assets.answers import count_outside_task, decode_spans
from assets.project import Task
from assets.schemas import QUEUE_PREDICTIONS
from assets.training.promoting import Bench, score
from assets.training.registry import CHAMPION_SQL, MODELS_SQL
from assets.training.stored_models import fetch_model
from resources.increments import Step
from resources.lakehouse import Lakehouse


def predict_queue(step: Step, lakehouse: Lakehouse, bench: Bench, tell: Callable[[str], None]) -> None:
    """Write what the champion says of the queue's documents; nothing where there is none, or it was trained for other labels."""
    queue = pd.concat([pd.DataFrame(columns=["document_id", "text"]), *step.batches("labeling_queue")], ignore_index=True)
    found = lakehouse.read(CHAMPION_SQL)
    champion_id = None if found.empty else str(found["champion_id"].item())
    answers = pd.DataFrame()
    if champion_id is not None and len(queue):
        models = lakehouse.read(MODELS_SQL)
        with tempfile.TemporaryDirectory() as folder:
            model = models[models["model_id"] == champion_id].to_dict("records")[0]
            fetch_model(bench.store, {str(key): value for key, value in model.items()}, Path(folder) / "model")
            scored, labels = score(bench, Path(folder), queue)
        if labels == list(bench.project.task.labels):
            answers = to_predictions(scored, champion_id, bench.project.task)
        else:
            tell(f"queue_predictions: {champion_id} was trained for the labels {labels}, so it is not asked.")
    step.measure("answers_outside_task", count_outside_task(answers["label"], bench.project.task) if len(answers) else 0)
    if len(answers):
        step.write("queue_predictions", answers)
    step.count(rows_in=len(queue), rows_out=len(answers), rows_skipped=len(queue) - len(answers))


def to_predictions(scored: pd.DataFrame, model_id: str, task: Task) -> pd.DataFrame:
    """A model's answers as rows of `queue_predictions`.

    Args:
        scored: One row per document: `document_id` and the columns of `Scorer.predict`.
        model_id: The model.
        task: Its task.
    """
    columns = (scored[name] for name in ("label", "probabilities", "span_scores"))
    sure = [_confidence(label, probabilities, spans, task) for label, probabilities, spans in zip(*columns, strict=True)]
    return pd.DataFrame(
        {
            "document_id": scored["document_id"],
            "model_id": model_id,
            "label": scored["label"],
            "confidence": [confidence for confidence, _ in sure],
            "margin": pd.Series([margin for _, margin in sure], dtype="float64"),
        }
    )[QUEUE_PREDICTIONS.column_names()]


def _confidence(label: str, probabilities: list[float] | None, span_scores: list[float] | None, task: Task) -> tuple[float, float | None]:
    """Confidence in an answer, and the margin to the next where texts have one label."""
    if task.has_spans:
        scores = span_scores if span_scores is not None and len(decode_spans(label, task.labels)) else [1.0]
        return float(min(scores)), None
    shares = sorted(map(float, [] if probabilities is None else probabilities), reverse=True)
    if task.has_lists:
        return float(min(max(share, 1 - share) for share in shares)), None
    return shares[0], shares[0] - shares[1]

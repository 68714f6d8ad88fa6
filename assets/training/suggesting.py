"""Wiring of `pool_predictions`: the champion is asked about documents that wait for people, in a process of its own."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from assets.answers import count_outside_task, decode_spans
from assets.project import Task
from assets.schemas import POOL_PREDICTIONS
from assets.selections import NEWEST_DOCUMENTS_SQL
from assets.training.promoting import Bench, score
from assets.training.registry import CHAMPION_SQL, MODELS_SQL
from assets.training.stored_models import fetch_model
from resources.increments import Step
from resources.lakehouse import Lakehouse

# Documents, newest revisions, without a confident label, or with a known one that is asked again, that the champion was not asked about:
# those of the labeling queue first, as it was published last, then as a hash draws them.
UNASKED_SQL = f"""
SELECT c.document_id, c.text
FROM ({NEWEST_DOCUMENTS_SQL}) c
JOIN labeled_documents l USING (document_id)
LEFT JOIN labeling_queue q ON q.document_id = c.document_id
ANTI JOIN (SELECT document_id FROM pool_predictions WHERE model_id = $model_id) p ON p.document_id = c.document_id
WHERE NOT l.is_confident
    OR c.document_id IN (SELECT document_id FROM annotations WHERE list_contains($gold::VARCHAR[], annotator_id))
ORDER BY q.position NULLS LAST, hash(c.document_id), c.document_id LIMIT $budget
"""


def predict_pool(step: Step, lakehouse: Lakehouse, bench: Bench, tell: Callable[[str], None]) -> None:
    """Write what the champion says of the documents that wait; nothing where there is none, or it was trained for other labels."""
    new_rows = sum(len(batch) for batch in step.batches("labeled_documents"))
    found = lakehouse.read(CHAMPION_SQL)
    answers, asked = pd.DataFrame(), 0
    if not found.empty:
        champion_id, settings = str(found["champion_id"].item()), bench.project.labeling
        parameters = {"model_id": champion_id, "budget": settings.pool_budget, "gold": list(settings.gold.annotators)}
        pool = lakehouse.read(UNASKED_SQL, parameters)
        asked = len(pool)
        answers = ask_champion(lakehouse, bench, champion_id, pool, tell) if asked else answers
    step.measure("answers_outside_task", count_outside_task(answers["label"], bench.project.task) if len(answers) else 0)
    if len(answers):
        step.write("pool_predictions", answers)
    if step.has_new_input or len(answers):
        rows_in = max(new_rows, asked)
        step.count(rows_in=rows_in, rows_out=len(answers), rows_skipped=rows_in - len(answers))


def ask_champion(lakehouse: Lakehouse, bench: Bench, champion_id: str, pool: pd.DataFrame, tell: Callable[[str], None]) -> pd.DataFrame:
    """The champion's answers as rows of `pool_predictions`; none when it was trained for other labels."""
    models = lakehouse.read(MODELS_SQL)
    model = models[models["model_id"] == champion_id].to_dict("records")[0]
    with tempfile.TemporaryDirectory() as folder:
        fetch_model(bench.store, {str(key): value for key, value in model.items()}, Path(folder) / "model")
        scored, labels = score(bench, Path(folder), pool)
    if labels != list(bench.project.task.labels):
        tell(f"pool_predictions: {champion_id} was trained for the labels {labels}, so it is not asked.")
        return pd.DataFrame()
    return to_predictions(scored, champion_id, bench.project.task)


def to_predictions(scored: pd.DataFrame, model_id: str, task: Task) -> pd.DataFrame:
    """A model's answers as rows of `pool_predictions`.

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
    )[POOL_PREDICTIONS.column_names()]


def _confidence(label: str, probabilities: list[float] | None, span_scores: list[float] | None, task: Task) -> tuple[float, float | None]:
    """Confidence in an answer, and the margin to the next where texts have one label."""
    if task.has_spans:
        scores = span_scores if span_scores is not None and len(decode_spans(label, task.labels)) else [1.0]
        return float(min(scores)), None
    shares = sorted(map(float, [] if probabilities is None else probabilities), reverse=True)
    if task.has_lists:
        return float(min(max(share, 1 - share) for share in shares)), None
    return shares[0], shares[0] - shares[1]

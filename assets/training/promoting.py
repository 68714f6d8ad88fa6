"""Wiring of `champion_model`: both models scored in a process of their own, the gate's judgement recorded."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from assets.project import Project
from assets.training.describing import read_split
from assets.training.registry import CHAMPION_SQL, decision_row
from resources.compute import LocalCompute
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore


def decide(
    step: Step, lakehouse: Lakehouse, store: ObjectStore, compute: LocalCompute, project: Project, challenger_id: str, dataset_version: str
) -> dict[str, Any]:
    """Score champion and challenger on the frozen test rows, judge, record; metadata for the UI."""
    from assets.training.promotion import judge

    champions = lakehouse.read(CHAMPION_SQL)
    champion_id = None if champions.empty else str(champions["champion_id"].item())
    test = read_split(store, dataset_version, "test")
    challenger = score(compute, store, project, challenger_id, test)
    champion = score(compute, store, project, champion_id, test) if champion_id else None
    decision = judge(
        challenger, champion, test, project.task.labels, project.promotion, project.training.seed, is_first=champion_id is None
    )
    step.write("champion_model", decision_row(decision, challenger_id, champion_id, dataset_version, step.increment_id, datetime.now(UTC)))
    step.count(rows_in=1, rows_out=1)
    return {
        "decision": decision.decision,
        "reason": decision.reason,
        "champion_id": challenger_id if decision.decision == "promoted" else champion_id,
        "evidence": dg.MetadataValue.json(decision.evidence),
    }


def score(compute: LocalCompute, store: ObjectStore, project: Project, model_id: str, test: pd.DataFrame) -> Any:  # noqa: ANN401
    """Predictions of a stored model on the test rows, made in a process of its own."""
    from assets.training.predictions import predictions_of_probabilities

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store.get_directory(f"models/{model_id}", folder / "model")
        test[["document_id", "text"]].to_parquet(folder / "texts.parquet", index=False)
        job = {"model_folder": str(folder / "model"), "texts": str(folder / "texts.parquet"), "output": str(folder / "scored.parquet")}
        done = compute.run("assets.training.score", job, lambda _event: None)
        scored = pd.read_parquet(folder / "scored.parquet").set_index("document_id").loc[test["document_id"]]
    columns = [list(done["labels"]).index(label) for label in project.task.labels]
    probabilities = pd.DataFrame(scored["probabilities"].tolist()).to_numpy()[:, columns]
    return predictions_of_probabilities(
        model_id, probabilities, project.task.labels, project.task.positive_label, project.task.negative_label
    )

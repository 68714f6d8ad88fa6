"""The model registry's rows: identity of a model, its record, the record of a decision. No numbers are computed here."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from assets.project import Project
from assets.schemas import CHAMPION_MODEL, FINE_TUNED_MODEL

if TYPE_CHECKING:  # the module brings scikit-learn, which definitions need not wait for
    from assets.training.promotion import Decision

CURRENT_DATASET_SQL = "SELECT DISTINCT dataset_version FROM training_dataset"
UNREPORTED_SQL = "SELECT * FROM fine_tuned_model ANTI JOIN evaluation_report USING (model_id) ORDER BY trained_at"
NEWEST_REPORT_SQL = "SELECT model_id FROM evaluation_report ORDER BY increment_id DESC LIMIT 1"
UNDECIDED_SQL = """
SELECT model_id, dataset_version FROM fine_tuned_model
SEMI JOIN evaluation_report USING (model_id)
WHERE model_id NOT IN (SELECT challenger_id FROM champion_model)
ORDER BY trained_at
"""
CHAMPION_SQL = "SELECT champion_id FROM champion_model WHERE champion_id IS NOT NULL ORDER BY decided_at DESC LIMIT 1"


def recipe_of(project: Project) -> str:
    """Everything in the project file that shapes a model, as canonical JSON."""
    training = project.training.model_dump(mode="json", exclude={"retrain_after_new_labels", "device"})
    return json.dumps({"task": project.task.model_dump(mode="json"), "training": training}, ensure_ascii=False, sort_keys=True)


def identify_model(models: pd.DataFrame, dataset_version: str, recipe: str, code_version: str, *, again: bool) -> str | None:
    """Id of the model to train; None when one was trained on this data set with this recipe already.

    Args:
        models: One row per known model, columns of `fine_tuned_model`.
        dataset_version: Data set to train on.
        recipe: Training settings.
        code_version: Version of the training code; a new version alone is no reason to train.
        again: Train even so.
    """
    same = models[(models["dataset_version"] == dataset_version) & (models["recipe"] == recipe)]
    if len(same) and not again:
        return None
    parts = [dataset_version, recipe, code_version, str(len(same))]
    return "model-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def model_row(facts: Mapping[str, Any], project: Project, model_id: str, now: datetime) -> pd.DataFrame:
    """The record of a trained model.

    Args:
        facts: Its manifest, and the manifest's hash.
        project: The project it was trained for.
        model_id: Its id.
        now: When it was finished.
    """
    row = {
        "model_id": model_id,
        "dataset_version": facts["dataset_version"],
        "base_model": project.training.base_model,
        "code_version": facts["code_version"],
        "recipe": recipe_of(project),
        "seed": facts["seed"],
        "device": f"{facts['device']}: {facts['hardware']}",
        "train_rows": facts["train_rows"],
        "train_share": facts["train_share"],
        "best_epoch": facts["best_epoch"],
        "dev_macro_f1": facts["dev_macro_f1"],
        "training_seconds": facts["training_seconds"],
        "model_key": f"models/{model_id}",
        "manifest_sha256": facts["manifest_sha256"],
        "trained_at": now,
    }
    return pd.DataFrame([row])[FINE_TUNED_MODEL.column_names()]


def decision_row(
    decision: "Decision", challenger_id: str, champion_id: str | None, dataset_version: str, decision_id: str, now: datetime
) -> pd.DataFrame:
    """The record of a gate's decision."""
    row = {
        "decision_id": decision_id,
        "challenger_id": challenger_id,
        "previous_champion_id": champion_id,
        "champion_id": challenger_id if decision.decision == "promoted" else champion_id,
        "decision": decision.decision,
        "reason": decision.reason,
        "dataset_version": dataset_version,
        "evidence": json.dumps(decision.evidence, ensure_ascii=False),
        "decided_at": now,
    }
    return pd.DataFrame([row])[CHAMPION_MODEL.column_names()]

"""The model registry: identity of a model, its record, the record of a decision, and which model an alias names.

Does not belong here: the decision itself (`promotion.py`), a model's files (`stored_models.py`). No numbers are computed here.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from assets.project import Project
from assets.schemas import CHAMPION_MODEL, FINE_TUNED_MODEL
from assets.training.erased import describe_erased

if TYPE_CHECKING:  # the module brings scikit-learn, which definitions need not wait for
    from assets.training.gate.promotion import Decision

Verdict = Literal["promoted", "refused", "overridden", "rolled_back"]

CURRENT_DATASET_SQL = "SELECT DISTINCT dataset_version FROM training_dataset"
UNREPORTED_SQL = "SELECT * FROM fine_tuned_model ANTI JOIN evaluation_report USING (model_id) ORDER BY trained_at"
NEWEST_REPORT_SQL = "SELECT model_id FROM evaluation_report ORDER BY increment_id DESC LIMIT 1"
UNDECIDED_SQL = """
SELECT model_id, dataset_version FROM fine_tuned_model
SEMI JOIN evaluation_report USING (model_id)
WHERE model_id NOT IN (SELECT challenger_id FROM champion_model)
ORDER BY trained_at
"""
MODELS_SQL = """
SELECT * REPLACE (coalesce(erased_train_rows, 0) AS erased_train_rows, coalesce(erased_other_rows, 0) AS erased_other_rows)
FROM fine_tuned_model ORDER BY trained_at, model_id
"""
DECISIONS_SQL = "SELECT * FROM champion_model ORDER BY decided_at, decision_id"
SCORES_SQL = """
SELECT model_id, metric, value FROM evaluation_report
WHERE scorer = 'fine-tuned BERT' AND slice = 'overall' AND metric NOT LIKE '%/%'
"""
CHAMPION_SQL = "SELECT champion_id FROM champion_model WHERE champion_id IS NOT NULL ORDER BY decided_at DESC LIMIT 1"


class RegistryError(LookupError):
    """A name or an alias names no model."""


@dataclass(frozen=True)
class Aliases:
    """Which models the aliases name; None where there is none.

    Attributes:
        candidate: The newest model that nothing was decided about yet.
        champion: The model in use.
        previous: The model that a rollback returns to.
    """

    candidate: str | None
    champion: str | None
    previous: str | None

    def of(self, model_id: str) -> list[str]:
        """The aliases of a model."""
        return [alias for alias, named in asdict(self).items() if named == model_id]


def find_aliases(models: pd.DataFrame, decisions: pd.DataFrame) -> Aliases:
    """Which models the aliases name.

    Args:
        models: One row per model; read: `model_id`, `trained_at`.
        decisions: One row per decision in any order; read: `decision_id`, `challenger_id`, `champion_id`, `decision`, `decided_at`.
    """
    undecided = models[~models["model_id"].isin(decisions["challenger_id"])].sort_values(["trained_at", "model_id"])
    reigns = [None, None, *find_reigns(decisions)]
    return Aliases(str(undecided["model_id"].iloc[-1]) if len(undecided) else None, reigns[-1], reigns[-2])


def find_reigns(decisions: pd.DataFrame) -> list[str]:
    """The champions that a rollback can return to one after the other, and last the present one.

    A promotion, by the gate or by a person, adds its model. A rollback takes away the champions after the one it returned to, so that
    rolling back again goes on to the one before and never to and fro between two; a rollback to a model that is not among them adds it.
    """
    reigns: list[str] = []
    for row in decisions.sort_values(["decided_at", "decision_id"]).to_dict("records"):
        if row["decision"] == "refused":
            continue
        champion = str(row["champion_id"])
        if row["decision"] == "rolled_back" and champion in reigns:
            reigns = reigns[: len(reigns) - 1 - reigns[::-1].index(champion)]
        if reigns[-1:] != [champion]:
            reigns.append(champion)
    return reigns


def resolve_model(name: str, models: pd.DataFrame, decisions: pd.DataFrame) -> str:
    """The id of the model that an id or an alias names.

    Raises:
        RegistryError: There is no such model, or the alias names none at present.
    """
    if name in set(models["model_id"]):
        return name
    named = asdict(find_aliases(models, decisions))
    if name not in named:
        raise RegistryError(f"Expected the id of a model, or one of {', '.join(named)}, found {name!r}. `textmill models` lists them.")
    if named[name] is None:
        raise RegistryError(f"Expected a model with the alias {name!r}, found none at present. `textmill models` lists the models.")
    return str(named[name])


def list_models(models: pd.DataFrame, decisions: pd.DataFrame) -> list[dict[str, Any]]:
    """The registry, newest model first: id, aliases, what it was trained on and what of that was erased, its dev score, newest decision."""
    aliases = find_aliases(models, decisions)
    newest = decisions.sort_values(["decided_at", "decision_id"]).drop_duplicates("challenger_id", keep="last").set_index("challenger_id")
    listed = []
    for row in models.sort_values(["trained_at", "model_id"], ascending=False).to_dict("records"):
        decided = newest.loc[row["model_id"]] if row["model_id"] in newest.index else None
        listed.append(
            {
                "model": row["model_id"],
                "aliases": ", ".join(aliases.of(str(row["model_id"]))),
                "data set": row["dataset_version"],
                "base model": row["base_model"],
                "dev macro F1": round(float(row["dev_macro_f1"]), 4),
                "trained": row["trained_at"].strftime("%Y-%m-%d %H:%M"),
                "decision": "" if decided is None else decided["decision"],
                "reason": "" if decided is None else decided["reason"],
                "erased": describe_erased(row),
            }
        )
    return listed


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
        "erased_train_rows": 0,
        "erased_other_rows": 0,
    }
    return pd.DataFrame([row])[FINE_TUNED_MODEL.column_names()]


def decision_row(
    decision: "Decision", challenger_id: str, champion_id: str | None, dataset_version: str, decision_id: str, now: datetime
) -> pd.DataFrame:
    """The record of a gate's decision."""
    evidence = json.dumps(decision.evidence, ensure_ascii=False)
    return _record(decision.decision, challenger_id, champion_id, decision.reason, dataset_version, evidence, decision_id, now)


def appointment_row(
    decision: Literal["overridden", "rolled_back"],
    model: Mapping[str, Any],
    champion_id: str | None,
    reason: str,
    overruled: Mapping[str, Any] | None,
    decision_id: str,
    now: datetime,
) -> pd.DataFrame:
    """The record of a person's decision.

    Args:
        decision: Which.
        model: The new champion's row of `fine_tuned_model`.
        champion_id: The champion before.
        reason: Why, in the person's words.
        overruled: The newest earlier decision about the model, if there is one; the record names it and its reason.
        decision_id: Identifies this one.
        now: When (UTC).

    Raises:
        ValueError: No reason is given.
    """
    if not reason.strip():
        raise ValueError("Expected a reason, for the record, found none. Give it as --reason.")
    words = "Rolled back" if decision == "rolled_back" else "Overridden"
    known = {key: str(overruled[key]) for key in ("decision_id", "decision", "reason")} if overruled else None
    evidence = json.dumps({"overrules": known}, ensure_ascii=False)
    version, model_id = str(model["dataset_version"]), str(model["model_id"])
    return _record(decision, model_id, champion_id, f"{words}: {reason.strip()}", version, evidence, decision_id, now)


def _record(
    decision: Verdict,
    challenger_id: str,
    champion_id: str | None,
    reason: str,
    dataset_version: str,
    evidence: str,
    decision_id: str,
    now: datetime,
) -> pd.DataFrame:
    row = {
        "decision_id": decision_id,
        "challenger_id": challenger_id,
        "previous_champion_id": champion_id,
        "champion_id": champion_id if decision == "refused" else challenger_id,
        "decision": decision,
        "reason": reason,
        "dataset_version": dataset_version,
        "evidence": evidence,
        "decided_at": now,
    }
    return pd.DataFrame([row])[CHAMPION_MODEL.column_names()]

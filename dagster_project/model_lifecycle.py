"""What people do with models: promote one against the gate, go back to an earlier one, fetch one for serving.

Decisions go through the same increment and the same promises as the gate's. Does not belong here: the commands (`model_commands.py`),
looking models up (`services/model_queries.py`), the rules of the registry (`assets/training/registry.py`). No torch here: a rollback must
not wait for it.
"""

import shutil
import tempfile
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from assets.code_version import code_version
from assets.project import Project
from assets.quality.audit import audit
from assets.quality.plain import validate_plainly
from assets.training.erased import describe_erased
from assets.training.manifests import ModelFolderError, read_manifest, sha256_of_file
from assets.training.registry import RegistryError, appointment_row, find_aliases, find_reigns
from assets.training.stored_models import check_model, fetch_model
from dagster_project.suites import find_suites
from resources.increments import increment
from resources.lakehouse import Lakehouse, LakehouseError
from resources.object_store import ObjectStore
from services.model_queries import Registry, read_registry


def promote(lakehouse: Lakehouse, store: ObjectStore, project: Project, name: str, reason: str) -> dict[str, Any]:
    """Make a model the champion whatever the gate said; recorded with the reason and with what it overrules.

    Raises:
        RegistryError: There is no such model, or it is the champion.
        ModelFolderError: Its files are gone or changed.
        ValueError: No reason is given.
    """
    registry = read_registry(lakehouse)
    return _appoint(lakehouse, store, project, registry, registry.find(name), "overridden", reason)


def roll_back(lakehouse: Lakehouse, store: ObjectStore, project: Project, to: str | None, reason: str) -> dict[str, Any]:
    """Make an earlier champion the champion again; again and again goes on to the ones before.

    Args:
        lakehouse: Where decisions are kept.
        store: Where the model's files are.
        project: The project.
        to: The model, by id or alias; the previous champion by default.
        reason: Why, for the record.

    Raises:
        RegistryError: There is no such model, or no earlier champion.
        ModelFolderError: Its files are gone or changed.
    """
    registry = read_registry(lakehouse)
    earlier = find_reigns(registry.decisions)[:-1]
    if to is None and not earlier:
        raise RegistryError("Expected an earlier champion to return to, found none. `textmill models` lists the models.")
    return _appoint(lakehouse, store, project, registry, registry.find(to or earlier[-1]), "rolled_back", reason)


def _appoint(
    lakehouse: Lakehouse,
    store: ObjectStore,
    project: Project,
    registry: Registry,
    model: Mapping[str, Any],
    decision: Literal["overridden", "rolled_back"],
    reason: str,
) -> dict[str, Any]:
    current, model_id = find_aliases(registry.models, registry.decisions).champion, str(model["model_id"])
    if model_id == current:
        raise RegistryError(f"Expected another model than the champion, found {model_id}, which is the champion already.")
    check_model(store, model)
    run_id, overruled = f"{decision}-{uuid.uuid4()}", registry.newest_decision(model_id)
    with increment(lakehouse, "champion_model", run_id=run_id, code_version=code_version("assets.training"), following="journal") as step:
        row = appointment_row(decision, model, current, reason, overruled, step.increment_id, datetime.now(UTC))
        step.write("champion_model", row)
        step.count(rows_in=1, rows_out=1)
    (audited,) = audit(lakehouse, "champion_model", find_suites(project)["champion_model"], run_id, validate_plainly)
    if not audited.is_approved:
        raise LakehouseError("Expected the audit to approve the decision, found that it did not; see the checks of champion_model.")
    done = {"champion": model_id, "before": current, "decision": decision, "reason": row["reason"].item()}
    return done | ({"erased": erased} if (erased := describe_erased(model)) else {})


def bring_model(lakehouse: Lakehouse, store: ObjectStore, name: str, folder: Path) -> Path:
    """A model's checked files below a folder of this machine, fetched unless they are there.

    Raises:
        RegistryError: There is no such model.
        ModelFolderError: The files are not the registered ones.
    """
    model = read_registry(lakehouse).find(name)
    target = folder / str(model["model_id"])
    if target.is_dir() and not _is_intact(target, str(model["manifest_sha256"])):
        shutil.rmtree(target)
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name_of_draft:
            draft = Path(name_of_draft) / "model"
            draft.mkdir()
            fetch_model(store, model, draft)
            draft.rename(target)
    return target


def _is_intact(folder: Path, manifest_sha256: str) -> bool:
    try:
        read_manifest(folder)
    except (ModelFolderError, ValueError, KeyError):
        return False
    return sha256_of_file(folder / "manifest.json") == manifest_sha256

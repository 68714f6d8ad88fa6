"""Wiring of `fine_tuned_model`: a training job in a process of its own, its files into the object store."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from assets.code_version import code_version
from assets.project import Project
from assets.training.registry import CURRENT_DATASET_SQL
from resources.compute import LocalCompute
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore

PACKAGE = "assets.training"


def current_dataset(lakehouse: Lakehouse) -> str:
    """Version of the approved data set.

    Raises:
        dg.Failure: There is none.
    """
    found = lakehouse.read(CURRENT_DATASET_SQL)
    if found.empty:
        raise dg.Failure("Expected an approved training_dataset, found none. Materialize it, and look at its checks.")
    return str(found["dataset_version"].item())


def train(
    context: dg.AssetExecutionContext, project: Project, store: ObjectStore, compute: LocalCompute, dataset_version: str, model_id: str
) -> Mapping[str, Any]:
    """Fine-tune in a process of its own, store the model's files; the facts of its manifest."""
    output = compute.folder / "models" / model_id
    with tempfile.TemporaryDirectory() as folder:
        store.get_directory(f"datasets/{dataset_version}", Path(folder))
        job = {
            "dataset_folder": folder,
            "dataset_version": dataset_version,
            "work_folder": str(compute.folder / "checkpoints" / model_id),
            "output_folder": str(output),
            "model_id": model_id,
            "code_version": code_version(PACKAGE),
            "task": project.task.model_dump(mode="json"),
            "training": project.training.model_dump(mode="json"),
            "cache_folder": str(compute.folder / "tokens"),
        }
        module = "assets.training.launch" if project.training.processes > 1 else "assets.training.run"
        facts = compute.run(module, job, lambda event: context.log.info(describe_event(event)))
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    store.put_directory(f"models/{model_id}", output)
    shutil.rmtree(output)
    return {**facts, "files": files}


def describe_event(event: Mapping[str, Any]) -> str:
    """An event of the training process in words."""
    if event["event"] != "progress":
        return f"training: {event.get('message', event['event'])}"
    parts = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in event.items() if key != "event"]
    return "training: " + ", ".join(parts)

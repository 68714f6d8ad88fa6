"""Removing what an erasure plans from bytes: raw objects, files of answers, data sets, tasks of the labeling server, cards of models.

Does not belong here: the order of an erasure and its tables (`erasure.py`), taking records out of bytes (`assets/collection`).
"""

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD
from assets.collection.forgetting import redact
from assets.collection.gathering import load_objects
from assets.collection.receiving import FILES
from assets.collection.traces import traces_of
from assets.label_studio import title_of
from assets.storage.erased_rows import without_rows
from assets.training.erased import note_erased
from assets.training.registry import MODELS_SQL
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore, content_key
from services.leftovers import traces_of_documents, within

OBJECT_COLUMNS = ["source", "raw_sha256", "new_sha256", "size_bytes"]


def redact_objects(
    resources: Mapping[str, Any], objects: pd.DataFrame, documents: pd.DataFrame
) -> Iterator[tuple[str, str, str | None, int]]:
    """What remains of raw objects without some documents, which is stored: source, hash, hash and bytes of the rest.

    An object of a source that the project file no longer has goes whole: nothing says how it is read. So does one that is known to hold a
    document which is not found in it.

    Args:
        resources: Project and object store.
        objects: Columns of `raw_objects`, and `is_named`: whether a document or vote names it.
        documents: `document_id`, `source`, `external_id`, `text`; without them objects go whole.
    """
    store, sources = resources["object_store"], {source.name: source for source in resources["project"].sources}
    traces = {name: traces_of_documents(gone) for name, gone in documents.groupby("source") if name in sources}
    for row in objects.to_dict("records"):
        name, sha256 = str(row["source"]), str(row["raw_sha256"])
        rest = None
        if name in traces and store.exists(content_key(sha256)):
            (raw,) = load_objects(pd.DataFrame([row]), store)
            rest = redact(raw, within(traces[name], raw, sources[name]), sources[name], store)
            if rest is raw and not row["is_named"]:
                continue
            rest = None if rest is raw else rest
        yield name, sha256, None if rest is None else rest.raw_sha256, 0 if rest is None else len(rest.payload)


def redact_answers(store: ObjectStore, documents: pd.DataFrame) -> int:
    """Take the lines about the documents out of the files of answers; returns how many files changed."""
    traces, changed = traces_of(documents["document_id"].tolist(), (), None, ()), 0
    for source in documents["source"].unique():
        for found in [*store.list(f"{FILES}{source}/")]:
            lines = store.get(found.key).decode().splitlines(keepends=True)
            kept = [line for line in lines if not traces.are_in(json.loads(line))]
            if len(kept) < len(lines):
                changed += 1
                store.put(found.key, "".join(kept).encode()) if kept else store.delete(found.key)
    return changed


def rewrite_dataset(store: ObjectStore, version: str, ids: list[str]) -> int:
    """Write the files of a data set without the documents; 1 if it is there. Its manifest says how many rows it lost."""
    if not store.exists(f"datasets/{version}/manifest.json"):
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store.get_directory(f"datasets/{version}", folder)
        without_rows(folder, ids)
        store.put_directory(f"datasets/{version}", folder)
    return 1


def note_on_cards(store: ObjectStore, lakehouse: Lakehouse, model_ids: Collection[str]) -> None:
    """Have the cards of models say how many rows were erased that they were made from; a model that was not reported on has no card."""
    models = lakehouse.read(MODELS_SQL)
    for model in models[models["model_id"].isin(list(model_ids))].to_dict("records"):
        key = f"reports/{model['model_id']}/model_card.md"
        if store.exists(key):
            store.put(key, note_erased(store.get(key).decode(), model).encode())


def remove_tasks(resources: Mapping[str, Any], ids: list[str]) -> int:
    """Remove the documents' tasks, with their annotations, from the labeling server, if there is one."""
    server, wanted = resources["labeling_server"], set(ids)
    project_id = server.find_project(title_of(resources["project"])) if server.is_on else None
    if project_id is None:
        return 0
    tasks = [task["id"] for task in server.tasks(project_id) if task["data"].get(DOCUMENT_ID_FIELD) in wanted]
    server.remove_tasks(tasks)
    return len(tasks)

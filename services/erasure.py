"""Erasing what somebody wants gone: from every place that holds it, with a proof that says how much and not what.

A subject is `document:ID` (all revisions of its record), `author:PSEUDONYM` (every document whose text or title holds the pseudonym), or
`source:NAME`. The order lets an erasure that was killed be run again: first the tombstone, so that nothing comes back meanwhile; then
what is found by ids that the lakehouse still knows: what remains of raw objects, answers, data sets, tasks; then the rows, all at once;
then what the tombstone names or needs no ids: whole raw objects, data files, index, working folders, older backups.

Does not belong here: what is refused afterwards (`resources/tombstones.py`), taking records out of bytes (`assets/collection`), leaving
nothing of deleted rows (`resources/scrubbing.py`), the command (`dagster_project/safety_commands.py`).
"""

import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD
from assets.collection.forgetting import redact
from assets.collection.gathering import load_objects
from assets.collection.receiving import FILES
from assets.collection.redaction import holder_of
from assets.label_studio import title_of
from assets.storage.erased_rows import without_rows
from assets.training.erased import note_erased
from assets.training.registry import MODELS_SQL as REGISTRY_SQL
from resources.increments import BATCH_ROWS
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore, content_key
from resources.scrubbing import delete_documents, scrub
from resources.tombstones import Proof, hash_of, keep_proof, read_proofs, read_tombstones, text_hash

KINDS = ("document", "author", "source")
WORK_FOLDERS = ("tokens", "studies", "folds", "checkpoints", "searches")
"""Of the compute: token ids are texts, and predictions may hold them."""

_OF_RECORDS_SQL = """
SELECT DISTINCT document_id, source, external_id, text, raw_sha256 FROM lake.main.raw_documents WHERE (source, external_id) IN ({records})
ORDER BY document_id
"""
RECORDS_SQL = {
    "document": "SELECT source, external_id FROM lake.main.raw_documents WHERE document_id = $subject",
    "author": """
        SELECT source, external_id FROM lake.main.clean_documents
        WHERE contains(text, $subject) OR contains(coalesce(title, ''), $subject)""",
    "source": "SELECT source, external_id FROM lake.main.raw_documents WHERE source = $subject",
}
RAW_DOCUMENTS_SQL = "SELECT document_id, source, external_id, text, raw_sha256 FROM lake.main.raw_documents ORDER BY document_id"
COPIES_SQL = """
SELECT DISTINCT document_id FROM lake.main.rejected_documents
WHERE duplicate_of IN (SELECT document_id FROM wanted) AND document_id NOT IN (SELECT document_id FROM wanted) ORDER BY 1
"""
OBJECTS_SQL = """
SELECT * EXCLUDE (increment_id) FROM lake.main.raw_objects WHERE (source, raw_sha256) IN (
    SELECT source, raw_sha256 FROM lake.main.raw_documents SEMI JOIN wanted USING (document_id)
    UNION SELECT source, raw_sha256 FROM lake.main.raw_annotations SEMI JOIN wanted USING (document_id)
) QUALIFY row_number() OVER (PARTITION BY source, raw_sha256 ORDER BY fetched_at DESC) = 1 ORDER BY source, raw_sha256
"""
HOLDERS_SQL = "SELECT source FROM lake.main.raw_objects WHERE raw_sha256 = $sha256"
VERSIONS_SQL = "SELECT DISTINCT dataset_version FROM lake.main.training_dataset SEMI JOIN wanted USING (document_id) ORDER BY 1"
MODELS_SQL = """
SELECT DISTINCT model_id FROM lake.main.fine_tuned_model WHERE dataset_version IN (SELECT unnest($versions::VARCHAR[])) ORDER BY 1
"""
# Models that had learnt from the rows, or were judged by them, say how many: of what their data set still held when they were trained.
MARK_MODELS_SQL = """
UPDATE lake.main.fine_tuned_model SET
    erased_train_rows = coalesce(erased_train_rows, 0) + gone.train_rows,
    erased_other_rows = coalesce(erased_other_rows, 0) + gone.other_rows
FROM (
    SELECT dataset_version, count(DISTINCT document_id) FILTER (split = 'train') AS train_rows,
           count(DISTINCT document_id) FILTER (split <> 'train') AS other_rows
    FROM lake.main.training_dataset WHERE document_id IN (SELECT document_id FROM gone_ids) GROUP BY dataset_version
) gone WHERE lake.main.fine_tuned_model.dataset_version = gone.dataset_version
"""


class ErasureError(LookupError):
    """There is no such subject."""


@dataclass(frozen=True)
class Subject:
    """What somebody wants gone: a kind of `KINDS` and its name."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """Read `kind:name`.

        Raises:
            ErasureError: It is none.
        """
        kind, _, name = text.partition(":")
        if kind not in KINDS or not name:
            raise ErasureError(f"expected document:ID, author:PSEUDONYM or source:NAME, found {text!r}")
        return cls(kind, name)


@dataclass(frozen=True)
class Plan:
    """What an erasure would remove.

    Attributes:
        subject: Whose wish it is.
        documents: One row per document and object that it came in: `document_id`, `source`, `external_id`, `text`, `raw_sha256`.
        objects: The raw objects that hold them or votes on them, columns of `raw_objects`.
        copies: Ids of documents that were refused as duplicates of these, and are not among them.
        versions: Data sets that hold them.
        models: Models that had learnt from those, or were judged by them.
    """

    subject: Subject
    documents: pd.DataFrame
    objects: pd.DataFrame
    copies: tuple[str, ...]
    versions: tuple[str, ...]
    models: tuple[str, ...]

    @property
    def ids(self) -> pd.DataFrame:
        """One row per document: `document_id`."""
        return self.documents[["document_id"]].drop_duplicates(ignore_index=True)


def plan_erasure(resources: Mapping[str, Any], subject: Subject, *, with_copies: bool = False) -> Plan:
    """What would go. `with_copies` takes the documents along that were refused as duplicates."""
    lakehouse = resources["lakehouse"]
    documents = lakehouse.read(_OF_RECORDS_SQL.format(records=RECORDS_SQL[subject.kind]), {"subject": subject.name})
    copies = lakehouse.read(COPIES_SQL, frames={"wanted": documents[["document_id"]]})
    if with_copies and len(copies):
        records = "SELECT source, external_id FROM lake.main.raw_documents SEMI JOIN wanted USING (document_id)"
        more = lakehouse.read(_OF_RECORDS_SQL.format(records=records), frames={"wanted": copies})
        documents = pd.concat([documents, more]).drop_duplicates(["document_id", "raw_sha256"], ignore_index=True)
        copies = copies.head(0)
    wanted = {"wanted": documents[["document_id"]].drop_duplicates()}
    versions = lakehouse.read(VERSIONS_SQL, frames=wanted)["dataset_version"].tolist()
    models = lakehouse.read(MODELS_SQL, {"versions": versions})["model_id"].tolist()
    objects = lakehouse.read(OBJECTS_SQL, frames=wanted)
    return Plan(subject, documents, objects, tuple(copies["document_id"]), tuple(versions), tuple(models))


def erase(resources: Mapping[str, Any], plan: Plan, reason: str, erased_by: str) -> Proof:
    """Erase what a plan names, and finish earlier erasures that were cut short.

    Returns:
        The proof, which the object store keeps, too.

    Raises:
        ErasureError: There is nothing to erase, and nothing to finish.
    """
    store, key = resources["object_store"], resources["pseudonym_key"].read()
    unfinished = [proof for proof in read_proofs(store) if proof.finished_at is None]
    if plan.documents.empty and not unfinished:
        raise ErasureError(f"expected documents of {plan.subject.kind} {plan.subject.name!r}, found none; `textmill search` prints ids")
    if len(plan.documents):
        proof = begin(plan, key, reason, erased_by)
        keep_proof(store, proof)
        unfinished.append(proof)
        proof.removed.update(remove_everything(resources, plan))
        keep_proof(store, proof)
    finish(resources, unfinished)
    return unfinished[-1]


def erase_again(resources: Mapping[str, Any]) -> int:
    """Erase what tombstones refuse and the lakehouse holds all the same, as after a restore; returns how many documents."""
    store, lakehouse = resources["object_store"], resources["lakehouse"]
    tombstones = read_tombstones(store, resources["pseudonym_key"].read)
    if tombstones.is_empty:
        return 0
    documents = pd.concat(
        [
            rows[tombstones.are_erased(str(source), rows["external_id"], rows["text"])]
            for batch in lakehouse.read_batches(RAW_DOCUMENTS_SQL, BATCH_ROWS)
            for source, rows in batch.groupby("source")
        ]
        or [pd.DataFrame({"document_id": []}, dtype="str")]
    )
    if documents.empty:
        return 0
    wanted = {"wanted": documents[["document_id"]].drop_duplicates()}
    versions = lakehouse.read(VERSIONS_SQL, frames=wanted)["dataset_version"].tolist()
    models = lakehouse.read(MODELS_SQL, {"versions": versions})["model_id"].tolist()
    plan = Plan(Subject("document", ""), documents, lakehouse.read(OBJECTS_SQL, frames=wanted), (), tuple(versions), tuple(models))
    proof = begin(plan, tombstones.key, "erased before, and restored", "textmill restore")
    keep_proof(store, proof)
    proof.removed.update(remove_everything(resources, plan))
    keep_proof(store, proof)
    finish(resources, [proof])
    return len(plan.ids)


def begin(plan: Plan, key: bytes, reason: str, erased_by: str) -> Proof:
    """The tombstone of an erasure that begins."""
    now, whole = datetime.now(UTC), plan.subject.kind == "source"
    records = plan.documents[["source", "external_id"]].drop_duplicates().itertuples(index=False, name=None)
    return Proof(
        erasure_id=f"{now:%Y%m%dT%H%M%S.%fZ}",
        kind=plan.subject.kind,
        reason=reason,
        erased_by=erased_by,
        began_at=now,
        documents=len(plan.ids),
        objects=tuple(plan.objects["raw_sha256"].unique()),
        dataset_versions=plan.versions,
        models=plan.models,
        sources=(hash_of(key, "source", plan.subject.name),) if whole else (),
        records=() if whole else tuple(hash_of(key, "record", source, external_id) for source, external_id in records),
        texts=() if whole else tuple(sorted({text_hash(key, text) for text in plan.documents["text"]} - {""})),
    )


def remove_everything(resources: Mapping[str, Any], plan: Plan) -> dict[str, int]:
    """Remove the documents of a plan from bytes, answers, data sets, the labeling server, and last of all from the tables."""
    store, ids = resources["object_store"], plan.ids["document_id"].tolist()
    changed = pd.DataFrame(redact_objects(resources, plan), columns=["source", "raw_sha256", "new_sha256", "size_bytes"])
    removed = {
        "raw objects, rewritten without them": int(changed["new_sha256"].notna().sum()),
        "raw objects, whole": int(changed["new_sha256"].isna().sum()),
        "files of answers": redact_answers(store, plan),
        "data sets": sum(rewrite_dataset(store, version, ids) for version in plan.versions),
        "tasks of the labeling server": remove_tasks(resources, ids),
    }
    rows = delete_documents(resources["lakehouse"], plan.ids, changed, [MARK_MODELS_SQL])
    return {place: count for place, count in removed.items() if count} | {f"rows of {table}": count for table, count in rows.items()}


def finish(resources: Mapping[str, Any], proofs: Sequence[Proof]) -> None:
    """Leave nothing in stored bytes, data files, catalog, index, working folders and older backups; the next `refresh` makes the index."""
    store, lakehouse, backups = resources["object_store"], resources["lakehouse"], resources["backups"]
    for proof in proofs:
        for sha256 in proof.objects:
            if lakehouse.read(HOLDERS_SQL, {"sha256": sha256}).empty:
                store.delete(content_key(sha256))
        proof.objects = ()
        keep_proof(store, proof)
    note_on_cards(store, lakehouse, {model_id for proof in proofs for model_id in proof.models})
    scrub(lakehouse)
    resources["index"].erase()
    for name in WORK_FOLDERS:
        shutil.rmtree(resources["compute"].folder / name, ignore_errors=True)
    if backups.is_on:
        backups.make(lakehouse, store)
        backups.prune(1)
    for proof in proofs:
        proof.finished_at = datetime.now(UTC)
        keep_proof(store, proof)


def redact_objects(resources: Mapping[str, Any], plan: Plan) -> Iterator[tuple[str, str, str | None, int]]:
    """What remains of the raw objects without the records: source, hash, and the hash and bytes of the rest, which is stored."""
    store, sources = resources["object_store"], {source.name: source for source in resources["project"].sources}
    for row in plan.objects.to_dict("records"):
        name, sha256 = str(row["source"]), str(row["raw_sha256"])
        gone = plan.documents[plan.documents["source"] == name]
        rest = None
        if name in sources and plan.subject.kind != "source" and store.exists(content_key(sha256)):
            (raw,) = load_objects(pd.DataFrame([row]), store)
            rest = redact(raw, gone, sources[name], store, gone["document_id"].tolist())
        yield name, sha256, None if rest is None else rest.raw_sha256, 0 if rest is None else len(rest.payload)


def redact_answers(store: ObjectStore, plan: Plan) -> int:
    """Take the lines about the documents out of the files of answers; returns how many files changed."""
    holds, changed = holder_of(plan.ids["document_id"].tolist(), (), None, ()), 0
    for source in plan.documents["source"].unique():
        for found in [*store.list(f"{FILES}{source}/")]:
            lines = store.get(found.key).decode().splitlines(keepends=True)
            kept = [line for line in lines if not holds(json.loads(line))]
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
    models = lakehouse.read(REGISTRY_SQL)
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

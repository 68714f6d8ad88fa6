"""Erasing what somebody wants gone: from every place that holds it, with a proof that says how much and not what.

A subject is `document:ID` (all revisions of its record), `author:PSEUDONYM` (every document whose text or title holds the pseudonym), or
`source:NAME`. The order lets an erasure that was killed be run again: first the tombstone, so that nothing comes back meanwhile; then
what is found by ids that the lakehouse still knows: what remains of raw objects, answers, data sets, tasks; then the rows, all at once;
then what the tombstone names or needs no ids: whole raw objects, data files, index, working folders, older backups.

Does not belong here: what is refused afterwards (`resources/tombstones.py`), looking through stored bytes (`leftovers.py`), changing them
(`removal.py`), leaving nothing of deleted rows (`resources/scrubbing.py`), the command (`dagster_project/safety_commands.py`).
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from assets.collection.redaction import TAKEN_APART
from resources.increments import BATCH_ROWS
from resources.object_store import content_key
from resources.scrubbing import delete_documents, scrub
from resources.tombstones import Proof, hash_of, keep_proof, read_proofs, read_tombstones, text_hash
from services.leftovers import OBJECTS_OF_SOURCE_SQL, find_leftovers, what_else_goes
from services.removal import OBJECT_COLUMNS, note_on_cards, redact_answers, redact_objects, remove_tasks, rewrite_dataset

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
# Documents that stay, although the bytes that they came in go whole.
WITHOUT_BYTES_SQL = """
SELECT count(DISTINCT document_id) AS documents FROM lake.main.raw_documents SEMI JOIN whole USING (source, raw_sha256)
WHERE document_id NOT IN (SELECT document_id FROM wanted)
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

    def hash(self, key: bytes) -> str:
        """Keyed hash, by which an erasure of it is recognized."""
        return hash_of(key, self.kind, self.name)


@dataclass(frozen=True)
class Plan:
    """What an erasure would remove.

    Attributes:
        subject: Whose wish it is.
        documents: One row per document and object that it came in: `document_id`, `source`, `external_id`, `text`, `raw_sha256`.
        objects: The raw objects that hold them or votes on them, columns of `raw_objects`, and `is_named`: a document or vote names it.
        copies: Ids of documents that were refused as duplicates of these, and are not among them.
        versions: Data sets that hold them.
        models: Models that had learnt from those, or were judged by them.
        places: Where in raw objects their records are, refused ones included: `source`, `raw_sha256`, `locator`.
        without_bytes: How many other documents lose their bytes, since an object that is not taken apart goes whole.
    """

    subject: Subject
    documents: pd.DataFrame
    objects: pd.DataFrame
    copies: tuple[str, ...]
    versions: tuple[str, ...]
    models: tuple[str, ...]
    places: pd.DataFrame
    without_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to erase."""
        return self.documents.empty and self.objects.empty

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
    return complete_plan(resources, subject, documents, tuple(copies["document_id"]))


def complete_plan(resources: Mapping[str, Any], subject: Subject, documents: pd.DataFrame, copies: tuple[str, ...] = ()) -> Plan:
    """What goes with some documents: the raw objects that hold them, data sets, models."""
    lakehouse, wanted = resources["lakehouse"], {"wanted": documents[["document_id"]].drop_duplicates()}
    versions = lakehouse.read(VERSIONS_SQL, frames=wanted)["dataset_version"].tolist()
    models = lakehouse.read(MODELS_SQL, {"versions": versions})["model_id"].tolist()
    if subject.kind == "source":
        named, found = lakehouse.read(OBJECTS_OF_SOURCE_SQL, {"source": subject.name}), find_leftovers(resources, documents.head(0))
    else:
        named, found = lakehouse.read(OBJECTS_SQL, frames=wanted), find_leftovers(resources, documents)
    both = pd.concat([named.assign(is_named=True), found.objects.assign(is_named=False)])
    objects = both.drop_duplicates(["source", "raw_sha256"], ignore_index=True)
    sources = {source.name for source in resources["project"].sources}
    whole = objects[~objects["media_type"].isin(TAKEN_APART) | ~objects["source"].isin(sources)][["source", "raw_sha256"]]
    without_bytes = int(lakehouse.read(WITHOUT_BYTES_SQL, frames=wanted | {"whole": whole})["documents"].item())
    return Plan(subject, documents, objects, copies, tuple(versions), tuple(models), found.places, without_bytes)


def erase(resources: Mapping[str, Any], plan: Plan, reason: str, erased_by: str) -> Proof:
    """Erase what a plan names, and finish earlier erasures that were cut short.

    Returns:
        The proof, which the object store keeps, too.

    Raises:
        ErasureError: There is nothing to erase, and nothing to finish.
    """
    store, key = resources["object_store"], resources["pseudonym_key"].read()
    unfinished = [proof for proof in read_proofs(store) if proof.finished_at is None]
    if plan.is_empty and not unfinished:
        raise ErasureError(f"expected documents of {plan.subject.kind} {plan.subject.name!r}, found none; `textmill search` prints ids")
    if not plan.is_empty:
        unfinished.append(carry_out(resources, plan, begin(plan, key, reason, erased_by)))
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
    plan = complete_plan(resources, Subject("document", ""), documents)
    finish(resources, [carry_out(resources, plan, begin(plan, tombstones.key, "erased before, and restored", "textmill restore"))])
    return len(plan.ids)


def carry_out(resources: Mapping[str, Any], plan: Plan, proof: Proof) -> Proof:
    """Keep the tombstone, remove everything that still can be found by ids, and note how much it was."""
    store = resources["object_store"]
    keep_proof(store, proof)
    remove_everything(resources, plan, proof)
    keep_proof(store, proof)
    return proof


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
        subject=plan.subject.hash(key) if plan.subject.name else "",
        sources=(hash_of(key, "source", plan.subject.name),) if whole else (),
        records=() if whole else tuple(hash_of(key, "record", source, external_id) for source, external_id in records),
        texts=() if whole else tuple(sorted({text_hash(key, text) for text in plan.documents["text"]} - {""})),
    )


def remove_everything(resources: Mapping[str, Any], plan: Plan, proof: Proof) -> None:
    """Remove the documents of a plan from bytes, answers, data sets, the labeling server, and last of all from the tables."""
    store, lakehouse, ids = resources["object_store"], resources["lakehouse"], plan.ids["document_id"].tolist()
    source = plan.subject.name if plan.subject.kind == "source" else None
    parsed = plan.documents.head(0) if source else plan.documents
    changed = pd.DataFrame(redact_objects(resources, plan.objects, parsed), columns=OBJECT_COLUMNS)
    whole = changed[changed["new_sha256"].isna()]
    frames = {"whole": whole[["source", "raw_sha256"]].astype("str"), "wanted": plan.ids}
    proof.without_bytes = int(lakehouse.read(WITHOUT_BYTES_SQL, frames=frames)["documents"].item())
    removed = {
        "raw objects, rewritten without them": len(changed) - len(whole),
        "raw objects, whole": len(whole),
        "files of answers": redact_answers(store, plan.documents),
        "data sets": sum(rewrite_dataset(store, version, ids) for version in plan.versions),
        "tasks of the labeling server": remove_tasks(resources, ids),
    }
    besides = what_else_goes(lakehouse.tables, source, plan.documents, plan.places)
    rows = delete_documents(lakehouse, plan.ids, changed, replace(besides, marks=[MARK_MODELS_SQL]))
    proof.removed |= {place: count for place, count in removed.items() if count} | {f"rows of {table}": n for table, n in rows.items()}


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

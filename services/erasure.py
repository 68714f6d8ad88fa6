"""Erasing what somebody wants gone: from every place that holds it, with a proof that says how much and not what.

A subject is `document:ID` (all revisions of its record), `author:PSEUDONYM` (every document that the pseudonym wrote, or whose text or
title holds it), or `source:NAME`. The order lets an erasure that was killed be run again: first the tombstone, so that nothing comes back
meanwhile; then what is found by ids that the lakehouse still knows: what remains of raw objects, answers, data sets, tasks; then the rows,
all at once; then what the tombstone names or needs no ids: whole raw objects, data files, index, working folders, older backups.

Does not belong here: what goes (`erasure_plan.py`), looking through stored bytes (`leftovers.py`), changing them (`removal.py`), what is
refused afterwards (`resources/tombstones.py`), leaving nothing of deleted rows (`resources/scrubbing.py`), the command
(`dagster_project/safety_commands.py`).
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from resources.increments import BATCH_ROWS
from resources.object_store import content_key
from resources.scrubbing import delete_documents, scrub
from resources.tombstones import Proof, hash_of, keep_proof, read_proofs, read_tombstones, text_hash
from services.erasure_plan import WITHOUT_BYTES_SQL, ErasureError, Plan, Subject, complete_plan
from services.leftovers import what_else_goes
from services.removal import OBJECT_COLUMNS, note_on_cards, redact_answers, redact_objects, remove_tasks, rewrite_dataset

WORK_FOLDERS = ("tokens", "studies", "folds", "checkpoints", "searches")
"""Of the compute: token ids are texts, and predictions may hold them."""

RAW_DOCUMENTS_SQL = "SELECT document_id, source, external_id, text, authors, raw_sha256 FROM lake.main.raw_documents ORDER BY document_id"
SOURCES_SQL = "SELECT source FROM lake.main.raw_objects UNION SELECT source FROM lake.main.raw_documents ORDER BY 1"
HOLDERS_SQL = "SELECT source FROM lake.main.raw_objects WHERE raw_sha256 = $sha256"
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
            rows[tombstones.are_erased(str(source), rows["external_id"], rows["text"], rows["authors"])]
            for batch in lakehouse.read_batches(RAW_DOCUMENTS_SQL, BATCH_ROWS)
            for source, rows in batch.groupby("source")
        ]
        or [pd.DataFrame(columns=["document_id", "source", "external_id", "text", "raw_sha256"], dtype="str")]
    )
    whole = [name for name in lakehouse.read(SOURCES_SQL)["source"] if tombstones.has_source(name)]
    others = documents[~documents["source"].isin(whole)]
    plans = [complete_plan(resources, Subject("source", name), documents[documents["source"] == name]) for name in whole]
    plans += [complete_plan(resources, Subject("document", ""), others)] if len(others) else []
    reason, by = "erased before, and restored", "textmill restore"
    proofs = [carry_out(resources, plan, begin(plan, tombstones.key, reason, by)) for plan in plans if not plan.is_empty]
    if proofs:
        finish(resources, proofs)
    return sum(proof.documents for proof in proofs)


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
        authors=(hash_of(key, "author", plan.subject.name),) if plan.subject.kind == "author" else (),
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

"""Wiring of the storage stage: frozen data sets, the search index, backups, compaction and the report on storage."""

import dataclasses
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd

from assets.answers import count_outside_task
from assets.project import Project
from assets.schemas import BACKUP, COMPACTION, SEARCH_INDEX, SPLITS, STORAGE_REPORT, TRAINING_DATASET
from assets.storage.backup_record import describe_backup
from assets.storage.contamination import find_contaminated, passages_of
from assets.storage.datasets import (
    ERASED_ROWS_SQL,
    MEMBERS_SQL,
    ROWS_SQL,
    TOKENS_SQL,
    DatasetWriter,
    FrozenDataset,
    permitted,
    training_refusals,
)
from assets.storage.indexing import INDEXED_ROWS, INDEXED_TABLES, documents_indexed, index_documents
from assets.storage.measuring import measure, report
from assets.storage.splits import assign_splits, count_leaks
from assets.wiring import LakehouseResource, Materialized, ProjectResource, Refresh, asset_options, materialized, step_of
from resources.backups import Backups
from resources.compaction import compact, remove_timings
from resources.increments import BATCH_ROWS, Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore
from resources.search_engine import SearchEngine

PACKAGE = "assets.storage"


@dg.asset(deps=["labeled_documents", "tokens"], **asset_options(TRAINING_DATASET, ["duckdb", "parquet"]))
def training_dataset(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: dg.ResourceParam[ObjectStore],
) -> Materialized:
    """A frozen, content-addressed data set of the confident labels: train, dev and test without leakage, with manifest and card."""
    has_lost_rows = bool(lakehouse.read(ERASED_ROWS_SQL)["rows"].item())
    with step_of(
        context,
        lakehouse,
        "training_dataset",
        upstream=["labeled_documents", "clean_documents", "tokens"],
        following="snapshot",
        full_refresh=config.full_refresh or has_lost_rows,
        package=PACKAGE,
    ) as step:
        if not step.has_new_input:
            return materialized(step)
        with tempfile.TemporaryDirectory() as folder:
            dataset, silver_rows = freeze(step, lakehouse, project, Path(folder))
            dataset.describe(project, step.plan.inputs, silver_rows)
            key = f"datasets/{dataset.version}"
            if not object_store.exists(f"{key}/manifest.json"):
                object_store.put_directory(key, dataset.folder)
            card = (dataset.folder / "README.md").read_text(encoding="utf-8")
    return materialized(
        step,
        {"dataset_version": dataset.version, "manifest": object_store.url(f"{key}/manifest.json"), "card": dg.MetadataValue.md(card)},
    )


@dg.asset(deps=list(INDEXED_TABLES), **asset_options(SEARCH_INDEX, ["tantivy"]))
def search_index(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    index: dg.ResourceParam[SearchEngine],
) -> Materialized:
    """Full-text index of the clean documents, English and Chinese, with their labels; ask it with `textmill search`."""
    is_lost = index.count() == 0 and bool(lakehouse.increments("search_index"))
    full_refresh = config.full_refresh or is_lost
    with step_of(context, lakehouse, "search_index", upstream=list(INDEXED_TABLES), full_refresh=full_refresh, package=PACKAGE) as step:
        with index.writing(anew=step.is_rebuild) as writer:
            for keys in step.changed_keys(INDEXED_TABLES, "document_id", INDEXED_ROWS):
                index_documents(step, writer, keys, project.task)
        step.measure("documents_missing", documents_indexed(step) - index.count())
    return materialized(step, {"documents": index.count()})


@dg.asset(**asset_options(BACKUP, ["duckdb", "parquet"]))
def backup(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    object_store: dg.ResourceParam[ObjectStore],
    project: ProjectResource,
    backups: dg.ResourceParam[Backups],
) -> Materialized:
    """Encrypted, incremental copies of lakehouse and objects in another store, each proven by restoring it on trial."""
    with step_of(context, lakehouse, "backup", package=PACKAGE) as step:
        made = backups.make(lakehouse, object_store)
        step.write("backup", describe_backup(made.manifest, made.bytes_copied))
        step.count(rows_in=1, rows_out=1)
        step.measure("tables_that_differ", len(made.differing_tables))
        if not made.differing_tables:
            with lakehouse.files_to_oneself():
                step.measure("backups_removed", backups.prune(project.retention.backups))
    return materialized(step, {"store": backups.store.url(""), "tables that differ": ", ".join(made.differing_tables) or "none"})


@dg.asset(**asset_options(COMPACTION, ["duckdb", "parquet"]))
def compaction(context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource) -> Materialized:
    """Small files merged, old snapshots expired, old counts and what nothing needs deleted; no other row, data set or model goes."""
    now = datetime.now(UTC)
    with step_of(context, lakehouse, "compaction", package=PACKAGE) as step:
        timings = remove_timings(lakehouse, now - timedelta(days=project.retention.timings_days))
        done = compact(lakehouse, now - timedelta(days=project.retention.snapshots_days))
        step.write("compaction", pd.DataFrame([{"compacted_at": now, **dataclasses.asdict(done), "timings_removed": timings}]))
        step.count(rows_in=1, rows_out=1)
        step.measure("files_added", max(0, done.files_after - done.files_before))
    return materialized(step)


@dg.asset(**asset_options(STORAGE_REPORT, ["duckdb", "matplotlib"]))
def storage_report(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    object_store: dg.ResourceParam[ObjectStore],
    index: dg.ResourceParam[SearchEngine],
    backups: dg.ResourceParam[Backups],
    project: ProjectResource,
) -> Materialized:
    """What storing costs: times and failures of reads and writes, freshness, bytes, cost, small files, growth and where it leads."""
    window = timedelta(days=project.report.window_days)
    with step_of(context, lakehouse, "storage_report", package=PACKAGE) as step:
        page = report(step, measure(lakehouse, object_store, index, backups, window, datetime.now(UTC)), project)
    return materialized(step, page)


def freeze(step: Step, lakehouse: Lakehouse, project: Project, folder: Path) -> tuple[FrozenDataset, int]:
    """Write the data set's files to a folder and its rows to the step, and measure what its suite asks for.

    Returns:
        The data set, and how many of its rows no person voted on.
    """
    labelled = lakehouse.read(MEMBERS_SQL)
    refusals = training_refusals(labelled, project.sources)
    members = permitted(labelled.assign(ai_training_allowed=refusals.isna()))
    step.count(rows_in=int(refusals.notna().sum()), reasons=refusals.dropna())
    splits = assign_splits(members, project.storage).merge(members[["document_id", "ai_training_allowed"]], on="document_id")
    splits = without_contamination(step, lakehouse, splits)
    writer = DatasetWriter(folder, project.task)
    for batch in lakehouse.read_batches(ROWS_SQL, BATCH_ROWS, frames={"splits": splits}):
        writer.write(batch)
    dataset = writer.finish()
    outside = 0
    for batch in lakehouse.read_batches(ROWS_SQL, BATCH_ROWS, frames={"splits": splits}):
        step.write("training_dataset", batch.assign(dataset_version=dataset.version))
        step.count(rows_in=len(batch), rows_out=len(batch))
        outside += count_outside_task(batch["label"], project.task, batch["text"].str.len()) if project.task.has_lists else 0
    step.measure("answers_outside_task", outside)
    members = members[members["document_id"].isin(splits["document_id"])]
    measure_splits(step, members.merge(splits.drop(columns="ai_training_allowed"), on="document_id"), dataset, project)
    return dataset, int((members["human_votes_count"] == 0).sum())


def without_contamination(step: Step, lakehouse: Lakehouse, splits: pd.DataFrame) -> pd.DataFrame:
    """The members without those that repeat a passage of the test split; measures how many are left, and how many have no tokens."""
    tested = passages_of(tokens_of(lakehouse, splits, is_test=True))
    refused = find_contaminated(tokens_of(lakehouse, splits, is_test=False), tested)
    kept = splits[~splits["document_id"].isin(refused)].reset_index(drop=True)
    step.count(rows_in=len(refused), reasons=pd.Series("repeats_test_split", index=range(len(refused)), dtype="str"))
    step.measure("rows_repeating_test", len(find_contaminated(tokens_of(lakehouse, kept, is_test=False), tested)))
    compared = lakehouse.read("SELECT count(*) AS rows FROM splits JOIN tokens USING (document_id)", frames={"splits": kept})
    step.measure("rows_not_compared", len(kept) - int(compared["rows"].item()))
    return kept


def tokens_of(lakehouse: Lakehouse, splits: pd.DataFrame, *, is_test: bool) -> Iterator[pd.DataFrame]:
    """Tokens of the members within the test split, or of those outside it, in batches."""
    return lakehouse.read_batches(TOKENS_SQL, BATCH_ROWS, {"is_test": is_test}, frames={"splits": splits})


def measure_splits(step: Step, members: pd.DataFrame, dataset: FrozenDataset, project: Project) -> None:
    """Rows per split, labels that training would miss, and groups and clusters that leak."""
    for split in SPLITS:
        step.measure(f"rows_{split}", dataset.rows[split])
    step.measure("labels_missing_in_train", len(set(project.task.labels) - set(dataset.label_counts("train"))))
    step.measure("leaking_groups", count_leaks(members, "group_id"))
    step.measure("leaking_clusters", count_leaks(members, "cluster_id"))

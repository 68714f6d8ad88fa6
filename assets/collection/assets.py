"""Wiring of the collection stage: one partition per source, each of which fails alone."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from assets.collection.gathering import FLUSH_OBJECTS, Surroundings, gather, may_hold_votes, write_votes
from assets.label_studio import title_of
from assets.project import Project
from assets.schemas import RAW_ANNOTATIONS, RAW_DOCUMENTS
from assets.source_settings import Source
from assets.wiring import (
    LabelingServerResource,
    LakehouseResource,
    Materialized,
    ProjectResource,
    Refresh,
    asset_options,
    step_metadata,
    step_of,
)
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore
from resources.pseudonym_key import PseudonymKey
from resources.tombstones import read_tombstones

PACKAGE = "assets.collection"


class Collect(Refresh):
    """Run configuration of `raw_documents`."""

    replay_sources: list[str] = Field([], description="Parse the stored bytes of these sources again, and collect no other.")


def build_collection_assets(sources: Sequence[str]) -> list[dg.AssetsDefinition]:
    """The collection assets, with a partition for each source of the project.

    Args:
        sources: Names of the sources, in the project's order.
    """
    options: dict[str, Any] = {
        "partitions_def": dg.StaticPartitionsDefinition(list(sources)),
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "group_name": "collection",
    }

    @dg.asset(check_specs=[_spec("raw_documents")], **options, **asset_options(RAW_DOCUMENTS, ["duckdb", "s3"]))
    def raw_documents(
        context: dg.AssetExecutionContext,
        config: Collect,
        lakehouse: LakehouseResource,
        project: ProjectResource,
        object_store: dg.ResourceParam[ObjectStore],
        labeling_server: LabelingServerResource,
        pseudonym_key: dg.ResourceParam[PseudonymKey],
    ) -> Materialized:
        """Fetches what is new or changed: immutable raw bytes in the object store, one row per document and revision here."""
        tombstones = read_tombstones(object_store, pseudonym_key.read)
        around = Surroundings(lakehouse, object_store, labeling_server, title_of(project), tombstones, pseudonym_key.read, project.contact)
        wanted = [name for name in context.partition_keys if not config.replay_sources or name in config.replay_sources]
        return for_each_source(
            context, wanted, lambda name: collect(context, around, project.source(name), replay=name in config.replay_sources)
        )

    @dg.asset(deps=["raw_documents"], check_specs=[_spec("raw_annotations")], **options, **asset_options(RAW_ANNOTATIONS, ["duckdb", "s3"]))
    def raw_annotations(
        context: dg.AssetExecutionContext,
        config: Refresh,
        lakehouse: LakehouseResource,
        project: ProjectResource,
        object_store: dg.ResourceParam[ObjectStore],
    ) -> Materialized:
        """Votes that arrived with the data, read from the stored bytes and tied to their documents."""
        return for_each_source(
            context,
            context.partition_keys,
            lambda name: collect_votes(context, lakehouse, project, object_store, name, full_refresh=config.full_refresh),
        )

    return [raw_documents, raw_annotations]


def _spec(asset: str) -> dg.AssetCheckSpec:
    description = "Every source of the run could be read. Not blocking: the other sources go on."
    return dg.AssetCheckSpec("every_source_was_read", asset=asset, description=description)


def for_each_source(context: dg.AssetExecutionContext, sources: Sequence[str], collect_one: Callable[[str], Step]) -> Materialized:
    """Work on each source by itself; a failure is recorded on its partition and on the check, and fails the step only if all failed."""
    failures: dict[str, str] = {}
    for name in sources:
        try:
            step = collect_one(name)
        except Exception as error:  # the boundary between sources: whatever is wrong with one must not stop the others
            context.log.exception(f"{name}: {type(error).__name__}")
            failures[name] = f"{type(error).__name__}: {error}"
            context.add_asset_metadata({"summary": f"FAILED, nothing written: {failures[name]}"}, partition_key=name)
        else:
            context.add_asset_metadata(step_metadata(step, step.asset), partition_key=name)
    if failures and len(failures) == len(sources):
        raise dg.Failure("Expected to read at least one source, found: " + "; ".join(f"{name}: {text}" for name, text in failures.items()))
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                check_name="every_source_was_read",
                passed=not failures,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"sources_read": len(sources) - len(failures), **failures},
            )
        ]
    )


def collect(context: dg.AssetExecutionContext, around: Surroundings, source: Source, *, replay: bool) -> Step:
    """One increment of documents from one source."""
    with step_of(context, around.lakehouse, "raw_documents", partition=source.name, package=PACKAGE) as step:
        gather(step, around, source, replay=replay)
    return step


def collect_votes(
    context: dg.AssetExecutionContext, lakehouse: Lakehouse, project: Project, store: ObjectStore, name: str, *, full_refresh: bool
) -> Step:
    """One increment of votes from the objects that one source brought since the last time."""
    source = project.source(name)
    options: dict[str, Any] = {"upstream": ["raw_documents"], "partition": name, "upstream_partition": name, "package": PACKAGE}
    with step_of(context, lakehouse, "raw_annotations", full_refresh=full_refresh, **options) as step:
        for rows in step.batches("raw_objects", FLUSH_OBJECTS):
            chosen = rows[may_hold_votes(rows, source)]
            step.count(rows_in=len(rows) - len(chosen), rows_skipped=len(rows) - len(chosen))
            if len(chosen):
                write_votes(step, chosen, store, source, datetime.now(UTC))
        step.measure("refused_share", step.counts.rows_rejected / max(step.counts.rows_in, 1))
    return step

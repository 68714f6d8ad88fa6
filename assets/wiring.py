"""What every asset's wiring shares: its options, its increment and its metadata.

Thin assets look like this: open the increment, loop over the batches, call pure functions, return `materialized(step)`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import dagster as dg
import pandas as pd

from assets.code_version import code_version
from assets.markdown import markdown_table
from assets.project import Project
from assets.schemas import Table
from assets.tags import CPU_TAGS, LAKE_POOL, OWNERS
from resources.increments import Following, Step, increment
from resources.labeling_server import LabelingServer
from resources.lakehouse import Lakehouse

LakehouseResource = dg.ResourceParam[Lakehouse]
LabelingServerResource = dg.ResourceParam[LabelingServer]
Materialized: TypeAlias = dg.MaterializeResult  # bare: Dagster reads the annotation and knows only the class itself
ProjectResource = dg.ResourceParam[Project]

# Columns that hold people's words: previews in the UI leave them out, because Dagster keeps metadata unencrypted and for ever.
PRIVATE_COLUMNS = ("text", "title", "tokens", "url", "detail", "uri", "cursor_value", "ratings", "distribution", "bands", "embedding")


class Refresh(dg.Config):
    """Run configuration of every asset."""

    full_refresh: bool = False


def table_options(table: Table, kinds: Sequence[str], tags: Mapping[str, str] = CPU_TAGS) -> dict[str, Any]:
    """Owners, kinds, tags, column schema and key of the asset that is a table; its docstring is its description."""
    return {
        "owners": OWNERS,
        "kinds": set(kinds),
        "tags": dict(tags),
        "metadata": {"dagster/column_schema": column_schema(table), "one row": table.meaning, "key": ", ".join(table.key)},
    }


def asset_options(table: Table, kinds: Sequence[str]) -> dict[str, Any]:
    """`table_options` for an asset of its own, which also needs its pool."""
    return table_options(table, kinds) | {"pool": LAKE_POOL}


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=_limits(column)),
            )
            for column in table.columns
        ]
    )


def _limits(column: Any) -> list[str]:  # noqa: ANN401
    limits = [f"one of {', '.join(column.allowed)}"] if column.allowed else []
    limits += [f"at least {column.minimum:g}"] if column.minimum is not None else []
    limits += [f"at most {column.maximum:g}"] if column.maximum is not None else []
    return limits


@contextmanager
def step_of(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    asset: str,
    *,
    upstream: Sequence[str] = (),
    package: str,
    partition: str = "",
    upstream_partition: str | None = None,
    following: Following = "incremental",
    full_refresh: bool = False,
) -> Iterator[Step]:
    """The increment of an asset in this run; logs whether there was anything to do."""
    with increment(
        lakehouse,
        asset,
        run_id=context.run.run_id,
        code_version=code_version(package),
        upstream=upstream,
        partition=partition,
        upstream_partition=upstream_partition,
        following=following,
        full_refresh=full_refresh,
    ) as step:
        yield step
    name = f"{asset}[{partition}]" if partition else asset
    context.log.info(f"{name}: {summary(step)}")


def summary(step: Step) -> str:
    """One sentence about what a step did."""
    if not step.is_committed:
        return "nothing new"
    counts = step.counts
    parts = [f"{counts.rows_in} in", f"{counts.rows_out} out", f"{counts.rows_rejected} rejected", f"{counts.rows_skipped} skipped"]
    return ("rebuilt: " if step.is_rebuild else "") + ", ".join(parts)


def step_metadata(step: Step, table: str, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata of a materialization: counts, rejects by reason, facts, snapshot and a preview without private columns."""
    metadata: dict[str, Any] = {
        "summary": summary(step),
        "rows_in": step.counts.rows_in,
        "rows_out": step.counts.rows_out,
        "rows_rejected": step.counts.rows_rejected,
        "rows_skipped": step.counts.rows_skipped,
    }
    metadata |= {f"rejected: {reason}": count for reason, count in sorted(step.reasons.items())}
    metadata |= {fact: value for fact, value in sorted(step.facts.items())}
    if step.is_committed:
        metadata |= {"increment_id": step.increment_id, "lake_snapshot": step.lakehouse.snapshot_id()}
        metadata |= {"dagster/row_count": step.written[table]}
    if table in step.previews:
        metadata["preview"] = dg.MetadataValue.md(preview(step.previews[table]))
    return metadata | dict(extra or {})


def materialized(step: Step, extra: Mapping[str, Any] | None = None) -> Materialized:
    """The result of an asset whose table has its own name."""
    return dg.MaterializeResult(metadata=step_metadata(step, step.asset, extra))


def preview(frame: pd.DataFrame) -> str:
    """A few rows as a Markdown table."""
    shown = frame[[column for column in frame.columns if column not in PRIVATE_COLUMNS]]
    return markdown_table(list(shown.columns), shown.itertuples(index=False))

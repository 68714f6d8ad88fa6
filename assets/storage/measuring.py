"""What the asset `storage_report` calls: reads ledger and sizes, writes the figures, returns the page. What they mean: `figures.py`."""

from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from assets.project import Project
from assets.storage.figures import FRESHNESS_SQL, Measured, figures_of
from assets.storage.growth import WEEKLY_SQL
from assets.storage.latencies import TIMINGS_SQL, failure_ratio, summarize_timings
from assets.storage.report_page import describe, draw_growth, draw_timings
from resources.backups import Backups
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore
from resources.search_engine import SearchEngine
from resources.storage_sizes import backup_bytes, measure_lake, object_bytes


def measure(
    lakehouse: Lakehouse, object_store: ObjectStore, index: SearchEngine, backups: Backups, window: timedelta, now: datetime
) -> Measured:
    """Everything that the report says."""
    lake, backed_up = measure_lake(lakehouse), backup_bytes(backups)
    sizes = {
        "lakehouse tables": int(lake.files["size_bytes"].sum()),
        "lakehouse earlier snapshots": lake.earlier_bytes,
        "lakehouse catalog": lake.catalog_bytes,
    }
    sizes |= {f"objects {name}": size for name, size in sorted(object_bytes(object_store).items())}
    sizes |= {"search index": index.size_bytes()} | ({} if backed_up is None else {"backups": backed_up})
    return Measured(
        now=now,
        timings=summarize_timings(lakehouse.read(TIMINGS_SQL, {"since": now - window})),
        newest=lakehouse.read(FRESHNESS_SQL),
        bytes=sizes,
        tables=lake.tables,
        files=lake.files,
        weekly=lakehouse.read(WEEKLY_SQL),
    )


def report(step: Step, measured: Measured, project: Project) -> dict[str, Any]:
    """Write the figures, and measure what the suite asks for.

    Returns:
        Metadata for the UI: the page with its pictures.
    """
    from assets.pictures import embed  # brings matplotlib

    figures = figures_of(measured, project.report)
    step.write("storage_report", figures)
    step.count(rows_in=len(figures), rows_out=len(figures))
    step.measure("tables_unmeasured", len(set(step.lakehouse.tables) - set(measured.tables)))
    step.measure("sources_without_documents", len({source.name for source in project.sources} - set(measured.newest["source"])))
    step.measure("failed_calls_ratio", failure_ratio(measured.timings))
    pictures = {} if measured.timings.empty else {"latency.png": draw_timings(measured.timings)}
    pictures |= {} if measured.line is None else {"growth.png": draw_growth(measured)}
    page = describe(measured, figures, project.report, [source.name for source in project.sources])
    return {"report": dg.MetadataValue.md(embed(page, pictures)), "total_bytes": measured.total_bytes}

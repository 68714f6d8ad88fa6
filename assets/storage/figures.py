"""The figures of the report on storage: bytes, cost, freshness, growth and forecast, as rows of `storage_report`.

How they are shown: `report_page.py`. Where they come from: `measuring.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from assets.report_settings import Prices, Report
from assets.storage.growth import Line, fit_line, full_weeks
from assets.storage.latencies import SHARES

GIB, MIB = 1 << 30, 1 << 20
FORECAST_WEEKS = (4, 12)
ALL = "all"
FRESHNESS_SQL = "SELECT source, max(collected_at) AS newest, count(*) AS documents FROM clean_documents GROUP BY source ORDER BY source"
Figure = tuple[str, str, str, float]
"""Section, subject, metric, value."""


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        now: When.
        timings: One row per place and operation (`summarize_timings`).
        newest: One row per source with published documents: `source`, `newest`, `documents`.
        bytes: Bytes by place; a place is named `lakehouse …`, `objects …`, `search index` or `backups`.
        tables: All tables.
        files: One row per data file: `table_name`, `size_bytes`.
        weekly: One row per week with new documents: `week`, `documents`.
    """

    now: datetime
    timings: pd.DataFrame
    newest: pd.DataFrame
    bytes: Mapping[str, int]
    tables: Sequence[str]
    files: pd.DataFrame
    weekly: pd.DataFrame
    weeks: pd.DataFrame = field(init=False)
    line: Line | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weeks", full_weeks(self.weekly, self.now))
        object.__setattr__(self, "line", fit_line(self.weeks["documents"].tolist()))

    @property
    def documents(self) -> int:
        """Published documents."""
        return int(self.newest["documents"].sum())

    @property
    def total_bytes(self) -> int:
        """Bytes of all places."""
        return sum(self.bytes.values())


def figures_of(measured: Measured, settings: Report) -> pd.DataFrame:
    """The rows of `storage_report`."""
    rows = [
        *timing_figures(measured.timings),
        *freshness_figures(measured.newest, measured.now),
        *(("bytes", place, "bytes", float(size)) for place, size in measured.bytes.items()),
        ("bytes", ALL, "bytes", float(measured.total_bytes)),
        *file_figures(measured.tables, measured.files, settings.small_file_mib),
        *cost_figures(measured, settings.prices),
        *growth_figures(measured),
    ]
    return pd.DataFrame(rows, columns=["section", "subject", "metric", "value"]).assign(reported_at=measured.now)


def timing_figures(timings: pd.DataFrame) -> Iterator[Figure]:
    """Percentiles, and errors and retries per call."""
    for row in timings.to_dict("records"):
        for metric in SHARES:
            yield "latency", row["subject"], metric, row[metric]
        yield "latency", row["subject"], "calls", float(row["calls"])
        yield "failures", row["subject"], "errors_ratio", row["errors"] / max(row["calls"], 1)
        yield "failures", row["subject"], "retries_ratio", row["retries"] / max(row["calls"], 1)


def freshness_figures(newest: pd.DataFrame, now: datetime) -> Iterator[Figure]:
    """Hours since the newest published document of each source was collected."""
    for source, collected_at in zip(newest["source"], newest["newest"], strict=True):
        yield "freshness", source, "lag_hours", (now - collected_at).total_seconds() / 3600


def file_figures(tables: Sequence[str], files: pd.DataFrame, small_file_mib: float) -> Iterator[Figure]:
    """Files, bytes and the share of small files, by table and together; a table without files has no share."""
    small = files.assign(is_small=files["size_bytes"] < small_file_mib * MIB)
    for table in (ALL, *tables):
        chosen = small if table == ALL else small[small["table_name"] == table]
        yield "files", table, "files", float(len(chosen))
        yield "files", table, "bytes", float(chosen["size_bytes"].sum())
        if len(chosen):
            yield "files", table, "small_files_ratio", float(chosen["is_small"].mean())


def cost_figures(measured: Measured, prices: Prices) -> Iterator[Figure]:
    """Cost of a month by place, together, and for every thousand documents where there are some."""
    total = 0.0
    for place, size in measured.bytes.items():
        cost = size / GIB * price_of(place, prices)
        total += cost
        yield "cost", place, "per_month", cost
    yield "cost", ALL, "per_month", total
    if measured.documents:
        yield "cost", ALL, "per_month_and_thousand_documents", total / measured.documents * 1000


def price_of(place: str, prices: Prices) -> float:
    """What a gigabyte costs a month at a place."""
    return float(getattr(prices, {"search index": "search_index"}.get(place, place.partition(" ")[0])))


def growth_figures(measured: Measured) -> Iterator[Figure]:
    """Documents, and of the full weeks their mean, the line through them and what it leads to."""
    yield "growth", ALL, "documents", float(measured.documents)
    yield "growth", ALL, "full_weeks", float(len(measured.weeks))
    if len(measured.weeks):
        yield "growth", ALL, "documents_per_week", float(measured.weeks["documents"].mean())
    line = measured.line
    if line is None:
        return
    yield "growth", ALL, "documents_more_each_week", line.slope
    yield "growth", ALL, "spread_of_a_week_documents", line.spread
    for ahead in FORECAST_WEEKS:
        subject, more = f"in {ahead} weeks", line.expected(ahead)
        yield "forecast", subject, "documents", measured.documents + more
        yield "forecast", subject, "spread_documents", line.spread_of_sum(ahead)
        if measured.documents:
            yield "forecast", subject, "bytes", measured.total_bytes * (1 + more / measured.documents)

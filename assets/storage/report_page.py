"""The report on storage as a page with tables and two pictures. What the figures are: `figures.py`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from assets.markdown import markdown_table
from assets.report_settings import Report
from assets.storage.figures import ALL, FORECAST_WEEKS, GIB, MIB, Measured
from assets.storage.latencies import SHARES

LARGEST_TABLES = 12


def describe(measured: Measured, figures: pd.DataFrame, settings: Report, sources: Sequence[str]) -> str:
    """The page, in Markdown; its pictures are named `latency.png` and `growth.png`.

    Args:
        measured: What was measured.
        figures: The same as rows (`figures_of`).
        settings: Prices and limits.
        sources: Those of the project.
    """
    keys = zip(figures["section"], figures["subject"], figures["metric"], strict=True)
    values = dict(zip(keys, figures["value"].astype(float), strict=True))
    return "\n\n".join(
        [
            f"## Reads and writes of the last {settings.window_days} days",
            describe_timings(measured.timings),
            "## Freshness",
            describe_freshness(values, sources),
            f"## Bytes and cost of a month in {settings.currency}",
            describe_bytes(measured, values, settings),
            f"## Files; small is below {settings.small_file_mib:g} MiB",
            describe_files(measured, values),
            "## Growth",
            describe_growth(measured, values),
        ]
    )


Values = dict[tuple[str, str, str], float]


def describe_timings(timings: pd.DataFrame) -> str:
    """Percentiles and failures by place and operation."""
    if timings.empty:
        return "Nothing was counted yet."
    rows = [
        [row["subject"], row["calls"], *(words_of_seconds(row[metric]) for metric in SHARES), row["errors"], row["retries"]]
        for row in timings.to_dict("records")
    ]
    table = markdown_table(["operation", "calls", "p50", "p95", "p99", "errors", "retries"], rows)
    return f"{table}\n\nTimes are at most so long: calls are counted in classes of 26 % from 0.1 ms on.\n\n![reads and writes](latency.png)"


def describe_freshness(values: Values, sources: Sequence[str]) -> str:
    """How old the newest published document of each source is."""
    lags = {source: values.get(("freshness", source, "lag_hours")) for source in sources}
    rows = [[source, "nothing is published" if lag is None else f"{lag:,.1f} h"] for source, lag in lags.items()]
    return markdown_table(["source", "since its newest published document was collected"], rows)


def describe_bytes(measured: Measured, values: Values, settings: Report) -> str:
    """Bytes and cost by place."""
    rows = [[place, words_of_bytes(size), f"{values['cost', place, 'per_month']:.4f}"] for place, size in measured.bytes.items()]
    rows.append([f"**{ALL}**", words_of_bytes(measured.total_bytes), f"{values['cost', ALL, 'per_month']:.4f}"])
    table = markdown_table(["place", "bytes", "cost"], rows)
    each = values.get(("cost", ALL, "per_month_and_thousand_documents"))
    if each is None:
        return f"{table}\n\nNo document is published yet."
    return f"{table}\n\n{measured.documents:,} documents are published: {each:.6f} {settings.currency} a month for every thousand."


def describe_files(measured: Measured, values: Values) -> str:
    """Files of the tables with most bytes."""
    largest = sorted(measured.tables, key=lambda table: (-values["files", table, "bytes"], table))[:LARGEST_TABLES]
    rows = []
    for table in (ALL, *largest):
        ratio = values.get(("files", table, "small_files_ratio"))
        size, count = values["files", table, "bytes"], values["files", table, "files"]
        rows.append([table, int(count), words_of_bytes(size), "" if ratio is None else f"{ratio:.0%}"])
    return markdown_table(["table", "files", "bytes", "small"], rows)


def describe_growth(measured: Measured, values: Values) -> str:
    """Documents a week, and where a straight line leads."""
    count, line = len(measured.weeks), measured.line
    if line is None:
        return f"A forecast needs 3 full weeks of collecting after the first; there are {count}."
    sentence = (
        f"In {count} full weeks {values['growth', ALL, 'documents_per_week']:,.0f} documents came in each on average, "
        f"{line.slope:+,.1f} from week to week; weeks differ from that line by {line.spread:,.1f}."
    )
    ahead_lines = []
    for ahead in FORECAST_WEEKS:
        subject = f"in {ahead} weeks"
        documents, spread = values["forecast", subject, "documents"], values["forecast", subject, "spread_documents"]
        size = values.get(("forecast", subject, "bytes"))
        bytes_then = "" if size is None else f", {words_of_bytes(size)} if a document takes as much as now"
        ahead_lines.append(f"- {subject}: {documents:,.0f} documents, give or take {spread:,.0f}{bytes_then}")
    caution = "A straight line knows nothing of seasons, new sources or what is thrown away."
    return "\n\n".join([sentence, "\n".join(ahead_lines), caution, "![growth](growth.png)"])


def draw_timings(timings: pd.DataFrame) -> bytes:
    """Median, 95th and 99th percentile of each operation on a logarithmic scale, as a PNG picture."""
    from assets.pictures import BLUE, GREY, new_figure, to_png

    figure, axes = new_figure(6.4, 1.2 + 0.32 * len(timings))
    places = np.arange(len(timings))[::-1]
    half, most, rare = (np.minimum(timings[name].to_numpy(float), 1e4) for name in SHARES)
    axes.hlines(places, half, rare, color=GREY)
    for points, mark, name in ((half, "o", "p50"), (most, "D", "p95"), (rare, "|", "p99")):
        axes.scatter(points, places, marker=mark, color=BLUE, label=name, zorder=3)
    axes.set_yticks(places, timings["subject"])
    axes.set(xscale="log", xlabel="seconds", ylim=(-0.6, len(timings) - 0.4))
    axes.legend(fontsize=8)
    return to_png(figure, None)


def draw_growth(measured: Measured) -> bytes:
    """Documents of each full week, and the line with its spread, twelve weeks on, as a PNG picture."""
    from assets.pictures import BLUE, GREY, new_figure, to_png

    line, weeks = measured.line, measured.weeks
    if line is None:
        raise ValueError("expected a line through three weeks or more, found none")
    numbers = np.arange(len(weeks) + FORECAST_WEEKS[-1])
    middle = np.maximum(0, line.start + line.slope * numbers)
    dates = pd.date_range(weeks["week"].iloc[0], periods=len(numbers), freq="7D")
    figure, axes = new_figure(6.4, 3.6)
    axes.bar(weeks["week"], weeks["documents"], width=5, color=GREY)
    axes.plot(dates, middle, color=BLUE)
    axes.fill_between(dates, np.maximum(0, middle - line.spread), middle + line.spread, color=BLUE, alpha=0.15)
    axes.set(ylabel="documents a week", title="A straight line through the full weeks, and their spread")
    figure.autofmt_xdate()
    return to_png(figure, None)


def words_of_bytes(size: float) -> str:
    """A number of bytes for people."""
    for limit, unit in ((GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")):
        if size >= limit:
            return f"{size / limit:,.1f} {unit}"
    return f"{size:,.0f} B"


def words_of_seconds(seconds: float) -> str:
    """A time for people."""
    return f"{seconds * 1000:,.1f} ms" if seconds < 1 else f"{seconds:,.1f} s"

"""Percentiles and rates of what was counted of reads and writes. Counting: `resources/timings.py`."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

SHARES = {"p50_seconds": 0.50, "p95_seconds": 0.95, "p99_seconds": 0.99}
# Counts of all processes that committed something since `$since`.
TIMINGS_SQL = """
SELECT place || ' ' || operation AS subject, calls, errors, retries, histogram
FROM lake.main.increment_timings WHERE written_at >= $since ORDER BY ALL"""


def summarize_timings(timings: pd.DataFrame) -> pd.DataFrame:
    """One row per subject: `subject`, `calls`, `errors`, `retries`, and the percentiles of `SHARES` in seconds.

    Args:
        timings: One row per process and subject: `subject`, `calls`, `errors`, `retries`, `histogram` (calls by the upper end of their
            bucket in seconds, as JSON).
    """
    rows = []
    for subject, group in timings.groupby("subject"):
        histogram = add_histograms(group["histogram"])
        counts = {name: int(group[name].sum()) for name in ("calls", "errors", "retries")}
        rows.append({"subject": subject, **counts, **{name: percentile(histogram, share) for name, share in SHARES.items()}})
    return pd.DataFrame(rows, columns=["subject", "calls", "errors", "retries", *SHARES])


def add_histograms(histograms: Iterable[str]) -> dict[float, int]:
    """Several histograms as one, shortest times first."""
    total: Counter[float] = Counter()
    for text in histograms:
        total.update({float(end): count for end, count in json.loads(text).items()})
    return dict(sorted(total.items()))


def percentile(histogram: Mapping[float, int], share: float) -> float:
    """End of the bucket in which that share of the calls is reached: at most one bucket longer than the percentile.

    Args:
        histogram: Calls by upper end, shortest first; not empty.
        share: Above 0, at most 1.
    """
    wanted, reached = share * sum(histogram.values()), 0
    for end, count in histogram.items():
        reached += count
        if reached >= wanted - 1e-9:
            return end
    raise ValueError(f"expected calls in the histogram and a share of at most 1, found {dict(histogram)} and {share}")


def failure_ratio(summary: pd.DataFrame) -> float:
    """Share of reads and writes that failed, 0 without any; waiting for one's turn is a part of them and does not count again."""
    counted = summary[~summary["subject"].str.endswith(" wait")]
    calls = int(counted["calls"].sum())
    return int(counted["errors"].sum()) / calls if calls else 0.0

"""What `GET /metrics` says of the stored data, and of reads and writes by this process; requests are counted in `guard.py`.

Labels are names from the project file, of places and of operations: never what somebody wrote or asked, never whose token it was.
"""

import time
from collections.abc import Callable, Iterator

import duckdb
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from assets.storage.figures import FRESHNESS_SQL
from resources.compaction import measure_files
from resources.lakehouse import Lakehouse, LakehouseError
from resources.search_engine import SearchEngine, SearchIndexError
from resources.timings import BUCKETS, Timings

KEPT_SECONDS = 60.0
SHOWN_BUCKETS = (*BUCKETS[:-1:5], BUCKETS[-1])
"""Two a decade: each is a series of its own for every operation."""


class StorageMetrics(Collector):
    """Figures of the stored data, looked up at most once a minute, since every look waits for its turn at the lakehouse.

    When the lakehouse does not answer, `textmill_lakehouse_up` is 0 and the figures that come from it are left out.

    Args:
        lakehouse: The tables.
        index: The search index.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, lakehouse: Lakehouse, index: SearchEngine, clock: Callable[[], float] = time.monotonic) -> None:
        self._lakehouse, self._index, self._clock = lakehouse, index, clock
        self._kept: list[Metric] = []
        self._kept_until = clock()

    def collect(self) -> Iterator[Metric]:
        """All figures; see the protocol of prometheus_client."""
        now = self._clock()
        if now >= self._kept_until:
            self._kept, self._kept_until = list(self._look_up()), now + KEPT_SECONDS
        yield from self._kept
        yield from timing_metrics(self._lakehouse.timings)

    def _look_up(self) -> Iterator[Metric]:
        yield from self._look_at_index()
        try:
            newest, (files, size) = self._lakehouse.read(FRESHNESS_SQL), measure_files(self._lakehouse)
        except (LakehouseError, duckdb.Error):
            yield gauge("textmill_lakehouse_up", "Whether the lakehouse answered.", 0)
            return
        yield gauge("textmill_lakehouse_up", "Whether the lakehouse answered.", 1)
        documents = GaugeMetricFamily("textmill_documents", "Published documents.", labels=["source"])
        times = GaugeMetricFamily(
            "textmill_newest_document_timestamp_seconds", "When the newest published document was collected.", labels=["source"]
        )
        for row in newest.to_dict("records"):
            documents.add_metric([row["source"]], row["documents"])
            times.add_metric([row["source"]], row["newest"].timestamp())
        yield from (documents, times)
        yield gauge("textmill_lakehouse_files", "Data files of the present tables.", files)
        catalog = self._lakehouse.place.catalog_bytes()
        sizes = GaugeMetricFamily("textmill_lakehouse_bytes", "Bytes of the present tables, and of the catalog.", labels=["part"])
        sizes.add_metric(["tables"], size)
        sizes.add_metric(["catalog"], catalog)
        yield sizes

    def _look_at_index(self) -> Iterator[Metric]:
        try:
            documents, size = self._index.count(), self._index.size_bytes()
        except SearchIndexError:
            yield gauge("textmill_search_index_up", "Whether the search index answered.", 0)
            return
        yield gauge("textmill_search_index_up", "Whether the search index answered.", 1)
        yield gauge("textmill_search_index_documents", "Documents in the search index.", documents)
        yield gauge("textmill_search_index_bytes", "Bytes of the search index.", size)


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    """One number that goes up and down."""
    return GaugeMetricFamily(name, meaning, value=value)


def timing_metrics(timings: Timings) -> Iterator[Metric]:
    """Reads and writes of this process: times, failures, further attempts."""
    labels = ["place", "operation"]
    seconds = HistogramMetricFamily("textmill_operation_seconds", "Time of reads and writes by this process.", labels=labels)
    errors = CounterMetricFamily("textmill_operation_errors", "Reads and writes that failed.", labels=labels)
    retries = CounterMetricFamily("textmill_operation_retries", "Further attempts after a lock or a conflict.", labels=labels)
    for key, timing in timings.read().items():
        counts = {end: sum(count for at, count in timing.histogram.items() if at <= end) for end in SHOWN_BUCKETS}
        seconds.add_metric(key, [("+Inf" if end == BUCKETS[-1] else repr(end), count) for end, count in counts.items()], timing.seconds)
        errors.add_metric(key, timing.errors)
        retries.add_metric(key, timing.retries)
    yield from (seconds, errors, retries)

"""How long reads and writes of lakehouse and object store take, and how often they fail or are tried again.

What belongs here: counting. Who counts: `lakehouse.py` and `timed_object_store.py`. Where counts are kept: `ledger.py` writes them with
each commit; the data access API shows those of its own process. What they say: `assets/storage/`.
"""

import json
import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock

# Ten a decade from 0.1 ms to 1,000 s: the end of a bucket is at most 26 % longer than any time in it.
BUCKETS = (*(float(f"{10 ** (power / 10):.4g}") for power in range(-40, 31)), math.inf)
"""Upper ends in seconds."""


@dataclass
class Timing:
    """What was counted of one operation at one place.

    Attributes:
        calls: How often it was done, failures included.
        errors: How many of them failed in the end.
        retries: How often it was tried again.
        seconds: Time of all calls together.
        histogram: Calls by the upper end of their bucket, one of `BUCKETS`.
    """

    calls: int = 0
    errors: int = 0
    retries: int = 0
    seconds: float = 0.0
    histogram: Counter[float] = field(default_factory=Counter)

    def add(self, other: "Timing") -> None:
        """Add another count to this one."""
        self.calls += other.calls
        self.errors += other.errors
        self.retries += other.retries
        self.seconds += other.seconds
        self.histogram.update(other.histogram)

    def to_json(self) -> str:
        """The histogram as text: calls by upper end in seconds."""
        return json.dumps({f"{end:g}": self.histogram[end] for end in sorted(self.histogram)})


Key = tuple[str, str]
"""Place (`lakehouse`, `object_store`, `backups`) and operation (`read`, `commit`, `put`, …)."""


class Timings:
    """The counts of one process since they were last taken; any thread may count."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[Key, Timing] = {}

    @contextmanager
    def observe(self, place: str, operation: str, answers: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
        """Count what is done in the block.

        Args:
            place: Where.
            operation: What.
            answers: Exceptions that are an answer and no failure, such as that there is no such object.
        """
        start, failed = time.perf_counter(), True
        try:
            yield
            failed = False
        except answers:
            failed = False
            raise
        finally:
            self.count(place, operation, time.perf_counter() - start, failed=failed)

    def count(self, place: str, operation: str, seconds: float, *, failed: bool = False) -> None:
        """Count one call that took so long."""
        end = BUCKETS[bisect_left(BUCKETS, seconds)]
        with self._lock:
            self._of(place, operation).add(Timing(1, int(failed), 0, seconds, Counter({end: 1})))

    def count_retry(self, place: str, operation: str) -> None:
        """Count that a call is tried again."""
        with self._lock:
            self._of(place, operation).retries += 1

    def read(self) -> dict[Key, Timing]:
        """A copy of what was counted."""
        with self._lock:
            return {key: replace(timing, histogram=timing.histogram.copy()) for key, timing in self._counts.items()}

    @contextmanager
    def taken(self) -> Iterator[Mapping[Key, Timing]]:
        """What was counted, for the block to keep; counting begins anew. When the block fails, it is counted as if never taken."""
        with self._lock:
            taken, self._counts = self._counts, {}
        try:
            yield taken
        except BaseException:
            with self._lock:
                for (place, operation), timing in taken.items():
                    self._of(place, operation).add(timing)
            raise

    def _of(self, place: str, operation: str) -> Timing:
        return self._counts.setdefault((place, operation), Timing())

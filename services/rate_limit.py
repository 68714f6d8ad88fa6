"""How many requests one caller may make: a token bucket per caller, in memory. Several servers each have their own."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CALLERS = 10_000
"""Callers remembered; the one that has been silent longest is forgotten first."""


class RateLimit:
    """A bucket per caller that fills at a steady rate and holds one minute's requests."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """All buckets are full.

        Args:
            per_minute: Requests.
            clock: Seconds.
        """
        self._most, self._clock = float(per_minute), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, caller: str) -> float:
        """Take one request out of the caller's bucket; 0 when there was one, else how long until there is."""
        with self._lock:
            now = self._clock()
            left, at = self._buckets.pop(caller, (self._most, now))
            left = min(self._most, left + (now - at) * self._most / 60)
            is_allowed = left >= 1
            self._buckets[caller] = (left - is_allowed, now)
            if len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
            return 0.0 if is_allowed else (1 - left) * 60 / self._most

"""How fast one host is asked. Threads may share a pace."""

import threading
import time
from collections.abc import Callable


class Pace:
    """Requests to one host keep a distance in time.

    Args:
        interval_seconds: Shortest time between two requests to a host that asks for no longer one.
        clock: Tells the time in seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self, interval_seconds: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._interval = interval_seconds
        self._intervals: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()
        self._clock = clock
        self._sleep = sleep

    def slow_down(self, host: str, interval_seconds: float) -> None:
        """A host asks for a longer time between requests; a shorter one changes nothing."""
        with self._lock:
            self._intervals[host] = max(interval_seconds, self._intervals.get(host, self._interval))

    def pause(self, host: str, seconds: float) -> None:
        """A host wants to be left alone for some time."""
        with self._lock:
            self._next[host] = max(self._next.get(host, 0.0), self._clock() + seconds)

    def wait(self, host: str) -> None:
        """Waits until the next request to a host is due, and takes its place."""
        with self._lock:
            now = self._clock()
            due = max(now, self._next.get(host, now))
            self._next[host] = due + self._intervals.get(host, self._interval)
        if due > now:
            self._sleep(due - now)

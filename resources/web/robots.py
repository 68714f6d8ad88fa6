"""What the robots.txt files of hosts permit (RFC 9309), remembered for as long as the collector reads."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from protego import Protego

from resources.web.policy import PRODUCT, WebError

MAX_ROBOTS_BYTES = 512_000
"""What is read of a robots.txt; RFC 9309 asks for 500 KiB at least."""


@dataclass(frozen=True)
class RobotsFile:
    """The answer for a robots.txt: its status, and its bytes when that is 200."""

    status: int
    body: bytes


class Robots:
    """Rules by origin. Threads may share them; one of them reads a file, the others wait.

    Args:
        read: Reads the robots.txt at an address.
    """

    def __init__(self, read: Callable[[str], RobotsFile]) -> None:
        self._read = read
        self._rules: dict[str, Protego | WebError] = {}
        self._lock = threading.Lock()

    def permit(self, url: str, origin: str) -> float:
        """Permission to read an address: how many seconds apart the host wants its requests.

        Args:
            url: The address.
            origin: Scheme, host and port of it: `https://example.com`.

        Raises:
            WebError: Its robots.txt forbids it, or cannot be read.
        """
        with self._lock:
            if origin not in self._rules:
                self._rules[origin] = self._load(origin)
            rules = self._rules[origin]
        if isinstance(rules, WebError):
            raise WebError(rules.reason, str(rules))
        if not rules.can_fetch(url, PRODUCT):
            raise WebError("robots_disallowed", f"expected {origin}/robots.txt to permit {PRODUCT} to read the address, found it forbidden")
        rate = rules.request_rate(PRODUCT)
        return max(rules.crawl_delay(PRODUCT) or 0.0, rate.seconds / rate.requests if rate and rate.requests else 0.0)

    def _load(self, origin: str) -> Protego | WebError:
        """The rules; all is permitted where there is no such file, nothing where the server fails (RFC 9309, section 2.3.1)."""
        try:
            found = self._read(f"{origin}/robots.txt")
        except WebError as error:
            return error
        if found.status == 200:
            return Protego.parse(found.body.decode("utf-8", "replace"))
        if 400 <= found.status < 500 and found.status != 429:
            return Protego.parse("")
        return WebError("robots_unreadable", f"expected status 200 or 404 from {origin}/robots.txt, found {found.status}; nothing is read")

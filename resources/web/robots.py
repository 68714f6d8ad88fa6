"""What the robots.txt files of hosts permit (RFC 9309), remembered for as long as the collector reads."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from protego import Protego

from resources.web.policy import PRODUCT, WebError
from resources.web.rights import AI_AGENTS, forbids_training

MAX_ROBOTS_BYTES = 512_000
"""What is read of a robots.txt; RFC 9309 asks for 500 KiB at least."""


@dataclass(frozen=True)
class RobotsFile:
    """The answer for a robots.txt: its status, and its bytes when that is 200."""

    status: int
    body: bytes


@dataclass(frozen=True)
class _Rules:
    """What one host says: to crawlers, about training in general, and in its ai.txt."""

    robots: Protego
    forbids_training: bool
    ai: Protego


class Robots:
    """Rules by origin. Threads may share them; one of them reads a file, the others wait.

    Args:
        read: Reads the robots.txt or ai.txt at an address.
    """

    def __init__(self, read: Callable[[str], RobotsFile]) -> None:
        self._read = read
        self._rules: dict[str, _Rules | WebError] = {}
        self._lock = threading.Lock()

    def permit(self, url: str, origin: str) -> float:
        """Permission to read an address: how many seconds apart the host wants its requests.

        Args:
            url: The address.
            origin: Scheme, host and port of it: `https://example.com`.

        Raises:
            WebError: Its robots.txt forbids it, or cannot be read.
        """
        rules = self._rules_of(origin).robots
        if not rules.can_fetch(url, PRODUCT):
            raise WebError("robots_disallowed", f"expected {origin}/robots.txt to permit {PRODUCT} to read the address, found it forbidden")
        rate = rules.request_rate(PRODUCT)
        return max(rules.crawl_delay(PRODUCT) or 0.0, rate.seconds / rate.requests if rate and rate.requests else 0.0)

    def training_signal(self, url: str, origin: str) -> str | None:
        """`robots_txt` or `ai_txt` where one of these files speaks against training on an address that may be read; else None."""
        rules = self._rules_of(origin)
        if rules.forbids_training or not all(rules.robots.can_fetch(url, agent) for agent in AI_AGENTS):
            return "robots_txt"
        return None if rules.ai.can_fetch(url, PRODUCT) else "ai_txt"

    def _rules_of(self, origin: str) -> _Rules:
        with self._lock:
            if origin not in self._rules:
                self._rules[origin] = self._load(origin)
            rules = self._rules[origin]
        if isinstance(rules, WebError):
            raise WebError(rules.reason, str(rules))
        return rules

    def _load(self, origin: str) -> _Rules | WebError:
        """The rules; all is permitted where there is no such file, nothing where the server fails (RFC 9309, section 2.3.1)."""
        try:
            found = self._read(f"{origin}/robots.txt")
        except WebError as error:
            return error
        if found.status == 200 or (400 <= found.status < 500 and found.status != 429):
            text = found.body.decode("utf-8", "replace")
            return _Rules(Protego.parse(text), forbids_training(text), self._load_ai(origin))
        return WebError("robots_unreadable", f"expected status 200 or 404 from {origin}/robots.txt, found {found.status}; nothing is read")

    def _load_ai(self, origin: str) -> Protego:
        """The rules of ai.txt, which is written like a robots.txt; one that cannot be read says nothing."""
        try:
            found = self._read(f"{origin}/ai.txt")
        except WebError:
            return Protego.parse("")
        return Protego.parse(found.body.decode("utf-8", "replace"))

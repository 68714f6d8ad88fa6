"""How the web may be asked: the limits and manners of one source, and the error of an address that could not be read."""

from dataclasses import dataclass

PRODUCT = "textmill"
"""The name that robots.txt files address."""
VERSION = "0.1"


class WebError(Exception):
    """An address could not be read.

    Attributes:
        reason: Short stable reason.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class FetchPolicy:
    """Limits and manners; the defaults are those of the project file.

    Attributes:
        max_bytes: Longest body, after decompression.
        max_decompression_ratio: Most bytes that one compressed byte may become, once a megabyte has come out.
        max_redirects: Redirects that are followed.
        timeout_seconds: Longest silence of a server.
        total_seconds: Longest time for one answer, from connecting to its last byte.
        retries: Further attempts after a broken connection, a time-out, or a server that is busy or fails.
        pause_seconds: Pause before the first further attempt, unless the server names one; it doubles each time.
        longest_pause_seconds: A server that asks for a longer pause, or for more seconds between requests, is left alone.
        requests_per_second: Most requests per second to one host; its robots.txt may ask for fewer.
        honours_robots: Whether robots.txt decides what is asked for.
        allow_private_hosts: Hosts, as addresses name them, that may be on this machine or in a private network.
        contact: Where operators of web sites find who is asking: an address of a page or of mail.
    """

    max_bytes: int = 64_000_000
    max_decompression_ratio: float = 200.0
    max_redirects: int = 5
    timeout_seconds: float = 20.0
    total_seconds: float = 120.0
    retries: int = 2
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    requests_per_second: float = 2.0
    honours_robots: bool = True
    allow_private_hosts: tuple[str, ...] = ()
    contact: str | None = None

    @property
    def user_agent(self) -> str:
        """Name, version and, where it is known, whom to ask (RFC 9110, section 10.1.5)."""
        return f"{PRODUCT}/{VERSION}" + (f" (+{self.contact})" if self.contact else "")

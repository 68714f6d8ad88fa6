"""Reading one address over HTTP, with limits and retries. Feeds and their entries are in `resources/channels/feeds.py`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

import httpx2

USER_AGENT = "textmill/0.1"
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class WebError(Exception):
    """An address could not be read."""


class TooLargeError(WebError):
    """The body goes beyond the limit; reading stopped there."""


@dataclass(frozen=True)
class Reply:
    """One answer of a server.

    Attributes:
        url: The address after redirects.
        status: 200, or 304 when a conditional request found nothing new.
        headers: Header values by lower-case name.
        body: The bytes, decompressed.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case; empty when the server named none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset parameter of the content type."""
        message = Message()
        message["content-type"] = self.headers.get("content-type", "")
        return message.get_content_charset()


class WebReader:
    """A client that names itself, follows a few redirects, limits bytes and seconds, and retries what may pass.

    Threads may share it. Close it, or use it in a `with` statement.

    Args:
        timeout_seconds: Longest silence; a whole body may take ten times as long.
        max_bytes: Longest body, after decompression.
        retries: Further attempts after a time-out, a broken connection or one of `RETRIED_STATUSES`.
        pause_seconds: Pause before the first retry; it doubles each time.
    """

    def __init__(self, timeout_seconds: float, max_bytes: int, retries: int = 2, pause_seconds: float = 0.25) -> None:
        self.timeout_seconds = timeout_seconds
        self.max_bytes = max_bytes
        self.retries = retries
        self.pause_seconds = pause_seconds
        # Only gzip: its ratio is bounded to about 1:1000 per chunk, which keeps the byte limit honest.
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
        # A proxy named by the environment serves the outside only.
        direct = {f"all://{host}": None for host in _LOOPBACK}
        self._client = httpx2.Client(headers=headers, timeout=timeout_seconds, follow_redirects=True, max_redirects=5, mounts=direct)

    def __enter__(self) -> "WebReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Reads an address.

        Args:
            url: An http or https address.
            headers: Further headers, for conditional requests.

        Raises:
            TooLargeError: The body is longer than `max_bytes`.
            WebError: No answer, or one that is neither 200 nor 304; says which.
        """
        for attempt in range(self.retries + 1):
            is_last = attempt == self.retries
            try:
                reply = self._attempt(url, headers or {})
            except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.CookieConflict) as error:
                if is_last or not isinstance(error, httpx2.TransportError):
                    raise WebError(f"expected an answer from {url}, found {type(error).__name__}: {error}") from error
            else:
                if reply.status in (200, 304):
                    return reply
                if is_last or reply.status not in RETRIED_STATUSES:
                    raise WebError(f"expected status 200 from {url}, found {reply.status}")
            time.sleep(self.pause_seconds * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, url: str, headers: Mapping[str, str]) -> Reply:
        with self._client.stream("GET", url, headers=dict(headers)) as response:
            body = self._body(response, url) if response.status_code == 200 else b""
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return Reply(str(response.url), response.status_code, lowered, body)

    def _body(self, response: httpx2.Response, url: str) -> bytes:
        deadline = time.monotonic() + 10 * self.timeout_seconds
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self.max_bytes:
                raise TooLargeError(f"expected at most {self.max_bytes} bytes from {url}, found more; reading stopped there")
            if time.monotonic() > deadline:
                raise WebError(
                    f"expected the whole of {url} within {10 * self.timeout_seconds:.0f} seconds, found {len(body)} bytes by then"
                )
        return bytes(body)

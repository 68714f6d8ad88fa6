"""Reading one address: permission, pace, limits, redirects and further attempts. What a channel asks for is in `resources/channels`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime

import httpcore2
import httpx2

from resources.web.connections import CheckedNetwork, Deadline, Resolver, resolve
from resources.web.decompression import Decompressor
from resources.web.pacing import Pace
from resources.web.policy import FetchPolicy, WebError
from resources.web.rights import header_signal
from resources.web.robots import MAX_ROBOTS_BYTES, Robots, RobotsFile

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_CONDITIONS = {"etag": "If-None-Match", "last_modified": "If-Modified-Since"}
_CONNECTIONS = 10
_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Reply:
    """One answer of a server.

    Attributes:
        url: The address after redirects.
        status: 200, or 304 when a conditional request found nothing new.
        headers: Header values by lower-case name; of a header that is there several times, all, separated by commas.
        body: The bytes, decompressed.
        robots_allowed: The host's robots.txt permits it; None where it was not asked.
        ai_training_signal: What speaks against training models on it: a header, robots.txt or ai.txt.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    robots_allowed: bool | None = None
    ai_training_signal: str | None = None

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

    @property
    def validators(self) -> dict[str, str]:
        """What the server knows this version of the object by; `conditions` asks for it again only if it changed."""
        return {name: self.headers.get(name.replace("_", "-"), "") for name in _CONDITIONS}


def conditions(validators: Mapping[str, str]) -> dict[str, str]:
    """Headers that ask for an object unless it is the one with these validators; other names among them mean nothing."""
    return {header: validators[name] for name, header in _CONDITIONS.items() if validators.get(name)}


class WebReader:
    """Reads addresses as its policy permits. Threads may share it. Close it, or use it in a `with` statement.

    Args:
        policy: Limits and manners.
        resolver: Finds the addresses of hosts.
    """

    def __init__(self, policy: FetchPolicy, resolver: Resolver = resolve) -> None:
        self.policy = policy
        self._pace = Pace(1 / policy.requests_per_second)
        self._deadline = Deadline(policy.total_seconds)
        self._robots = Robots(self._read_robots)
        network = CheckedNetwork(self._deadline, policy.allow_private_hosts, resolver)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(), max_connections=_CONNECTIONS, network_backend=network
        )

    def __enter__(self) -> "WebReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def get(self, url: str, headers: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None) -> Reply:
        """Reads an address. No error quotes a query, a header or a password.

        Args:
            url: An http or https address.
            headers: Further headers, for conditional requests.
            secrets: Headers for the server of `url` only, not for those it redirects to.

        Raises:
            WebError: It may not be read, a limit was passed, or there is no answer with status 200 or 304.
        """
        reply = self._persist(url, headers or {}, secrets or {}, check_robots=self.policy.honours_robots)
        if reply.status not in (200, 304):
            raise WebError("fetch_failed", f"expected status 200 from {shown(url)}, found {reply.status}")
        return reply

    def _read_robots(self, url: str) -> RobotsFile:
        reply = self._persist(url, {}, {}, check_robots=False, max_bytes=MAX_ROBOTS_BYTES)
        return RobotsFile(reply.status, reply.body)

    def _persist(
        self, url: str, headers: Mapping[str, str], secrets: Mapping[str, str], *, check_robots: bool, max_bytes: int | None = None
    ) -> Reply:
        """The answer of the first attempt that neither breaks nor finds the server busy, or of the last one."""
        for attempt in range(self.policy.retries + 1):
            is_last = attempt == self.policy.retries
            wait = self.policy.pause_seconds * 2**attempt
            try:
                reply = self._follow(url, headers, secrets, check_robots, max_bytes)
            except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
                if is_last:
                    raise WebError(
                        "fetch_failed", f"expected an answer from {shown(url)}, found {type(error).__name__}: {error}"
                    ) from error
            else:
                if reply.status not in _TRANSIENT:
                    return reply
                wait = self._asked_pause(reply, wait)
                if is_last:
                    return reply
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _asked_pause(self, reply: Reply, otherwise: float) -> float:
        """How long to wait before the next attempt: what the server asks for (`Retry-After`), or else what we think.

        Raises:
            WebError: It asks for more than we wait.
        """
        asked = seconds_asked(reply.headers.get("retry-after", ""), datetime.now(UTC))
        if asked is None:
            return otherwise
        if asked > self.policy.longest_pause_seconds:
            limit = f"expected {shown(reply.url)} to answer within {self.policy.longest_pause_seconds:g} seconds"
            raise WebError("server_busy", f"{limit}, found status {reply.status} and a request to wait {asked:.0f} seconds")
        self._pace.pause(parse_url(reply.url).host, asked)
        return 0.0

    def _follow(self, url: str, headers: Mapping[str, str], secrets: Mapping[str, str], check_robots: bool, max_bytes: int | None) -> Reply:
        """One attempt, through redirects; every step asks for permission and keeps the pace."""
        target = first = parse_url(url)
        for _ in range(self.policy.max_redirects + 1):
            interval = self._robots.permit(str(target), origin_of(target)) if check_robots else 0.0
            self._keep_pace(target, interval)
            own = secrets if origin_of(target) == origin_of(first) else {}
            reply = self._request(target, {**headers, **own}, max_bytes)
            if reply.status not in _REDIRECTS or "location" not in reply.headers:
                return self._with_rights(reply, target) if check_robots else reply
            target = parse_url(reply.headers["location"].encode("latin-1").decode("utf-8", "replace"), target)
        raise WebError("too_many_redirects", f"expected at most {self.policy.max_redirects} redirects from {shown(url)}, found more")

    def _with_rights(self, reply: Reply, target: httpx2.URL) -> Reply:
        signal = reply.ai_training_signal or self._robots.training_signal(str(target), origin_of(target))
        return replace(reply, robots_allowed=True, ai_training_signal=signal)

    def _keep_pace(self, target: httpx2.URL, interval: float) -> None:
        if interval > self.policy.longest_pause_seconds:
            found = f"found {interval:g} in its robots.txt"
            expected = f"expected {target.host} to take a request every {self.policy.longest_pause_seconds:g} seconds"
            raise WebError("crawl_delay_too_long", f"{expected}, {found}")
        self._pace.slow_down(target.host, interval)
        self._pace.wait(target.host)

    def _request(self, target: httpx2.URL, headers: Mapping[str, str], max_bytes: int | None) -> Reply:
        """One request and its answer; a body only where the status is 200."""
        # Only gzip is asked for: what else a server could send we would have to open with limits, too.
        sent = {"Host": target.netloc.decode("ascii"), "User-Agent": self.policy.user_agent, "Accept-Encoding": "gzip", **headers}
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in sent.items()]
        parts = httpcore2.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self.policy.timeout_seconds)
        self._deadline.start()
        try:
            with self._pool.stream("GET", parts, headers=raw, extensions={"timeout": timeouts}) as response:
                found = _joined(response.headers)
                body = self._body(response, found, max_bytes) if response.status == 200 else b""
        except httpcore2.TimeoutException as error:
            if self._deadline.is_over():
                found_time = f"expected the whole of {shown(str(target))} within {self.policy.total_seconds:g} seconds, found more to come"
                raise WebError("fetch_too_slow", found_time) from error
            raise
        except httpcore2.LocalProtocolError:
            # Without the error itself: it quotes the header, which may hold a key.
            raise WebError("malformed_request", f"expected headers that can be sent to {target.host}, found one that cannot") from None
        except WebError as error:
            raise WebError(error.reason, f"{error} ({shown(str(target))})") from error
        return Reply(str(target), response.status, found, body, ai_training_signal=header_signal(found))

    def _body(self, response: httpcore2.Response, headers: Mapping[str, str], cut_at: int | None) -> bytes:
        """The whole body, or its beginning where `cut_at` says how much is enough."""
        opened = Decompressor(headers.get("content-encoding", ""), self.policy.max_bytes, self.policy.max_decompression_ratio)
        body = bytearray()
        for chunk in response.iter_stream():
            body += opened.feed(chunk)
            if cut_at is not None and len(body) > cut_at:
                return bytes(body[:cut_at])
        opened.finish()
        return bytes(body)


def parse_url(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """An address that can be asked for, without its fragment.

    Args:
        url: The address.
        base: Where a relative one counts from.

    Raises:
        WebError: It is none, or one that names a user.
    """
    try:
        found = (base.join(url) if base is not None else httpx2.URL(url)).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise WebError("malformed_address", f"expected a web address, found {type(error).__name__}: {error!s:.100}") from None
    if found.port == 0 or (found.port or 1) > _HIGHEST_PORT or "%" in found.host:
        raise WebError("malformed_address", f"expected a host and a port up to {_HIGHEST_PORT}, found {found.host!r:.60} and {found.port}")
    if found.scheme not in ("http", "https") or not found.host:
        raise WebError("address_not_allowed", f"expected an http or https address with a host, found the scheme {found.scheme!r:.20}")
    if found.userinfo:
        raise WebError("address_not_allowed", f"expected an address of {found.host} without user name and password, found one with them")
    return found


def origin_of(url: httpx2.URL) -> str:
    """Scheme, host and port of an address."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def shown(url: str) -> str:
    """An address as messages may quote it: without query and user, which may hold secrets."""
    head, _, tail = url.partition("://")
    place = tail.partition("#")[0].partition("?")[0]
    host, slash, path = place.partition("/")
    return f"{head}://{host.rpartition('@')[2]}{slash}{path}" if tail else head.partition("?")[0]


def seconds_asked(value: str, now: datetime) -> float | None:
    """The pause that `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3); None where it says neither."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds(), 0.0)


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found

"""In front of every request of the data access API: who asks, how often, and that it is written down before anything is answered.

ASGI middleware. It looks the bearer token up, counts the request, and holds the answer back until the audit log has it. Whether the
identity may call the endpoint is decided behind it (`api.py`); what of the data it sees, in `visibility.py`.
"""

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resources.access_store import AccessStore, Identity
from resources.audit_log import Access, AuditLog
from services.rate_limit import RateLimit

OPEN_PATHS = ("/health", "/openapi.json")
"""What says nothing about the data: answered without a token, and not written down."""
MOST_CHARS = 2000
"""Of a path or query in the audit log."""


class Guard:
    """Identifies, counts and records.

    After it, `request.state.identity` is whom the token stands for, or None. An endpoint that changes something calls
    `request.state.write_down(status, name=value, …)` before it does: then the log has what was changed even if no answer follows.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: AccessStore,
        log: AuditLog,
        limit: RateLimit,
        registry: CollectorRegistry,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.app, self._store, self._log, self._limit, self._now = app, store, log, limit, now
        self._requests = Counter("textmill_api_requests", "Requests answered.", ["method", "route", "status", "role"], registry=registry)
        self._seconds = Histogram("textmill_api_request_seconds", "Time to the answer's beginning.", ["route"], registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429 when there were too many requests; else hand the request on."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        request, start = Request(scope), time.perf_counter()
        request.state.identity = await run_in_threadpool(self._identify, request.headers.get("authorization", ""))
        wait = self._limit.wait_seconds(caller_of(request))
        if wait:  # not written down: a flood must not fill the log
            self._measure(request, 429, time.perf_counter() - start)
            await too_many(wait)(scope, receive, send)
            return
        await self._answer(request, receive, send, start)

    async def _answer(self, request: Request, receive: Receive, send: Send, start: float) -> None:
        """Hand the request on; nothing of the answer leaves before the log has it."""
        is_answered, written = False, set[int]()

        def write_down(status: int, **changes: str) -> None:
            self._log.append(access_of(request, status, changes))
            written.add(status)

        async def record(status: int) -> None:
            nonlocal is_answered
            is_answered = True
            if status not in written:
                await run_in_threadpool(self._log.append, access_of(request, status))
            self._measure(request, status, time.perf_counter() - start)

        async def record_then_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await record(message["status"])
            await send(message)

        request.state.write_down = write_down
        try:
            await self.app(request.scope, receive, record_then_send)
        except Exception:
            if not is_answered:
                await record(500)
            raise

    def _identify(self, header: str) -> Identity | None:
        scheme, _, token = header.partition(" ")
        found = self._store.find(token) if scheme.lower() == "bearer" and token else None
        return found if found is not None and found.is_valid(self._now()) else None

    def _measure(self, request: Request, status: int, seconds: float) -> None:
        route = getattr(request.scope.get("route"), "path", "none")
        method = request.method if request.method in {"GET", "POST", "HEAD"} else "other"
        role = request.state.identity.role if request.state.identity else "none"
        self._requests.labels(method, route, str(status), role).inc()
        self._seconds.labels(route).observe(seconds)


def client_of(request: Request) -> str:
    """Address that the request came from; behind a proxy the proxy's."""
    return request.client.host if request.client else "unknown"


def caller_of(request: Request) -> str:
    """Whose requests are counted together: those of a token, or those of an address without a valid one."""
    identity = request.state.identity
    return f"token {identity.token_id}" if identity else f"address {client_of(request)}"


def access_of(request: Request, status: int, changes: Mapping[str, str] = MappingProxyType({})) -> Access:
    """What the audit log keeps of a request, and what it changed beside its query; signatures are secrets and stay out."""
    identity = request.state.identity
    query = [(name, value) for name, value in parse_qsl(request.url.query, keep_blank_values=True) if name != "signature"]
    return Access(
        token_id=identity.token_id if identity else None,
        name=identity.name if identity else None,
        role=identity.role if identity else None,
        client=client_of(request),
        method=printable(request.method)[:20],
        path=printable(request.scope["path"]),
        query=printable(urlencode([*query, *changes.items()])),
        status=status,
    )


def printable(text: str) -> str:
    """The beginning of a text, in characters that every database stores."""
    return text[:MOST_CHARS].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def too_many(wait_seconds: float) -> JSONResponse:
    """The answer to somebody who asks too often."""
    seconds = math.ceil(wait_seconds)
    detail = f"Expected fewer requests per minute, found too many. Wait {seconds} s."
    return JSONResponse({"detail": detail}, status_code=429, headers={"Retry-After": str(seconds)})

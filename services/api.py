"""The data access API: published data over HTTP, for people and programs with a token. `textmill serve-data` runs it.

It reads, and takes what people answer (`label_endpoints.py`). Every endpoint names the roles that may call it; what they see of the rows is
decided in `visibility.py`; `guard.py` in front identifies, counts and records. It listens on the loopback interface unless told otherwise;
whoever opens it to others puts TLS in front. Predictions on new texts: `prediction.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from assets.project import Project, Role
from resources.access_store import AccessKey, AccessStore, Identity
from resources.audit_log import AuditLog
from resources.lakehouse import Lakehouse, LakehouseError
from resources.loopback import is_loopback
from resources.object_store import ObjectStore, ObjectStoreError
from resources.search_engine import SearchEngine
from services.body_limit import BodyLimit
from services.guard import Guard
from services.labeling_desk import LabelingDesk
from services.meaning import Meaning
from services.metrics import StorageMetrics
from services.rate_limit import RateLimit
from services.visibility import View, view_of

EVERYBODY: tuple[Role, ...] = ("viewer", "annotator", "trainer", "admin")
VOTE_READERS: tuple[Role, ...] = ("annotator", "trainer", "admin")
ANNOTATORS: tuple[Role, ...] = ("annotator", "admin")
TRAINERS: tuple[Role, ...] = ("trainer", "admin")
ADMINS: tuple[Role, ...] = ("admin",)
METRICS_READERS: tuple[Role, ...] = ("metrics", "admin")

_BEARER = HTTPBearer(auto_error=False, description="A token of `textmill token create`.")


class Refusal(BaseModel):
    """Why nothing was answered: what was expected, what was found, what to do."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "No valid token."},
    403: {"model": Refusal, "description": "The token's role may not do this."},
    422: {"model": Refusal, "description": "The request is not as described here."},
    429: {"model": Refusal, "description": "Too many requests."},
    503: {"model": Refusal, "description": "Lakehouse or object store do not answer."},
}


@dataclass(frozen=True)
class Backend:
    """What the API reads from, and what it keeps."""

    project: Project
    lakehouse: Lakehouse
    object_store: ObjectStore
    index: SearchEngine
    store: AccessStore
    log: AuditLog
    key: AccessKey

    @cached_property
    def desk(self) -> LabelingDesk:
        """Where people are asked and hand in their answers."""
        return LabelingDesk(self.lakehouse, self.object_store, self.project)

    @cached_property
    def meaning(self) -> Meaning:
        """Orders what was found by meaning; loads the base model when it is first asked."""
        return Meaning(self.lakehouse, self.project.training)

    def view(self, identity: Identity) -> View:
        """What an identity sees."""
        return view_of(identity, self.project.access, [source.name for source in self.project.sources], self.key.read())


def identified(request: Request) -> Identity:
    """Whom the request's token stands for.

    Raises:
        HTTPException: 401 without a valid token.
    """
    identity: Identity | None = request.state.identity
    if identity is None:
        detail = "Expected a valid token as `Authorization: Bearer TOKEN`, found none, or one that is unknown, expired or revoked."
        raise HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
    return identity


def check_role(identity: Identity, roles: tuple[Role, ...]) -> None:
    """Make sure that an identity has one of these roles.

    Raises:
        HTTPException: 403 when it has not.
    """
    if identity.role not in roles:
        raise HTTPException(403, f"Expected a token with one of the roles {', '.join(roles)}, found the role {identity.role}.")


def allow(*roles: Role) -> Callable[[Request], Identity]:
    """The dependency of an endpoint that these roles may call."""

    def check(request: Request, _shown_in_openapi: Annotated[object, Security(_BEARER)]) -> Identity:
        identity = identified(request)
        check_role(identity, roles)
        return identity

    return check  # type: ignore[return-value]  # FastAPI fills in the rest


def build_app(backend: Backend, host: str = "127.0.0.1") -> FastAPI:
    """The app.

    Args:
        backend: What it reads from.
        host: Interface it will listen on; on the loopback interface other host names are refused, as a web page could send them.
    """
    from services.endpoints import add_dataset_endpoints, add_document_endpoints, add_origin_endpoints
    from services.label_endpoints import add_label_endpoints
    from services.search_endpoint import add_search_endpoint

    app = FastAPI(title="textmill data access", version="1", docs_url=None, redoc_url=None, responses=REFUSALS)
    access, registry = backend.project.access, CollectorRegistry()
    app.add_middleware(
        Guard, store=backend.store, log=backend.log, limit=RateLimit(access.requests_per_minute), registry=registry
    )  # the innermost: what the others refuse has seen nothing
    app.add_middleware(BodyLimit, max_bytes=access.max_body_bytes)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", host])
    registry.register(StorageMetrics(backend.lakehouse, backend.index))
    add_own_endpoints(app, backend, registry)
    add_search_endpoint(app, backend)
    add_document_endpoints(app, backend)
    add_label_endpoints(app, backend)
    add_dataset_endpoints(app, backend)
    add_origin_endpoints(app, backend)
    return app


def add_own_endpoints(app: FastAPI, backend: Backend, registry: CollectorRegistry) -> None:
    """What is about the API itself."""

    @app.exception_handler(LakehouseError)
    @app.exception_handler(ObjectStoreError)
    def unavailable(_request: Request, _error: Exception) -> JSONResponse:
        """The error's own message may name folders of the server."""
        return JSONResponse(
            {"detail": "Expected lakehouse and object store to answer, found one that does not. Try again."}, status_code=503
        )

    @app.exception_handler(RequestValidationError)
    def refuse(_request: Request, error: RequestValidationError) -> JSONResponse:
        """What was wrong, without quoting the request."""
        problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        return JSONResponse({"detail": "; ".join(problems)}, status_code=422)

    @app.get("/health")
    def health() -> dict[str, str]:
        """The API is up; needs no token."""
        return {"status": "ok"}

    @app.get("/metrics")
    def metrics(_identity: Annotated[Identity, Depends(allow(*METRICS_READERS))]) -> Response:
        """Counts and times of requests, reads and writes; documents, freshness and bytes: for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/audit")
    def audit(
        _identity: Annotated[Identity, Depends(allow(*ADMINS))], limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> list[dict[str, Any]]:
        """The newest accesses, newest first."""
        return backend.log.newest(limit)


def serve(backend: Backend, host: str, port: int) -> None:
    """Answer until the process is asked to end."""
    uvicorn.run(build_app(backend, host), host=host, port=port, log_level="warning", access_log=False, server_header=False)

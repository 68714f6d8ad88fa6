"""The endpoints of the data access API, one function per group. The app around them, roles and errors: `api.py`."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from assets.schemas import CLEAN_DOCUMENTS
from resources.access_store import AccessStoreError, Identity
from resources.object_store import ObjectNotFoundError
from services.api import ADMINS, EVERYBODY, TRAINERS, VOTE_READERS, Backend, Refusal, allow, check_role
from services.downloads import Download, DownloadError, bring_file, find_file, list_versions, read_data_manifest, sources_of
from services.erasures import list_erasures
from services.listings import DOCUMENTS, LABELS, PREDICTIONS, VOTES, Listing, page_model, read_page, row_model
from services.model_queries import show_models, trace_model
from services.queries import trace_document
from services.visibility import mask_trace

Anybody = Annotated[Identity, Depends(allow(*EVERYBODY))]
Trainer = Annotated[Identity, Depends(allow(*TRAINERS))]
WITHOUT_NUL = r"^[^\x00]*$"
"""DuckLake ends a text at NUL where it asks its catalog about files, and what follows would be read as SQL."""
Id = Annotated[str, Path(min_length=1, max_length=200, pattern=WITHOUT_NUL)]
Version = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]
Value = Annotated[str | None, Query(max_length=1000, pattern=WITHOUT_NUL)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most documents.")]
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "There is none, or none that this token sees."}}

ELSEWHERE: dict[int | str, dict[str, Any]] = {307: {"description": "Fetch it from the object store, at the address in `Location`."}}


class DatasetVersion(BaseModel):
    """One frozen data set."""

    dataset_version: str
    rows_count: int = Field(description="Those that it has now.")
    erased_rows: int = Field(description="Those that were erased since it was frozen.")
    sources: list[str] = Field(description="Those that the token sees.")
    created_at: datetime
    is_current: bool


class SignedFile(BaseModel):
    """One file of a data set, and where it can be fetched for a short time."""

    name: str
    sha256: str
    url: str = Field(description="Below the address of the API; needs no token.")
    expires_at: datetime


def add_document_endpoints(app: FastAPI, backend: Backend) -> None:
    """Single documents, and the tables that are listed."""
    for listing in (DOCUMENTS, LABELS, PREDICTIONS):
        add_listing(app, backend, listing, allow(*EVERYBODY))
    add_listing(app, backend, VOTES, allow(*VOTE_READERS))

    @app.get("/documents/{document_id}", response_model=row_model(CLEAN_DOCUMENTS), responses=MISSING)
    def document(identity: Anybody, document_id: Id) -> dict[str, Any]:
        """One clean document."""
        rows = read_page(backend.lakehouse, DOCUMENTS, backend.view(identity), {"document_id": document_id}, 1)["rows"]
        if not rows:
            raise HTTPException(404, "Expected the id of a clean document that this token sees, found none.")
        return dict(rows[0])


def add_listing(app: FastAPI, backend: Backend, listing: Listing, allowed: Any) -> None:  # noqa: ANN401  # a dependency
    """`GET /<name>`: a table in pages of documents."""

    @app.get(f"/{listing.name}", response_model=page_model(listing), summary=listing.summary, name=listing.name)
    def page(
        identity: Annotated[Identity, Depends(allowed)],
        document_id: Value = None,
        source: Value = None,
        language: Value = None,
        label: Value = None,
        after: Value = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Rows in the order of their document ids; ask again with `after` set to the page's `next`."""
        asked = {"source": source, "language": language, "label": label}
        useless = [name for name, value in asked.items() if value is not None and name not in listing.filters()]
        if useless:
            raise HTTPException(422, f"Expected filters out of {listing.filters()}, found {useless}.")
        wanted = {name: asked[name] for name in listing.filters()} | {"document_id": document_id, "after": after}
        return read_page(backend.lakehouse, listing, backend.view(identity), wanted, limit)


def add_dataset_endpoints(app: FastAPI, backend: Backend) -> None:
    """Data set versions: the list, a manifest, and files."""

    @app.get("/datasets")
    def datasets(identity: Anybody) -> list[DatasetVersion]:
        """Every data set version, newest first."""
        return [DatasetVersion.model_validate(one) for one in list_versions(backend.lakehouse, backend.view(identity))]

    @app.get("/datasets/{version}", responses=MISSING)
    def manifest(_identity: Anybody, version: Version) -> dict[str, Any]:
        """What is in a data set: counts, columns, the hash of every file, and the increments that the rows come from."""
        return find_manifest(backend, version)

    @app.post("/datasets/{version}/downloads", responses=MISSING)
    def downloads(identity: Trainer, version: Version) -> list[SignedFile]:
        """Addresses of the files, each good for a short time."""
        check_whole(backend, identity, version)
        expires, key = int(time.time()) + backend.project.access.download_seconds, backend.key.read()
        return [
            SignedFile(
                name=name,
                sha256=sha256,
                url=Download(version, name, identity.token_id, expires).path(key),
                expires_at=datetime.fromtimestamp(expires, UTC),
            )
            for name, sha256 in find_manifest(backend, version)["files"].items()
        ]

    @app.get("/datasets/{version}/files/{name}", response_class=FileResponse, responses=MISSING | ELSEWHERE)
    def file(
        request: Request, version: Version, name: Literal["train.parquet", "dev.parquet", "test.parquet"], token_id: str, expires: int,
        signature: str,
    ) -> Response:  # fmt: skip
        """A file of a data set, by an address that was given out."""
        try:
            Download(version, name, token_id, expires).check(backend.key.read(), signature, datetime.now(UTC))
            identity = backend.store.get(token_id)
        except (DownloadError, AccessStoreError) as error:
            raise HTTPException(403, str(error)) from error
        if not identity.is_valid(datetime.now(UTC)):
            raise HTTPException(403, "Expected the address of a token that is still valid, found one that has expired or was revoked.")
        request.state.identity = identity
        check_role(identity, TRAINERS)
        check_whole(backend, identity, version)
        try:
            return hand_over(backend, version, name)
        except ObjectNotFoundError as error:
            raise HTTPException(404, f"Expected {name} of data set {version}, found it gone.") from error


def hand_over(backend: Backend, version: str, name: str) -> Response:
    """A file of a data set, or the way to where the store hands it over itself.

    Raises:
        ObjectNotFoundError: It is gone.
    """
    address = find_file(backend.object_store, version, name)
    if address is not None:
        return RedirectResponse(address, headers={"Cache-Control": "no-store"})
    path = bring_file(backend.object_store, version, name)
    return FileResponse(path, filename=f"{version}-{name}", background=BackgroundTask(path.unlink))


def find_sources(backend: Backend, version: str) -> list[str]:
    """Sources of a data set version that was published: files of one that no audit approved may lie in the store.

    Raises:
        HTTPException: 404 when there is none.
    """
    sources = sources_of(backend.lakehouse, version)
    if not sources:
        raise HTTPException(404, f"Expected a published data set version, found {version}. `GET /datasets` lists them.")
    return sources


def find_manifest(backend: Backend, version: str) -> dict[str, Any]:
    """The manifest of a published data set version.

    Raises:
        HTTPException: 404 when there is none.
    """
    find_sources(backend, version)
    try:
        return read_data_manifest(backend.object_store, version)
    except ObjectNotFoundError as error:
        raise HTTPException(404, f"Expected the manifest of data set {version}, found it gone.") from error


def check_whole(backend: Backend, identity: Identity, version: str) -> None:
    """Make sure that an identity may see every row of a data set as it is.

    Raises:
        HTTPException: 403 when some is hidden or masked for it; 404 when there is no such data set.
    """
    if not backend.view(identity).reads_whole(find_sources(backend, version)):
        raise HTTPException(403, "Expected a token that sees every row of the data set unmasked, found one that does not.")


def add_origin_endpoints(app: FastAPI, backend: Backend) -> None:
    """Where things come from: models, and the lineage of a document or a model."""

    @app.get("/models")
    def models(_identity: Anybody) -> list[dict[str, Any]]:
        """Every model, newest first, with its aliases, score, what was decided about it, and what was erased that it was trained on."""
        return show_models(backend.lakehouse)

    @app.get("/erasures")
    def erasures(_identity: Annotated[Identity, Depends(allow(*ADMINS))]) -> list[dict[str, Any]]:
        """What was erased, oldest first: when, by whom, why, how much went from where, and which data sets and models held it."""
        return list_erasures(backend.object_store)

    @app.get("/lineage/{thing}", responses=MISSING)
    def lineage(identity: Anybody, thing: Id) -> dict[str, Any]:
        """Where a document or a model comes from.

        A document: raw objects with their hashes, revisions, cleaning, votes, labels, data set versions, models, predictions, and the
        increments with the code that made each row. A model, by id or alias: its recipe, data set, decisions, increments and code.
        """
        missing = HTTPException(404, "Expected the id of a document or model that this token sees, found none.")
        try:
            if thing.startswith("model-") or thing in ("candidate", "champion", "previous"):
                traced = trace_model(backend.lakehouse, backend.object_store, thing)
                return {name: value for name, value in traced.items() if name != "location"}  # a place of the server
            traced = trace_document(backend.lakehouse, thing)
        except LookupError as error:
            raise missing from error
        shown = mask_trace(traced, backend.view(identity))
        if shown is None:
            raise missing
        return shown

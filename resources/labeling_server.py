"""A labeling server where people answer questions in a browser: Label Studio over its REST interface, or none.

Tasks are read page by page, never by an export, which times out on large projects. Does not belong here: what a task and an answer look
like (`assets/labeling/label_studio.py`, `assets/collection/label_studio.py`).
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from resources.http_client import open_client

PAGE_TASKS = 100
PAGE_PROJECTS = 100
IMPORT_TASKS = 200
ATTEMPTS = 3
PAUSE_SECONDS = 1.0
"""Before a second attempt; twice as long before a third."""
ANNOTATION_ACTIONS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED")
LOCAL_WEBHOOKS = "Label Studio calls addresses of private networks only when it runs with SSRF_PROTECTION_ENABLED=false."
TRANSIENT = (429, 500, 502, 503, 504)


class LabelingServerError(Exception):
    """The server cannot be reached, refuses the token, or answers what it should not."""


@dataclass(frozen=True)
class ServerProject:
    """How a project on the server should be.

    Attributes:
        title: Its name, by which it is found again.
        label_config: What people see and answer, as Label Studio's XML.
        instruction: HTML that people can open while they label.
        overlap: How many people are asked about a task.
    """

    title: str
    label_config: str
    instruction: str
    overlap: int


@dataclass(frozen=True)
class Webhook:
    """Where a server says that somebody annotated.

    Attributes:
        url: Address as the server sees it.
        secret: Sent as bearer token.
    """

    url: str
    secret: str = field(repr=False)


class LabelingServer(Protocol):
    """Asks people."""

    @property
    def is_on(self) -> bool:
        """There is a server."""
        ...

    @property
    def url(self) -> str:
        """Its address; empty without one."""
        ...

    def find_project(self, title: str) -> int | None:
        """Id of the project with this title; None where there is none yet."""
        ...

    def open_project(self, project: ServerProject) -> int:
        """Make a project, or bring the one of this title up to date; returns its id."""
        ...

    def tasks(self, project_id: int, source: str | None = None, since: str | None = None) -> Iterator[dict[str, Any]]:
        """Tasks in order of their ids, with all annotations.

        Args:
            project_id: The project.
            source: Only those of this source.
            since: Only those that changed after this time, ISO 8601.
        """
        ...

    def add_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Add tasks, in this order."""
        ...

    def remove_tasks(self, task_ids: Sequence[int]) -> None:
        """Remove tasks; one that is gone already is no error."""
        ...

    def annotators(self) -> dict[int, str]:
        """Name of every user by id: the address with which they log in."""
        ...

    def ask_for_notices(self, project_id: int) -> None:
        """Have the server call the webhook, if there is one, whenever somebody annotates in a project; once, however often it is asked."""
        ...


class NoLabelingServer:
    """Nobody is asked."""

    is_on = False
    url = ""

    def find_project(self, title: str) -> int | None:
        """None."""
        return None

    def open_project(self, project: ServerProject) -> int:
        """There is nothing to open."""
        raise LabelingServerError(f"expected a labeling server for {project.title}, found none; set TEXTMILL_LABEL_STUDIO_URL")

    def tasks(self, project_id: int, source: str | None = None, since: str | None = None) -> Iterator[dict[str, Any]]:
        """None."""
        return iter(())

    def add_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Nothing to do."""

    def remove_tasks(self, task_ids: Sequence[int]) -> None:
        """Nothing to do."""

    def annotators(self) -> dict[int, str]:
        """Nobody."""
        return {}

    def ask_for_notices(self, project_id: int) -> None:
        """There is nothing to tell."""


class LabelStudio:
    """One Label Studio, 1.20 or newer, with a token of either kind: a personal access token, which is a JWT, or a legacy token."""

    is_on = True

    def __init__(self, url: str, token: str, timeout_seconds: float = 60.0, webhook: Webhook | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._authorization: str | None = None
        self._timeout_seconds = timeout_seconds
        self._webhook = webhook
        self._opened: httpx2.Client | None = None

    @property
    def _client(self) -> httpx2.Client:
        """The connection, opened when it is needed first."""
        if self._opened is None:
            self._opened = open_client(self, self.url, self._timeout_seconds)
        return self._opened

    def find_project(self, title: str) -> int | None:
        """See `LabelingServer.find_project`; the oldest of several."""
        found = [project["id"] for project in self._paged("/api/projects/", {}, "results", PAGE_PROJECTS) if project["title"] == title]
        return min(found, default=None)

    def open_project(self, project: ServerProject) -> int:
        """See `LabelingServer.open_project`."""
        wanted = {
            "title": project.title,
            "label_config": project.label_config,
            "expert_instruction": project.instruction,
            "show_instruction": bool(project.instruction),
            "maximum_annotations": project.overlap,
            "show_collab_predictions": True,
        }
        found = self.find_project(project.title)
        if found is None:
            return int(self._ask("POST", "/api/projects/", content=wanted)["id"])
        self._ask("PATCH", f"/api/projects/{found}/", content=wanted)
        return found

    def tasks(self, project_id: int, source: str | None = None, since: str | None = None) -> Iterator[dict[str, Any]]:
        """See `LabelingServer.tasks`."""
        filters = []
        if source is not None:
            filters.append({"filter": "filter:tasks:data.source", "operator": "equal", "type": "String", "value": source})
        if since is not None:
            filters.append({"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since})
        query = json.dumps({"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]})
        return self._paged("/api/tasks/", {"project": project_id, "fields": "all", "query": query}, "tasks", PAGE_TASKS)

    def add_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """See `LabelingServer.add_tasks`."""
        for start in range(0, len(tasks), IMPORT_TASKS):
            batch = list(tasks[start : start + IMPORT_TASKS])
            self._ask("POST", f"/api/projects/{project_id}/import", content=batch)

    def remove_tasks(self, task_ids: Sequence[int]) -> None:
        """See `LabelingServer.remove_tasks`."""
        for task_id in task_ids:
            self._ask("DELETE", f"/api/tasks/{task_id}/", missing_is_fine=True)

    def annotators(self) -> dict[int, str]:
        """See `LabelingServer.annotators`."""
        found = self._ask("GET", "/api/users/")
        return {int(user["id"]): str(user["email"]) for user in (found["results"] if isinstance(found, dict) else found)}

    def ask_for_notices(self, project_id: int) -> None:
        """See `LabelingServer.ask_for_notices`. The call carries no content: what was annotated is asked for afterwards."""
        webhook = self._webhook
        if webhook is None:
            return
        wanted = {
            "project": project_id,
            "url": webhook.url,
            "send_payload": False,
            "send_for_all_actions": False,
            "headers": {"Authorization": f"Bearer {webhook.secret}"},
            "is_active": True,
            "actions": list(ANNOTATION_ACTIONS),
        }
        try:
            known = self._ask("GET", "/api/webhooks/", {"project": project_id})
            found = next((each for each in known if each["url"] == webhook.url and each["project"] == project_id), None)
            if found is None:
                self._ask("POST", "/api/webhooks/", content=wanted)
            elif any(found.get(name) != wanted[name] for name in ("headers", "is_active", "send_payload")):
                self._ask("PATCH", f"/api/webhooks/{found['id']}/", content=wanted)
        except LabelingServerError as error:
            raise LabelingServerError(f"No webhook to {webhook.url}: {error} {LOCAL_WEBHOOKS}") from error

    def _paged(self, path: str, parameters: Mapping[str, Any], key: str, page_size: int) -> Iterator[dict[str, Any]]:
        page, seen = 1, 0
        while True:
            found = self._ask("GET", path, {**parameters, "page": page, "page_size": page_size})
            rows = found[key]
            yield from rows
            seen += len(rows)
            total = found.get("total", found.get("count", 0))
            if not rows or seen >= total:
                return
            page += 1

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        content: object = None,
        *,
        missing_is_fine: bool = False,
    ) -> Any:  # noqa: ANN401  # whatever JSON the server sends
        """The JSON of an answer. What only reads is asked again when the server is busy; a refused token is refreshed once."""
        for attempt in range(1, ATTEMPTS + 1):
            is_last = attempt == ATTEMPTS or method != "GET"
            try:
                response = self._send(method, path, parameters, content)
            except httpx2.HTTPError as error:
                if is_last:
                    raise LabelingServerError(f"Expected an answer of {self.url}{path}, found {type(error).__name__}: {error}") from error
            else:
                if response.is_success:
                    return _json_of(response, self.url + path)
                if missing_is_fine and response.status_code == httpx2.codes.NOT_FOUND:
                    return {}
                if is_last or response.status_code not in TRANSIENT:
                    raise LabelingServerError(_complaint(self.url + path, response))
            time.sleep(attempt * PAUSE_SECONDS)
        raise AssertionError("every attempt returns or raises")

    def _send(self, method: str, path: str, parameters: Mapping[str, Any] | None, content: object) -> httpx2.Response:
        is_fresh = self._authorization is None
        response = self._client.request(method, path, params=parameters, json=content, headers={"Authorization": self._authorize()})
        if response.status_code == httpx2.codes.UNAUTHORIZED and not is_fresh:
            self._authorization = None
            return self._client.request(method, path, params=parameters, json=content, headers={"Authorization": self._authorize()})
        return response

    def _authorize(self) -> str:
        """The header; a personal access token is exchanged for one that lasts minutes."""
        if self._authorization is None:
            if self._token.count(".") == 2:
                response = self._client.post("/api/token/refresh/", json={"refresh": self._token})
                if not response.is_success:
                    raise LabelingServerError(_complaint(f"{self.url}/api/token/refresh/", response))
                self._authorization = f"Bearer {response.json()['access']}"
            else:
                self._authorization = f"Token {self._token}"
        return self._authorization


def _json_of(response: httpx2.Response, url: str) -> Any:  # noqa: ANN401
    try:
        return response.json() if response.content else {}
    except ValueError as error:
        raise LabelingServerError(f"{url}: expected JSON, found {response.text[:60]!r}; is this the address of a Label Studio?") from error


def _complaint(url: str, response: httpx2.Response) -> str:
    """What went wrong, with the beginning of what the server says; a refused token is named as such."""
    if response.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        return (
            f"Expected {url} to accept the token in TEXTMILL_LABEL_STUDIO_TOKEN, found status {response.status_code}: make a new one there."
        )
    return f"Expected {url} to answer with success, found status {response.status_code}: {response.text[:300]}"


def open_labeling_server(url: str | None, token: str | None, webhook: Webhook | None = None) -> LabelingServer:
    """The server at an address, which may tell a webhook of annotations; none without an address. Opens no connection.

    Raises:
        LabelingServerError: The address is no plain http or https address, or there is no token.
    """
    if not url:
        return NoLabelingServer()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise LabelingServerError("expected http://host:port or https://host without user, password and query, found something else")
    if not token:
        raise LabelingServerError(f"expected a token of {url} in TEXTMILL_LABEL_STUDIO_TOKEN, found none")
    return LabelStudio(url, token, webhook=webhook)

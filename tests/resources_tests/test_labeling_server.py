"""The client of Label Studio against a small server of the same interface: pages, both kinds of token, and what goes wrong.

The real server is in `tests/test_label_studio_server.py`.
"""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from resources import labeling_server
from resources.labeling_server import LabelingServerError, LabelStudio, NoLabelingServer, ServerProject, open_labeling_server

LEGACY, PERSONAL = "0123456789abcdef", "head.body.signature"
PROJECT = ServerProject("textmill: shop", "<View/>", "", 2)


@dataclass
class State:
    """What the server has, and how it misbehaves."""

    projects: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    access: int = 0
    failures: int = 0
    page: str = ""


def add(rows, new):
    rows += new
    return {"task_count": len(new)}


def page_of(rows, key, total, query):
    number, size = int(query["page"][0]), int(query["page_size"][0])
    return {total: len(rows), key: rows[(number - 1) * size : number * size]}


def open_new(projects, body):
    projects.append({"id": len(projects) + 1, **body})
    return projects[-1]


ROUTES = {
    ("GET", "/api/projects/"): lambda state, query, _: page_of(state.projects, "results", "count", query),
    ("POST", "/api/projects/"): lambda state, _, body: open_new(state.projects, body),
    ("PATCH", "/api/projects/1/"): lambda state, _, body: state.projects[0].update(body) or {},
    ("POST", "/api/projects/1/import"): lambda state, _, body: add(state.tasks, body),
    ("GET", "/api/tasks/"): lambda state, query, _: page_of(state.tasks, "tasks", "total", query),
    ("GET", "/api/users/"): lambda *_: [{"id": 1, "email": "amy@example.com"}],
}


def answer_of(state, method, url, token, body):
    """Status and content of an answer."""
    path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
    state.requests.append((method, path))
    if path == "/api/token/refresh/":
        state.access += 1
        return (200, {"access": f"access{state.access}"}) if body["refresh"] == PERSONAL else (401, "no")
    if token not in (f"Token {LEGACY}", f"Bearer access{state.access}"):
        return 401, {"detail": "Invalid token."}
    if state.failures:
        state.failures -= 1
        return 503, "busy"
    if state.page:
        return 200, state.page
    route = ROUTES.get((method, path))
    return (200, route(state, query, body)) if route else (404, {"detail": "Not found."})


@pytest.fixture
def state():
    return State()


@pytest.fixture
def url(state, monkeypatch):
    """A server on a free loopback port."""
    monkeypatch.setattr(labeling_server, "PAUSE_SECONDS", 0)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def handle_one_request(self):
            self.raw_requestline = self.rfile.readline()
            if self.raw_requestline and self.parse_request():
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
                status, content = answer_of(state, self.command, self.path, self.headers["Authorization"], body)
                sent = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
def test_a_project_is_made_once_and_kept_up_to_date(url, state, token):
    server = open_labeling_server(f"{url}/", token)
    assert server.find_project(PROJECT.title) is None
    assert [server.open_project(PROJECT), server.open_project(ServerProject(PROJECT.title, "<View></View>", "<p>好</p>", 3))] == [1, 1]
    (project,) = state.projects
    assert (project["label_config"], project["maximum_annotations"], project["show_instruction"]) == ("<View></View>", 3, True)
    assert server.annotators() == {1: "amy@example.com"}


def test_tasks_are_added_in_batches_and_read_page_by_page(url, state):
    server = LabelStudio(url, LEGACY)
    server.add_tasks(1, [{"id": number} for number in range(450)])
    assert [request for request in state.requests if request[0] == "POST"] == [("POST", "/api/projects/1/import")] * 3
    assert [task["id"] for task in server.tasks(1)] == list(range(450))
    assert state.requests.count(("GET", "/api/tasks/")) == 5


def test_a_personal_token_is_exchanged_again_when_it_has_expired(url, state):
    server = LabelStudio(url, PERSONAL)
    server.annotators()
    state.access += 1
    assert server.annotators() == {1: "amy@example.com"}
    assert state.requests.count(("POST", "/api/token/refresh/")) == 2


@pytest.mark.parametrize("token", ["wrong", "wrong.wrong.wrong"])
def test_a_refused_token_is_named_and_not_shown(url, token):
    with pytest.raises(LabelingServerError, match="TEXTMILL_LABEL_STUDIO_TOKEN") as caught:
        LabelStudio(url, token).annotators()
    assert "wrong" not in str(caught.value)


def test_reading_is_tried_again_and_writing_is_not(url, state):
    server = LabelStudio(url, LEGACY)
    state.failures = 2
    assert server.annotators() == {1: "amy@example.com"}
    state.failures = 1
    with pytest.raises(LabelingServerError, match="status 503: busy"):
        server.add_tasks(1, [{}])


def test_what_is_no_json_is_an_error_of_the_server(url, state):
    state.page = "<html>log in</html>"
    with pytest.raises(LabelingServerError, match="expected JSON"):
        LabelStudio(url, LEGACY).annotators()


def test_a_task_that_is_gone_need_not_be_removed(url):
    LabelStudio(url, LEGACY).remove_tasks([1, 2])


def test_a_server_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(labeling_server, "PAUSE_SECONDS", 0)
    with pytest.raises(LabelingServerError, match=r"http://127\.0\.0\.1:9/api/users/"):
        LabelStudio("http://127.0.0.1:9", LEGACY).annotators()


def test_without_an_address_nobody_is_asked():
    server = open_labeling_server(None, None)
    assert isinstance(server, NoLabelingServer)
    assert (server.is_on, server.find_project("a"), list(server.tasks(1)), server.annotators()) == (False, None, [], {})


@pytest.mark.parametrize("address", ["ftp://a", "http://", "http://amy:secret@a", "https://a?b=c", "localhost:8080"])
def test_an_address_is_plain(address):
    with pytest.raises(LabelingServerError, match="expected http") as caught:
        open_labeling_server(address, LEGACY)
    assert "secret" not in str(caught.value)


def test_a_server_needs_a_token():
    with pytest.raises(LabelingServerError, match="expected a token"):
        open_labeling_server("http://127.0.0.1:8080", None)

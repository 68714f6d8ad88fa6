"""Votes from files and from a labeling server: each state of an annotation once, whatever fails."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.collection.receiving import received_votes
from assets.label_studio import ANNOTATION
from assets.source_settings import FieldMapping
from resources.channels.fetched import CursorMove, Fetched, FetchFailure
from resources.labeling_server import LabelingServerError
from resources.object_store import LocalObjectStore


@dataclass
class Server:
    """Remembers what it was asked, and has tasks."""

    found: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    is_on: bool = True
    url: str = "http://127.0.0.1:1"

    def find_project(self, title):
        if self.error:
            raise LabelingServerError(self.error)
        return 3 if title == "textmill: shop" else None

    def tasks(self, project_id, source=None, since=None):
        self.asked.append((project_id, source, since))
        return iter([task for task in self.found if task["data"]["source"] == source])

    def annotators(self):
        return {1: "amy@example.com"}


def task(number, *annotations, source="notes"):
    data = {"text": f"text {number}", "textmill_document_id": f"d{number}", "source": source, "control": "label", "guideline": "g1"}
    return {"id": number, "data": data, "annotations": list(annotations)}


def annotation(number, label="好", updated="2026-01-02T03:04:05.000006Z", **changes):
    result = [{"from_name": "label", "value": {"choices": [label]}}]
    return {"id": number, "result": result, "updated_at": updated, "completed_by": 1, "was_cancelled": False, "lead_time": 4.0} | changes


@pytest.fixture
def store(tmp_path):
    return LocalObjectStore(tmp_path)


def receive(store, server, cursors=None, title="textmill: shop"):
    """What comes, and the cursors after it."""
    items = list(received_votes(store, server, title, "notes", cursors or {}))
    moved = {item.cursor_key: item.cursor_value for item in items if isinstance(item, (Fetched, CursorMove))}
    return items, (cursors or {}) | moved


def votes_in(items):
    objects = [
        RawObject(item.payload, "0" * 64, item.uri, item.media_type, item.charset, item.role, None, None)
        for item in items
        if isinstance(item, Fetched)
    ]
    votes = parse_objects(objects, fields=FieldMapping()).votes
    columns = ["document_id", "annotator_id", "label", "seconds", "guideline"]
    return [tuple(row) for row in votes[columns].itertuples(index=False)]


def test_every_state_of_an_annotation_is_received_once(store):
    server = Server([task(1, annotation(11)), task(2), task(3, annotation(31, "坏"), annotation(32, completed_by={"id": 9}))])
    items, cursors = receive(store, server)
    assert votes_in(items) == [
        ("d1", "amy@example.com", "好", 4.0, "g1"),
        ("d3", "amy@example.com", "坏", 4.0, "g1"),
        ("d3", "label_studio:9", "好", 4.0, "g1"),
    ]
    assert {key for key in cursors if key.startswith(ANNOTATION)} == {"label_studio:11", "label_studio:31", "label_studio:32"}
    assert receive(store, server, cursors)[0] == []
    server.found[0] = task(1, annotation(11, "坏", updated="2026-01-03T00:00:00Z"))
    items, cursors = receive(store, server, cursors)
    assert votes_in(items) == [("d1", "amy@example.com", "坏", 4.0, "g1")]
    assert receive(store, server, cursors)[0] == []


def test_only_what_changed_lately_is_asked_for(store):
    server = Server([task(1, annotation(11))])
    _, cursors = receive(store, server)
    receive(store, server, cursors)
    assert server.asked == [(3, "notes", None), (3, "notes", "2026-01-02T02:04:05.000006Z")]


def test_many_tasks_become_few_objects(store):
    server = Server([task(number, annotation(number)) for number in range(1, 251)])
    items, cursors = receive(store, server)
    assert [len(item.payload.splitlines()) for item in items if isinstance(item, Fetched)] == [100, 100, 50]
    assert len(cursors) == 250


def test_a_server_that_fails_costs_nothing_but_a_record_of_it(store):
    store.put("labels/notes/20260101-a.jsonl", b"{}")
    items, _ = receive(store, Server(error="expected an answer"))
    assert [type(item) for item in items] == [Fetched, FetchFailure]
    assert (items[1].reason, items[1].detail) == ("labeling_server_failed", "expected an answer")


def test_without_a_project_on_the_server_there_is_nothing(store):
    assert receive(store, Server([task(1, annotation(1))]), title="textmill: other")[0] == []


def test_files_of_votes_come_newest_first_and_once(store):
    for name in ("20260101-a", "20260102-b"):
        store.put(f"labels/notes/{name}.jsonl", json.dumps({"name": name}).encode())
    store.put("labels/other/20260103-c.jsonl", b"{}")
    items, cursors = receive(store, Server())
    assert [json.loads(item.payload)["name"] for item in items] == ["20260102-b", "20260101-a"]
    assert receive(store, Server(), cursors)[0] == []


def test_what_is_no_task_is_refused_and_the_others_are_kept():
    lines = [json.dumps(task(1, {**annotation(11), "annotator": "amy"})), json.dumps({"id": 2, "data": None, "annotations": []}), "{"]
    raw = RawObject(
        "\n".join(lines).encode(), "0" * 64, "u", "application/vnd.label-studio.tasks+jsonl", "utf-8", "annotations", None, None
    )
    parsed = parse_objects([raw], fields=FieldMapping())
    assert parsed.votes["document_id"].tolist() == ["d1"]
    assert parsed.rejected_votes["reason"].tolist() == ["malformed_task", "malformed_json"]

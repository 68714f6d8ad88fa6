"""Votes that people gave through textmill: files that `textmill label` left in the object store, and annotations on the labeling server.

They are collected with the documents of their source, cursors and all, like whatever its channel brings. Parsing is in `parsing.py`.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from assets.collection.reading import JSON_LINES, LABEL_STUDIO
from assets.label_studio import ANNOTATION, ANNOTATOR, annotation_key
from resources.channels.fetched import CursorMove, Fetched, FetchFailure
from resources.labeling_server import LabelingServer, LabelingServerError
from resources.object_store import ObjectStore

FILES = "labels/"
TASKS_PER_OBJECT = 100
OVERLAP = timedelta(hours=1)
"""A task that changed this long before the newest annotation known is looked at again: the server may have stored it late."""


def received_votes(
    store: ObjectStore, server: LabelingServer, title: str, source: str, cursors: Mapping[str, str]
) -> Iterator[Fetched | FetchFailure | CursorMove]:
    """What people said of the documents of a source and was not collected yet. A server that fails is a recorded failure, no more.

    Args:
        store: Where files of votes lie.
        server: Where people annotate.
        title: Of the server's project.
        source: The source.
        cursors: Of the source.
    """
    yield from votes_in_files(store, source, cursors)
    try:
        yield from votes_on_server(server, title, source, cursors)
    except LabelingServerError as error:
        yield FetchFailure(server.url, "labeling_server_failed", str(error))


def votes_in_files(store: ObjectStore, source: str, cursors: Mapping[str, str]) -> Iterator[Fetched]:
    """Files of votes as `assets/labeling/sheets.py` writes them.

    The newest come first, for of two answers of one annotator in one increment the first is kept.
    """
    for found in sorted(store.list(f"{FILES}{source}/"), key=lambda each: each.key, reverse=True):
        if found.key not in cursors:
            payload = store.get(found.key)
            yield Fetched(store.url(found.key), payload, JSON_LINES[0], "utf-8", "annotations", None, None, found.key, "collected")


def votes_on_server(server: LabelingServer, title: str, source: str, cursors: Mapping[str, str]) -> Iterator[Fetched | CursorMove]:
    """Tasks with annotations that are new or were changed, with all their annotations, some tasks to an object."""
    project_id = server.find_project(title)
    if project_id is None:
        return
    names: dict[int, str] = {}
    waiting: list[dict[str, Any]] = []
    for task in changed_tasks(server, project_id, source, cursors):
        names = names or server.annotators()
        waiting.append({**task, "annotations": [{**each, ANNOTATOR: author_of(each, names)} for each in task["annotations"]]})
        if len(waiting) == TASKS_PER_OBJECT:
            yield from objects_of(waiting, server, project_id)
            waiting = []
    yield from objects_of(waiting, server, project_id)


def changed_tasks(server: LabelingServer, project_id: int, source: str | None, cursors: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Tasks on which an annotation is new or was changed since the cursors."""
    for task in server.tasks(project_id, source, changed_since(cursors)):
        if any(cursors.get(annotation_key(each)) != each["updated_at"] for each in task["annotations"]):
            yield task


def objects_of(tasks: list[dict[str, Any]], server: LabelingServer, project_id: int) -> Iterator[Fetched | CursorMove]:
    """One object of some tasks, and where each of their annotations stands."""
    stands = [(annotation_key(each), each["updated_at"]) for task in tasks for each in task["annotations"]]
    if not stands:
        return
    yield from (CursorMove(*stand) for stand in stands[1:])
    payload = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks).encode()
    address = f"{server.url}/projects/{project_id}/data?tasks={tasks[0]['id']}-{tasks[-1]['id']}"
    yield Fetched(address, payload, LABEL_STUDIO, "utf-8", "annotations", None, None, *stands[0])


def changed_since(cursors: Mapping[str, str]) -> str | None:
    """From when on changes may not be known yet; None where none are known."""
    newest = max((value for key, value in cursors.items() if key.startswith(ANNOTATION)), default=None)
    return None if newest is None else (datetime.fromisoformat(newest) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def author_of(annotation: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """Who annotated, by the address with which they log in; by number where the server does not tell it."""
    author = annotation.get("completed_by")
    number = author.get("id") if isinstance(author, dict) else author
    return names.get(number, f"label_studio:{number}") if isinstance(number, int) else "label_studio:unknown"

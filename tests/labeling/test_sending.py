"""What reaches a labeling server, on the real graph, with a server that remembers. The real one is in `test_label_studio_server.py`."""

from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from assets.label_studio import TITLE_CHARS, title_of
from resources.labeling_server import LabelingServerError, Webhook, WebhookSetting

RECORDS = [
    {"id": "1", "text": "The lamp stands on the desk beside the window.", "ratings": []},
    {"id": "2", "text": "这台灯放在窗边的桌子上。", "ratings": [{"annotator": "bo", "label": "positive"}]},
]


@dataclass
class Server:
    """Has projects and tasks."""

    titles: list[str] = field(default_factory=list)
    found: dict[int, dict[str, Any]] = field(default_factory=dict)
    is_on: bool = True
    url: str = "http://127.0.0.1:1"

    def find_project(self, title):
        return self.titles.index(title) + 1 if title in self.titles else None

    def open_project(self, project):
        if project.title not in self.titles:
            self.titles.append(project.title)
        return self.find_project(project.title)

    def tasks(self, project_id, source=None, since=None):
        return iter([task for task in self.found.values() if task["project"] == project_id])

    def add_tasks(self, project_id, tasks):
        for task in tasks:
            number = max(self.found, default=0) + 1
            self.found[number] = {"annotations": [], **task, "id": number, "project": project_id}

    def remove_tasks(self, task_ids):
        for number in task_ids:
            del self.found[number]

    def annotators(self):
        return {1: "amy@example.com"}

    def notify(self, project_id, webhook):
        raise LabelingServerError(f"No webhook to {webhook.url}: refused")

    def annotate(self, number, label):
        result = [{"from_name": "label", "value": {"choices": [label]}}]
        facts = {"updated_at": "2026-01-02T03:04:05.000006Z", "completed_by": 1, "was_cancelled": False, "lead_time": 2.0}
        self.found[number]["annotations"].append({"id": 10 * number, "result": result, **facts})


@pytest.fixture
def lamps(platform, files_source, project_of):
    project = project_of([files_source("lamps", RECORDS)], labeling={"min_human_votes": 2, "rules": {"enabled": []}, "guideline": "好。"})
    platform.configure(project)
    return platform


def refresh(platform):
    outcome = platform.run("refresh")
    assert outcome.failed_steps == {}
    return {step.asset: step.summary for step in outcome.steps}


def test_every_document_is_asked_once_and_answers_become_votes(lamps, files_source):
    server = lamps.resources["labeling_server"] = Server()
    assert refresh(lamps)["labeling_tasks"] == "2 in, 2 out, 0 rejected, 0 skipped"
    suggestions = {task["data"]["text"]: len(task.get("predictions", [])) for task in server.found.values()}
    assert suggestions == {RECORDS[0]["text"]: 0, RECORDS[1]["text"]: 1}
    assert set(refresh(lamps).values()) == {"nothing new"}
    (number,) = [number for number, task in server.found.items() if task["data"]["text"] == RECORDS[0]["text"]]
    server.annotate(number, "neutral")
    files_source("lamps", [{**RECORDS[1], "text": "这台灯坏了，不能再用了。"}], file="two.jsonl")
    refresh(lamps)
    assert ("amy@example.com", "neutral", 2.0) in lamps.rows("annotations", "annotator_id", "label", "seconds")
    assert sorted(task["data"]["text"] for task in server.found.values()) == [RECORDS[0]["text"], "这台灯坏了，不能再用了。"]


def test_a_server_that_comes_later_gets_the_queue_and_one_that_has_it_is_left_alone(lamps):
    assert refresh(lamps)["labeling_tasks"] == "2 in, 0 out, 0 rejected, 2 skipped"
    server = lamps.resources["labeling_server"] = Server()
    assert refresh(lamps)["labeling_tasks"] == "2 in, 2 out, 0 rejected, 0 skipped"
    moved = lamps.resources["labeling_server"] = Server(server.titles, server.found, url="http://127.0.0.1:2")
    assert set(refresh(lamps).values()) == {"nothing new"}
    assert len(moved.found) == 2


def test_long_names_of_projects_stay_apart(lamps):
    names = ["a" * 40, "a" * 41, "a" * 60 + "x", "a" * 60 + "y"]
    titles = [title_of(lamps.project.model_copy(update={"name": name})) for name in names]
    assert len(set(titles)) == 4
    assert max(map(len, titles)) <= TITLE_CHARS
    assert titles[0] == "textmill: " + "a" * 40


def test_a_server_that_refuses_the_webhook_is_sent_the_tasks_all_the_same(lamps):
    lamps.resources["labeling_server"] = server = Server()
    lamps.resources["webhook"] = WebhookSetting(Webhook("http://10.0.0.1/annotations", "a secret of some length"))
    refresh(lamps)
    assert server.found
    event = lamps.instance.get_latest_materialization_event(dg.AssetKey("labeling_tasks"))
    assert event.asset_materialization.metadata["webhook"].value == "No webhook to http://10.0.0.1/annotations: refused"

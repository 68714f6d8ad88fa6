"""A labeling server that remembers, for tests of what reaches one."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from resources.labeling_server import LabelingServerError


@dataclass
class Server:
    """Has projects and tasks, and gives the reason for which it refuses to call a webhook, if there is one."""

    titles: list[str] = field(default_factory=list)
    found: dict[int, dict[str, Any]] = field(default_factory=dict)
    is_on: bool = True
    url: str = "http://127.0.0.1:1"
    last: int = 0
    refusal: str = ""

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
            self.last += 1
            self.found[self.last] = {"annotations": [], **task, "id": self.last, "project": project_id}

    def remove_tasks(self, task_ids):
        for number in task_ids:
            del self.found[number]

    def annotators(self):
        return {1: "amy@example.com"}

    def ask_for_notices(self, project_id):
        if self.refusal:
            raise LabelingServerError(self.refusal)

    def annotate(self, number, label):
        result = [{"from_name": "label", "value": {"choices": [label]}}]
        facts = {"updated_at": "2026-01-02T03:04:05.000006Z", "completed_by": 1, "was_cancelled": False, "lead_time": 2.0}
        self.found[number]["annotations"].append({"id": 10 * number, "result": result, **facts})


@pytest.fixture
def labeling_server():
    """A labeling server without projects and tasks."""
    return Server()

"""What tests of the whole graph share: a small project over files, its resources in a temporary folder, and how to run a job."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.project import Project
from dagster_project.definitions import build_definitions
from dagster_project.environments import Environment, build_resources, read_environment
from dagster_project.jobs import partition_range_tags
from dagster_project.local_servers import run_local_servers
from dagster_project.runs import RunOutcome, run_job, summarize
from resources.labeling_server import LabelingServerError
from services.labeling_desk import LabelingDesk

# Tests that run the whole graph, real lakehouses in several processes, or real training; `make unit` leaves them out. The longest files
# come first, so that no process is left alone with one of them in the end.
SLOW = (
    "tests/training/test_training_graph.py",
    "tests/training/test_processes.py",
    "tests/training/test_study.py",
    "tests/training/test_search.py",
    "tests/training/test_training_run.py",
    "tests/labeling/test_doubting.py",
    "tests/labeling/test_annotator_graph.py",
    "tests/test_pipeline.py",
    "tests/training/test_learning.py",
    "tests/training/test_promoting.py",
    "tests/lakehouse/",
    "tests/training/test_embedding.py",
    "tests/test_erasure.py",
    "tests/labeling/test_consulting.py",
    "tests/labeling/test_span_graph.py",
    "tests/labeling/test_sending.py",
    "tests/cleaning/test_pii_graph.py",
    "tests/cleaning/pii/test_names.py",
    "tests/test_backup_drill.py",
    "tests/test_storage_report.py",
    "tests/test_instance.py",
    "tests/test_model_commands.py",
    "tests/test_label_commands.py",
    "tests/test_label_studio_server.py",
    "tests/test_server_environment.py",
    "tests/services/test_api",
    "tests/test_access_commands.py",
    "tests/test_front_door.py",
)
LABELS = ("negative", "neutral", "positive")


def make_project(sources, **sections):
    """A project over some sources, with ratings from -4 to 4."""
    content: dict[str, Any] = {
        "name": "test",
        "languages": ["en", "zh"],
        "sources": sources,
        "task": {
            "labels": LABELS,
            "negative_label": "negative",
            "positive_label": "positive",
            "rating": {"minimum": -4, "maximum": 4, "thresholds": {"negative": -4, "neutral": 0, "positive": 0.5}},
        },
        "labeling": {"min_human_votes": 3, "min_agreement": -1},
        "storage": {"dev_share": 0.2, "test_share": 0.2},
        "training": {"few_shot_below": 0, "min_steps": 0},
    }
    for section, values in sections.items():
        content[section] = content.get(section, {}) | values
    return Project.model_validate(content)


@dataclass
class Platform:
    """The graph on a folder of its own."""

    environment: Environment
    instance: dg.DagsterInstance
    project: Project
    resources: dict[str, Any] = field(default_factory=dict)

    def configure(self, project: Project) -> None:
        """Start with, or change to, a project file."""
        self.project = project
        self.resources = build_resources(self.environment, project)

    @property
    def lakehouse(self):
        return self.resources["lakehouse"]

    @property
    def desk(self) -> LabelingDesk:
        return LabelingDesk(self.lakehouse, self.resources["object_store"], self.project)

    def definitions(self) -> dg.Definitions:
        return build_definitions(self.environment, self.resources)

    def run(self, job: str, **options: Any) -> RunOutcome:
        return run_job(self.definitions(), self.project, self.instance, job, **options)

    def collect(self) -> RunOutcome:
        """Run the first asset and its checks only."""
        return self.materialize("raw_documents")

    def materialize(self, *assets: str) -> RunOutcome:
        """Run some assets and their checks only, for tests of these: a whole job takes several times as long."""
        job = self.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(name) for name in assets})
        tags = partition_range_tags([source.name for source in self.project.sources]) if "raw_documents" in assets else {}
        return summarize(job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False), job, 0.0)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """Published rows of some columns, sorted."""
        frame = self.lakehouse.read(f"SELECT {', '.join(columns)} FROM {table}")
        return sorted(tuple(row) for row in frame.itertuples(index=False))


@pytest.fixture(scope="session")
def local_servers():
    """A real Postgres and a real S3, stopped in the end. Their folder has a short name: a Unix socket lies in it."""
    with tempfile.TemporaryDirectory(prefix="textmill-", ignore_cleanup_errors=True) as folder, run_local_servers(Path(folder)) as servers:
        yield servers


@pytest.fixture
def start_holder():
    """Starts Python code in a process of its own, which prints `held` when it holds something; all are killed in the end."""
    children = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        children.append(subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True))
        assert children[-1].stdout is not None
        assert children[-1].stdout.readline() == "held\n"
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.fixture(scope="session")
def project_of():
    """Makes a project over some sources."""
    return make_project


def pytest_report_header():
    url = os.environ.get("TEXTMILL_TEST_SEARCH_URL")
    server = "the real server of TEXTMILL_TEST_SEARCH_URL" if url else "a fake, since TEXTMILL_TEST_SEARCH_URL names no server"
    return f"search: the embedded index, and {server}"


def pytest_make_parametrize_id(val):
    """Bytes are named by their length: compressed ones hold the second of their making, and two workers collect in two seconds."""
    return f"{len(val)}_bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: next((place for place, path in enumerate(SLOW) if item.nodeid.startswith(path)), len(SLOW)))


@contextmanager
def open_platform(home):
    """An empty platform in a folder."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(read_environment({"TEXTMILL_HOME": str(home)}), instance, None)


@pytest.fixture
def platform(tmp_path):
    """An empty platform; `configure` gives it a project."""
    with open_platform(tmp_path / "home") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory):
    """An empty platform for all tests of a module."""
    with open_platform(tmp_path_factory.mktemp("shared") / "home") as opened:
        yield opened


@pytest.fixture(scope="session")
def write_jsonl():
    """Writes a JSONL file."""
    return write_lines


def write_lines(path: Path, records: list[Any]) -> Path:
    """A JSONL file; strings are written as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def declare_files(folder: Path):
    """Makes sources of JSONL files with votes in a folder, and writes their first file."""

    def make(name: str, records: list[Any], file: str = "one.jsonl") -> dict[str, Any]:
        write_lines(folder / "drop" / name / file, records)
        return {
            "kind": "files",
            "name": name,
            "path": str(folder / "drop" / name / "*.jsonl"),
            "fields": {"external_id": "id", "text": "text", "votes": "ratings"},
        }

    return make


@pytest.fixture(scope="session")
def open_test_platform():
    """Opens an empty platform in a folder."""
    return open_platform


@pytest.fixture(scope="session")
def declare_test_files():
    """Makes sources of JSONL files in a folder."""
    return declare_files


@pytest.fixture
def files_source(tmp_path):
    """Makes sources of JSONL files."""
    return declare_files(tmp_path)


@pytest.fixture(scope="module")
def shared_files_source(tmp_path_factory):
    """Makes sources of JSONL files for all tests of a module."""
    return declare_files(tmp_path_factory.mktemp("files"))


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

"""What the lakehouse's tests share: a chain of three tables a -> b -> c, and how to run and audit one step of it."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import pandas as pd
import pytest

from assets.quality.audit import audit
from assets.quality.suites import suite
from assets.schemas import Column, Table
from resources.increments import increment
from resources.lake_connection import open_duckdb
from resources.lake_place import EmbeddedPlace, LakePlace
from resources.lakehouse import Lakehouse
from resources.postgres_address import parse_postgres_address
from resources.s3_object_store import open_s3_object_store
from resources.server_place import ServerPlace

COLUMNS = (Column("key", "VARCHAR", "Identifies a row."), Column("text", "VARCHAR", "Some text."))
A = Table("a", "a", "One row per text.", COLUMNS, ("key",))
B = Table("b", "b", "One row per text of a, in capitals.", COLUMNS, ("key",))
C = Table("c", "c", "One row per text of b, reversed.", COLUMNS, ("key",))
CHAIN = (A, B, C)


SERVERS_VARIABLE = "TEXTMILL_TEST_SERVERS"


def make_place(folder: Path) -> LakePlace:
    """A lakehouse of its own for each folder: in it, or on the servers that a variable of the process names."""
    servers = json.loads(os.environ.get(SERVERS_VARIABLE, "{}"))
    if not servers:
        return EmbeddedPlace(folder)
    name = f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"
    endpoint = servers["TEXTMILL_OBJECT_STORE_ENDPOINT"]
    data = open_s3_object_store("textmill", f"tests/{name}", endpoint)
    return ServerPlace(folder, parse_postgres_address(servers["TEXTMILL_CATALOG_URL"]), name, data, endpoint)


class SmallLakehouse(Lakehouse):
    """A lakehouse with a DuckDB that is used again, since loading its extensions takes most of a test."""

    idle: ClassVar[list] = []

    def _open(self):
        if self._connection is not None:
            return self._connection
        with patch("resources.lake_place.open_duckdb", self._reuse):
            return super()._open()

    def _reuse(self, memory_limit: str, spill: Path):
        self._duckdb = self.idle.pop() if self.idle else open_duckdb(memory_limit, spill)
        return self._duckdb

    def close(self):
        if self._connection is not None:
            self._duckdb.execute("DETACH lake")
            for (name,) in self._duckdb.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall():
                self._duckdb.execute(f"DROP TABLE temp.main.{name}")
            self.idle.append(self._duckdb)
        self._connection = None
        super().close()


@dataclass
class Chain:
    """The chain on one lakehouse folder."""

    folder: Path
    tables: tuple[Table, ...] = CHAIN
    lakehouse: Lakehouse = field(init=False)
    runs: int = 0

    def __post_init__(self):
        self.lakehouse = SmallLakehouse(make_place(self.folder), self.tables)

    def reopened(self) -> Lakehouse:
        """The same lakehouse as another process would see it."""
        self.lakehouse.close()
        self.lakehouse = SmallLakehouse(make_place(self.folder), self.tables)
        return self.lakehouse

    def new_run(self) -> str:
        self.runs += 1
        return f"run{self.runs}"

    def put(self, asset: str, frame: pd.DataFrame, run_id: str = "", **options):
        """Write one increment of a table that has no upstream."""
        with increment(self.lakehouse, asset, run_id=run_id or self.new_run(), code_version="1", **options) as step:
            step.write(asset, frame)
            step.count(rows_in=len(frame), rows_out=len(frame))
        return step

    def follow(self, asset: str, upstream: str, change, run_id: str = "", **options):
        """Write one increment of a table that is made from another's texts."""
        with increment(self.lakehouse, asset, run_id=run_id or self.new_run(), code_version="1", upstream=[upstream], **options) as step:
            for batch in step.batches(upstream):
                made = change(batch)
                step.write(asset, made)
                step.count(rows_in=len(batch), rows_out=len(made))
        return step

    def upper(self, **options):
        return self.follow("b", "a", lambda batch: batch.assign(text=batch["text"].str.upper()), **options)

    def reverse(self, **options):
        return self.follow("c", "b", lambda batch: batch.assign(text=batch["text"].str[::-1]), **options)

    def audit(self, asset: str, *promises, run_id: str = "audit") -> list[bool]:
        """Decide what waits; one verdict per increment."""
        found = next(table for table in self.tables if table.name == asset)
        return [audited.is_approved for audited in audit(self.lakehouse, asset, [suite(found, *promises)], run_id)]

    def decide(self, asset: str, *, approved: bool = True) -> None:
        """Give the verdict by hand, for tests that are not about suites."""
        for waiting in self.lakehouse.staged(asset):
            self.lakehouse.decide(waiting, approved=approved)

    def rows(self, table: str, schema: str = "published") -> list[tuple]:
        frame = self.lakehouse.read(f"SELECT key, text FROM lake.{schema}.{table} ORDER BY ALL")
        return list(frame.itertuples(index=False, name=None))

    def states(self, asset: str) -> list[str]:
        return [found.state for found in self.lakehouse.increments(asset)]


@pytest.fixture(name="place_at")
def fixture_place_at():
    """Makes a place for a folder."""
    return make_place


@pytest.fixture(params=["embedded", "server"])
def kind(request):
    """In which environment a test runs: in each, unless its module says otherwise with a fixture of this name."""
    return request.param


@pytest.fixture
def environment(kind, request, monkeypatch):
    """Leads lakehouses to a folder or to servers."""
    monkeypatch.delenv(SERVERS_VARIABLE, raising=False)
    if kind == "server":
        variables = request.getfixturevalue("local_servers").variables()
        monkeypatch.setenv(SERVERS_VARIABLE, json.dumps(variables))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, variables[name])
    return kind


@pytest.fixture
def chain(tmp_path, environment):
    """An empty chain."""
    made = Chain(tmp_path / "lake")
    yield made
    made.lakehouse.close()


@pytest.fixture
def chain_of(tmp_path, environment):
    """Makes a chain over other tables."""
    made: list[Chain] = []

    def make(*tables: Table, folder: str = "lake") -> Chain:
        made.append(Chain(tmp_path / folder, tables or CHAIN))
        return made[-1]

    yield make
    for one in made:
        one.lakehouse.close()


class Workers:
    """Real processes that work on a lakehouse; see `worker.py`."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._answers: list[dict] = []

    def start(self, name: str, **arguments) -> int:
        """Start a process; returns its id."""
        return self._ask(lambda found: "started" in found, do=name, **arguments)["pid"]

    def end(self, pid: int) -> int:
        """Wait for a process; returns its exit code, or the negative number of the signal that killed it."""
        return self._ask(lambda found: found["pid"] == pid and "ended" in found, do="wait", pid=pid)["ended"]

    def result(self, pid: int) -> dict:
        """What a process reported."""
        return self._find(lambda found: found["pid"] == pid and "result" in found)["result"]

    def run(self, name: str, **arguments) -> tuple[int, dict]:
        """Start a process and wait for it; returns how it ended, and its result unless it was killed."""
        pid = self.start(name, **arguments)
        ended = self.end(pid)
        return ended, self.result(pid) if ended == 0 else {}

    def _ask(self, is_wanted, **command) -> dict:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._find(is_wanted)

    def _find(self, is_wanted) -> dict:
        while True:
            for found in self._answers:
                if is_wanted(found):
                    self._answers.remove(found)
                    return found
            self._answers.append(json.loads(self._process.stdout.readline()))


@contextmanager
def open_workers(folder: Path):
    """Processes on one lakehouse folder."""
    command = [sys.executable, str(Path(__file__).parent / "worker.py"), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment) as process:
        yield Workers(process)
        process.stdin.close()
        process.wait()


@pytest.fixture
def workers(chain):
    """Processes on the chain's lakehouse."""
    with open_workers(chain.folder) as started:
        yield started


@pytest.fixture
def workers_at():
    """Opens processes on any lakehouse folder."""
    return open_workers

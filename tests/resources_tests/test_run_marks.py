"""Which runs are alive, on one machine and in a database: marks of other processes, of this one, of killed ones."""

import time

import pytest
from sqlalchemy.engine import make_url

from resources import run_marks
from resources.postgres_address import PostgresAddress
from resources.run_marks import FolderRunMarks, PostgresRunMarks

HOLDER = """
import sys, time
from pathlib import Path
from sqlalchemy.engine import make_url
from resources.postgres_address import PostgresAddress
from resources.run_marks import FolderRunMarks, PostgresRunMarks
kind, place, run_id = sys.argv[1:]
marks = FolderRunMarks(Path(place)) if kind == "folder" else PostgresRunMarks(PostgresAddress(make_url(place)), "lake")
marks.hold(run_id)
marks.hold(run_id)
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture(params=["folder", "postgres"])
def kind(request):
    return request.param


@pytest.fixture
def place(kind, tmp_path, request):
    return str(tmp_path / "runs") if kind == "folder" else request.getfixturevalue("local_servers").variables()["TEXTMILL_CATALOG_URL"]


@pytest.fixture
def marks(kind, place, tmp_path):
    return FolderRunMarks(tmp_path / "runs") if kind == "folder" else PostgresRunMarks(PostgresAddress(make_url(place)), "lake")


@pytest.fixture
def hold_elsewhere(kind, place, start_holder):
    return lambda run_id: start_holder(HOLDER, kind, place, run_id)


def kill(child):
    child.kill()
    child.wait()


def settles(condition):
    """Whether something is so soon: a server notices a broken connection a moment later."""
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.fixture(autouse=True)
def server_that_runs_for_long(monkeypatch):
    monkeypatch.setattr(run_marks, "PING_SECONDS", 0.0)


def test_a_run_is_alive_as_long_as_one_of_its_processes(marks, hold_elsewhere):
    first, second = hold_elsewhere("run*[1]"), hold_elsewhere("run*[1]")
    kill(first)
    time.sleep(0.2)
    assert marks.is_alive("run*[1]")
    assert marks.is_alive_elsewhere("run*[1]")
    assert not marks.is_alive("run*")
    assert not marks.was_alive("run*[1]")
    kill(second)
    assert settles(lambda: not marks.is_alive_elsewhere("run*[1]"))
    assert not marks.is_alive("run*[1]")


def test_a_run_of_this_process_is_not_elsewhere_and_ends_when_it_is_over(marks):
    marks.hold("mine")
    marks.hold("mine")
    assert marks.is_alive("mine")
    assert not marks.is_alive_elsewhere("mine")
    marks.forget("mine")
    assert not marks.is_alive("mine")
    marks.forget("mine")


def test_a_folder_knows_that_a_run_was_alive(tmp_path, start_holder):
    marks = FolderRunMarks(tmp_path)
    child = start_holder(HOLDER, "folder", str(tmp_path), "run")
    assert not marks.was_alive("run")
    kill(child)
    assert marks.was_alive("run")
    marks.forget("run")
    assert not marks.was_alive("run")
    assert list(tmp_path.iterdir()) == []


def test_lakehouses_in_one_database_have_their_own_runs(local_servers):
    address = PostgresAddress(make_url(local_servers.variables()["TEXTMILL_CATALOG_URL"]))
    one, other = PostgresRunMarks(address, "one"), PostgresRunMarks(address, "other")
    one.hold("run")
    assert one.is_alive("run")
    assert not other.is_alive("run")
    one.forget("run")


def test_marks_outlive_a_broken_connection_and_are_trusted_a_while_after_a_restart(local_servers, monkeypatch):
    address = PostgresAddress(make_url(local_servers.variables()["TEXTMILL_CATALOG_URL"]))
    marks = PostgresRunMarks(address, "broken")
    marks.hold("run")
    pid = marks._session._connection.info.backend_pid
    with address.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert settles(lambda: marks.is_alive("run"))
    assert marks._session._connection.info.backend_pid != pid
    marks.forget("run")
    assert not marks.is_alive("run")
    monkeypatch.setattr(run_marks, "PING_SECONDS", 1e9)  # as if the server had been started a moment ago
    assert marks.is_alive("run")
    assert not marks.is_alive_elsewhere("run")

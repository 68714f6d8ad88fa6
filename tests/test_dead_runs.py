"""Runs whose process was killed give their pool slots back, and their places in the queue; living ones are left alone."""

import threading

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus
from dagster._core.utils import make_new_run_id

from assets.tags import LAKE_POOL
from dagster_project import dead_runs
from dagster_project.dead_runs import build_dead_run_sensor, build_executor, reap_dead_runs, waits_for, watch
from dagster_project.environments import lake_place, read_environment
from dagster_project.instance import open_instance, set_up
from resources.lakehouse import Lakehouse
from resources.run_marks import RunMarks

# A process that marks a run as alive, says so and then sleeps.
HOLDER = """
import sys, time
from dagster_project.environments import lake_place, read_environment
lake_place(read_environment({"TEXTMILL_HOME": sys.argv[1]})).run_marks().hold(sys.argv[2])
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # set by opening the instance; put back afterwards
    return read_environment({"TEXTMILL_HOME": str(tmp_path / "家")})


@pytest.fixture
def lakehouse(environment):
    return Lakehouse(lake_place(environment), [])


@pytest.fixture
def instance(environment, lakehouse):
    set_up(environment, lakehouse)
    with open_instance(environment) as opened:
        yield opened


@pytest.fixture
def hold_elsewhere(environment, start_holder):
    """Starts a process that marks a run as alive."""
    return lambda run_id: start_holder(HOLDER, str(environment.home), run_id)


def kill(child):
    child.kill()
    child.wait()


def start_run(instance):
    """A run that Dagster believes to be in progress."""
    run = DagsterRun(job_name="refresh", run_id=make_new_run_id(), status=DagsterRunStatus.STARTED)
    instance.add_run(run)
    return run.run_id


def claim(instance, run_id):
    return instance.event_log_storage.claim_concurrency_slot(LAKE_POOL, run_id, "raw_documents").is_claimed


def test_a_run_whose_process_was_killed_is_reaped_and_its_slot_is_free(environment, lakehouse, instance, hold_elsewhere):
    run_id, waiting = start_run(instance), start_run(instance)
    child = hold_elsewhere(run_id)
    assert (claim(instance, run_id), claim(instance, waiting)) == (True, False)
    assert waits_for(instance, waiting) == (
        f"raw_documents waits for the pool 'lake', which run {run_id} uses. Wait for its end, or end it."
    )
    assert waits_for(instance, run_id) == ""
    assert set_up(environment, lakehouse).reaped_runs == []
    kill(child)
    assert set_up(environment, lakehouse).reaped_runs == [run_id]
    assert instance.get_run_by_id(run_id).status == DagsterRunStatus.FAILURE
    assert claim(instance, waiting)


def test_a_run_that_was_killed_in_the_queue_for_a_slot_leaves_the_queue(lakehouse, instance, hold_elsewhere):
    first, killed, last = (start_run(instance) for _ in range(3))
    assert claim(instance, first)
    child = hold_elsewhere(killed)
    assert not claim(instance, killed)
    instance.event_log_storage.free_concurrency_slots_for_run(first)  # the slot is kept for the killed one, which never takes it
    assert not claim(instance, last)
    kill(child)
    assert reap_dead_runs(instance, lakehouse.run_marks) == [killed]
    assert claim(instance, last)


def test_a_run_that_nobody_marked_gets_some_time_to_begin(lakehouse, instance, monkeypatch):
    young = start_run(instance)
    assert reap_dead_runs(instance, lakehouse.run_marks) == []
    monkeypatch.setattr(dead_runs, "GRACE_SECONDS", 0.0)
    assert reap_dead_runs(instance, lakehouse.run_marks) == [young]


def test_a_run_that_waits_is_told_why_and_goes_on_when_the_other_dies(lakehouse, instance, hold_elsewhere, monkeypatch):
    monkeypatch.setattr(dead_runs, "WATCH_SECONDS", 0.05)
    holder, waiting = start_run(instance), start_run(instance)
    child = hold_elsewhere(holder)
    lakehouse.run_marks.hold(waiting)
    assert (claim(instance, holder), claim(instance, waiting)) == (True, False)
    told, heard = [], threading.Semaphore(0)

    def tell(sentence):
        told.append(sentence)
        heard.release()

    with watch(instance, lakehouse.run_marks, waiting, tell):
        assert heard.acquire(timeout=30)
        kill(child)
        assert heard.acquire(timeout=30)
    assert told == [
        f"raw_documents waits for the pool 'lake', which run {holder} uses. Wait for its end, or end it.",
        f"The process of run {holder} is gone; it was marked as failed.",
    ]
    assert claim(instance, waiting)


def test_a_watch_that_cannot_look_says_so_and_does_not_end_the_run(lakehouse, instance, monkeypatch):
    monkeypatch.setattr(dead_runs, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(dead_runs, "reap_dead_runs", lambda *_: (_ for _ in ()).throw(OSError("no database")))
    heard = threading.Event()
    with watch(instance, lakehouse.run_marks, "run", lambda sentence: heard.set() if "no database" in sentence else None):
        assert heard.wait(30)


def test_the_daemon_looks_for_dead_runs(lakehouse, instance, hold_elsewhere):
    run_id = start_run(instance)
    kill(hold_elsewhere(run_id))
    sensor = build_dead_run_sensor()
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    said = [sensor(dg.build_sensor_context(instance=instance, resources={"lakehouse": lakehouse})).skip_message for _ in range(2)]
    assert said == [f"Marked as failed: {run_id}.", "Every run in progress is alive."]


class Notebook(RunMarks):
    """Marks that are only noted."""

    def __init__(self):
        self.noted = []

    def hold(self, run_id):
        self.noted.append(("hold", run_id))

    def forget(self, run_id):
        self.noted.append(("forget", run_id))

    def is_alive_elsewhere(self, run_id):
        return False

    is_alive = was_alive = is_alive_elsewhere


def test_a_run_of_the_ui_is_marked_before_its_first_step_and_still_when_its_end_is_written_down(instance):
    marks = Notebook()

    @dg.op
    def work():
        marks.noted.append("work")
        raise ValueError

    @dg.job(executor_def=build_executor(marks))
    def job():
        work()

    run = instance.create_run_for_job(job)
    assert not execute_run(InMemoryJob(job), run, instance).success
    assert marks.noted == [("hold", run.run_id), "work"]


def test_a_run_that_waits_sleeps(instance):
    holder, waiting = start_run(instance), instance.get_run_by_id(start_run(instance))
    assert claim(instance, holder)
    with InstanceConcurrencyContext(instance, waiting) as context:
        assert context.interval_to_next_pending_claim_check() == 0
        assert not context.claim(LAKE_POOL, "raw_documents")
        assert 0.2 < context.interval_to_next_pending_claim_check() < 20

"""Dagster's storage is set up, its pools have limits, and runs whose process is gone give their slots back."""

import subprocess
import sys

import pytest
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus
from dagster._core.utils import make_new_run_id

from assets.tags import GPU_POOL, LAKE_POOL
from dagster_project.environments import REPOSITORY, build_resources, read_environment, read_project
from dagster_project.instance import open_instance, set_up
from resources import liveness
from resources.event_storage import PooledSqliteEventLogStorage


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # set by opening the instance; put back afterwards
    return read_environment({"TEXTMILL_HOME": str(tmp_path / "home")})


@pytest.fixture
def lakehouse(environment):
    return build_resources(environment, read_project(environment))["lakehouse"]


def test_setting_up_applies_the_pool_limits_and_can_be_repeated(environment, lakehouse):
    for _ in range(2):
        set_up(environment, lakehouse, gpu_slots=2)
    with open_instance(environment) as instance:
        slots = {pool: instance.event_log_storage.get_concurrency_info(pool).slot_count for pool in (LAKE_POOL, GPU_POOL)}
        assert slots == {LAKE_POOL: 1, GPU_POOL: 2}
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        assert not instance.telemetry_enabled


def test_settings_that_a_user_changed_stay(environment, lakehouse):
    set_up(environment, lakehouse)
    settings = environment.dagster_home / "dagster.yaml"
    settings.write_text(settings.read_text() + "# mine\n")
    set_up(environment, lakehouse)
    assert settings.read_text().endswith("# mine\n")


def start_run(instance):
    """A run that Dagster believes to be in progress."""
    run = DagsterRun(job_name="refresh", run_id=make_new_run_id(), status=DagsterRunStatus.STARTED)
    instance.add_run(run)
    return run.run_id


def hold_in_child(folder, run_id, then):
    """A process that marks a run as alive and then ends, or sleeps."""
    script = (
        f"import sys, time; from pathlib import Path; from resources import liveness; liveness.hold(Path(sys.argv[1]), sys.argv[2]); {then}"
    )
    return subprocess.Popen([sys.executable, "-c", script, str(folder), run_id], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_a_run_whose_process_was_killed_is_reaped_and_its_slot_is_free(environment, lakehouse):
    set_up(environment, lakehouse)
    with open_instance(environment) as instance:
        run_id = start_run(instance)
        assert instance.event_log_storage.claim_concurrency_slot(LAKE_POOL, run_id, "step").is_claimed
        child = hold_in_child(lakehouse.runs_folder, run_id, "print('held', flush=True); time.sleep(60)")
        assert child.stdout.readline() == "held\n"
        child.kill()
        child.communicate()
    assert set_up(environment, lakehouse).reaped_runs == [run_id]
    with open_instance(environment) as instance:
        assert instance.get_run_by_id(run_id).status == DagsterRunStatus.FAILURE
        assert not instance.event_log_storage.get_concurrency_info(LAKE_POOL).claimed_slots


def test_a_living_run_and_a_young_run_are_left_alone(environment, lakehouse):
    set_up(environment, lakehouse)
    with open_instance(environment) as instance:
        living, _young = start_run(instance), start_run(instance)
        child = hold_in_child(lakehouse.runs_folder, living, "print('held', flush=True); time.sleep(60)")
        assert child.stdout.readline() == "held\n"
        try:
            assert set_up(environment, lakehouse).reaped_runs == []
        finally:
            child.kill()
            child.communicate()


def test_an_event_written_by_one_storage_is_read_by_dagsters_own(tmp_path, monkeypatch):
    from dagster._core.storage.event_log import SqliteEventLogStorage

    pooled = PooledSqliteEventLogStorage(str(tmp_path / "runs"))
    pooled.set_concurrency_slots("lake", 3)
    pooled.dispose()
    assert SqliteEventLogStorage(str(tmp_path / "runs")).get_concurrency_info("lake").slot_count == 3


def test_databases_beyond_the_limit_are_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.event_storage.MAX_OPEN_DATABASES", 2)
    pooled = PooledSqliteEventLogStorage(str(tmp_path / "runs"))
    for number in range(5):
        with pooled.run_connection(f"run-{number}"):
            pass
    assert list(pooled._engines) == ["run-3", "run-4"]
    pooled.dispose()


def test_a_run_of_this_process_is_not_alive_elsewhere(tmp_path):
    liveness.hold(tmp_path, "mine")
    assert not liveness.is_alive_elsewhere(tmp_path, "mine")

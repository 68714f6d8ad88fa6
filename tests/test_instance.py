"""Dagster's storage is set up, and its pools have limits."""

import pytest

from assets.tags import GPU_POOL, LAKE_POOL
from dagster_project.environments import build_resources, read_environment, read_project
from dagster_project.instance import open_instance, set_up
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

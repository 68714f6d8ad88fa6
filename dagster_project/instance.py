"""Dagster's own storage: where it lies, its settings and the pool limits."""

import os
from dataclasses import dataclass
from importlib.util import find_spec

import dagster as dg

from assets.tags import GPU_POOL, LAKE_POOL
from dagster_project.configuration import ConfigurationError
from dagster_project.dead_runs import reap_dead_runs
from dagster_project.environments import Environment
from resources.lakehouse import Lakehouse

# `granularity: op` makes pools count steps, not runs; slots of ended runs are given back after a while even if a process died.
DAGSTER_YAML = """# Written by `textmill setup`. Edit it freely; it is not overwritten.
telemetry:
  enabled: false
nux:  # the pop-up that asks for an e-mail address
  enabled: false
concurrency:
  pools:
    granularity: op
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
run_retries:
  enabled: false
{storage}retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days: {{skipped: 3, failure: 30, success: 30}}
"""
SQLITE_STORAGE = """event_log_storage:  # Dagster's own files and SQL, with connections that stay open: several times faster steps
  module: resources.event_storage
  class: PooledSqliteEventLogStorage
  config: {}
"""
POSTGRES_STORAGE = """storage:  # the address stays in the environment
  custom:
    module: resources.postgres_storage
    class: Psycopg2Storage
    config:
      postgres_url: {env: TEXTMILL_CATALOG_URL}
"""


@dataclass(frozen=True)
class SetupReport:
    """What a set-up did: runs found dead, files that no snapshot named."""

    reaped_runs: list[str]
    orphan_files: int


def open_instance(environment: Environment) -> dg.DagsterInstance:
    """Dagster's storage: in the environment's home, or in Postgres.

    Raises:
        ConfigurationError: It is to be in Postgres, and the extra `server` is missing.
    """
    if environment.lake is not None and find_spec("dagster_postgres") is None:
        raise ConfigurationError("TEXTMILL_ENV=server: expected the package dagster-postgres, found none; install textmill[server]")
    home = environment.dagster_home
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = home / "dagster.yaml"
    if not settings.exists():
        storage = SQLITE_STORAGE if environment.lake is None else POSTGRES_STORAGE
        settings.write_text(DAGSTER_YAML.format(storage=storage), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.get()


def set_up(environment: Environment, lakehouse: Lakehouse, gpu_slots: int = 1) -> SetupReport:
    """Prepare an environment for use; safe to repeat, and to run while others work.

    Args:
        environment: Which.
        lakehouse: Its lakehouse, whose orphaned files are removed.
        gpu_slots: Trainings at a time.
    """
    with open_instance(environment) as instance:
        for pool, slots in ((LAKE_POOL, 1), (GPU_POOL, gpu_slots)):
            instance.event_log_storage.set_concurrency_slots(pool, slots)
        reaped = reap_dead_runs(instance, lakehouse.run_marks)
    return SetupReport(reaped, lakehouse.remove_orphans())

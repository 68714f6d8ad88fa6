"""Dagster's own storage in Postgres, by the driver that Dagster's SQL is written for.

`dagster.yaml` names it (see `dagster_project/instance.py`). Dagster's class hands an address without a driver to SQLAlchemy, which since
version 2.1 takes psycopg 3 for it; that one refuses Dagster's `NOTIFY`.
"""

from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy.engine import make_url


class Psycopg2Storage(DagsterPostgresStorage):
    """`DagsterPostgresStorage` at an address that names psycopg2."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "Psycopg2Storage":  # noqa: ANN401
        """Made by Dagster from `dagster.yaml`."""
        url = make_url(config_value["postgres_url"]).set(drivername="postgresql+psycopg2")
        return cls(url.render_as_string(hide_password=False), inst_data=inst_data)

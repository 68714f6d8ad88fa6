"""Dagster's SQLite event log with connections that stay open.

Dagster opens and closes a database connection for every event, and an engine with an empty statement cache besides; closing the last
connection of a database makes SQLite checkpoint and sync it each time. With some hundred events in a run that costs more than
the work of a light step. This storage keeps the same files and the same SQL and only keeps its connections. `dagster.yaml` names
it (see `dagster_project/instance.py`); without that entry Dagster's own class reads the same files.

`synchronous=NORMAL` is what SQLite recommends with WAL: after a power cut the last events may be missing, the database is whole.
What must not be lost is in the lakehouse's ledger, not here.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import Field, StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

MAX_OPEN_DATABASES = 16


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that keeps the connections to its most recently used databases (one per run, and an index)."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:  # noqa: ANN401  # Dagster's name for a schema
        """`base_dir` may be left out: then it is where Dagster's own class keeps its files, in whatever DAGSTER_HOME is."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "PooledSqliteEventLogStorage":  # noqa: ANN401
        """Made by Dagster from `dagster.yaml`."""
        base_dir = config_value.get("base_dir") or str(Path(os.getenv("DAGSTER_HOME", ".")) / "history" / "runs")
        return cls(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        """The open engine of a database; the least recently used ones beyond the limit are closed."""
        if shard not in self._engines:
            self._engines[shard] = self._open(shard)
        self._engines.move_to_end(shard)
        while len(self._engines) > MAX_OPEN_DATABASES:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def _open(self, shard: str) -> Engine:
        # One connection, handed from thread to thread under the storage's lock.
        arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
        engine = create_engine(self.conn_string_for_shard(shard), poolclass=StaticPool, connect_args=arguments)
        event.listen(engine, "connect", lambda raw, _record: raw.execute("PRAGMA synchronous=NORMAL"))
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def dispose(self) -> None:
        """Close all connections."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()

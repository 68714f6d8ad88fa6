"""The lakehouse: DuckLake (DuckDB + encrypted Parquet + a SQL catalog) with the increment ledger on top.

What belongs here: the connection, its lock, the tables and their views, reading, and the verdict on an increment. Writing an
increment: `increments.py`. The ledger's own tables: `ledger.py`. Which tables exist: the caller says so (`assets/schemas.py`).

Three schemas: `lake.main` holds all rows, `lake.published` shows what was audited and is current, `lake.history` shows
everything that ever was approved. Everybody but the writer and the auditor of an increment reads `lake.published`.
"""

import importlib.resources
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import duckdb
import pandas as pd
import psutil
import pyarrow as pa
from filelock import FileLock, Timeout

from resources.ledger import LEDGER_DDL, LEDGER_TABLES, Increment, find_increments, read_facts, set_state

EXTENSIONS = ("ducklake", "sqlite_scanner", "httpfs")  # httpfs brings the OpenSSL that encrypted Parquet is written with
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "fuse.sshfs", "9p", "ceph", "glusterfs"}
LOCK_TIMEOUT_SECONDS = 600.0
ATTEMPTS = 8
TABLE_FACTS = ("rows_staged", "required_values_missing", "values_outside_schema", "duplicate_keys")
TRANSIENT_ERRORS = ("database is locked", "conflict", "busy")

Result = TypeVar("Result")


class LakehouseError(Exception):
    """Root of what can go wrong between textmill and its lakehouse."""


class ConcurrentIncrementError(LakehouseError):
    """Somebody else wrote the same asset in the meantime; running again finds the new state."""


class ColumnSpec(Protocol):
    """What the lakehouse needs to know of a column."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def nullable(self) -> bool: ...  # noqa: D102
    @property
    def allowed(self) -> tuple[str, ...] | None: ...  # noqa: D102
    @property
    def minimum(self) -> float | None: ...  # noqa: D102
    @property
    def maximum(self) -> float | None: ...  # noqa: D102


class TableSpec(Protocol):
    """What the lakehouse needs to know of a table."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def producer(self) -> str: ...  # noqa: D102
    @property
    def columns(self) -> Sequence[ColumnSpec]: ...  # noqa: D102
    @property
    def key(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def latest_by_key(self) -> bool: ...  # noqa: D102


class Lakehouse:
    """One lakehouse on local disk: a SQLite catalog and a folder of encrypted Parquet files.

    Access is serialized by a file lock and kept short, because a SQLite catalog refuses writers while anybody reads.
    """

    def __init__(self, folder: Path, tables: Sequence[TableSpec], memory_limit: str = "2GB") -> None:
        self.folder = folder
        self.tables = {table.name: table for table in tables}
        self._memory_limit = memory_limit
        self._thread_lock = threading.RLock()
        self._lock = FileLock(folder / "lake.lock", thread_local=False)
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def runs_folder(self) -> Path:
        """Where live runs hold their lock files."""
        return self.folder / "runs"

    @contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, with the lakehouse to oneself. Keep it short: everybody else waits.

        Raises:
            LakehouseError: The lock could not be had, or the lakehouse lies on a network file system.
        """
        refuse_network_file_system(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with self._thread_lock, self._lock.acquire(timeout=LOCK_TIMEOUT_SECONDS):
                yield self._open()
        except Timeout as error:
            raise LakehouseError(
                f"Expected the lock of {self.folder} within {LOCK_TIMEOUT_SECONDS:.0f} s, found it held by another process. "
                "Wait for that process or end it."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session whose statements are committed together, or not at all."""
        with self.session() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._abandon()
                raise

    def close(self) -> None:
        """Close the connection; the next session opens a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def read(
        self, sql: str, parameters: Mapping[str, object] | None = None, frames: Mapping[str, pd.DataFrame] | None = None
    ) -> pd.DataFrame:
        """Rows of a SELECT; the tables of `lake.published` can be named without their schema.

        Args:
            sql: The statement.
            parameters: Values for `$name` placeholders.
            frames: Frames that the statement joins, by name.
        """
        with self.session() as connection, _scope(connection, frames or {}):
            return to_pandas(connection.execute(sql, dict(parameters or {})))

    def read_batches(
        self, sql: str, batch_rows: int, parameters: Mapping[str, object] | None = None, frames: Mapping[str, pd.DataFrame] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Rows of a SELECT as `read` gives them, in frames of bounded size."""
        with self.session() as connection, _scope(connection, frames or {}):
            rows = spool(connection, "read_rows", sql, parameters or {})
        for offset in range(0, rows, batch_rows):
            with self.session() as connection:
                frame = spooled_rows(connection, "read_rows", offset, batch_rows)
            yield frame

    def staged(self, asset: str, run_id: str | None = None) -> list[Increment]:
        """Increments of an asset that wait for their audit, of one run or of all."""
        with self.session() as connection:
            increments = find_increments(connection, asset, None, ("staged",))
        return [increment for increment in increments if run_id in (None, increment.run_id)]

    def increments(self, asset: str) -> list[Increment]:
        """All increments of an asset, oldest first."""
        with self.session() as connection:
            return find_increments(connection, asset, None, ("staged", "approved", "rejected", "superseded"))

    def facts(self, increment: Increment) -> dict[str, float]:
        """Facts about an increment: those measured by its asset and its row accounting."""
        with self.session() as connection:
            measured = read_facts(connection, increment.increment_id)
        counts = increment.counts
        return measured | {
            "rows_in": counts.rows_in,
            "rows_out": counts.rows_out,
            "rows_rejected": counts.rows_rejected,
            "rows_unaccounted": counts.rows_unaccounted,
        }

    def table_facts(self, table: str, increment: Increment) -> dict[str, float]:
        """Facts about one increment's rows of one table, and about their fit with the rows already published.

        Returns:
            `rows_staged`, `required_values_missing`, `values_outside_schema` and `duplicate_keys`.
        """
        spec = self.tables[table]
        with self.session() as connection:
            row = connection.execute(table_facts_sql(spec, rebuild=increment.mode == "rebuild"), {"id": increment.increment_id}).fetchone()
        if row is None:
            raise LakehouseError(f"Expected one row of facts about {table}, found none.")
        return dict(
            zip(("rows_staged", "required_values_missing", "values_outside_schema", "duplicate_keys"), map(float, row), strict=True)
        )

    def staged_rows(self, table: str, increment_id: str, columns: Sequence[str], chunk_rows: int = 100_000) -> Iterator[pd.DataFrame]:
        """Rows of one increment before its verdict, in chunks of bounded size; for the auditor only."""
        selected = ", ".join(f'"{column}"' for column in columns)
        with self.session() as connection:
            source = f"SELECT {selected} FROM lake.main.{self.tables[table].name} WHERE increment_id = $id"
            rows = spool(connection, "audit_rows", source, {"id": increment_id})
        for offset in range(0, rows, chunk_rows):
            with self.session() as connection:
                frame = spooled_rows(connection, "audit_rows", offset, chunk_rows)
            yield frame

    def decide(self, increment: Increment, *, approved: bool) -> None:
        """Record the verdict on a staged increment; a rebuild supersedes what it replaces in the same transaction.

        Raises:
            ConcurrentIncrementError: The increment is no longer staged.
        """

        def move() -> None:
            with self.transaction() as connection:
                staged = find_increments(connection, increment.asset, increment.partition, ("staged",))
                if increment.increment_id not in {found.increment_id for found in staged}:
                    raise ConcurrentIncrementError(
                        f"Expected increment {increment.increment_id} of {increment.asset} to wait for its verdict, "
                        "found that another run replaced it. Materialize the asset again."
                    )
                if approved and increment.mode == "rebuild":
                    older = find_increments(connection, increment.asset, increment.partition, ("approved",))
                    set_state(connection, [found.increment_id for found in older], "superseded")
                set_state(connection, [increment.increment_id], "approved" if approved else "rejected")

        self.retry(move)

    def snapshot_id(self) -> int:
        """Newest DuckLake snapshot: names the state of all tables, for time travel."""
        with self.session() as connection:
            row = connection.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchone()
        return int(row[0]) if row else 0

    def remove_orphans(self) -> int:
        """Delete files that no snapshot names (left by killed writers); safe because writers hold the same lock."""
        with self.session() as connection:
            rows = connection.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)").fetchall()
        return len(rows)

    def retry(self, action: Callable[[], Result]) -> Result:
        """Run an action again, with growing pauses, while the catalog reports a lock or a conflict."""
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except duckdb.Error as error:
                if attempt == ATTEMPTS - 1 or not is_transient(error):
                    raise
                self._abandon()
                time.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = connect(self.folder, self._memory_limit)
            create_missing_tables(self._connection, list(self.tables.values()))
            (self.folder / "catalog.sqlite").chmod(0o600)
        return self._connection

    def _abandon(self) -> None:
        """Roll back; a connection that cannot even do that is closed."""
        if self._connection is None:
            return
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException as error:
            if "no transaction is active" not in str(error):
                self.close()
        except duckdb.Error:
            self.close()


@contextmanager
def _scope(connection: duckdb.DuckDBPyConnection, frames: Mapping[str, pd.DataFrame]) -> Iterator[None]:
    """Published tables and some frames can be named without a schema."""
    for name, frame in frames.items():
        connection.register(name, to_arrow(frame))
    connection.execute("USE lake.published")
    try:
        yield
    finally:
        connection.execute("USE memory.main")
        for name in frames:
            connection.unregister(name)


def connect(folder: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the lakehouse attached as `lake`; extensions come from installed packages, never from a network."""
    (folder / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "spill").mkdir(parents=True, exist_ok=True, mode=0o700)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(folder / "spill"),
        "temp_file_encryption": True,
    }
    connection = duckdb.connect(":memory:", config=settings)
    for name in EXTENSIONS:
        connection.load_extension(str(extension_file(name)))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"ATTACH 'ducklake:sqlite:{folder / 'catalog.sqlite'}' AS lake "
        f"(DATA_PATH '{folder / 'data'}', ENCRYPTED, DATA_INLINING_ROW_LIMIT 0)"
    )
    return connection


def extension_file(name: str) -> Path:
    """Path of a DuckDB extension inside its installed package.

    Raises:
        LakehouseError: The package is missing or was made for another DuckDB version.
    """
    try:
        package = importlib.resources.files(f"duckdb_extension_{name}")
    except ModuleNotFoundError as error:
        raise LakehouseError(f"Expected the package duckdb-extension-{name}=={duckdb.__version__}; install it with pip.") from error
    path = Path(str(package)) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise LakehouseError(f"Expected {path}, found none: duckdb {duckdb.__version__} and duckdb-extension-{name} must have one version.")
    return path


def refuse_network_file_system(folder: Path) -> None:
    """Raise if the folder lies on a network file system, where SQLite's locks do not hold.

    Raises:
        LakehouseError: It does; the message says where to put the folder instead.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists()).resolve()
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    kind = next((mounts[path] for path in (existing, *existing.parents) if path in mounts), "")
    if kind in NETWORK_FILE_SYSTEMS:
        raise LakehouseError(
            f"Expected {folder} on a local disk, found the network file system {kind!r}, on which a SQLite catalog is corrupted. "
            "Set TEXTMILL_HOME to a local folder."
        )


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help: the catalog was locked, or commits collided."""
    return any(text in str(error).lower() for text in TRANSIENT_ERRORS)


def create_missing_tables(connection: duckdb.DuckDBPyConnection, tables: Sequence[TableSpec]) -> None:
    """Create tables, columns and views that the lakehouse does not have yet; existing rows stay as they are.

    Raises:
        LakehouseError: A column exists with another type.
    """
    found = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'lake' AND schema_name = 'main'"
    ).fetchall()
    existing: dict[str, dict[str, str]] = {}
    for table_name, column_name, data_type in found:
        existing.setdefault(table_name, {})[column_name] = data_type
    changed = [table for table in tables if table_needs_change(table, existing.get(table.name, {}))]
    if not changed and set(LEDGER_TABLES) <= set(existing):
        return
    create_ledger(connection)
    connection.execute("BEGIN")
    for table in changed:
        create_table(connection, table, existing.get(table.name, {}))
    connection.execute("COMMIT")


def create_ledger(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the ledger. Its rows hold no text, so small ones may lie in the catalog itself, which keeps reading them cheap."""
    for statement in LEDGER_DDL:
        connection.execute(statement)
    for name in LEDGER_TABLES:
        connection.execute(f"CALL lake.set_option('data_inlining_row_limit', 1000, schema => 'main', table_name => '{name}')")
    connection.execute("CREATE SCHEMA IF NOT EXISTS lake.published")
    connection.execute("CREATE SCHEMA IF NOT EXISTS lake.history")


SQL_TYPE_NAMES = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}


def table_needs_change(table: TableSpec, existing: Mapping[str, str]) -> bool:
    """Whether a declared column is missing.

    Raises:
        LakehouseError: A column exists with another type.
    """
    for column in table.columns:
        expected, found = SQL_TYPE_NAMES.get(column.type, column.type), existing.get(column.name)
        if found is not None and found != expected:
            raise LakehouseError(
                f"Expected column {table.name}.{column.name} of type {expected}, found {found}. Give the new column another name."
            )
    return not {column.name for column in table.columns} <= set(existing)


def create_table(connection: duckdb.DuckDBPyConnection, table: TableSpec, existing: Mapping[str, str]) -> None:
    """Create a table, or add the columns it lacks, and (re)define its two views."""
    if not existing:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        connection.execute(f"CREATE TABLE lake.main.{table.name} (increment_id VARCHAR, {columns})")
    else:
        for column in table.columns:
            if column.name not in existing:
                connection.execute(f'ALTER TABLE lake.main.{table.name} ADD COLUMN "{column.name}" {column.type}')
    connection.execute(
        f"CREATE OR REPLACE VIEW lake.published.{table.name} AS {view_sql(table, ('approved',), latest=table.latest_by_key)}"
    )
    connection.execute(f"CREATE OR REPLACE VIEW lake.history.{table.name} AS {view_sql(table, ('approved', 'superseded'), latest=False)}")


def view_sql(table: TableSpec, states: Sequence[str], *, latest: bool) -> str:
    """SELECT over the increments in some states; full names, since a view's own unqualified name would mean the view."""
    wanted = ", ".join(f"'{state}'" for state in states)
    sql = (
        f"SELECT * FROM lake.main.{table.name} WHERE increment_id IN "
        f"(SELECT increment_id FROM lake.main.increments WHERE state IN ({wanted}) AND asset = '{table.producer}')"
    )
    if latest:
        keys = ", ".join(f'"{column}"' for column in table.key)
        sql += f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY increment_id DESC) = 1"
    return sql


def table_facts_sql(table: TableSpec, *, rebuild: bool) -> str:
    """One row of facts about the rows of increment `$id`; a rebuild's keys are compared among themselves only."""
    missing = [f'("{column.name}" IS NULL)::INT' for column in table.columns if not column.nullable]
    keys = ", ".join(f'"{column}"' for column in table.key)
    staged = f"(SELECT * FROM lake.main.{table.name} WHERE increment_id = $id)"
    doubled = f"(SELECT count(*) - count(DISTINCT ({keys})) FROM {staged})"
    if not (rebuild or table.latest_by_key):
        doubled += f" + (SELECT count(*) FROM {staged} SEMI JOIN lake.published.{table.name} USING ({keys}))"
    outside = [f"coalesce(({condition})::INT, 0)" for condition in outside_conditions(table)]
    return (
        f"SELECT count(*), coalesce(sum({' + '.join(missing) or '0'}), 0), coalesce(sum({' + '.join(outside) or '0'}), 0), {doubled} "
        f"FROM {staged}"
    )


def outside_conditions(table: TableSpec) -> list[str]:
    """SQL conditions that hold where a value breaks its column's declared set or range."""
    conditions = []
    for column in table.columns:
        if column.allowed is not None:
            conditions.append(f'"{column.name}" NOT IN ({", ".join(repr(value) for value in column.allowed)})')
        if column.minimum is not None:
            conditions.append(f'"{column.name}" < {column.minimum}')
        if column.maximum is not None:
            conditions.append(f'"{column.name}" > {column.maximum}')
    return conditions


def spool(connection: duckdb.DuckDBPyConnection, name: str, sql: str, parameters: Mapping[str, object]) -> int:
    """Copy rows into a local temporary table (memory first, then encrypted spill files); returns how many."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE temp.main.{name} AS {sql}", dict(parameters))
    row = connection.execute(f"SELECT count(*) FROM temp.main.{name}").fetchone()
    return int(row[0]) if row else 0


def spooled_rows(connection: duckdb.DuckDBPyConnection, name: str, offset: int, rows: int) -> pd.DataFrame:
    """A slice of a spooled table, in its order."""
    return to_pandas(
        connection.execute(f"SELECT * FROM temp.main.{name} WHERE rowid >= {offset} AND rowid < {offset + rows} ORDER BY rowid")
    )


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """A frame as an Arrow table; NaN and NaT become NULL."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def to_pandas(result: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """A result as a frame; timestamps are UTC."""
    return result.df()

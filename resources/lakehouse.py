"""The lakehouse: DuckLake (DuckDB + encrypted Parquet + a SQL catalog) with the increment ledger on top.

What belongs here: who may use the connection and when, reading, and the verdict on an increment. Opening the connection:
`lake_connection.py`. Tables and views: `lake_tables.py`. Writing an increment: `increments.py`. The ledger's own tables:
`ledger.py`. Which tables exist: the caller says so (`assets/schemas.py`).

Three schemas: `lake.main` holds all rows, `lake.published` shows what was audited and is current, `lake.history` shows
everything that ever was approved. Everybody but the writer and the auditor of an increment reads `lake.published`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pandas as pd
from filelock import Timeout

from resources.lake_connection import ConcurrentIncrementError as ConcurrentIncrementError
from resources.lake_connection import LakehouseError as LakehouseError
from resources.lake_connection import (
    claim_spill_folder,
    fit_threads,
    is_transient,
    published_scope,
    release_spill_folder,
    spool,
    spooled_rows,
    temporary_name,
    threads_for,
    to_pandas,
)
from resources.lake_place import EmbeddedPlace, LakePlace, connect
from resources.lake_tables import TABLE_FACTS, TableSpec, create_missing_tables, table_facts_sql
from resources.ledger import Increment, State, find_increments, insert_timings, read_facts, set_state
from resources.timings import Timings

PLACE = "lakehouse"
"""In the counts of `timings.py`."""
LOCK_TIMEOUT_SECONDS = 600.0
ATTEMPTS = 8

Result = TypeVar("Result")


class Lakehouse:
    """One lakehouse: a catalog and encrypted Parquet files, in a folder or on servers.

    Access is serialized by a lock and kept short: a SQLite catalog refuses writers while anybody reads, and an increment is checked
    against the ledger and committed without anybody in between.

    Args:
        place: Where it lies; a path is a folder on a local disk.
        tables: The tables that it holds.
        memory_limit: Memory that DuckDB may take before it spills, as DuckDB writes it.
        timings: Counts its reads and writes.

    Attributes:
        run_marks: Which runs that work on it are alive.
    """

    def __init__(
        self, place: Path | LakePlace, tables: Sequence[TableSpec], memory_limit: str = "2GB", timings: Timings | None = None
    ) -> None:
        self.place = EmbeddedPlace(place) if isinstance(place, Path) else place
        self.timings = timings or Timings()
        self.tables = {table.name: table for table in tables}
        self._memory_limit = memory_limit
        self._thread_lock = threading.RLock()
        self.run_marks = self.place.run_marks()
        self._lock = self.place.lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._spill: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder of this machine for spilled rows; embedded, everything lies there."""
        return self.place.folder

    @contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, with the lakehouse to oneself. Keep it short: everybody else waits.

        Raises:
            LakehouseError: The lock could not be had, or the place does not suit or cannot be reached.
        """
        if self._connection is None:
            self.place.prepare()
        try:
            with ExitStack() as held:
                with self.timings.observe(PLACE, "wait"):
                    held.enter_context(self._thread_lock)
                    held.enter_context(self._lock.acquire(timeout=LOCK_TIMEOUT_SECONDS))
                yield self._open()
        except Timeout as error:
            raise LakehouseError(
                f"Expected the lock of {self.place.describe()} within {LOCK_TIMEOUT_SECONDS:.0f} s, found it held by another process. "
                "Wait for that process or end it."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session whose statements are committed together, or not at all."""
        with self.session() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
                if not self._lock.is_locked:
                    raise LakehouseError(
                        f"Expected to hold the lock of {self.place.describe()} until the commit, found it lost; run again."
                    )
                connection.execute("COMMIT")
            except BaseException:
                self._abandon()
                raise

    @contextmanager
    def files_to_oneself(self) -> Iterator[None]:
        """Nobody else deletes data files that old snapshots name, or copies them; reading and writing go on.

        Raises:
            LakehouseError: A backup or a compaction takes longer than one waits.
        """
        try:
            with self.place.files_lock().acquire(timeout=LOCK_TIMEOUT_SECONDS):
                yield
        except Timeout as error:
            raise LakehouseError(
                f"Expected the lock of the files of {self.place.describe()} within {LOCK_TIMEOUT_SECONDS:.0f} s, "
                "found a backup or a compaction that holds it. Wait for its end and try again."
            ) from error

    def close(self) -> None:
        """Close the connection and drop what it spilled; the next session opens a new one."""
        with self._thread_lock:
            if self._connection is not None:
                self._connection.close()
            if self._spill is not None:
                release_spill_folder(self._spill)
            self._connection, self._spill = None, None
            self.place.close()

    def read(
        self, sql: str, parameters: Mapping[str, object] | None = None, frames: Mapping[str, pd.DataFrame] | None = None
    ) -> pd.DataFrame:
        """Rows of a SELECT; the tables of `lake.published` can be named without their schema.

        Args:
            sql: The statement.
            parameters: Values for `$name` placeholders.
            frames: Frames that the statement joins, by name.
        """
        with self.timings.observe(PLACE, "read"), self.session() as connection, published_scope(connection, frames or {}):
            return to_pandas(connection.execute(sql, dict(parameters or {})))

    def read_batches(
        self, sql: str, batch_rows: int, parameters: Mapping[str, object] | None = None, frames: Mapping[str, pd.DataFrame] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Rows of a SELECT as `read` gives them, in frames of at most `batch_rows`; the rows are those of the first moment."""
        name = temporary_name("read")
        try:
            with self.timings.observe(PLACE, "read"), self.session() as connection, published_scope(connection, frames or {}):
                rows = spool(connection, name, sql, parameters or {})
            for offset in range(0, rows, batch_rows):
                with self.session() as connection:
                    frame = spooled_rows(connection, name, offset, batch_rows)
                yield frame
        finally:
            self.drop_temporary([name])

    def drop_temporary(self, names: Sequence[str]) -> None:
        """Forget spooled rows, if the connection that held them is still there."""
        with self._thread_lock:
            if self._connection is not None:
                for name in names:
                    self._connection.execute(f"DROP TABLE IF EXISTS temp.main.{name}")

    def staged(self, asset: str, run_id: str | None = None) -> list[Increment]:
        """Increments of an asset that wait for their audit, of one run or of all."""
        with self.session() as connection:
            increments = find_increments(connection, [asset], None, ("staged",))
        return [increment for increment in increments if run_id in (None, increment.run_id)]

    def increments(self, asset: str) -> list[Increment]:
        """All increments of an asset, oldest first."""
        with self.session() as connection:
            return find_increments(connection, [asset], None, ("staged", "approved", "rejected", "superseded"))

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
        replaced_partition = increment.partition if increment.mode == "rebuild" else None
        sql = table_facts_sql(self.tables[table], replaced_partition)
        with self.session() as connection, threads_for(connection, increment.counts.rows_out):
            row = connection.execute(sql, {"id": increment.increment_id}).fetchone()
        if row is None:
            raise LakehouseError(f"Expected one row of facts about {table}, found none.")
        return dict(zip(TABLE_FACTS, map(float, row), strict=True))

    def staged_rows(self, table: str, increment_id: str, columns: Sequence[str], chunk_rows: int = 100_000) -> Iterator[pd.DataFrame]:
        """Rows of one increment before its verdict, in chunks of bounded size; for the auditor only."""
        selected = ", ".join(f'"{column}"' for column in columns)
        sql = f"SELECT {selected} FROM lake.main.{self.tables[table].name} WHERE increment_id = $id"
        return self.read_batches(sql, chunk_rows, {"id": increment_id})

    def decide(self, increment: Increment, *, approved: bool) -> None:
        """Record the verdict on a staged increment; a rebuild supersedes what it replaces in the same transaction.

        A verdict that is already recorded stands: the commit that recorded it may not have been acknowledged.

        Raises:
            ConcurrentIncrementError: The increment is no longer staged and has another verdict.
        """
        verdict: State = "approved" if approved else "rejected"

        def move() -> None:
            with self.transaction() as connection:
                found = find_increments(connection, [increment.asset], increment.partition, ("staged", verdict))
                state = {one.increment_id: one.state for one in found}.get(increment.increment_id)
                if state is None:
                    raise ConcurrentIncrementError(
                        f"Expected increment {increment.increment_id} of {increment.asset} to wait for its verdict, "
                        "found that another run replaced it. Materialize the asset again."
                    )
                if state == "staged":
                    self._record(connection, increment, verdict)
                    insert_timings(connection, increment.increment_id, timings)

        with self.timings.taken() as timings:
            self.retry(move, "verdict")

    @staticmethod
    def _record(connection: duckdb.DuckDBPyConnection, increment: Increment, verdict: State) -> None:
        if verdict == "approved" and increment.mode == "rebuild":
            older = find_increments(connection, [increment.asset], increment.partition, ("approved",))
            set_state(connection, [one.increment_id for one in older], "superseded")
        set_state(connection, [increment.increment_id], verdict)

    def snapshot_id(self) -> int:
        """Newest DuckLake snapshot: names the state of all tables, for time travel."""
        with self.session() as connection:
            row = connection.execute("SELECT id FROM lake.current_snapshot()").fetchone()
        return int(row[0]) if row else 0

    def remove_orphans(self) -> int:
        """Delete files that no snapshot names (left by killed writers); safe because writers hold the same lock."""
        with self.session() as connection:
            rows = connection.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)").fetchall()
        return len(rows)

    def retry(self, action: Callable[[], Result], operation: str = "write") -> Result:
        """Run an action again, with growing pauses, while the catalog reports a lock or a conflict; counted as one call of `operation`."""
        with self.timings.observe(PLACE, operation, (ConcurrentIncrementError,)):
            for attempt in range(ATTEMPTS):
                try:
                    return action()
                except duckdb.Error as error:
                    if attempt == ATTEMPTS - 1 or not is_transient(error):
                        raise
                    self.timings.count_retry(PLACE, operation)
                    time.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is not None:
            return self._connection
        self._spill = claim_spill_folder(self.folder)
        try:
            self._connection = connect(self.place, self._memory_limit, self._spill)
            self._connection.execute("SET threads = 1")  # the catalog is small in any case
            create_missing_tables(self._connection, list(self.tables.values()))
            fit_threads(self._connection)
        except BaseException:
            self.close()
            raise
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

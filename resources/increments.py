"""Writing an increment: read what is new upstream, write rows, commit them with their ledger row in one transaction.

Use it through `increment(...)`; `step.batches` reads, `step.write` spools rows, leaving the block commits them as `staged`.
Nobody sees them until the audit approves them (`assets/quality/checks.py`). The connection and the views: `lakehouse.py`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import duckdb
import pandas as pd
import uuid6

from resources import liveness
from resources.lakehouse import ConcurrentIncrementError, Lakehouse, LakehouseError, spool, spooled_rows, to_arrow, to_pandas
from resources.ledger import Counts, Increment, Mode, State, approved_ids, consumed_ids, find_increments, insert_increment, set_state

BATCH_ROWS = 20_000
PREVIEW_ROWS = 5

# How an asset follows its upstream tables:
# - incremental: appends what is new; recomputes everything when something it consumed was superseded.
# - snapshot: recomputes everything whenever anything is new, superseding its older increments.
# - journal: appends one result per state of its upstream; older results stay valid history.
Following = Literal["incremental", "snapshot", "journal"]


@dataclass(frozen=True)
class Plan:
    """What a materialization is going to read and replace."""

    mode: Mode
    new_inputs: dict[str, list[str]]
    all_inputs: dict[str, list[str]]
    head: list[tuple[str, State]]

    @property
    def inputs(self) -> list[str]:
        """Ids of all increments that will count as consumed; a step that works without anything new records the present state."""
        present = sorted({identifier for ids in self.all_inputs.values() for identifier in ids})
        return present if self.mode == "rebuild" else self.fresh or present

    @property
    def fresh(self) -> list[str]:
        """Ids of the increments not consumed before."""
        return sorted({identifier for ids in self.new_inputs.values() for identifier in ids})


@dataclass
class Step:
    """One materialization in progress; made by `increment(...)`."""

    lakehouse: Lakehouse
    increment_id: str
    asset: str
    partition: str
    run_id: str
    code_version: str
    plan: Plan
    counts: Counts = field(default_factory=Counts)
    reasons: Counter[str] = field(default_factory=Counter)
    facts: dict[str, float] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    previews: dict[str, pd.DataFrame] = field(default_factory=dict)
    is_committed: bool = False

    @property
    def has_new_input(self) -> bool:
        """Whether any upstream table has an increment that this asset has not consumed."""
        return bool(self.plan.fresh)

    @property
    def is_rebuild(self) -> bool:
        """Whether this increment will replace all earlier ones."""
        return self.plan.mode == "rebuild"

    def batches(self, table: str, batch_rows: int = BATCH_ROWS, order_by: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
        """Approved upstream rows to work on, oldest increment first, in frames of bounded size.

        A rebuild reads everything that is published; otherwise only the increments not consumed yet.

        Args:
            table: A table of an upstream producer.
            batch_rows: Most rows of a frame.
            order_by: Columns that order the rows; by default the increment and the key.
        """
        chosen = self.plan.all_inputs if self.is_rebuild else self.plan.new_inputs
        spec = self.lakehouse.tables[table]
        order = ", ".join(f'"{column}"' for column in (order_by or ("increment_id", *spec.key)))
        source = f"SELECT * FROM lake.published.{table} WHERE list_contains($ids, increment_id) ORDER BY {order}"
        name = f"input_{table}"
        with self.lakehouse.session() as connection:
            rows = spool(connection, name, source, {"ids": chosen.get(spec.producer, [])})
        for offset in range(0, rows, batch_rows):
            with self.lakehouse.session() as connection:
                frame = spooled_rows(connection, name, offset, batch_rows)
            yield frame.drop(columns="increment_id")

    def changed_keys(self, tables: Sequence[str], key: str, batch_rows: int = BATCH_ROWS) -> Iterator[pd.DataFrame]:
        """Distinct values of a column over the new rows of several upstream tables, in frames of bounded size."""
        chosen = self.plan.all_inputs if self.is_rebuild else self.plan.new_inputs
        ids = sorted({identifier for found in chosen.values() for identifier in found})
        parts = [f'SELECT "{key}" FROM lake.published.{table} WHERE list_contains($ids, increment_id)' for table in tables]
        with self.lakehouse.session() as connection:
            rows = spool(connection, "changed_keys", f'SELECT DISTINCT "{key}" FROM ({" UNION ALL ".join(parts)}) ORDER BY 1', {"ids": ids})
        for offset in range(0, rows, batch_rows):
            with self.lakehouse.session() as connection:
                frame = spooled_rows(connection, "changed_keys", offset, batch_rows)
            yield frame

    def lookup(self, table: str, keys: pd.DataFrame) -> pd.DataFrame:
        """Published rows, and rows this step wrote so far, that match a frame of key values.

        Args:
            table: A table of the lakehouse.
            keys: One row per combination looked for; its columns are columns of the table.
        """
        sql = f"SELECT * FROM ({self._visible(table)}) SEMI JOIN wanted USING ({', '.join(keys.columns)})"
        return self._read(sql, keys.drop_duplicates())

    def lookup_overlapping(self, table: str, column: str, values: Sequence[int]) -> pd.DataFrame:
        """Published rows, and rows this step wrote so far, whose list in `column` shares a value with `values`."""
        keys = ", ".join(self.lakehouse.tables[table].key)
        source = self._visible(table)
        flat = f'SELECT {keys}, unnest("{column}") AS value FROM ({source})'
        sql = f"SELECT * FROM ({source}) SEMI JOIN (SELECT {keys} FROM ({flat}) SEMI JOIN wanted USING (value)) USING ({keys})"
        return self._read(sql, pd.DataFrame({"value": pd.Series(values, dtype="uint64")}).drop_duplicates())

    def write(self, table: str, frame: pd.DataFrame) -> None:
        """Spool rows; they reach the lakehouse when the block ends.

        Raises:
            LakehouseError: The frame's columns are not the table's, or another asset owns the table.
        """
        spec = self.lakehouse.tables[table]
        expected = [column.name for column in spec.columns]
        if spec.producer != self.asset or set(expected) != set(frame.columns):
            raise LakehouseError(
                f"Expected {self.asset} to write a table of its own with its columns; {table} belongs to {spec.producer} and has "
                f"{sorted(expected)}, found {sorted(frame.columns)}."
            )
        if frame.empty:
            return
        columns = ", ".join(f'"{column.name}"::{column.type} AS "{column.name}"' for column in spec.columns)
        with self.lakehouse.session() as connection:
            connection.register("written_rows", to_arrow(frame[expected]))
            if self.written[table] == 0:
                connection.execute(f"CREATE OR REPLACE TEMP TABLE output_{table} AS SELECT {columns} FROM written_rows")
            else:
                connection.execute(f"INSERT INTO output_{table} SELECT {columns} FROM written_rows")
            connection.unregister("written_rows")
        if self.written[table] == 0:
            self.previews[table] = frame[expected].head(PREVIEW_ROWS)
        self.written[table] += len(frame)

    def count(self, *, rows_in: int = 0, rows_out: int = 0, rows_skipped: int = 0, reasons: "pd.Series[str] | None" = None) -> None:
        """Add to the row accounting.

        Args:
            rows_in: Units read.
            rows_out: Units that came through.
            rows_skipped: Units that rightly yield no row.
            reasons: One reason per rejected row.
        """
        found = Counter(reasons.tolist()) if reasons is not None else Counter()
        self.counts += Counts(rows_in, rows_out, found.total(), rows_skipped)
        self.reasons += found

    def measure(self, fact: str, value: float) -> None:
        """Keep a number about this increment, for its suite and for the record."""
        self.facts[fact] = float(value)

    def _visible(self, table: str) -> str:
        """SELECT of what this step may build on: published rows (unless it rebuilds them) and what it wrote itself."""
        columns = ", ".join(f'"{column.name}"' for column in self.lakehouse.tables[table].columns)
        is_replaced = self.is_rebuild and self.lakehouse.tables[table].producer == self.asset
        published = f"SELECT {columns} FROM lake.published.{table}" + (" WHERE false" if is_replaced else "")
        return f"{published} UNION ALL SELECT {columns} FROM output_{table}" if self.written[table] else published

    def _read(self, sql: str, wanted: pd.DataFrame) -> pd.DataFrame:
        with self.lakehouse.session() as connection:
            connection.register("wanted", to_arrow(wanted))
            try:
                return to_pandas(connection.execute(sql))
            finally:
                connection.unregister("wanted")


@contextmanager
def increment(
    lakehouse: Lakehouse,
    asset: str,
    *,
    run_id: str,
    code_version: str,
    upstream: Sequence[str] = (),
    partition: str = "",
    upstream_partition: str | None = None,
    following: Following = "incremental",
    full_refresh: bool = False,
) -> Iterator[Step]:
    """Write one increment of an asset.

    First removes what the asset left staged or rejected, so that "fix the rule and click again" is the whole recovery. Leaving
    the block commits what was written; an exception leaves nothing behind.

    Args:
        lakehouse: Where to write.
        asset: The producer whose tables are written.
        run_id: The run, for the ledger.
        code_version: Version of the code that makes the rows.
        upstream: Producers whose approved increments are read.
        partition: Partition key, or empty.
        upstream_partition: Read only this partition of the upstream producers; all partitions by default.
        following: How the asset follows its upstream tables.
        full_refresh: Recompute everything.

    Raises:
        ConcurrentIncrementError: Another live run is writing, or has meanwhile written, the same asset.
    """
    liveness.hold(lakehouse.runs_folder, run_id)
    remove_unapproved(lakehouse, asset, partition)
    with lakehouse.session() as connection:
        all_inputs = {producer: approved_ids(connection, producer, upstream_partition) for producer in upstream}
    plan = make_plan(lakehouse, asset, partition, all_inputs, following, full_refresh=full_refresh)
    step = Step(lakehouse, str(uuid6.uuid7()), asset, partition, run_id, code_version, plan)
    yield step
    if step.counts.rows_in or step.written.total() or plan.fresh:
        commit(step)


def remove_unapproved(lakehouse: Lakehouse, asset: str, partition: str) -> None:
    """Delete the rows of staged and rejected increments of an asset; their ledger rows stay, as rejected.

    Raises:
        ConcurrentIncrementError: One of them is staged by a run that is alive.
    """

    def remove() -> None:
        with lakehouse.transaction() as connection:
            leftovers = find_increments(connection, asset, partition, ("staged", "rejected"))
            for leftover in leftovers:
                if leftover.state == "staged" and liveness.is_alive_elsewhere(lakehouse.runs_folder, leftover.run_id):
                    raise ConcurrentIncrementError(
                        f"Expected to be alone in materializing {asset}, found run {leftover.run_id} about to audit increment "
                        f"{leftover.increment_id}. Wait for it to end and try again."
                    )
            for table in (table for table in lakehouse.tables.values() if table.producer == asset):
                delete_rows(connection, table.name, [leftover.increment_id for leftover in leftovers])
            set_state(connection, [leftover.increment_id for leftover in leftovers if leftover.state == "staged"], "rejected")

    lakehouse.retry(remove)


def delete_rows(connection: duckdb.DuckDBPyConnection, table: str, increment_ids: list[str]) -> None:
    """Delete the rows of some increments from a table, if it has any."""
    if not increment_ids:
        return
    condition = "list_contains($ids, increment_id)"
    found = connection.execute(f"SELECT 1 FROM lake.main.{table} WHERE {condition} LIMIT 1", {"ids": increment_ids}).fetchone()
    if found:
        connection.execute(f"DELETE FROM lake.main.{table} WHERE {condition}", {"ids": increment_ids})


def make_plan(
    lakehouse: Lakehouse, asset: str, partition: str, all_inputs: dict[str, list[str]], following: Following, *, full_refresh: bool
) -> Plan:
    """Decide what is new upstream and whether earlier increments have to be replaced."""
    with lakehouse.session() as connection:
        consumed = consumed_ids(connection, asset, partition, ("approved",))
        own = find_increments(connection, asset, partition, ("staged", "approved"))
    new_inputs = {producer: [found for found in ids if found not in consumed] for producer, ids in all_inputs.items()}
    has_new = any(new_inputs.values())
    lost = consumed - {identifier for ids in all_inputs.values() for identifier in ids}
    is_outdated = full_refresh or (following != "journal" and bool(lost)) or (following == "snapshot" and has_new)
    mode: Mode = "rebuild" if is_outdated and following != "journal" and any(all_inputs.values()) else "append"
    head = [(found.increment_id, found.state) for found in own]
    return Plan(mode, all_inputs if is_outdated else new_inputs, all_inputs, head)


def commit(step: Step) -> None:
    """Commit a step's rows, ledger row, inputs and facts in one transaction, in state `staged`.

    An increment that turns out to be there after a failed attempt was committed without being acknowledged; it is not written twice.
    """
    row = Increment(
        step.increment_id,
        step.asset,
        step.partition,
        step.run_id,
        step.code_version,
        step.plan.mode,
        "staged",
        step.counts,
        datetime.now(UTC),
    )

    def write() -> None:
        with step.lakehouse.transaction() as connection:
            own = find_increments(connection, step.asset, step.partition, ("staged", "approved"))
            if step.increment_id in {found.increment_id for found in own}:
                return
            if [(found.increment_id, found.state) for found in own] != step.plan.head:
                raise ConcurrentIncrementError(
                    f"Expected {step.asset} to be unchanged since this run began, found that another run wrote it. "
                    "Nothing was written; materialize it again."
                )
            for table in step.written:
                connection.execute(f"INSERT INTO lake.main.{table} SELECT '{step.increment_id}', * FROM output_{table}")
            insert_increment(connection, row, step.plan.inputs, step.facts)

    step.lakehouse.retry(write)
    step.is_committed = True

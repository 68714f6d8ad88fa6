"""Writing an increment: read what is new upstream, write rows, commit them with their ledger row in one transaction.

Use it through `increment(...)`; `step.batches` reads, `step.write` spools rows, leaving the block commits them as `staged`.
Nobody sees them until the audit approves them (`assets/quality/checks.py`). The connection and the views: `lakehouse.py`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa

from resources.lake_connection import fit_threads, registered, temporary_name, threads_for, to_pandas
from resources.lake_tables import column_list, published_rows_sql
from resources.lakehouse import Lakehouse, LakehouseError
from resources.ledger import Counts, Increment, insert_increment, insert_timings
from resources.plans import Following as Following
from resources.plans import Plan, Target, check_plan_holds, head_of, next_increment_id, plan_alone, read_increments
from resources.sieve import Hashes, Sieve

BATCH_ROWS = 20_000
PREVIEW_ROWS = 5


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
    spools: dict[str, str] = field(default_factory=dict)
    previews: dict[str, pd.DataFrame] = field(default_factory=dict)
    rows_offered: int | None = None
    is_committed: bool = False

    @property
    def rows_left_unread(self) -> int:
        """1 or more when there was, or may have been, something to read and none of it was counted as read."""
        if self.counts.rows_in:
            return 0
        return 1 if self.rows_offered is None else self.rows_offered

    @property
    def has_new_input(self) -> bool:
        """Whether any upstream table has an increment that this asset has not consumed."""
        return bool(self.plan.fresh)

    @property
    def is_rebuild(self) -> bool:
        """Whether this increment will replace all earlier ones."""
        return self.plan.mode == "rebuild"

    def batches(
        self, table: str, batch_rows: int = BATCH_ROWS, order_by: Sequence[str] = (), *, newest_first: bool = False
    ) -> Iterator[pd.DataFrame]:
        """Approved upstream rows to work on, oldest increment first, in frames of bounded size.

        A rebuild reads everything that is published; otherwise only the increments not consumed yet.

        Args:
            table: A table of an upstream producer.
            batch_rows: Most rows of a frame.
            order_by: Columns that order the rows; by default the increment and the key.
            newest_first: Turns that order round.
        """
        spec = self.lakehouse.tables[table]
        direction = "DESC" if newest_first else "ASC"
        order = ", ".join(f'"{column}" {direction}' for column in (order_by or ("increment_id", *spec.key)))
        sql = f"SELECT {column_list(spec)} FROM ({published_rows_sql(spec)}) ORDER BY {order}"
        return self._offer(self.lakehouse.read_batches(sql, batch_rows, {"ids": self.plan.chosen.get(spec.producer, [])}))

    def changed_keys(self, tables: Sequence[str], key: str, batch_rows: int = BATCH_ROWS) -> Iterator[pd.DataFrame]:
        """Distinct values of a column over the new rows of several upstream tables, in frames of bounded size."""
        ids = sorted({identifier for found in self.plan.chosen.values() for identifier in found})
        rows = " UNION ALL ".join(f'SELECT "{key}" FROM ({published_rows_sql(self.lakehouse.tables[table])})' for table in tables)
        return self._offer(self.lakehouse.read_batches(f'SELECT DISTINCT "{key}" FROM ({rows}) ORDER BY 1', batch_rows, {"ids": ids}))

    def lookup(self, table: str, keys: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
        """Published rows, and rows this step wrote so far, that match a frame of key values.

        Args:
            table: A table of the lakehouse.
            keys: One row per combination looked for; its columns are columns of the table, or `increment_id`: then only the files of these
                increments are read.
            columns: Columns that are wanted, `increment_id` among them or not; by default all of the table. Each that is left out is one
                that need not be read for every row.
        """
        return self._matching(table, self._visible(table), keys, columns)

    def lookup_staged(self, table: str, keys: pd.DataFrame) -> pd.DataFrame:
        """Rows this step wrote so far that match a frame of key values; see `lookup`."""
        return self._matching(table, self._staged(table) or f"SELECT * FROM lake.published.{table} WHERE false", keys)

    def lookup_overlapping(self, table: str, column: str, values: Hashes) -> pd.DataFrame:
        """Keys and `increment_id` of published rows, and of rows this step wrote so far, whose list in `column` shares one of `values`.

        Args:
            table: A table of the lakehouse.
            column: One of its columns, of type UBIGINT[], that holds hashes.
            values: Hashes, in any order.
        """
        sieve = Sieve(values)
        keys = ", ".join(f'"{name}"' for name in self.lakehouse.tables[table].key)
        sql = f'SELECT increment_id, {keys}, "{column}" AS hashes FROM ({self._visible(table)})' + ("" if len(values) else " WHERE false")
        with self.lakehouse.session() as connection:
            batches = connection.execute(sql).to_arrow_reader(BATCH_ROWS)
            found = [batch.filter(pa.array(sieve.holds_any(batch.column("hashes")))) for batch in batches]
            schema = batches.schema
        frame: pd.DataFrame = pa.Table.from_batches(found, schema).drop_columns("hashes").to_pandas()
        return frame

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
        with self.lakehouse.session() as connection, registered(connection, {"written_rows": frame[expected]}):
            if table not in self.spools:
                name = temporary_name(f"output_{table}")
                connection.execute(f"CREATE TEMP TABLE {name} AS SELECT {columns} FROM written_rows")
                self.spools[table] = name
                self.previews[table] = frame[expected].head(PREVIEW_ROWS)
            else:
                connection.execute(f"INSERT INTO {self.spools[table]} SELECT {columns} FROM written_rows")
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

    def add(self, fact: str, value: float) -> None:
        """Add to a number that was kept before, or is 0."""
        self.measure(fact, self.facts.get(fact, 0.0) + value)

    def _offer(self, frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Count the rows that were there to be read."""
        self.rows_offered = self.rows_offered or 0
        for frame in frames:
            self.rows_offered += len(frame)
            yield frame

    def _visible(self, table: str) -> str:
        """SELECT of what this step may build on: published rows (unless it rebuilds them) and what it wrote itself."""
        columns = column_list(self.lakehouse.tables[table])
        is_replaced = self.is_rebuild and self.lakehouse.tables[table].producer == self.asset
        published = f"SELECT increment_id, {columns} FROM lake.published.{table}" + (" WHERE false" if is_replaced else "")
        return " UNION ALL ".join(filter(None, (published, self._staged(table))))

    def _staged(self, table: str) -> str:
        """SELECT of what this step wrote so far; empty if that is nothing."""
        columns = column_list(self.lakehouse.tables[table])
        return f"SELECT '{self.increment_id}' AS increment_id, {columns} FROM {self.spools[table]}" if table in self.spools else ""

    def _matching(self, table: str, source: str, keys: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
        """Rows of a SELECT on a table that match keys; the keys take the types of the table: an empty column says no type of its own."""
        spec = self.lakehouse.tables[table]
        selected = ", ".join(f'"{column}"' for column in columns) or column_list(spec)
        types = {"increment_id": "VARCHAR"} | {column.name: column.type for column in spec.columns}
        wanted = ", ".join(f'"{name}"::{types[name]} AS "{name}"' for name in keys.columns)
        if "increment_id" in keys.columns:
            source = f"SELECT * FROM ({source}) WHERE increment_id IN (SELECT increment_id::VARCHAR FROM wanted)"
        sql = f"SELECT {selected} FROM ({source}) SEMI JOIN (SELECT {wanted} FROM wanted) USING ({', '.join(keys.columns)})"
        with self.lakehouse.session() as connection, registered(connection, {"wanted": keys.drop_duplicates()}):
            return to_pandas(connection.execute(sql))


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
    target = Target(asset, partition, tuple(upstream), upstream_partition, following)
    lakehouse.run_marks.hold(run_id)
    plan = plan_alone(lakehouse, target, full_refresh=full_refresh)
    step = Step(lakehouse, next_increment_id(plan.head), asset, partition, run_id, code_version, plan)
    try:
        yield step
        if step.counts.rows_in or step.written.total() or plan.fresh:
            commit(step)
    finally:
        lakehouse.drop_temporary(list(step.spools.values()))


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
            own, inputs = read_increments(connection, step.plan.target)
            if step.increment_id in dict(head_of(own)):
                return
            check_plan_holds(step.plan, head_of(own), inputs)
            for table, name in step.spools.items():
                columns = column_list(step.lakehouse.tables[table])
                with threads_for(connection, step.written[table]):
                    connection.execute(
                        f"INSERT INTO lake.main.{table} (increment_id, {columns}) SELECT '{step.increment_id}', {columns} FROM {name}"
                    )
            insert_increment(connection, row, step.plan.inputs, step.facts | {"rows_left_unread": step.rows_left_unread})
            insert_timings(connection, step.increment_id, timings)

    with step.lakehouse.timings.taken() as timings:
        step.lakehouse.retry(write, "commit")
    step.is_committed = True
    if step.written.total() >= BATCH_ROWS:
        with step.lakehouse.session() as connection:
            fit_threads(connection)

"""The ledger's own tables: one row per increment, its inputs, its measured facts, and how long reads and writes took up to its commit.

What belongs here: their shape and the statements that read and move them. Who writes rows and when: `increments.py`. Which
rows people see: the views made by `lakehouse.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import duckdb

from resources.timings import Key, Timing

State = Literal["staged", "approved", "rejected", "superseded"]
Mode = Literal["append", "rebuild"]

LEDGER_DDL = (
    """CREATE TABLE IF NOT EXISTS lake.main.increments (
        increment_id VARCHAR, asset VARCHAR, "partition" VARCHAR, run_id VARCHAR, code_version VARCHAR, mode VARCHAR,
        state VARCHAR, rows_in BIGINT, rows_out BIGINT, rows_rejected BIGINT, rows_skipped BIGINT,
        created_at TIMESTAMPTZ, decided_at TIMESTAMPTZ)""",
    "CREATE TABLE IF NOT EXISTS lake.main.increment_inputs (increment_id VARCHAR, input_increment_id VARCHAR)",
    "CREATE TABLE IF NOT EXISTS lake.main.increment_facts (increment_id VARCHAR, fact VARCHAR, value DOUBLE)",
    """CREATE TABLE IF NOT EXISTS lake.main.increment_timings (
        increment_id VARCHAR, written_at TIMESTAMPTZ, place VARCHAR, operation VARCHAR,
        calls BIGINT, errors BIGINT, retries BIGINT, seconds DOUBLE, histogram VARCHAR)""",
)
LEDGER_TABLES = ("increments", "increment_inputs", "increment_facts", "increment_timings")


@dataclass(frozen=True)
class Counts:
    """Row accounting of one increment: `rows_in = rows_out + rows_rejected + rows_skipped`.

    Attributes:
        rows_in: Units of work read: records, documents, votes, or (document, rule) pairs; each asset says which.
        rows_out: Rows that came through.
        rows_rejected: Rows refused; each is kept with its reason.
        rows_skipped: Units that rightly yield no row: a record that did not change, a rule that abstained.
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.rows_in + other.rows_in,
            self.rows_out + other.rows_out,
            self.rows_rejected + other.rows_rejected,
            self.rows_skipped + other.rows_skipped,
        )

    @property
    def rows_unaccounted(self) -> int:
        """Rows that are neither out nor rejected nor skipped; anything but 0 is a defect."""
        return self.rows_in - self.rows_out - self.rows_rejected - self.rows_skipped


@dataclass(frozen=True)
class Increment:
    """One row of the ledger."""

    increment_id: str
    asset: str
    partition: str
    run_id: str
    code_version: str
    mode: Mode
    state: State
    counts: Counts
    created_at: datetime


def insert_increment(connection: duckdb.DuckDBPyConnection, increment: Increment, inputs: list[str], facts: dict[str, float]) -> None:
    """Add an increment with its inputs and facts, inside the caller's transaction."""
    counts = increment.counts
    connection.execute(
        "INSERT INTO lake.main.increments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [
            increment.increment_id,
            increment.asset,
            increment.partition,
            increment.run_id,
            increment.code_version,
            increment.mode,
            increment.state,
            counts.rows_in,
            counts.rows_out,
            counts.rows_rejected,
            counts.rows_skipped,
            increment.created_at,
        ],
    )
    if inputs:
        connection.execute("INSERT INTO lake.main.increment_inputs SELECT ?, unnest(?::VARCHAR[])", [increment.increment_id, inputs])
    if facts:
        connection.execute(
            "INSERT INTO lake.main.increment_facts SELECT ?, unnest(?::VARCHAR[]), unnest(?::DOUBLE[])",
            [increment.increment_id, list(facts), list(facts.values())],
        )


def insert_timings(connection: duckdb.DuckDBPyConnection, increment_id: str, timings: Mapping[Key, Timing]) -> None:
    """Add what a process counted since it last did, inside the transaction that writes or decides an increment."""
    if not timings:
        return
    columns = zip(*((*key, one.calls, one.errors, one.retries, one.seconds, one.to_json()) for key, one in timings.items()), strict=True)
    connection.execute(
        """INSERT INTO lake.main.increment_timings SELECT ?, ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[]),
           unnest(?::BIGINT[]), unnest(?::BIGINT[]), unnest(?::DOUBLE[]), unnest(?::VARCHAR[])""",
        [increment_id, datetime.now(UTC), *map(list, columns)],
    )


def find_increments(
    connection: duckdb.DuckDBPyConnection, assets: Sequence[str], partition: str | None, states: tuple[State, ...]
) -> list[Increment]:
    """Increments of some assets in some states, oldest first; `partition=None` means all partitions."""
    rows = connection.execute(
        """SELECT increment_id, asset, "partition", run_id, code_version, mode, state,
                  rows_in, rows_out, rows_rejected, rows_skipped, created_at
           FROM lake.main.increments
           WHERE list_contains($assets, asset) AND list_contains($states, state) AND ($partition IS NULL OR "partition" = $partition)
           ORDER BY increment_id""",
        {"assets": list(assets), "partition": partition, "states": list(states)},
    ).fetchall()
    return [_increment(row) for row in rows]


def _increment(row: tuple[Any, ...]) -> Increment:
    identifier, asset, partition, run_id, code_version, mode, state, *counts, created_at = row
    return Increment(identifier, asset, partition, run_id, code_version, mode, state, Counts(*counts), created_at)


def consumed_ids(connection: duckdb.DuckDBPyConnection, increment_ids: Sequence[str]) -> set[str]:
    """Ids of the upstream increments that some increments were made from."""
    if not increment_ids:
        return set()
    rows = connection.execute(
        "SELECT DISTINCT input_increment_id FROM lake.main.increment_inputs WHERE increment_id IN (SELECT unnest($ids::VARCHAR[]))",
        {"ids": list(increment_ids)},
    ).fetchall()
    return {row[0] for row in rows}


def read_facts(connection: duckdb.DuckDBPyConnection, increment_id: str) -> dict[str, float]:
    """Facts measured while the increment was written.

    Great Expectations passes over missing values, so a fact that is no number is left out: its promise then fails for want of it.
    """
    sql = "SELECT fact, value FROM lake.main.increment_facts WHERE increment_id = ? AND value IS NOT NULL AND NOT isnan(value)"
    return dict(connection.execute(sql, [increment_id]).fetchall())


def set_state(connection: duckdb.DuckDBPyConnection, increment_ids: list[str], state: State) -> None:
    """Move increments to a state, inside the caller's transaction if there is one."""
    if increment_ids:
        connection.execute(
            "UPDATE lake.main.increments SET state = ?, decided_at = ? WHERE list_contains(?, increment_id)",
            [state, datetime.now(UTC), increment_ids],
        )

"""The tables of the lakehouse as SQL: creating them, the views that people read, and the facts that the audit asks for.

Which tables exist is the caller's business (`assets/schemas.py`); the ledger's own tables are in `ledger.py`; nothing here knows
of locks or processes (`lakehouse.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import duckdb

from resources.lake_connection import LakehouseError, quoted
from resources.ledger import LEDGER_DDL, LEDGER_TABLES

TABLE_FACTS = ("rows_staged", "required_values_missing", "values_outside_schema", "duplicate_keys")
SQL_TYPE_NAMES = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}

# A condition of this form lets file statistics prune whole files, which `list_contains` does not: DuckDB joins on the list and
# pushes its smallest and largest id into the scan.
IN_IDS = "increment_id IN (SELECT unnest($ids::VARCHAR[]))"


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
    @property
    def withdrawn_when(self) -> str | None: ...  # noqa: D102


def column_list(table: TableSpec) -> str:
    """The declared columns, quoted, for a SELECT or INSERT; a table's physical order may differ once columns were added."""
    return ", ".join(f'"{column.name}"' for column in table.columns)


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
    published = rows_sql(table, ("approved",), latest=table.latest_by_key)
    if table.withdrawn_when:
        published = f"SELECT * FROM ({published}) WHERE NOT ({table.withdrawn_when})"
    connection.execute(f"CREATE OR REPLACE VIEW lake.published.{table.name} AS {published}")
    connection.execute(f"CREATE OR REPLACE VIEW lake.history.{table.name} AS {rows_sql(table, ('approved', 'superseded'), latest=False)}")


def rows_sql(table: TableSpec, states: Sequence[str], *, latest: bool, condition: str = "true") -> str:
    """SELECT over the increments in some states; full names, since a view's own unqualified name would mean the view.

    Args:
        table: The table.
        states: States of the ledger.
        latest: Keep the newest row per key only.
        condition: Which increments to look at, before the newest row per key is chosen.
    """
    wanted = ", ".join(f"'{state}'" for state in states)
    sql = (
        f"SELECT * FROM lake.main.{table.name} WHERE {condition} AND increment_id IN "
        f"(SELECT increment_id FROM lake.main.increments WHERE state IN ({wanted}) AND asset = '{table.producer}')"
    )
    if latest:
        keys = ", ".join(f'"{column}"' for column in table.key)
        sql += f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY increment_id DESC) = 1"
    return sql


def published_rows_sql(table: TableSpec) -> str:
    """SELECT of the published rows of the increments `$ids`.

    Where the newest row per key counts, only increments at least as old as the oldest of `$ids` can hold a newer row, so that the
    rest of the table is not scanned.
    """
    if not table.latest_by_key:
        return f"SELECT * FROM lake.published.{table.name} WHERE {IN_IDS}"
    recent = rows_sql(table, ("approved",), latest=True, condition="increment_id >= list_min($ids::VARCHAR[])")
    return f"SELECT * FROM ({recent}) WHERE {IN_IDS}"


def delete_rows(connection: duckdb.DuckDBPyConnection, table: str, increment_ids: list[str]) -> None:
    """Delete the rows of some increments from a table, if it has any."""
    if not increment_ids:
        return
    found = connection.execute(f"SELECT 1 FROM lake.main.{table} WHERE {IN_IDS} LIMIT 1", {"ids": increment_ids}).fetchone()
    if found:
        connection.execute(f"DELETE FROM lake.main.{table} WHERE {IN_IDS}", {"ids": increment_ids})


def table_facts_sql(table: TableSpec, replaced_partition: str | None = None) -> str:
    """One row of `TABLE_FACTS` about the rows of increment `$id`.

    Args:
        table: The table.
        replaced_partition: For a rebuild, its partition: the published rows of it are about to go, so keys may repeat there.
    """
    missing = [f'("{column.name}" IS NULL)::INT' for column in table.columns if not column.nullable]
    outside = [f"coalesce(({condition})::INT, 0)" for condition in outside_conditions(table)]
    keys = ", ".join(f'"{column}"' for column in table.key)
    looked_at = f"{' + '.join(missing) or '0'} AS missing_values, {' + '.join(outside) or '0'} AS values_outside, {keys}"
    doubled = f"(SELECT count(*) - count(DISTINCT ({keys})) FROM staged)"
    if not table.latest_by_key:
        doubled += f" + (SELECT count(*) FROM staged SEMI JOIN ({_remaining_sql(table, replaced_partition)}) USING ({keys}))"
    return (
        f"WITH staged AS MATERIALIZED (SELECT {looked_at} FROM lake.main.{table.name} WHERE increment_id = $id) "
        f"SELECT count(*), coalesce(sum(missing_values), 0), coalesce(sum(values_outside), 0), {doubled} FROM staged"
    )


def _remaining_sql(table: TableSpec, replaced_partition: str | None) -> str:
    published = f"SELECT * FROM lake.published.{table.name}"
    if replaced_partition is None:
        return published
    replaced = f"asset = '{table.producer}' AND \"partition\" = '{quoted(replaced_partition)}'"
    return f"{published} WHERE increment_id NOT IN (SELECT increment_id FROM lake.main.increments WHERE {replaced})"


def outside_conditions(table: TableSpec) -> list[str]:
    """SQL conditions that hold where a value breaks its column's declared set or range."""
    conditions = []
    for column in table.columns:
        if column.allowed is not None:
            allowed = ", ".join(f"'{quoted(value)}'" for value in column.allowed)
            conditions.append(f'"{column.name}" NOT IN ({allowed})')
        if column.minimum is not None:
            conditions.append(f'"{column.name}" < {column.minimum}')
        if column.maximum is not None:
            conditions.append(f'"{column.name}" > {column.maximum}')
    return conditions

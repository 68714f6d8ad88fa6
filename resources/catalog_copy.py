"""A DuckLake catalog from Postgres into a SQLite file, which DuckLake opens in turn and backups are made of, and back into Postgres."""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from resources.lake_connection import LakehouseError, attach_catalog_file, open_duckdb

if TYPE_CHECKING:
    from psycopg import Connection

    from resources.postgres_address import PostgresAddress

COLUMNS_SQL = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = %s AND table_name LIKE 'ducklake\\_%%' ORDER BY table_name, ordinal_position"""
INTEGERS = ("bigint", "integer", "smallint", "boolean")
BATCH_ROWS = 10_000
_INLINED = re.compile(r"ducklake_inlined_(?:data|delete)_(\d+)(?:_\d+)?")
_INLINED_KINDS = {"varchar": "bytea", "int64": "bigint", "float64": "double precision", "timestamptz": "varchar"}
"""What the columns of tables whose rows are inlined, which are the ledger's, become in Postgres."""


def copy_postgres_catalog(address: "PostgresAddress", schema: str, target: Path) -> None:
    """Copy a catalog as of one moment.

    Args:
        address: The database.
        schema: Schema of the catalog.
        target: The file to write; empty or absent.

    Raises:
        LakehouseError: The database cannot be reached.
    """
    _make_empty_catalog(target)
    with closing(address.connect()) as source, closing(sqlite3.connect(target)) as copy, source.transaction(), copy:
        source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        source.execute("SET LOCAL TimeZone = 'UTC'")
        for table, columns in _tables_of(source, schema).items():
            _copy_table(source, copy, schema, table, columns)


def fill_postgres_catalog(address: "PostgresAddress", schema: str, source: Path, data_url: str) -> None:
    """Fill the empty catalog that DuckLake made in Postgres with a SQLite catalog, all at once.

    Args:
        address: The database.
        schema: Schema of the catalog; what it holds is replaced.
        source: The SQLite catalog.
        data_url: Where its data files lie from now on.

    Raises:
        LakehouseError: The catalog was made by a DuckLake with other tables, or the database cannot be reached.
    """
    with closing(address.connect()) as target, closing(sqlite3.connect(source)) as given, target.transaction():
        known = _tables_of(target, schema)
        for (table,) in given.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'ducklake\\_%' ESCAPE '\\'"):
            name, columns = f'"{schema}"."{table}"', [str(row[1]) for row in given.execute(f'PRAGMA table_info("{table}")')]
            if table not in known and (inlined := _INLINED.fullmatch(table)):
                known[table] = _inlined_columns(given, int(inlined[1]), columns)
                listed = ", ".join(f'"{column}" {kind}' for column, kind in known[table].items())
                target.execute(f"CREATE TABLE {name} ({listed})".encode())
            if unknown := set(columns) - set(known.get(table, ())):
                raise LakehouseError(
                    f"Expected a catalog of this version of DuckLake, found {table} with {sorted(unknown)}; restore it into a folder with "
                    "the textmill that made it, and back it up anew with this one."
                )
            _fill_table(target, name, {each: known[table][each] for each in columns}, given.execute(f'SELECT * FROM "{table}"'))
        target.execute(f"UPDATE \"{schema}\".ducklake_metadata SET value = %s WHERE key = 'data_path'".encode(), [data_url])


def _inlined_columns(catalog: sqlite3.Connection, table_id: int, columns: list[str]) -> dict[str, str]:
    """Columns of a table of inlined rows or deletions, with the types that DuckLake gives them in Postgres.

    Raises:
        LakehouseError: One has a type that no table whose rows are inlined has.
    """
    rows = catalog.execute("SELECT DISTINCT column_name, column_type FROM ducklake_column WHERE table_id = ?", [table_id])
    kinds = {name: kind for name, kind in rows if name in columns}
    if others := set(kinds.values()) - set(_INLINED_KINDS):
        raise LakehouseError(f"Expected inlined rows with columns of {sorted(_INLINED_KINDS)}, found {sorted(others)} in table {table_id}.")
    return {name: _INLINED_KINDS[kinds[name]] if name in kinds else "bigint" for name in columns}


def _fill_table(target: "Connection", table: str, kinds: dict[str, str], rows: Iterable[tuple[object, ...]]) -> None:
    """Replace the rows of one table; Postgres reads every value as the type of its column."""
    target.execute(f"TRUNCATE {table}".encode())
    with target.cursor() as cursor, cursor.copy(f"COPY {table} ({_listed(kinds)}) FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row([_converted(value, kind) for value, kind in zip(row, kinds.values(), strict=True)])


def _converted(value: object, kind: str) -> object:
    """A value of a SQLite catalog as Postgres takes it: texts of inlined rows are bytes there."""
    if kind == "bytea":
        return value.encode() if isinstance(value, str) else value
    return value.decode() if isinstance(value, bytes) else value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _tables_of(connection: "Connection", schema: str) -> dict[str, dict[str, str]]:
    """The catalog's tables, and of each the columns with their types."""
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(COLUMNS_SQL, [schema]):
        tables.setdefault(table, {})[column] = kind
    return tables


def _make_empty_catalog(target: Path) -> None:
    """The tables of a SQLite catalog, as this DuckLake makes them, without a row."""
    with open_duckdb("256MB", target.parent / "spill") as connection:
        attach_catalog_file(connection, target, f"{target.parent}/", "ENCRYPTED", "DATA_INLINING_ROW_LIMIT 0")
        connection.execute("DETACH lake")
    with closing(sqlite3.connect(target)) as made, made:
        for (table,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            made.execute(f'DELETE FROM "{table}"')


def _copy_table(source: "Connection", copy: sqlite3.Connection, schema: str, table: str, columns: dict[str, str]) -> None:
    """Copy one table; a SQLite catalog keeps integers and texts only, and tables of inlined rows are made here."""
    kinds = ", ".join(f'"{name}" {"BIGINT" if kind in INTEGERS else "VARCHAR"}' for name, kind in columns.items())
    copy.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({kinds})')
    insert = f'INSERT INTO "{table}" ({_listed(columns)}) VALUES ({", ".join("?" * len(columns))})'
    selected = ", ".join(_selected(name, kind) for name, kind in columns.items())
    with source.cursor() as cursor:
        cursor.execute(f'SELECT {selected} FROM "{schema}"."{table}"'.encode())
        while rows := cursor.fetchmany(BATCH_ROWS):
            copy.executemany(insert, rows)


def _selected(name: str, kind: str) -> str:
    """SQL of a column's value as a SQLite catalog writes it."""
    if kind == "boolean":
        return f'"{name}"::int'
    if kind in INTEGERS:
        return f'"{name}"'
    return f"convert_from(\"{name}\", 'UTF8')" if kind == "bytea" else f'"{name}"::text'

"""A copy of a DuckLake catalog in Postgres as a SQLite file, which DuckLake opens in turn. Backups are made of it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from resources.lake_connection import attach_catalog_file, open_duckdb

if TYPE_CHECKING:
    from psycopg import Connection

    from resources.postgres_address import PostgresAddress

COLUMNS_SQL = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = %s AND table_name LIKE 'ducklake\\_%%' ORDER BY table_name, ordinal_position"""
INTEGERS = ("bigint", "integer", "smallint", "boolean")
BATCH_ROWS = 10_000


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
        tables: dict[str, dict[str, str]] = {}
        for table, column, kind in source.execute(COLUMNS_SQL, [schema]):
            tables.setdefault(table, {})[column] = kind
        for table, columns in tables.items():
            _copy_table(source, copy, schema, table, columns)


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
    names = ", ".join(f'"{name}"' for name in columns)
    insert = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})'
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

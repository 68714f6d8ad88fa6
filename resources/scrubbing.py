"""Deleting rows so that nothing of them is left: not in older snapshots, not in data files, not in the catalog's statistics.

DELETE alone hides rows: DuckLake writes beside a data file which rows of it are gone. Here such files are written anew without them,
every older snapshot is given up, files that nothing names any more are deleted, the smallest and largest values of text columns are taken
from what is left, and the catalog is written anew. Does not belong here: which rows go (`services/erasure.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import pandas as pd

from resources.compaction import drop_snapshots, vacuum_catalog
from resources.lake_connection import registered
from resources.lake_copy import TABLES_SQL
from resources.lakehouse import Lakehouse
from resources.ledger import LEDGER_TABLES

# Statistics of a whole column only ever widen. DuckLake compares them as texts where the column holds texts. The ledger, which holds no
# texts of documents, has rows in the catalog itself, of which no file tells.
_LEFT = "FROM ducklake_file_column_stats f WHERE f.table_id = whole.table_id AND f.column_id = whole.column_id"
NARROW_SQL = f"""
UPDATE ducklake_table_column_stats AS whole SET
    min_value = (SELECT min(min_value) {_LEFT}), max_value = (SELECT max(max_value) {_LEFT})
WHERE (table_id, column_id) IN (SELECT table_id, column_id FROM ducklake_column WHERE column_type IN ('varchar', 'json'))
    AND table_id NOT IN (SELECT table_id FROM ducklake_table WHERE table_name IN ({", ".join(f"'{name}'" for name in LEDGER_TABLES)}))
"""
# What older releases left of files that are gone.
STALE_STATISTICS_SQL = "DELETE FROM ducklake_file_column_stats WHERE data_file_id NOT IN (SELECT data_file_id FROM ducklake_data_file)"


@dataclass(frozen=True)
class Besides:
    """What is done besides deleting the rows of documents, in the same transaction and before it.

    Attributes:
        marks: Statements that mark what was made of the documents; they may read their ids as `gone_ids`.
        conditions: Which other rows of a table go, by its name: SQL over its columns, with the table as `t`.
        frames: What the conditions join, by name.
    """

    marks: Sequence[str] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)


NOTHING_BESIDES = Besides()


def delete_documents(lakehouse: Lakehouse, ids: pd.DataFrame, objects: pd.DataFrame, besides: Besides = NOTHING_BESIDES) -> dict[str, int]:
    """Delete the rows of some documents in every table and every state, and those of raw objects that are gone, in one transaction.

    Args:
        lakehouse: Where.
        ids: One row per document: `document_id`.
        objects: One row per changed raw object of a source: `source`, `raw_sha256`, and the hash and length that it has now,
            `new_sha256` (missing where nothing is left of it) and `size_bytes`.
        besides: What else is done.

    Returns:
        Rows that went, by table; tables without any are not named.
    """
    removed: dict[str, int] = {}
    frames = {"gone_ids": ids, "changed_objects": objects.astype({"new_sha256": "str", "size_bytes": "int64"}), **besides.frames}

    def delete() -> None:
        removed.clear()
        with lakehouse.transaction() as connection, registered(connection, frames):
            for statement in besides.marks:
                connection.execute(statement)
            for name, condition in besides.conditions.items():
                _delete_where(connection, name, condition, removed)
            for table in lakehouse.tables.values():
                columns = {column.name for column in table.columns}
                if "document_id" in columns:
                    _delete_where(connection, table.name, "document_id IN (SELECT document_id FROM gone_ids)", removed)
                if {"source", "raw_sha256"} <= columns and len(objects):
                    _follow_objects(connection, table.name, is_of_objects="size_bytes" in columns)

    lakehouse.retry(delete, "erase")
    return removed


def _delete_where(connection: duckdb.DuckDBPyConnection, table: str, condition: str, removed: dict[str, int]) -> None:
    """Delete rows of a table and count them; a table that has none is not written."""
    (found,) = connection.execute(f"SELECT count(*) FROM lake.main.{table} AS t WHERE {condition}").fetchone() or (0,)
    if found:
        connection.execute(f"DELETE FROM lake.main.{table} AS t WHERE {condition}")
        removed[table] = removed.get(table, 0) + int(found)


def _follow_objects(connection: duckdb.DuckDBPyConnection, table: str, *, is_of_objects: bool) -> None:
    """Rows about a changed object name the one that took its place; where nothing did, the row of the object itself goes."""
    same = f"c.source = lake.main.{table}.source AND c.raw_sha256 = lake.main.{table}.raw_sha256"
    facts = ", size_bytes = c.size_bytes, charset = 'utf-8'" if is_of_objects else ""
    if is_of_objects:
        connection.execute(f"DELETE FROM lake.main.{table} USING changed_objects c WHERE {same} AND c.new_sha256 IS NULL")
    connection.execute(
        f"UPDATE lake.main.{table} SET raw_sha256 = c.new_sha256{facts} FROM changed_objects c WHERE {same} AND c.new_sha256 IS NOT NULL"
    )


def scrub(lakehouse: Lakehouse) -> None:
    """Leave nothing of deleted rows. Older snapshots can no longer be read; increments, superseded ones too, stay as they are."""
    with lakehouse.files_to_oneself():
        with lakehouse.session() as connection:
            tables = [name for (name,) in connection.execute(TABLES_SQL).fetchall()]
            for table in tables:
                connection.execute(f"CALL ducklake_rewrite_data_files('lake', '{table}', schema => 'main', delete_threshold => 0)")
        drop_snapshots(lakehouse, datetime.now(UTC))
        with lakehouse.session():
            lakehouse.close()  # what it remembers of the catalog's statistics goes with it
            lakehouse.place.execute_in_catalog([STALE_STATISTICS_SQL, NARROW_SQL])
        vacuum_catalog(lakehouse)

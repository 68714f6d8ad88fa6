"""Keeping the lakehouse small: many small files become few, and files that only old snapshots need are deleted.

No row goes: superseded increments are rows like others, and stay. Data sets and models are files in the object store, which nothing here
touches; so whatever one of them was made from can still be read. Deleting the rows of somebody who wants them gone is not done here.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import duckdb

from resources.lake_copy import TABLES_SQL, TableState, read_table_state
from resources.lakehouse import Lakehouse, LakehouseError

FILES_SQL = "SELECT coalesce(sum(file_count), 0), coalesce(sum(file_size_bytes), 0) FROM ducklake_table_info('lake')"
EXPIRE_SQL = "CALL ducklake_expire_snapshots('lake', older_than => $before)"
# Rows of the ledger lie in the catalog itself, where DuckLake leaves them after every snapshot that they are part of has expired.
INLINED_TABLES_SQL = "SELECT table_name FROM {tables}.ducklake_inlined_data_tables"
DEAD_ROWS_SQL = "DELETE FROM {table} WHERE end_snapshot <= (SELECT min(snapshot_id) FROM ducklake_snapshot)"
SMALL_FILES_SQL = """
SELECT count(*) FROM ducklake_list_files('lake', $table, schema => 'main') WHERE data_file_size_bytes < $small"""
SMALL_FILE_BYTES = 32 << 20
"""Files below are merged; a merged file may be several times as long. Row groups within it still prune by increment."""


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes:
        files_before: Data files of the present snapshot.
        files_after: The same, afterwards.
        bytes_before: Their bytes.
        bytes_after: The same, afterwards.
        snapshots_expired: Snapshots that can no longer be read.
        files_deleted: Files that nothing needed any more, those of killed writers included.
        catalog_bytes: Length of the catalog afterwards.
    """

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    snapshots_expired: int
    files_deleted: int
    catalog_bytes: int


def compact(lakehouse: Lakehouse, expire_before: datetime) -> Compaction:
    """Merge small files, expire old snapshots, delete what nothing needs any more; others may work meanwhile.

    Args:
        lakehouse: The lakehouse.
        expire_before: Snapshots made earlier go, except the newest.

    Raises:
        LakehouseError: A table would hold other rows after its files were merged; it is left as it was.
    """
    with lakehouse.files_to_oneself():
        files_before, bytes_before = measure_files(lakehouse)
        with lakehouse.session() as connection:
            tables = [name for (name,) in connection.execute(TABLES_SQL).fetchall()]
        for table in tables:
            lakehouse.retry(partial(merge_small_files, lakehouse, table), "merge")
        expired, deleted = drop_snapshots(lakehouse, expire_before)
        files_after, bytes_after = measure_files(lakehouse)
        catalog_bytes = vacuum_catalog(lakehouse)
    return Compaction(files_before, files_after, bytes_before, bytes_after, expired, deleted, catalog_bytes)


def remove_timings(lakehouse: Lakehouse, before: datetime) -> int:
    """Remove what was counted of reads and writes before a moment; returns how many rows of `increment_timings` went."""
    with lakehouse.transaction() as connection:
        removed = connection.execute("DELETE FROM lake.main.increment_timings WHERE written_at < ?", [before]).fetchone()
    return int(removed[0]) if removed else 0


def drop_snapshots(lakehouse: Lakehouse, before: datetime) -> tuple[int, int]:
    """Give up older snapshots, and delete files, and rows in the catalog, that none needs any more; how many snapshots and files.

    The caller has the files to itself.
    """
    with lakehouse.session() as connection:
        expired = connection.execute(EXPIRE_SQL, {"before": before}).fetchall()
        deleted = connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)").fetchall()
        inlined = [name for (name,) in connection.execute(INLINED_TABLES_SQL.format(tables=lakehouse.place.catalog_tables)).fetchall()]
    with lakehouse.session():
        lakehouse.close()  # nothing may be attached
        lakehouse.place.execute_in_catalog([DEAD_ROWS_SQL.format(table=name) for name in inlined])
    return len(expired), len(deleted) + lakehouse.remove_orphans()


def measure_files(lakehouse: Lakehouse) -> tuple[int, int]:
    """Number and bytes of the data files of the present snapshot."""
    with lakehouse.session() as connection:
        files, size = connection.execute(FILES_SQL).fetchall()[0]
    return int(files), int(size)


def merge_small_files(lakehouse: Lakehouse, table: str) -> None:
    """Merge the small files of a table, if it has more than one, and see to it that its rows stay the same.

    Raises:
        LakehouseError: They would not.
    """
    with lakehouse.transaction() as connection:
        small = connection.execute(SMALL_FILES_SQL, {"table": table, "small": SMALL_FILE_BYTES}).fetchall()[0][0]
        if small < 2:
            return
        before = read_table_state(connection, table)
        merge(connection, table)
        after = read_table_state(connection, table)
        if after != before:
            raise LakehouseError(f"Expected {table} to hold the same rows after its files were merged, found {describe(before, after)}.")


def merge(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Have DuckLake merge the small files of a table."""
    connection.execute(f"CALL ducklake_merge_adjacent_files('lake', '{table}', schema => 'main', max_file_size => {SMALL_FILE_BYTES})")


def describe(before: TableState, after: TableState) -> str:
    """How two states of a table differ."""
    return f"{after.rows} rows instead of {before.rows}" if after.rows != before.rows else "other values in them"


def vacuum_catalog(lakehouse: Lakehouse) -> int:
    """Give the room of what left the catalog back, and overwrite it; returns the bytes of the catalog."""
    with lakehouse.session():
        return lakehouse.place.vacuum()

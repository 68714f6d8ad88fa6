"""A lakehouse as files that belong together: its catalog at one moment, the data files that it names, and what its tables hold.

What is done with them: `backups.py`. The lakehouse in use: `lakehouse.py`.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from resources.lake_connection import LakehouseError, open_duckdb
from resources.lake_place import DataFile, LakePlace
from resources.lakehouse import Lakehouse

NAMED_FILES_SQL = "SELECT path FROM ducklake_data_file UNION ALL SELECT path FROM ducklake_delete_file"
TABLES_SQL = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'main' ORDER BY 1"
# The rows of a table in any order: their number, and the sum of DuckDB's hash of each. It tells apart what accidents make of a table,
# within one version of DuckDB; that nobody changed a file on purpose is the business of its SHA-256 and of its seal.
CONTENT_SQL = "SELECT count(*), coalesce(sum(hash(r)), 0) FROM lake.main.{table} AS r"


@dataclass(frozen=True)
class TableState:
    """What a table holds, superseded and rejected increments included.

    Attributes:
        rows: How many rows.
        content: The same for the same rows, in any order, under one version of DuckDB.
    """

    rows: int
    content: str


def copy_catalog(lakehouse: Lakehouse, target: Path) -> list[DataFile]:
    """Copy the catalog of this moment, while nobody writes.

    Args:
        lakehouse: The lakehouse; it is held for the time of the copy only.
        target: The file to write.

    Returns:
        The data files that the copy names, of this and of earlier snapshots.

    Raises:
        LakehouseError: A file that it names is not there.
    """
    target.touch(mode=0o600)
    with lakehouse.session():
        lakehouse.place.copy_catalog(target)
        found = lakehouse.place.data_files()
    with closing(sqlite3.connect(target)) as copy:
        named = {Path(path).name for (path,) in copy.execute(NAMED_FILES_SQL)}
    if missing := sorted(named - set(found)):
        raise LakehouseError(
            f"Expected {missing[0]} below {lakehouse.place.data_url}, as the catalog names it; {len(missing)} files are missing. "
            "Restore a backup."
        )
    return [found[name] for name in sorted(named)]


def read_table_states(catalog: Path, place: LakePlace, spill: Path) -> dict[str, TableState]:
    """What every table of a lakehouse holds, by name; nothing of the lakehouse is written.

    Args:
        catalog: A copy of its catalog, which nobody writes meanwhile.
        place: Where its data files lie.
        spill: Folder for spilled rows.
    """
    with open_duckdb("2GB", spill) as connection:
        place.attach_copy(connection, catalog)
        return {name: read_table_state(connection, name) for (name,) in connection.execute(TABLES_SQL).fetchall()}


def read_table_state(connection: duckdb.DuckDBPyConnection, table: str) -> TableState:
    """What a table of the attached lakehouse holds."""
    rows, content = connection.execute(CONTENT_SQL.format(table=table)).fetchall()[0]
    return TableState(rows, f"{content:x}")

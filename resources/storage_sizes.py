"""How many bytes lie where: data files of the lakehouse by table, objects by folder, search index, backups.

Sizes are those on disk or in the store, after compression and encryption. Objects and backups are listed whole: a request for every
thousand on an S3-compatible server.
"""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from resources.backups import Backups
from resources.lake_copy import TABLES_SQL
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore

FILES_SQL = """
SELECT $table AS table_name, data_file_size_bytes AS size_bytes FROM ducklake_list_files('lake', $table, schema => 'main')"""


@dataclass(frozen=True)
class LakeSizes:
    """What a lakehouse takes.

    Attributes:
        tables: All tables, those of the ledger too.
        files: One row per data file of the present snapshot: `table_name`, `size_bytes`.
        earlier_bytes: Files that only earlier snapshots need, delete files, and what killed writers left.
        catalog_bytes: The catalog; small tables of the ledger lie in it.
    """

    tables: tuple[str, ...]
    files: pd.DataFrame
    earlier_bytes: int
    catalog_bytes: int


def measure_lake(lakehouse: Lakehouse) -> LakeSizes:
    """Sizes of a lakehouse, while nobody writes."""
    with lakehouse.session() as connection:
        tables = tuple(name for (name,) in connection.execute(TABLES_SQL).fetchall())
        found = [row for table in tables for row in connection.execute(FILES_SQL, {"table": table}).fetchall()]
        stored = lakehouse.place.data_bytes()
    files = pd.DataFrame(found, columns=["table_name", "size_bytes"]).astype({"size_bytes": "int64"})
    return LakeSizes(tables, files, stored - int(files["size_bytes"].sum()), lakehouse.place.catalog_bytes())


def object_bytes(store: ObjectStore) -> Counter[str]:
    """Bytes of a store by the first part of the key."""
    sizes: Counter[str] = Counter()
    for found in store.list():
        sizes[found.key.partition("/")[0]] += found.size_bytes
    return sizes


def backup_bytes(backups: Backups) -> int | None:
    """Bytes of all backups; None where the environment names no place for them."""
    return sum(object_bytes(backups.store).values()) if backups.is_on else None

"""What is recorded of a backup. How one is made: `resources/backups.py`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

import pandas as pd


class File(Protocol):
    """What the record needs of a file."""

    @property
    def size_bytes(self) -> int: ...  # noqa: D102


class TableContent(Protocol):
    """What the record needs of a table."""

    @property
    def rows(self) -> int: ...  # noqa: D102


class MadeBackup(Protocol):
    """What the record needs of a backup."""

    @property
    def backup_id(self) -> str: ...  # noqa: D102
    @property
    def made_at(self) -> datetime: ...  # noqa: D102
    @property
    def files(self) -> Iterable[File]: ...  # noqa: D102
    @property
    def tables(self) -> Mapping[str, TableContent]: ...  # noqa: D102


def describe_backup(made: MadeBackup, copied_bytes: int) -> pd.DataFrame:
    """One row of the table `backup`.

    Args:
        made: The backup.
        copied_bytes: Bytes that no earlier backup held.
    """
    sizes = [file.size_bytes for file in made.files]
    return pd.DataFrame(
        [
            {
                "backup_id": made.backup_id,
                "made_at": made.made_at,
                "tables_count": len(made.tables),
                "rows_count": sum(table.rows for table in made.tables.values()),
                "files_count": len(sizes),
                "total_bytes": sum(sizes),
                "copied_bytes": copied_bytes,
            }
        ]
    )

"""Where a lakehouse lies: in one folder of this machine, with a SQLite catalog. On servers: `server_place.py`.

A place knows its catalog, its data files and its locks, and nothing of what the tables hold. Who may use it and when: `lakehouse.py`.
"""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
from filelock import FileLock

from resources.advisory_lock import Lock
from resources.lake_connection import CATALOG, DATA, LOCK, attach_catalog_file, open_duckdb, quoted, refuse_network_file_system
from resources.run_marks import FolderRunMarks, RunMarks

METADATA = "__ducklake_metadata_lake"
"""What DuckLake calls the database of the catalog of `lake`."""


@dataclass(frozen=True)
class DataFile:
    """A data file of a lakehouse.

    Attributes:
        path: Below the lakehouse's data, with slashes.
        fingerprint: Changes when it is written anew.
        bring: Gives a local file with its bytes.
    """

    path: str
    fingerprint: str
    bring: Callable[[], Path]


class LakePlace(ABC):
    """Where the catalog and the data files of a lakehouse lie.

    Attributes:
        folder: Folder of this machine for spilled rows; embedded, everything else lies there, too.
    """

    folder: Path

    @property
    @abstractmethod
    def data_url(self) -> str:
        """Folder of the data files, as DuckDB names it, with a slash at its end."""

    @property
    @abstractmethod
    def catalog_tables(self) -> str:
        """Schema of the catalog's own tables, as SQL names it on a connection that the lakehouse is attached to."""

    @abstractmethod
    def describe(self) -> str:
        """The place in an error message; without credentials."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what must be there before the first lock.

        Raises:
            LakehouseError: The place does not suit.
        """

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a lakehouse."""

    @abstractmethod
    def attach(self, connection: duckdb.DuckDBPyConnection, *, read_only: bool) -> None:
        """Attach the lakehouse as `lake`; it is made if need be.

        Raises:
            LakehouseError: It cannot be reached.
        """

    @abstractmethod
    def attach_copy(self, connection: duckdb.DuckDBPyConnection, catalog: Path) -> None:
        """Attach a copy of the catalog as `lake`, for reading this place's data files."""

    @abstractmethod
    def lock(self) -> Lock:
        """Of everybody who reads or writes."""

    @abstractmethod
    def files_lock(self) -> Lock:
        """Of those who delete or copy data files."""

    @abstractmethod
    def copy_catalog(self, target: Path) -> None:
        """Write the catalog of this moment into an empty file, as a SQLite catalog, while the caller holds the lock."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing was ever put there: there is no lakehouse, or one without a table."""

    @abstractmethod
    def put_data_file(self, path: str, local: Path) -> None:
        """Take over a data file.

        Args:
            path: Where it belongs below the lakehouse's data, with slashes.
            local: The file; it may be moved away.
        """

    @abstractmethod
    def put_catalog(self, catalog: Path) -> None:
        """Make the lakehouse of a SQLite catalog whose data files were put before: it is there as a whole or not at all.

        Args:
            catalog: The file; it may be moved away.

        Raises:
            LakehouseError: The catalog does not suit, or the place cannot be reached.
        """

    @abstractmethod
    def data_files(self) -> Mapping[str, DataFile]:
        """All data files by name, those of earlier snapshots and of killed writers included."""

    @abstractmethod
    def vacuum(self) -> int:
        """Give the room of what left the catalog back, and overwrite it, while the caller holds the lock; returns its bytes."""

    @abstractmethod
    def catalog_bytes(self) -> int:
        """Bytes of the catalog."""

    @abstractmethod
    def data_bytes(self) -> int:
        """Bytes of all data files, those of earlier snapshots and of killed writers included."""

    @abstractmethod
    def run_marks(self) -> RunMarks:
        """Which runs that work on it are alive, as all of its machines see it."""

    @abstractmethod
    def execute_in_catalog(self, statements: Sequence[str]) -> None:
        """Run statements in the database of the catalog, all or none, while the caller holds the lock and nothing is attached."""

    def close(self) -> None:
        """Close what the place's idle locks hold open; they open it again."""
        return


class EmbeddedPlace(LakePlace):
    """One folder on a local disk: a SQLite catalog, a folder of data files and lock files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def data_url(self) -> str:
        """See `LakePlace`."""
        return f"{self.folder / DATA}/"

    @property
    def catalog_tables(self) -> str:
        """See `LakePlace`."""
        return METADATA

    def describe(self) -> str:
        """See `LakePlace`."""
        return str(self.folder)

    def prepare(self) -> None:
        """See `LakePlace`."""
        refuse_network_file_system(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def exists(self) -> bool:
        """See `LakePlace`."""
        return (self.folder / CATALOG).is_file()

    def attach(self, connection: duckdb.DuckDBPyConnection, *, read_only: bool) -> None:
        """See `LakePlace`."""
        (self.folder / DATA).mkdir(parents=True, exist_ok=True, mode=0o700)
        catalog = self.folder / CATALOG
        options = ["ENCRYPTED", "DATA_INLINING_ROW_LIMIT 0", *(["READ_ONLY"] if read_only else [])]
        attach_catalog_file(connection, catalog, str(self.folder / DATA), *options)
        catalog.chmod(0o600)  # it holds the file keys, and per column the smallest and the largest value, in clear

    def attach_copy(self, connection: duckdb.DuckDBPyConnection, catalog: Path) -> None:
        """See `LakePlace`."""
        attach_catalog_file(connection, catalog, str(self.folder / DATA), "READ_ONLY")

    def lock(self) -> Lock:
        """See `LakePlace`."""
        return FileLock(self.folder / LOCK, thread_local=False)

    def files_lock(self) -> Lock:
        """See `LakePlace`."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self.folder / "files.lock", thread_local=False)

    def run_marks(self) -> RunMarks:
        """See `LakePlace`."""
        return FolderRunMarks(self.folder / "runs")

    def copy_catalog(self, target: Path) -> None:
        """See `LakePlace`."""
        with closing(sqlite3.connect(self.folder / CATALOG)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)

    def is_empty(self) -> bool:
        """See `LakePlace`."""
        return not self.exists()

    def put_data_file(self, path: str, local: Path) -> None:
        """See `LakePlace`."""
        (self.folder / DATA).mkdir(parents=True, exist_ok=True, mode=0o700)
        keep_private(local, self.folder / DATA / path)

    def put_catalog(self, catalog: Path) -> None:
        """See `LakePlace`."""
        passing = self.folder / f"{CATALOG}.restoring"
        keep_private(catalog, passing)
        passing.replace(self.folder / CATALOG)

    def data_files(self) -> dict[str, DataFile]:
        """See `LakePlace`."""
        return {path.name: self._data_file(path) for path in (self.folder / DATA).rglob("*.parquet")}

    def _data_file(self, path: Path) -> DataFile:
        stat = path.stat()
        return DataFile(path.relative_to(self.folder / DATA).as_posix(), f"{stat.st_size}:{stat.st_mtime_ns}", partial(Path, path))

    def vacuum(self) -> int:
        """See `LakePlace`."""
        with closing(sqlite3.connect(self.folder / CATALOG)) as opened:
            opened.execute("VACUUM")
        return self.catalog_bytes()

    def catalog_bytes(self) -> int:
        """See `LakePlace`."""
        return (self.folder / CATALOG).stat().st_size

    def data_bytes(self) -> int:
        """See `LakePlace`."""
        return sum(path.stat().st_size for path in (self.folder / DATA).rglob("*") if path.is_file())

    def execute_in_catalog(self, statements: Sequence[str]) -> None:
        """See `LakePlace`."""
        with closing(sqlite3.connect(self.folder / CATALOG)) as opened, opened:
            for statement in statements:
                opened.execute(statement)


def keep_private(local: Path, target: Path) -> None:
    """Move a file to where its owner alone reads it."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    local.chmod(0o600)
    shutil.move(local, target)


def connect(place: LakePlace, memory_limit: str, spill: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own with the lakehouse attached as `lake`.

    Args:
        place: The lakehouse.
        memory_limit: Memory that DuckDB may take before it spills, as DuckDB writes it.
        spill: Folder for spilled rows, of this connection alone: DuckDB names its spill files alike in every process.
        read_only: Nothing can be written; there must be a lakehouse.
    """
    connection = open_duckdb(memory_limit, spill)
    place.attach(connection, read_only=read_only)
    return connection


def allowed_directories_sql(place: LakePlace, spill: Path) -> str:
    """SET of the only files that a connection may open from then on."""
    return f"SET allowed_directories = ['{quoted(place.data_url)}', '{quoted(spill)}/']"

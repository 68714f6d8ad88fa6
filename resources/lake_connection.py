"""Opening the lakehouse: DuckDB, its extensions, an attached DuckLake, and the local folder of spilled rows.

What belongs here: the process side of one connection (settings, extension files, spill files, conversions) and the errors of the
lakehouse. Where it lies: `lake_place.py`. What the lakehouse holds: `lake_tables.py`. Who may use the connection and when: `lakehouse.py`.
"""

import importlib.resources
import itertools
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import psutil
import pyarrow as pa

from resources import liveness

EXTENSIONS = ("ducklake", "sqlite_scanner", "httpfs")  # httpfs brings the OpenSSL that encrypted Parquet is written with
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "fuse.sshfs", "9p", "ceph", "glusterfs"}
CATALOG, DATA, LOCK = "catalog.sqlite", "data", "lake.lock"
"""In the folder of a lakehouse."""
TRANSIENT_ERRORS = ("database is locked", "conflict", "busy")

SMALL_BYTES = 64 * 2**20
"""A lakehouse with less data is read by one thread. DuckDB's other threads spin while one opens a file, which is most of such a read."""
MANY_ROWS = 100_000
"""From so many rows on in one increment all cores write and audit it, however small the lakehouse is."""

CREDENTIAL_SETTINGS = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token")
"""httpfs copies them from the environment to where any statement can read them; what is needed of them is given as a secret."""

_numbers = itertools.count(1)


class LakehouseError(Exception):
    """Root of what can go wrong between textmill and its lakehouse."""


class ConcurrentIncrementError(LakehouseError):
    """Somebody else wrote the same asset in the meantime; running again finds the new state."""


def attach_catalog_file(connection: duckdb.DuckDBPyConnection, catalog: Path, data: str, *options: str) -> None:
    """Attach a lakehouse with a SQLite catalog as `lake`.

    The catalog remembers where its files lay when it was made; they may have been moved since.

    Args:
        connection: To attach to.
        catalog: The file.
        data: Folder of the data files, as DuckDB names it.
        options: Further options of ATTACH.
    """
    path = f"DATA_PATH '{quoted(data)}', OVERRIDE_DATA_PATH true"
    connection.execute(f"ATTACH 'ducklake:sqlite:{quoted(catalog)}' AS lake ({', '.join([path, *options])})")


def open_duckdb(memory_limit: str, spill: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB; its extensions come from installed packages, never from a network."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill),
        "temp_file_encryption": True,
    }
    connection = duckdb.connect(":memory:", config=settings)
    for name in EXTENSIONS:
        connection.load_extension(str(extension_file(name)))
    for name in CREDENTIAL_SETTINGS:
        connection.execute(f"SET {name} = ''")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def fit_threads(connection: duckdb.DuckDBPyConnection) -> None:
    """Let one thread work on an attached lakehouse that is small, and one for each core on another."""
    row = connection.execute("SELECT coalesce(sum(file_size_bytes), 0) FROM ducklake_table_info('lake')").fetchone()
    connection.execute("SET threads = 1" if row is None or row[0] < SMALL_BYTES else "RESET threads")


@contextmanager
def threads_for(connection: duckdb.DuckDBPyConnection, rows: int) -> Iterator[None]:
    """Let every core work on so many rows, if they are many; afterwards the threads are as they were, unless a statement failed."""
    if rows < MANY_ROWS:
        yield
        return
    before = connection.execute("SELECT current_setting('threads')").fetchone()
    connection.execute("RESET threads")
    yield
    if before is not None:
        connection.execute(f"SET threads = {before[0]}")


def quoted(value: object) -> str:
    """A value's text for use between single quotes in SQL."""
    return str(value).replace("'", "''")


def extension_file(name: str) -> Path:
    """Path of a DuckDB extension inside its installed package.

    Raises:
        LakehouseError: The package is missing or was made for another DuckDB version.
    """
    try:
        package = importlib.resources.files(f"duckdb_extension_{name}")
    except ModuleNotFoundError as error:
        raise LakehouseError(f"Expected the package duckdb-extension-{name}=={duckdb.__version__}; install it with pip.") from error
    path = Path(str(package)) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise LakehouseError(f"Expected {path}, found none: duckdb {duckdb.__version__} and duckdb-extension-{name} must have one version.")
    return path


def refuse_network_file_system(folder: Path) -> None:
    """Raise if the folder lies on a network file system, where SQLite's locks do not hold.

    Raises:
        LakehouseError: It does; the message says where to put the folder instead.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists()).resolve()
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    kind = next((mounts[path] for path in (existing, *existing.parents) if path in mounts), "")
    if kind in NETWORK_FILE_SYSTEMS:
        raise LakehouseError(
            f"Expected {folder} on a local disk, found the network file system {kind!r}, on which a SQLite catalog is corrupted. "
            "Set TEXTMILL_HOME to a local folder."
        )


def claim_spill_folder(folder: Path) -> Path:
    """A new spill folder that counts as in use until this process ends; folders of dead processes are removed."""
    for path in folder.glob("spill-*"):
        if not liveness.is_alive(folder, path.name):
            shutil.rmtree(path, ignore_errors=True)
            liveness.forget(folder, path.name)
    spill = folder / f"spill-{uuid.uuid4().hex}"
    liveness.hold(folder, spill.name)
    spill.mkdir(mode=0o700)
    return spill


def release_spill_folder(spill: Path) -> None:
    """Remove a spill folder whose connection is closed."""
    shutil.rmtree(spill, ignore_errors=True)
    liveness.forget(spill.parent, spill.name)


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help: the catalog was locked, or commits collided."""
    return any(text in str(error).lower() for text in TRANSIENT_ERRORS)


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, frames: Mapping[str, pd.DataFrame]) -> Iterator[None]:
    """Some frames can be named as tables."""
    for name, frame in frames.items():
        connection.register(name, to_arrow(frame))
    try:
        yield
    finally:
        for name in frames:
            connection.unregister(name)


@contextmanager
def published_scope(connection: duckdb.DuckDBPyConnection, frames: Mapping[str, pd.DataFrame]) -> Iterator[None]:
    """Published tables and some frames can be named without a schema."""
    with registered(connection, frames):
        connection.execute("USE lake.published")
        try:
            yield
        finally:
            connection.execute("USE memory.main")


def temporary_name(kind: str) -> str:
    """A name that no other temporary table of this process has, so that readers and writers can be nested."""
    return f"{kind}_{next(_numbers)}"


def spool(connection: duckdb.DuckDBPyConnection, name: str, sql: str, parameters: Mapping[str, object]) -> int:
    """Copy rows into a local temporary table (memory first, then encrypted spill files); returns how many."""
    connection.execute(f"CREATE TEMP TABLE temp.main.{name} AS {sql}", dict(parameters))
    row = connection.execute(f"SELECT count(*) FROM temp.main.{name}").fetchone()
    return int(row[0]) if row else 0


def spooled_rows(connection: duckdb.DuckDBPyConnection, name: str, offset: int, rows: int) -> pd.DataFrame:
    """A slice of a spooled table, in its order."""
    return to_pandas(
        connection.execute(f"SELECT * FROM temp.main.{name} WHERE rowid >= {offset} AND rowid < {offset + rows} ORDER BY rowid")
    )


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """A frame as an Arrow table; NaN and NaT become NULL."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def to_pandas(result: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """A result as a frame; timestamps are UTC."""
    frame: pd.DataFrame = result.to_arrow_table().to_pandas()
    return frame

"""The small SQL database of tokens and audit log, and how its tables follow the code: by the migrations in `migrations/versions`.

A database is brought up to date when it is first opened, by one process at a time. One made before there were migrations has none
recorded; the first one makes what it lacks. One that a newer release has changed is refused, and left as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url

METADATA = MetaData()
VERSION_TABLE = "access_revision"
"""Dagster, which may live in the same database, has the table that Alembic would take."""
HEAD = "0002"
"""The newest revision, so that a database that has it needs no Alembic, which takes half a second to import; a test compares."""
MIGRATIONS = Path(__file__).parent / "migrations"
_POSTGRES_LOCK = 7_314_205_518  # any number that nobody else locks


class AccessDatabaseError(ValueError):
    """The database is of a newer release."""


def open_access_database(url: str) -> Engine:
    """The database, up to date; a SQLite file is made for the owner alone.

    Raises:
        AccessDatabaseError: A newer release has changed its tables.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        path = Path(address.database)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    engine = create_engine(url)
    try:
        with _alone(address), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))
            migrate(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def migrate(connection: Connection) -> None:
    """Make every change that the database lacks, with it to oneself.

    Raises:
        AccessDatabaseError: It is at a revision that this release does not know.
    """
    present = revision_of(connection)
    if present == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise AccessDatabaseError(
            f"Expected the access database at revision {HEAD} or before, found {present}: a newer release has "
            "changed it. Use that release, or TEXTMILL_ACCESS_STORE_URL for another database."
        )
    command.upgrade(config, "head")


def revision_of(connection: Connection) -> str | None:
    """The newest migration that a database has; None where none is recorded."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


@contextmanager
def _alone(address: URL) -> Iterator[None]:
    """No other process of this machine migrates the SQLite file; servers lock themselves."""
    if address.get_backend_name() != "sqlite" or not address.database:
        yield
        return
    with FileLock(f"{address.database}.lock"):
        yield

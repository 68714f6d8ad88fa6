"""Locks between processes, released when their holder dies: of a file on one machine, of a Postgres database between machines.

A lock of the database is an advisory one of a session. It has the shape of `filelock.FileLock`, its counterpart on one machine.
"""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from filelock import Timeout

if TYPE_CHECKING:
    import psycopg

    from resources.postgres_address import PostgresAddress


class Lock(Protocol):
    """A lock between processes that its holder can take again. It is released when the holder dies."""

    @property
    def is_locked(self) -> bool:
        """Whether this object holds it, and whoever gave it still says so."""
        ...

    def acquire(self, timeout: float) -> AbstractContextManager[Any]:
        """Take it until the end of a block.

        Args:
            timeout: Seconds to wait; less than 0 waits for ever.

        Raises:
            filelock.Timeout: Somebody else held it all the time.
        """
        ...


def advisory_key(name: str) -> int:
    """The number by which Postgres knows an advisory lock of ours, from -2^63 to 2^63 - 1."""
    return int.from_bytes(hashlib.sha256(f"textmill {name}".encode()).digest()[:8], signed=True)


class AdvisoryLock:
    """A lock of one name.

    Args:
        address: The database.
        name: What it locks; locks of one name in one database exclude each other.
        keeps_open: Whether its connection stays open while nobody holds it, so that taking it costs one round trip.
    """

    def __init__(self, address: "PostgresAddress", name: str, *, keeps_open: bool = True) -> None:
        self._address, self._name, self._keeps_open = address, name, keeps_open
        self._key = advisory_key(name)
        self._connection: psycopg.Connection | None = None
        self._holders = 0

    @property
    def is_locked(self) -> bool:
        """Whether this object holds the lock, and the server still says so; a broken connection holds nothing."""
        import psycopg

        if self._connection is None or not self._holders:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    @contextmanager
    def acquire(self, timeout: float) -> Iterator[None]:
        """Hold the lock in a block; its holder can take it again.

        Args:
            timeout: Seconds to wait; less than 0 waits for ever.

        Raises:
            Timeout: Somebody else held it all the time.
            LakehouseError: The server cannot be reached.
        """
        if not self._holders:
            self._take(timeout)
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._release()

    def _take(self, timeout: float) -> None:
        """Take it, over a new connection where the one before broke while it was idle."""
        import psycopg

        try:
            self._wait(self._connection or self._address.connect(), timeout)
        except psycopg.errors.LockNotAvailable as error:
            raise Timeout(self._name) from error
        except psycopg.OperationalError:
            self._wait(self._address.connect(), timeout)

    def _wait(self, connection: "psycopg.Connection", timeout: float) -> None:
        self._connection = connection
        limit = f"{max(1, int(timeout * 1000))}ms" if timeout >= 0 else "0"
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [limit])
        connection.execute("SELECT pg_advisory_lock(%s)", [self._key])

    def _release(self) -> None:
        """Give it back. Where the connection is gone the server has done so already."""
        import psycopg

        if self._connection is None:
            return
        try:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", [self._key])
        except psycopg.Error:
            self.close()
        if not self._keeps_open:
            self.close()

    def close(self) -> None:
        """Close the connection, unless somebody holds the lock; it is opened again when the lock is taken."""
        if self._connection is not None and not self._holders:
            self._connection.close()
            self._connection = None

"""A lock between processes in a Postgres database: an advisory lock of a session, released when its holder dies.

It has the shape of `filelock.FileLock`, which is its counterpart on one machine.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import Timeout

if TYPE_CHECKING:
    import psycopg

    from resources.postgres_address import PostgresAddress


class AdvisoryLock:
    """A lock of one name. Its connection stays open from the first use on, so that taking it costs one round trip.

    Args:
        address: The database.
        name: What it locks; locks of one name in one database exclude each other.
    """

    def __init__(self, address: "PostgresAddress", name: str) -> None:
        self._address, self._name = address, name
        self._key = int.from_bytes(hashlib.sha256(f"textmill {name}".encode()).digest()[:8], signed=True)
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
        import psycopg

        if self._connection is None:
            self._connection = self._address.connect()
        try:
            self._connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{int(timeout * 1000)}ms" if timeout > 0 else "0"])
            self._connection.execute("SELECT pg_advisory_lock(%s)", [self._key])
        except psycopg.errors.LockNotAvailable as error:
            raise Timeout(self._name) from error
        except psycopg.OperationalError:
            self._connection.close()
            self._connection = self._address.connect()  # the one before broke while it was idle; what is wrong now is raised from here
            self._connection.execute("SELECT pg_advisory_lock(%s)", [self._key])

    def _release(self) -> None:
        """Give it back. Where the connection is gone the server has done so already."""
        import psycopg

        if self._connection is None:
            return
        try:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", [self._key])
        except psycopg.Error:
            self._connection.close()
            self._connection = None

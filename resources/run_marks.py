"""Marks of living runs, in the lock files of one machine or in the database that several machines share.

Used to tell an increment that is about to be audited from one whose process was killed, and to fail the runs that Dagster
believes to be in progress though their process is gone. A mark ends with its process, however that ends.
"""

import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from resources import liveness
from resources.advisory_lock import advisory_key
from resources.lake_connection import LakehouseError

if TYPE_CHECKING:
    import psycopg

    from resources.postgres_address import PostgresAddress

PING_SECONDS = 20.0
"""How often an idle connection that holds marks is used, and opened again where the database was restarted."""
# Postgres shows a key of 64 bits as two halves.
HELD_SQL = """
SELECT now() - pg_postmaster_start_time() < make_interval(secs => %(doubt)s) OR EXISTS (
    SELECT 1 FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint = (%(key)s::bigint >> 32) & 4294967295 AND objid::bigint = %(key)s::bigint & 4294967295)
"""


class RunMarks(ABC):
    """Which runs are alive."""

    @abstractmethod
    def hold(self, run_id: str) -> None:
        """Mark a run as alive until this process ends. Calling it again does nothing."""

    @abstractmethod
    def is_alive_elsewhere(self, run_id: str) -> bool:
        """Whether another process holds the run; a run of this very process is not elsewhere."""

    @abstractmethod
    def is_alive(self, run_id: str) -> bool:
        """Whether any process holds the run, this one included; True where that cannot be told yet."""

    @abstractmethod
    def was_alive(self, run_id: str) -> bool:
        """Whether a process that is gone is known to have held the run; False where nothing is known."""

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Drop the marks of a run that is over."""


class FolderRunMarks(RunMarks):
    """Lock files in a folder of this machine, as in `liveness.py`.

    Args:
        folder: The folder; it is made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hold(self, run_id: str) -> None:
        """See `RunMarks`."""
        liveness.hold(self.folder, run_id)

    def is_alive_elsewhere(self, run_id: str) -> bool:
        """See `RunMarks`."""
        return liveness.is_alive_elsewhere(self.folder, run_id)

    def is_alive(self, run_id: str) -> bool:
        """See `RunMarks`."""
        return liveness.is_alive(self.folder, run_id)

    def was_alive(self, run_id: str) -> bool:
        """See `RunMarks`."""
        return liveness.seen(self.folder, run_id) and not self.is_alive(run_id)

    def forget(self, run_id: str) -> None:
        """See `RunMarks`."""
        liveness.forget(self.folder, run_id)


class PostgresRunMarks(RunMarks):
    """Advisory locks of one connection per process: any machine sees them, and the server releases them when the process dies.

    The locks are shared ones, since several processes may work for one run.

    Args:
        address: The database; a connection pooler between must keep a session on one server connection.
        schema: Runs of different lakehouses in one database are told apart by it.
    """

    def __init__(self, address: "PostgresAddress", schema: str) -> None:
        self._schema = schema
        self._session = _session_of(address)

    def hold(self, run_id: str) -> None:
        """See `RunMarks`.

        Raises:
            LakehouseError: The database cannot be reached.
        """
        self._session.hold(self._key(run_id))

    def is_alive_elsewhere(self, run_id: str) -> bool:
        """See `RunMarks`."""
        key = self._key(run_id)
        return not self._session.holds(key) and self._session.is_held(key)

    def is_alive(self, run_id: str) -> bool:
        """See `RunMarks`."""
        return self._session.is_held(self._key(run_id), or_in_doubt=True)

    def was_alive(self, run_id: str) -> bool:
        """See `RunMarks`. A lock that was released leaves no trace."""
        return False

    def forget(self, run_id: str) -> None:
        """See `RunMarks`."""
        self._session.release(self._key(run_id))

    def _key(self, run_id: str) -> int:
        return advisory_key(f"run {self._schema} {run_id}")


class _Session:
    """This process's connection to one database, and the locks that it holds there."""

    def __init__(self, address: "PostgresAddress") -> None:
        self._address = address
        self._keys: set[int] = set()
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._pings: threading.Thread | None = None

    def hold(self, key: int) -> None:
        with self._lock:
            if key in self._keys:
                return
            self._connected().execute("SELECT pg_advisory_lock_shared(%s)", [key])
            self._keys.add(key)
            if self._pings is None:
                self._pings = threading.Thread(target=self._ping, name="run marks", daemon=True)
                self._pings.start()

    def holds(self, key: int) -> bool:
        return key in self._keys

    def is_held(self, key: int, *, or_in_doubt: bool = False) -> bool:
        """Whether anybody holds a lock, or, if asked, may not have come back after a restart of the server."""
        with self._lock:
            found = self._connected().execute(HELD_SQL, {"key": key, "doubt": 2 * PING_SECONDS if or_in_doubt else 0.0}).fetchone()
        return bool(found and found[0])

    def release(self, key: int) -> None:
        with self._lock:
            if key in self._keys:
                self._keys.discard(key)
                self._connected().execute("SELECT pg_advisory_unlock_shared(%s)", [key])

    def _connected(self) -> "psycopg.Connection":
        """The connection, opened anew with all its locks where it broke."""
        import psycopg

        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
                return self._connection
            except psycopg.Error:
                self._connection.close()
        self._connection = self._address.connect()
        for key in self._keys:
            self._connection.execute("SELECT pg_advisory_lock_shared(%s)", [key])
        return self._connection

    def _ping(self) -> None:
        """Keep the connection in use. While the database is gone nothing is marked, and nobody can ask either."""
        import psycopg

        while True:
            time.sleep(PING_SECONDS)
            with self._lock, suppress(LakehouseError, psycopg.Error):
                self._connected()


_sessions: "dict[PostgresAddress, _Session]" = {}


def _session_of(address: "PostgresAddress") -> _Session:
    return _sessions.setdefault(address, _Session(address))

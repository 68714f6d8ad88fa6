"""An object store whose reads and writes are counted. What is counted: `timings.py`; the stores beneath: `object_store.py`.

It lies below the encryption: what is counted is the store, not the sealing. Retries within the client of an S3-compatible server are part
of a call's time.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from resources.object_store import ObjectNotFoundError, ObjectStore, StoredObject
from resources.timings import Timings


class TimedObjectStore(ObjectStore):
    """Counts reads and writes of another store; that there is no such object is an answer, and no failure.

    Args:
        inner: Where objects lie.
        timings: Where they are counted.
        place: Under which name.
    """

    def __init__(self, inner: ObjectStore, timings: Timings, place: str = "object_store") -> None:
        self.inner = inner
        self.place = place
        self._timings = timings

    def put(self, key: str, payload: bytes) -> None:
        """See `ObjectStore`."""
        with self._observed("write"):
            self.inner.put(key, payload)

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        with self._observed("write"):
            self.inner.put_file(key, path)

    def put_new(self, key: str, payload: bytes) -> bool:
        """See `ObjectStore`."""
        with self._observed("write"):
            return self.inner.put_new(key, payload)

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        with self._observed("read"):
            return self.inner.get(key)

    def get_file(self, key: str, path: Path) -> bool:
        """See `ObjectStore`."""
        with self._observed("read"):
            return self.inner.get_file(key, path)

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        with self._observed("look"):
            return self.inner.exists(key)

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        with self._observed("delete"):
            self.inner.delete(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore`; not counted: its time is that of whoever goes through it."""
        return self.inner.list(prefix)

    def url(self, key: str) -> str:
        """See `ObjectStore`."""
        return self.inner.url(key)

    def download_url(self, key: str, name: str, seconds: int) -> str | None:
        """See `ObjectStore`; what is fetched there is not counted."""
        return self.inner.download_url(key, name, seconds)

    def check(self) -> None:
        """See `ObjectStore`."""
        self.inner.check()

    def _observed(self, operation: str) -> AbstractContextManager[None]:
        return self._timings.observe(self.place, operation, (ObjectNotFoundError,))

"""An object store whose private objects are sealed. What sealing is: `envelope.py`; the stores beneath: `object_store.py`."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from resources.envelope import MARK, SealError, is_sealed, seal, unseal
from resources.key_ring import KEYS, KeyRing
from resources.object_store import CorruptObjectError, ObjectStore, StoredObject


class EncryptedObjectStore(ObjectStore):
    """Seals objects on their way into another store, and opens them on their way out.

    An object that is not sealed is read as it is, whatever its key: it was stored before there was encryption, or is meant for other
    programs. Sizes of a listing are those of the sealed objects.

    Args:
        inner: Where objects lie.
        ring: Its data keys.
        prefixes: Beginnings of the keys whose objects are sealed when they are written.
    """

    def __init__(self, inner: ObjectStore, ring: KeyRing, prefixes: Sequence[str]) -> None:
        self.inner = inner
        self.ring = ring
        self._prefixes = tuple(prefixes)

    def put(self, key: str, payload: bytes) -> None:
        """See `ObjectStore`."""
        self.inner.put(key, self._sealed(key, payload))

    def put_new(self, key: str, payload: bytes) -> bool:
        """See `ObjectStore`."""
        return self.inner.put_new(key, self._sealed(key, payload))

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        if not self._is_private(key):
            self.inner.put_file(key, path)
            return
        with path.open("rb") as source, tempfile.NamedTemporaryFile() as target:
            seal(source, target, self.ring.newest(), key)
            target.flush()
            self.inner.put_file(key, Path(target.name))

    def get(self, key: str) -> bytes:
        """See `ObjectStore`.

        Raises:
            CorruptObjectError: A sealed object is damaged.
        """
        payload = self.inner.get(key)
        if not is_sealed(payload):
            return payload
        opened = io.BytesIO()
        self._unseal(key, io.BytesIO(payload), opened)
        return opened.getvalue()

    def get_file(self, key: str, path: Path) -> bool:
        """See `ObjectStore`.

        Raises:
            CorruptObjectError: A sealed object is damaged; the file is not there.
        """
        lying = self.inner.local_path(key)
        if lying is None:
            self.inner.get_file(key, path)
        with (lying or path).open("rb") as sealed:
            if not is_sealed(sealed.read(len(MARK))):
                if lying is not None:
                    self.inner.get_file(key, path)
                return False
            sealed.seek(0)
            path.unlink(missing_ok=True)
            try:
                with path.open("wb") as target:
                    self._unseal(key, sealed, target)
            except BaseException:
                path.unlink()
                raise
            return True

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        return self.inner.exists(key)

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        self.inner.delete(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore`; data keys are left out."""
        return (found for found in self.inner.list(prefix) if not found.key.startswith(KEYS))

    def url(self, key: str) -> str:
        """See `ObjectStore`."""
        return self.inner.url(key)

    def download_url(self, key: str, name: str, seconds: int) -> str | None:
        """See `ObjectStore`; nothing that is sealed has one: whoever fetched it could not open it."""
        return None if self._is_private(key) else self.inner.download_url(key, name, seconds)

    def check(self) -> None:
        """See `ObjectStore`."""
        self.inner.check()

    def _sealed(self, key: str, payload: bytes) -> bytes:
        """What is stored of an object."""
        if not self._is_private(key):
            return payload
        sealed = io.BytesIO()
        seal(io.BytesIO(payload), sealed, self.ring.newest(), key)
        return sealed.getvalue()

    def _is_private(self, key: str) -> bool:
        return key.startswith(self._prefixes) and not key.startswith(KEYS)

    def _unseal(self, key: str, sealed: IO[bytes], target: IO[bytes]) -> None:
        try:
            unseal(sealed, target, self.ring.find, key)
        except SealError as error:
            raise CorruptObjectError(f"{self.url(key)} is corrupt: {error}; restore it from a backup") from error

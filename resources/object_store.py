"""Where immutable bytes live: raw objects by content hash, data set files, model folders, backups.

Here are the protocol, the store on a local file system and `open_object_store`, which chooses by address. The store on an
S3-compatible server is in `resources/s3_object_store.py`. What the keys mean is decided by those who use the store.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Protocol
from urllib.parse import unquote, urlsplit

INCOMING = ".incoming"
_KEY = re.compile(r"[^\x00-\x1f\x7f\\]{1,1024}")


class ObjectStoreError(Exception):
    """The store, or one of its objects, cannot be used."""


class ObjectNotFoundError(ObjectStoreError):
    """There is no object under this key."""


class CorruptObjectError(ObjectStoreError):
    """The bytes under a content hash are not the bytes that were stored."""


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing.

    Attributes:
        key: Its key, relative to the store.
        size_bytes: Its length.
        fingerprint: Changes whenever the object is written anew; comparable within one store only.
        modified_at: When it was written (UTC).
    """

    key: str
    size_bytes: int
    fingerprint: str
    modified_at: datetime


@dataclass(frozen=True)
class ServerEncryption:
    """What the server is asked to encrypt new objects with, besides what textmill seals itself.

    Attributes:
        algorithm: `AES256` is SSE-S3, with keys of the store; `aws:kms` is SSE-KMS, with a key of the key service.
        key_id: Id, ARN or alias of that key; None is the account's own for S3.
    """

    algorithm: Literal["AES256", "aws:kms"]
    key_id: str | None = None

    def options(self) -> dict[str, str]:
        """What a write says of it."""
        return {"ServerSideEncryption": self.algorithm} | ({"SSEKMSKeyId": self.key_id} if self.key_id else {})


class ObjectStore(Protocol):
    """Bytes under keys. A key is seen either with all of its bytes or not at all."""

    def put(self, key: str, payload: bytes) -> None:
        """Writes the object, replacing one that is there."""

    def put_file(self, key: str, path: Path) -> None:
        """Writes the object from a file, without reading all of it into memory."""

    def put_new(self, key: str, payload: bytes) -> bool:
        """Writes the object unless there is one; False when there is. Of two writers at once the first one's stays, where the store can."""
        if self.exists(key):
            return False
        self.put(key, payload)
        return True

    def get(self, key: str) -> bytes:
        """All bytes of the object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def get_file(self, key: str, path: Path) -> bool:
        """Writes the object to a file, without reading all of it into memory.

        Returns:
            Whether a seal proves that these are the bytes that were put under this very key.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """The file of this machine that holds the object and is there to be read; None where there is none."""
        return None

    def exists(self, key: str) -> bool:
        """True when the key can be read."""
        ...

    def delete(self, key: str) -> None:
        """Removes the object; nothing happens when there is none."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Objects whose key starts with the prefix, ordered by key (code points)."""
        ...

    def url(self, key: str) -> str:
        """Address of the object, for people and messages."""
        ...

    def download_url(self, key: str, name: str, seconds: int) -> str | None:
        """Address from which anybody can fetch the object for a while, without passing through us; None where the store gives none.

        Args:
            key: Of an object that is there.
            name: Under which it is saved.
            seconds: How long the address is good for.
        """
        return None

    def check(self) -> None:
        """Makes sure that the store is there and answers.

        Raises:
            ObjectStoreError: It is not or does not; says which and what to do.
        """

    def put_directory(self, prefix: str, path: Path) -> int:
        """Writes every file below a folder under `prefix/`; returns how many.

        Raises:
            ObjectStoreError: There is no such folder.
        """
        if not path.is_dir():
            raise ObjectStoreError(f"expected a folder to store under {prefix!r}, found none at {path}")
        files = sorted(file for file in path.rglob("*") if file.is_file())
        for file in files:
            self.put_file(f"{prefix}/{file.relative_to(path).as_posix()}", file)
        return len(files)

    def get_directory(self, prefix: str, path: Path) -> int:
        """Writes every object under `prefix/` into a folder; returns how many.

        Raises:
            ObjectNotFoundError: There is no object under the prefix.
        """
        count = 0
        for stored in self.list(f"{prefix}/"):
            target = path / validate_key(stored.key.removeprefix(f"{prefix}/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            self.get_file(stored.key, target)
            count += 1
        if not count:
            raise ObjectNotFoundError(f"expected objects under {self.url(prefix)}/, found none")
        return count

    def put_content(self, payload: bytes) -> str:
        """Writes bytes once under their own hash, `raw/<first two digits>/<sha256>`; returns the hash."""
        sha256 = hashlib.sha256(payload).hexdigest()
        key = content_key(sha256)
        if not self.exists(key):
            self.put_new(key, payload)
        return sha256

    def get_content(self, sha256: str) -> bytes:
        """The bytes that `put_content` stored under this hash.

        Raises:
            ObjectNotFoundError: They were never stored, or are gone.
            CorruptObjectError: Other bytes lie there.
        """
        payload = self.get(content_key(sha256))
        found = hashlib.sha256(payload).hexdigest()
        if found != sha256:
            raise CorruptObjectError(
                f"{self.url(content_key(sha256))} is corrupt: expected sha256 {sha256}, found {found}; restore it from a backup"
            )
        return payload


def content_key(sha256: str) -> str:
    """The key of raw bytes with this hash.

    Raises:
        ObjectStoreError: It is no SHA-256 in lower-case hexadecimal digits.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ObjectStoreError(f"expected 64 lower-case hexadecimal digits, found {sha256!r}")
    return f"raw/{sha256[:2]}/{sha256}"


def validate_key(key: str) -> str:
    """The key itself, when it is one.

    Raises:
        ObjectStoreError: It is empty, absolute, too long, or could leave the store.
    """
    parts = key.split("/")
    if not _KEY.fullmatch(key) or any(part in ("", ".", "..") for part in parts) or parts[0] == INCOMING:
        raise ObjectStoreError(f"expected a key such as 'raw/ab/name' without empty, '.' or '..' parts, found {key!r}")
    return key


class LocalObjectStore(ObjectStore):
    """Objects as files below one folder.

    A write goes to a temporary file, is flushed to the disk and then renamed, so a reader never sees half an object and a
    killed writer leaves nothing but a file under `.incoming`.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def put(self, key: str, payload: bytes) -> None:
        """See `ObjectStore`."""
        self._write(key, lambda file: file.write(payload))

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        with path.open("rb") as source:
            self._write(key, lambda file: shutil.copyfileobj(source, file, 1 << 20))

    def put_new(self, key: str, payload: bytes) -> bool:
        """See `ObjectStore`."""
        return self._write(key, lambda file: file.write(payload), replace=False)

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectNotFoundError(f"expected an object at {self.url(key)}, found none") from None

    def get_file(self, key: str, path: Path) -> bool:
        """See `ObjectStore`."""
        if not self.exists(key):
            raise ObjectNotFoundError(f"expected an object at {self.url(key)}, found none")
        shutil.copyfile(self._path(key), path)
        return False

    def local_path(self, key: str) -> Path | None:
        """See `ObjectStore`."""
        return self._path(key) if self.exists(key) else None

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore`."""
        validate_key(f"{prefix}x")
        folder = self.root / prefix.rpartition("/")[0]
        keys = (PurePosixPath(file.relative_to(self.root)).as_posix() for file in folder.rglob("*") if file.is_file())
        for key in sorted(key for key in keys if key.startswith(prefix) and not key.startswith(f"{INCOMING}/")):
            stat = (self.root / key).stat()
            modified_at = datetime.fromtimestamp(stat.st_mtime, UTC)
            yield StoredObject(key, stat.st_size, f"{stat.st_size}:{stat.st_mtime_ns}", modified_at)

    def url(self, key: str) -> str:
        """See `ObjectStore`."""
        return f"{self.root.as_uri()}/{key}"

    def check(self) -> None:
        """See `ObjectStore`."""
        if not self.root.is_dir():
            raise ObjectStoreError(f"expected a folder at {self.root}, found none; create it or correct the address")

    def _path(self, key: str) -> Path:
        path = self.root / validate_key(key)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ObjectStoreError(f"expected {key!r} to lie below {self.root}, found a link that leads out of it")
        return path

    def _write(self, key: str, fill: Callable[[IO[bytes]], object], *, replace: bool = True) -> bool:
        """False when there is an object that must not be replaced."""
        target = self._path(key)
        incoming = self.root / INCOMING
        for folder in (incoming, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=incoming)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(target)
            else:
                os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return True


def open_object_store(
    url: str,
    endpoint_url: str | None = None,
    encryption: ServerEncryption | None = None,
    download_endpoint: str | None = None,
) -> ObjectStore:
    """The store at an address: `file:///folder` or `s3://bucket/prefix`. Opens no connection.

    Args:
        url: The address.
        endpoint_url: Address of an S3-compatible server; None for Amazon's.
        encryption: What that server encrypts new objects with; None leaves it to the bucket.
        download_endpoint: Address at which those who download reach that server; None if they do not.

    Raises:
        ObjectStoreError: The address is of another kind.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return LocalObjectStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        # boto3 takes half a second to import; embedded deployments never need it.
        from resources.s3_object_store import open_s3_object_store

        return open_s3_object_store(parts.netloc, parts.path.strip("/"), endpoint_url, encryption, download_endpoint)
    raise ObjectStoreError(f"expected an address such as file:///folder or s3://bucket/prefix, found {url!r}")


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where the system can flush folders."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Backups of an installation in another object store: made, proven, listed, restored.

A backup is a manifest, which names files by their content, and the blobs with that content, each stored once however many backups
name it. It holds the lakehouse with its ledger, registry and votes, the secret of pseudonyms, and all objects. It does not hold the master
key, with which it is sealed, nor what can be made anew: search index, Dagster's history, training in progress.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from resources.lake_connection import CATALOG, DATA
from resources.lake_copy import TableState, copy_catalog, read_table_states
from resources.lake_place import DataFile, EmbeddedPlace, LakePlace, keep_private
from resources.lakehouse import Lakehouse
from resources.object_store import CorruptObjectError, ObjectStore

BLOBS, MANIFESTS = "blobs/", "backups/"
PSEUDONYM_KEY = "pseudonym.key"
THREADS = 4
"""Files that are fetched at a time."""


class BackupError(Exception):
    """There is nowhere to back up to, no such backup, or a lakehouse in its way."""


class SavedFile(BaseModel):
    """A file of a backup: where it belongs, and what is in it. Its `fingerprint` changes when the original is written anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    size_bytes: int
    fingerprint: str

    @property
    def blob(self) -> str:
        """Key of its content in the backup store."""
        return f"{BLOBS}{self.sha256[:2]}/{self.sha256}"


class Manifest(BaseModel):
    """What a backup holds: files of the lakehouse by path in its folder, objects by key, and what each table held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backup_id: str
    made_at: datetime
    lake_files: tuple[SavedFile, ...]
    objects: tuple[SavedFile, ...]
    tables: dict[str, TableState]

    @property
    def files(self) -> tuple[SavedFile, ...]:
        """All files."""
        return self.lake_files + self.objects


@dataclass(frozen=True)
class Backup:
    """What making a backup did.

    Attributes:
        manifest: What it holds.
        bytes_copied: Bytes that no earlier backup held.
        differing_tables: Tables that came back otherwise than they were; a backup that has any is not kept.
    """

    manifest: Manifest
    bytes_copied: int
    differing_tables: tuple[str, ...]


class Saver:
    """Copies files into a backup store, unless their content is there already."""

    def __init__(self, store: ObjectStore, previous: Iterable[SavedFile]) -> None:
        self._store = store
        self._known = {(file.path, file.fingerprint): file for file in previous}
        self._stored = {found.key for found in store.list(BLOBS)}
        self.bytes_copied = 0

    def save(self, path: str, fingerprint: str, bring: Callable[[], Path]) -> SavedFile:
        """Save a file.

        Args:
            path: Where it belongs.
            fingerprint: Changes when it is written anew; a file with a known one is not read again.
            bring: Gives a local file with its content.
        """
        known = self._known.get((path, fingerprint))
        if known is not None and known.blob in self._stored:
            return known
        local = bring()
        saved = SavedFile(path=path, sha256=_hash(local), size_bytes=local.stat().st_size, fingerprint=fingerprint)
        if saved.blob not in self._stored:
            self._store.put_file(saved.blob, local)
            self._stored.add(saved.blob)
            self.bytes_copied += saved.size_bytes
        return saved


class Backups:
    """The backups of one installation; nothing is connected to before one is made or asked for.

    Args:
        store: Where backups lie; None where the environment names no place.
        scratch: Folder for copies in passing, on a disk with room for the lakehouse.
    """

    def __init__(self, store: ObjectStore | None, scratch: Path) -> None:
        self._given_store = store
        self._scratch = scratch

    @property
    def is_on(self) -> bool:
        """Whether the environment names a place."""
        return self._given_store is not None

    @property
    def store(self) -> ObjectStore:
        """Where backups lie.

        Raises:
            BackupError: The environment names no place.
        """
        if self._given_store is None:
            raise BackupError("expected a place for backups, found none; set TEXTMILL_BACKUP_URL to file:///folder or s3://bucket/prefix")
        return self._given_store

    def make(self, lakehouse: Lakehouse, objects: ObjectStore) -> Backup:
        """Back up the lakehouse of this moment and all objects, and prove it by restoring it into a scratch folder.

        Objects are listed after the catalog was copied: an object is stored before a row names it, so none that a row names is missing.

        Raises:
            BackupError: The environment names no place.
            ObjectStoreError: The place cannot be used.
        """
        self.store.check()
        now = datetime.now(UTC)
        with self._scratch_folder() as folder, lakehouse.files_to_oneself():
            data_files = copy_catalog(lakehouse, folder / CATALOG)
            saver = Saver(self.store, self._newest_files())
            lake_files = (*save_lake(saver, lakehouse.folder, folder / CATALOG, data_files),)
            manifest = Manifest(
                backup_id=f"{now:%Y%m%dT%H%M%S.%fZ}",
                made_at=now,
                lake_files=lake_files,
                objects=(*save_objects(saver, objects, folder / "object"),),
                tables=read_table_states(folder / CATALOG, lakehouse.place, folder / "spill"),
            )
        differing = tuple(self.prove(manifest))
        if not differing:
            self.store.put(f"{MANIFESTS}{manifest.backup_id}.json", manifest.model_dump_json().encode())
        return Backup(manifest, saver.bytes_copied, differing)

    def prove(self, manifest: Manifest) -> list[str]:
        """Tables that come back otherwise than they were, by restoring the lakehouse into a scratch folder; every object is read, too.

        Raises:
            CorruptObjectError: A blob is damaged.
            ObjectNotFoundError: A blob is gone.
        """
        with self._scratch_folder() as folder:
            place = EmbeddedPlace(folder / "lake")
            self._restore_lake(manifest, place, folder, self._fetch_and_hash)
            found = read_table_states(place.folder / CATALOG, place, folder / "spill")
            self._bring(manifest.objects, folder, self._fetch_and_hash, lambda file, local: None)
        return sorted(name for name in found.keys() | manifest.tables.keys() if found.get(name) != manifest.tables.get(name))

    def restore(self, manifest: Manifest, place: LakePlace, objects: ObjectStore) -> int:
        """Bring a backup back; it can be cut short and done again. The catalog comes last, so that no row is seen before its bytes.

        The bytes are those that were proven when the backup was made: a sealed blob opens only as what was sealed under its name, which
        holds its SHA-256; of one that is not sealed the SHA-256 is compared.

        Args:
            manifest: The backup.
            place: Where the lakehouse is to lie, in a folder or on servers, wherever the backup is from; there must be none.
            objects: Where the objects are to lie; those that are there stay.

        Returns:
            How many objects were brought back.

        Raises:
            BackupError: There is a lakehouse.
            CorruptObjectError: A blob is damaged.
            LakehouseError: The place cannot be reached.
        """
        if not place.is_empty():
            raise BackupError(
                f"expected no lakehouse in {place.describe()}, found one; move the folder away first, or name another schema there"
            )
        missing = [file for file in manifest.objects if not objects.exists(file.path)]
        with self._scratch_folder() as folder:
            self._bring(missing, folder, self._fetch, lambda file, local: objects.put_file(file.path, local))
            self._restore_lake(manifest, place, folder, self._fetch)
        return len(missing)

    def prune(self, keep: int) -> int:
        """Remove all backups but the newest, and every blob that none of those names; returns how many backups went.

        A manifest goes before its blobs, so that one that is listed can always be restored. Nobody may make a backup meanwhile.

        Args:
            keep: How many stay, at least 1.
        """
        old = self.ids()[:-keep]
        kept = {file.blob for backup_id in self.ids()[-keep:] for file in self.find(backup_id).files}
        for backup_id in old:
            self.store.delete(f"{MANIFESTS}{backup_id}.json")
        for found in [*self.store.list(BLOBS)]:
            if found.key not in kept:
                self.store.delete(found.key)
        return len(old)

    def ids(self) -> list[str]:
        """Ids of the backups, oldest first."""
        return [found.key.removeprefix(MANIFESTS).removesuffix(".json") for found in self.store.list(MANIFESTS)]

    def find(self, backup_id: str | None = None) -> Manifest:
        """A backup by its id, or the newest.

        Raises:
            BackupError: There is none.
        """
        ids = self.ids()
        if not ids or backup_id not in (None, *ids):
            raise BackupError(f"expected a backup {backup_id or ''} in {self.store.url('')}, found {', '.join(ids[-5:]) or 'none'}")
        return Manifest.model_validate_json(self.store.get(f"{MANIFESTS}{backup_id or ids[-1]}.json"))

    def _newest_files(self) -> tuple[SavedFile, ...]:
        return self.find().files if self.ids() else ()

    def _restore_lake(self, manifest: Manifest, place: LakePlace, folder: Path, fetch: Callable[[SavedFile, Path], None]) -> None:
        """Bring the lakehouse back, the catalog last; each file passes through a local one in a folder."""

        def put(file: SavedFile, local: Path) -> None:
            if file.path == CATALOG:
                local.replace(folder / CATALOG)
            elif file.path == PSEUDONYM_KEY:
                keep_private(local, place.folder / PSEUDONYM_KEY)
            else:
                place.put_data_file(file.path.removeprefix(f"{DATA}/"), local)

        self._bring(manifest.lake_files, folder, fetch, put)
        place.put_catalog(folder / CATALOG)

    def _bring(
        self,
        files: Sequence[SavedFile],
        folder: Path,
        fetch: Callable[[SavedFile, Path], None],
        put: Callable[[SavedFile, Path], None],
    ) -> None:
        """Fetch some files, a few side by side, since opening and hashing them takes longer than reading; each goes where `put` puts it."""

        def bring(number: int) -> None:
            local = folder / f"passing-{number}"
            fetch(files[number], local)
            put(files[number], local)
            local.unlink(missing_ok=True)

        with ThreadPoolExecutor(THREADS, thread_name_prefix="restore") as pool:
            try:
                for _ in pool.map(bring, range(len(files))):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _fetch(self, file: SavedFile, target: Path) -> None:
        """Fetch a blob; its bytes are the right ones, by its seal or by its hash."""
        if not self.store.get_file(file.blob, target):
            self._compare_hash(file, target)

    def _fetch_and_hash(self, file: SavedFile, target: Path) -> None:
        """Fetch a blob whose seal is yet to be proven to hold the right bytes."""
        self.store.get_file(file.blob, target)
        self._compare_hash(file, target)

    def _compare_hash(self, file: SavedFile, found: Path) -> None:
        if _hash(found) != file.sha256:
            raise CorruptObjectError(f"{self.store.url(file.blob)} is corrupt: expected the content of {file.path}; try an earlier backup")

    @contextmanager
    def _scratch_folder(self) -> Iterator[Path]:
        """A folder for its owner only, gone afterwards."""
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._scratch) as name:
            yield Path(name)


def save_lake(saver: Saver, folder: Path, catalog: Path, data_files: Sequence[DataFile]) -> Iterator[SavedFile]:
    """Save the files of a lakehouse: a copy of its catalog, its data files, the secret of pseudonyms if it lies in its local folder."""
    files = {CATALOG: catalog} | ({PSEUDONYM_KEY: folder / PSEUDONYM_KEY} if (folder / PSEUDONYM_KEY).exists() else {})
    for name, path in files.items():
        stat = path.stat()
        yield saver.save(name, f"{stat.st_size}:{stat.st_mtime_ns}", partial(Path, path))
    for file in data_files:
        yield saver.save(f"{DATA}/{file.path}", file.fingerprint, file.bring)


def save_objects(saver: Saver, objects: ObjectStore, passing: Path) -> Iterator[SavedFile]:
    """Save all objects of a store, opened if they are sealed; each passes through a local file."""

    def bring(key: str) -> Path:
        objects.get_file(key, passing)
        return passing

    for found in objects.list():
        yield saver.save(found.key, found.fingerprint, partial(bring, found.key))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

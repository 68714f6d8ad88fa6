"""Backups: whole, encrypted, incremental, proven by restoring; and after everything is lost, the chain goes on where it was."""

import shutil
from itertools import product

import pandas as pd
import pytest

from resources.backups import BackupError, Backups
from resources.encrypted_object_store import EncryptedObjectStore
from resources.key_ring import KeyRing, WrongMasterKeyError
from resources.lake_place import EmbeddedPlace
from resources.lakehouse import LakehouseError
from resources.master_key import MasterKeys
from resources.object_store import CorruptObjectError, LocalObjectStore, ObjectNotFoundError, ObjectStoreError

TEXTS = ("plainly readable secret 8315", "明文秘密八三一五")
ROWS = pd.DataFrame({"key": ["a", "b"], "text": TEXTS})
MORE = pd.DataFrame({"key": ["c", "d"], "text": ["another", "另一条"]})


@pytest.fixture
def kind():
    """These are about files of a folder; on servers: `test_server_place.py`."""
    return "embedded"


def sealed_store(folder, prefixes, key="a-master-secret-0001"):
    inner = LocalObjectStore(folder)
    return EncryptedObjectStore(inner, KeyRing(inner, MasterKeys(folder / "none", key)), prefixes)


@pytest.fixture
def objects(tmp_path):
    store = sealed_store(tmp_path / "objects", ["raw/"])
    for text in TEXTS:
        store.put_content(text.encode())
    store.put("models/1/weights", b"weights")
    return store


@pytest.fixture
def backups(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    return Backups(sealed_store(tmp_path / "elsewhere", [""]), tmp_path / "work")


@pytest.fixture
def filled(chain):
    """A chain with one increment that went through and one that waits for its verdict."""
    (chain.folder).mkdir()
    (chain.folder / "pseudonym.key").write_bytes(b"p" * 32)
    chain.put("a", ROWS)
    chain.decide("a")
    chain.upper()
    return chain


def contents(store):
    return {found.key: store.get(found.key) for found in store.list()}


def test_everything_comes_back_after_everything_was_deleted_and_the_chain_goes_on(filled, backups, objects, tmp_path):
    before = contents(objects), filled.rows("a"), filled.states("b")
    made = backups.make(filled.lakehouse, objects)
    assert made.differing_tables == ()
    filled.lakehouse.close()
    shutil.rmtree(filled.folder)
    shutil.rmtree(tmp_path / "objects")
    again = sealed_store(tmp_path / "objects", ["raw/"])
    assert backups.restore(backups.find(), EmbeddedPlace(filled.folder), again) == 3
    assert (contents(again), filled.rows("a"), filled.states("b")) == before
    assert (filled.folder / "pseudonym.key").read_bytes() == b"p" * 32
    filled.decide("b")
    filled.put("a", MORE)
    filled.decide("a")
    filled.upper()
    filled.decide("b")
    assert [text for _, text in filled.rows("b")] == [*(text.upper() for text in TEXTS), "ANOTHER", "另一条"]


def test_nothing_readable_lies_in_a_backup_and_what_comes_back_is_for_its_owner_only(filled, backups, objects, tmp_path):
    backups.make(filled.lakehouse, objects)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "elsewhere").rglob("*") if path.is_file())
    assert not [text for text in (*TEXTS, "weights", "catalog.sqlite") if text.encode() in stored]
    backups.restore(backups.find(), EmbeddedPlace(tmp_path / "new"), sealed_store(tmp_path / "objects2", ["raw/"]))
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "new").rglob("*") if path.is_file() or path.name == "data"} == {0}
    assert list((tmp_path / "work").iterdir()) == []


def test_an_unchanged_file_is_not_copied_again(filled, backups, objects, tmp_path):
    first = backups.make(filled.lakehouse, objects)
    blobs = {path for path in (tmp_path / "elsewhere" / "blobs").rglob("*") if path.is_file()}
    filled.decide("b")
    objects.put("models/2/weights", b"weights")
    second = backups.make(filled.lakehouse, objects)
    new = {path for path in (tmp_path / "elsewhere" / "blobs").rglob("*") if path.is_file()} - blobs
    assert len(new) == 1
    catalog = next(file for file in second.manifest.lake_files if file.path == "catalog.sqlite")
    assert {path.name for path in new} == {catalog.sha256}
    assert second.bytes_copied == catalog.size_bytes < first.bytes_copied
    assert backups.ids() == [first.manifest.backup_id, second.manifest.backup_id]


def test_an_earlier_backup_can_be_restored(filled, backups, objects, tmp_path):
    earlier = backups.make(filled.lakehouse, objects).manifest
    filled.decide("b")
    backups.make(filled.lakehouse, objects)
    backups.restore(backups.find(earlier.backup_id), EmbeddedPlace(tmp_path / "new" / "lake"), objects)
    filled.lakehouse.close()
    filled.folder = tmp_path / "new" / "lake"
    assert [found.state for found in type(filled)(filled.folder).lakehouse.increments("b")] == ["staged"]


def test_old_backups_go_and_what_the_newest_name_stays(filled, backups, objects, tmp_path):
    backups.make(filled.lakehouse, objects)
    filled.decide("b")
    kept = [backups.make(filled.lakehouse, objects).manifest for _ in range(2)]
    backups.store.put("blobs/ab/abandoned", b"of a backup that was cut short")
    assert backups.prune(2) == 1
    assert backups.ids() == [manifest.backup_id for manifest in kept]
    assert {found.key for found in backups.store.list("blobs/")} == {file.blob for manifest in kept for file in manifest.files}
    assert [backups.prove(manifest) for manifest in kept] == [[], []]
    assert backups.prune(2) == 0


def test_a_restore_that_was_cut_short_is_done_again(filled, backups, objects, tmp_path):
    made = backups.make(filled.lakehouse, objects).manifest
    catalog = next(file for file in made.lake_files if file.path == "catalog.sqlite")
    blob = tmp_path / "elsewhere" / catalog.blob
    shutil.move(blob, tmp_path / "moved")
    with pytest.raises(ObjectNotFoundError):
        backups.restore(made, EmbeddedPlace(tmp_path / "new"), objects)
    assert not (tmp_path / "new" / "catalog.sqlite").exists()
    shutil.move(tmp_path / "moved", blob)
    assert backups.restore(made, EmbeddedPlace(tmp_path / "new"), objects) == 0


def test_a_lakehouse_that_is_there_is_never_written_over(filled, backups, objects):
    made = backups.make(filled.lakehouse, objects).manifest
    with pytest.raises(BackupError, match=r"expected no lakehouse in .*, found one; move the folder away first"):
        backups.restore(made, EmbeddedPlace(filled.folder), objects)


def test_a_backup_whose_tables_come_back_otherwise_is_told_and_not_kept(filled, backups, objects, monkeypatch):
    restore = Backups._restore_lake

    def lose_rows(self, manifest, place, folder, fetch):
        """What a copy of another moment would be: one table lacks its newest rows."""
        restore(self, manifest, place, folder, fetch)
        shutil.copyfile(older, place.folder / "catalog.sqlite")

    older = filled.folder.parent / "older.sqlite"
    filled.lakehouse.close()
    shutil.copyfile(filled.folder / "catalog.sqlite", older)
    filled.put("a", MORE)
    monkeypatch.setattr(Backups, "_restore_lake", lose_rows)
    made = backups.make(filled.lakehouse, objects)
    assert {"a", "increments"} <= set(made.differing_tables)
    assert "b" not in made.differing_tables
    assert backups.ids() == []


DAMAGES = {
    "gone": (lambda blob, other: blob.unlink(), "expected an object at"),
    "changed": (lambda blob, other: blob.write_bytes(blob.read_bytes()[:-1] + b"x"), "is corrupt: expected the bytes that were sealed"),
    "cut off": (lambda blob, other: blob.write_bytes(blob.read_bytes()[:-20]), "is corrupt: expected the bytes that were sealed"),
    "another": (lambda blob, other: shutil.copyfile(other, blob), "is corrupt: expected the bytes that were sealed under this name"),
    "not sealed": (lambda blob, other: blob.write_bytes(b"something else"), "is corrupt: expected the content of"),
    "empty": (lambda blob, other: blob.write_bytes(b""), "is corrupt: expected the content of"),
}


def test_a_damaged_backup_is_refused(filled, backups, objects, tmp_path):
    made = backups.make(filled.lakehouse, objects).manifest
    for number, ((harm, message), files) in enumerate(product(DAMAGES.values(), (made.lake_files, made.objects))):
        blob, other = (tmp_path / "elsewhere" / file.blob for file in files[:2])
        sound = blob.read_bytes()
        harm(blob, other)
        for action in (
            lambda: backups.prove(made),
            lambda number=number: backups.restore(made, EmbeddedPlace(tmp_path / "new"), LocalObjectStore(tmp_path / f"empty-{number}")),
        ):
            with pytest.raises(ObjectStoreError, match=message):
                action()
        assert not (tmp_path / "new" / "catalog.sqlite").exists()
        blob.write_bytes(sound)
    assert backups.prove(made) == []


def test_other_bytes_that_were_sealed_under_the_name_of_a_blob_are_found_by_the_proof(filled, backups, objects):
    made = backups.make(filled.lakehouse, objects).manifest
    backups.store.put(made.objects[0].blob, b"something else")
    with pytest.raises(CorruptObjectError, match="is corrupt: expected the content of"):
        backups.prove(made)


def test_a_store_that_seals_nothing_is_read_by_hash(filled, objects, tmp_path):
    plain = Backups(LocalObjectStore(tmp_path / "elsewhere"), tmp_path / "work")
    (tmp_path / "elsewhere").mkdir()
    made = plain.make(filled.lakehouse, objects).manifest
    plain.store.put(made.objects[0].blob, b"something else")
    with pytest.raises(CorruptObjectError, match="is corrupt: expected the content of"):
        plain.restore(made, EmbeddedPlace(tmp_path / "new"), LocalObjectStore(tmp_path / "empty"))


def test_another_master_key_does_not_open_a_backup(filled, backups, objects, tmp_path):
    backups.make(filled.lakehouse, objects)
    with pytest.raises(WrongMasterKeyError, match="expected the master key secret:"):
        Backups(sealed_store(tmp_path / "elsewhere", [""], "another-secret-00002"), tmp_path / "work").find()


def test_a_data_file_that_is_missing_stops_the_backup(filled, backups, objects):
    next((filled.folder / "data").rglob("*.parquet")).unlink()
    with pytest.raises(LakehouseError, match=r"Expected ducklake-.* below .*, as the catalog names it; 1 files are missing"):
        backups.make(filled.lakehouse, objects)


def test_without_a_place_or_a_backup_the_error_says_what_to_do(filled, backups, objects, tmp_path):
    with pytest.raises(BackupError, match="expected a place for backups, found none; set TEXTMILL_BACKUP_URL"):
        Backups(None, tmp_path / "work").make(filled.lakehouse, objects)
    with pytest.raises(BackupError, match=r"expected a backup  in .*elsewhere/, found none"):
        backups.find()
    made = backups.make(filled.lakehouse, objects).manifest
    with pytest.raises(BackupError, match=f"expected a backup other in .*, found {made.backup_id}"):
        backups.find("other")
    (tmp_path / "elsewhere").rename(tmp_path / "unmounted")
    with pytest.raises(ObjectStoreError, match=r"expected a folder at .*elsewhere, found none"):
        backups.make(filled.lakehouse, objects)

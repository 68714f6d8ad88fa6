"""Sealed objects: nothing readable lies in the store, nothing is swapped, cut or opened with another key, and rotation moves no bytes."""

import io
import stat

import boto3
import pytest
from moto import mock_aws

from resources.encrypted_object_store import EncryptedObjectStore
from resources.envelope import CHUNK_BYTES, DataKey, SealError, is_sealed, seal, unseal
from resources.key_ring import KeyRing, WrongMasterKeyError
from resources.kms_master_key import open_kms_master_key
from resources.master_key import MasterKeyError, MasterKeys
from resources.object_store import CorruptObjectError, LocalObjectStore, ObjectNotFoundError

TEXTS = ["plainly readable secret 8315", "明文秘密八三一五"]
FIRST, SECOND = "first-master-secret-0001", "second-master-secret-0002"
KEY = DataKey("00" * 16, b"k" * 32)


def open_store(folder, file="master.key", **keys):
    inner = LocalObjectStore(folder / "objects")
    return EncryptedObjectStore(inner, KeyRing(inner, MasterKeys(folder / file, **keys)), ["raw/"])


def sealed_bytes(folder):
    return {path.name: path.read_bytes() for path in (folder / "objects" / "raw").rglob("*") if path.is_file()}


def sealed(payload, name="raw/a"):
    target = io.BytesIO()
    seal(io.BytesIO(payload), target, KEY, name)
    return target.getvalue()


def unsealed(payload, name="raw/a"):
    target = io.BytesIO()
    unseal(io.BytesIO(payload), target, lambda _: KEY, name)
    return target.getvalue()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_bytes_of_any_length_open_as_they_were(size):
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert unsealed(sealed(payload)) == payload
    assert sealed(payload) != sealed(payload)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[: -(CHUNK_BYTES + 16)],
        lambda whole: whole + b"x",
        lambda whole: whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
        lambda whole: whole[:50] + whole[50 + CHUNK_BYTES + 16 :],
    ],
    ids=["cut", "last chunk gone", "longer", "changed", "first chunk gone"],
)
def test_damaged_bytes_do_not_open(damage):
    whole = sealed(b"x" * 2 * CHUNK_BYTES)
    with pytest.raises(SealError, match="expected the bytes that were sealed under this name, found others"):
        unsealed(damage(whole))


def test_a_cut_header_is_refused():
    with pytest.raises(SealError, match="expected a whole header of sealed bytes"):
        unsealed(sealed(b"x")[:40])


@pytest.mark.parametrize("text", TEXTS)
def test_private_objects_are_sealed_and_others_stay_as_they_are(tmp_path, text):
    store = open_store(tmp_path)
    sha256 = store.put_content(text.encode())
    (tmp_path / "file").write_text(text, encoding="utf-8")
    store.put_file("raw/file", tmp_path / "file")
    store.put("reports/page", text.encode())
    store.get_file("raw/file", tmp_path / "back")
    assert (store.get_content(sha256).decode(), (tmp_path / "back").read_text(encoding="utf-8")) == (text, text)
    assert all(is_sealed(found) and text.encode() not in found for found in sealed_bytes(tmp_path).values())
    assert (tmp_path / "objects" / "reports" / "page").read_bytes() == text.encode()
    assert [found.key for found in store.list()] == [f"raw/{sha256[:2]}/{sha256}", "raw/file", "reports/page"]


def test_what_is_sealed_is_written_once_and_never_fetched_from_the_store_itself(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    assert store.put_new("raw/a", "机密".encode())
    assert not store.put_new("raw/a", b"other")
    assert store.get("raw/a").decode() == "机密"
    assert all(is_sealed(found) for found in sealed_bytes(tmp_path).values())
    monkeypatch.setattr(store.inner, "download_url", lambda key, name, seconds: f"https://s3.example/{key}?{name}&{seconds}")
    assert store.download_url("raw/a", "a", 60) is None
    assert store.download_url("datasets/a", "a", 60) == "https://s3.example/datasets/a?a&60"


def test_an_object_cannot_take_the_place_of_another(tmp_path):
    store = open_store(tmp_path)
    store.put("raw/a", b"a")
    store.put("raw/b", b"b")
    store.inner.put("raw/a", store.inner.get("raw/b"))
    with pytest.raises(CorruptObjectError, match=r"raw/a is corrupt: expected the bytes that were sealed .*; restore it from a backup"):
        store.get("raw/a")
    with pytest.raises(CorruptObjectError, match="raw/a is corrupt"):
        store.get_file("raw/a", tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("text", TEXTS)
def test_objects_from_before_encryption_stay_readable(tmp_path, text):
    sha256 = LocalObjectStore(tmp_path / "objects").put_content(text.encode())
    store = open_store(tmp_path)
    store.get_file(f"raw/{sha256[:2]}/{sha256}", tmp_path / "file")
    assert (store.get_content(sha256).decode(), (tmp_path / "file").read_text(encoding="utf-8")) == (text, text)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path):
    open_store(tmp_path).put("raw/a", b"a")
    assert open_store(tmp_path).get("raw/a") == b"a"
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600
    assert len((tmp_path / "master.key").read_bytes()) == 32


def test_a_given_key_makes_no_file(tmp_path):
    open_store(tmp_path, given=FIRST).put("raw/a", b"a")
    assert open_store(tmp_path, given=FIRST).get("raw/a") == b"a"
    assert not (tmp_path / "master.key").exists()
    assert FIRST.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_wrong_key_says_which_is_missing_and_damages_nothing(tmp_path):
    open_store(tmp_path, given=FIRST).put("raw/a", b"a")
    wrong = open_store(tmp_path, given=SECOND)
    message = r"expected the master key secret:[0-9a-f]{16}, which .* is wrapped with, found secret:[0-9a-f]{16}; set TEXTMILL_MASTER_KEY"
    for action in (lambda: wrong.get("raw/a"), lambda: wrong.put("raw/b", b"b"), lambda: wrong.ring.rewrap()):
        with pytest.raises(WrongMasterKeyError, match=message):
            action()
    assert open_store(tmp_path, given=FIRST).get("raw/a") == b"a"


def test_a_given_key_that_is_no_secret_and_a_damaged_file_are_refused(tmp_path):
    with pytest.raises(MasterKeyError, match="expected a secret of 16 bytes or more, or kms: and the name of a key, found 5 bytes"):
        MasterKeys(tmp_path / "master.key", "short")
    (tmp_path / "master.key").write_bytes(b"short")
    with pytest.raises(MasterKeyError, match=r"expected a key of 32 bytes in .*master.key, found 5 bytes; put back"):
        open_store(tmp_path).put("raw/a", b"a")


def test_a_destroyed_data_key_takes_what_it_sealed_with_it(tmp_path):
    store = open_store(tmp_path)
    store.put("raw/a", b"a")
    for key in (tmp_path / "objects" / "keys").iterdir():
        key.unlink()
    with pytest.raises(ObjectNotFoundError, match="keys/"):
        open_store(tmp_path).get("raw/a")


def test_rotation_wraps_data_keys_anew_and_leaves_objects_as_they_are(tmp_path):
    open_store(tmp_path, given=FIRST).put("raw/a", b"a")
    before = sealed_bytes(tmp_path)
    assert open_store(tmp_path, given=SECOND, previous=FIRST).ring.rewrap() == 1
    assert sealed_bytes(tmp_path) == before
    assert open_store(tmp_path, given=SECOND).get("raw/a") == b"a"
    with pytest.raises(WrongMasterKeyError):
        open_store(tmp_path, given=FIRST).get("raw/a")


def test_a_key_file_is_replaced_and_a_rotation_that_was_cut_short_goes_on(tmp_path):
    open_store(tmp_path).put("raw/a", b"a")
    first = (tmp_path / "master.key").read_bytes()
    MasterKeys(tmp_path / "master.key").renew()
    assert (tmp_path / "master.key").read_bytes() != first
    assert open_store(tmp_path).get("raw/a") == b"a"
    open_store(tmp_path).ring.rewrap()
    (retired,) = tmp_path.glob("master.key.*")
    assert retired.read_bytes() == first
    retired.unlink()
    assert open_store(tmp_path).get("raw/a") == b"a"


def test_a_key_moves_from_the_file_to_the_environment(tmp_path):
    open_store(tmp_path).put("raw/a", b"a")
    MasterKeys(tmp_path / "master.key", FIRST).renew()
    open_store(tmp_path, given=FIRST).ring.rewrap()
    (tmp_path / "master.key").unlink()
    assert open_store(tmp_path, given=FIRST).get("raw/a") == b"a"


def test_new_objects_are_sealed_with_the_newest_data_key(tmp_path):
    store = open_store(tmp_path)
    store.put("raw/a", b"a")
    newest = store.ring.add()
    again = open_store(tmp_path)
    assert again.ring.newest() == newest
    assert again.get("raw/a") == b"a"
    assert "secret" not in repr(newest)


@pytest.fixture
def kms(monkeypatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("kms")
        yield [f"kms:{client.create_key()['KeyMetadata']['KeyId']}" for _ in range(2)]


def test_a_key_of_a_key_management_service_wraps_and_is_rotated(tmp_path, kms):
    open_store(tmp_path, given=kms[0]).put("raw/a", b"a")
    assert open_store(tmp_path, given=kms[0]).get("raw/a") == b"a"
    with pytest.raises(WrongMasterKeyError, match=f"expected the master key {kms[0]}, which .*, found {kms[1]}"):
        open_store(tmp_path, given=kms[1]).get("raw/a")
    open_store(tmp_path, given=kms[1], previous=kms[0]).ring.rewrap()
    assert open_store(tmp_path, given=kms[1]).get("raw/a") == b"a"
    assert not (tmp_path / "master.key").exists()


def test_a_service_that_refuses_or_is_away_is_an_error_that_says_so(tmp_path, kms):
    message = "expected the key 'no-such-key' of the key management service, found: .*; check its name, the endpoint and the credentials"
    with pytest.raises(MasterKeyError, match=message):
        open_store(tmp_path, given="kms:no-such-key").put("raw/a", b"a")
    away = open_kms_master_key("x", "http://127.0.0.1:9")
    for call in (lambda: away.wrap(b"x", "id"), lambda: away.unwrap(b"x", "id")):
        with pytest.raises(MasterKeyError, match="expected the key 'x' of the key management service, found: "):
            call()

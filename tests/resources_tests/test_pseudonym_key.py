"""The key of pseudonyms: given, or made once, readable by nobody else, never guessed, and the same on all machines."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from resources.object_store import LocalObjectStore
from resources.pseudonym_key import FINGERPRINT, PseudonymKey, PseudonymKeyError


@pytest.fixture
def objects(tmp_path):
    return LocalObjectStore(tmp_path / "objects")


def test_a_key_is_made_once_and_stays(tmp_path, objects):
    file = tmp_path / "lake" / "pseudonym.key"
    key = PseudonymKey(file, None, objects)
    assert not file.exists()
    assert len(key.read()) == 32
    assert PseudonymKey(file, None, objects).read() == key.read()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["pseudonym.key"]


def test_of_several_at_once_all_get_the_same_key(tmp_path, objects):
    file = tmp_path / "pseudonym.key"
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: PseudonymKey(file, None, objects).read(), range(32)))) == 1


def test_a_given_key_is_taken_and_none_is_made(tmp_path, objects):
    assert PseudonymKey(tmp_path / "key", "0123456789abcdef", objects).read() == b"0123456789abcdef"
    assert not (tmp_path / "key").exists()


def test_a_given_key_that_is_no_secret_is_refused(tmp_path, objects):
    with pytest.raises(PseudonymKeyError, match="expected a secret of 16 bytes or more, found 6"):
        PseudonymKey(tmp_path / "key", "secret", objects)


def test_a_damaged_key_is_refused(tmp_path, objects):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(PseudonymKeyError, match=r"expected a key of 32 bytes in .*, found 5 bytes; restore"):
        PseudonymKey(tmp_path / "key", None, objects).read()


def test_a_machine_with_another_key_is_refused_and_neither_key_is_told(tmp_path, objects):
    first, other = PseudonymKey(tmp_path / "one", "0123456789abcdef", objects), PseudonymKey(tmp_path / "two", None, objects)
    first.read()
    with pytest.raises(PseudonymKeyError, match=r"began with \(fingerprint [0-9a-f]{16}\), found another \([0-9a-f]{16}\)") as refused:
        other.read()
    assert "0123456789abcdef" not in str(refused.value)
    assert (tmp_path / "two").read_bytes().hex() not in str(refused.value)
    assert b"0123456789abcdef" not in objects.get(FINGERPRINT)
    assert PseudonymKey(tmp_path / "three", "0123456789abcdef", objects).read() == first.read()
    objects.delete(FINGERPRINT)
    assert len(other.read()) == 32

"""The key of pseudonyms: given, or made once, readable by nobody else, and never guessed."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from resources.pseudonym_key import PseudonymKey, PseudonymKeyError


def test_a_key_is_made_once_and_stays(tmp_path):
    file = tmp_path / "lake" / "pseudonym.key"
    key = PseudonymKey(file)
    assert not file.exists()
    assert len(key.read()) == 32
    assert PseudonymKey(file).read() == key.read()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["pseudonym.key"]


def test_of_several_at_once_all_get_the_same_key(tmp_path):
    file = tmp_path / "pseudonym.key"
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: PseudonymKey(file).read(), range(32)))) == 1


def test_a_given_key_is_taken_and_none_is_made(tmp_path):
    assert PseudonymKey(tmp_path / "key", "0123456789abcdef").read() == b"0123456789abcdef"
    assert not (tmp_path / "key").exists()


def test_a_given_key_that_is_no_secret_is_refused(tmp_path):
    with pytest.raises(PseudonymKeyError, match="expected a secret of 16 bytes or more, found 6"):
        PseudonymKey(tmp_path / "key", "secret")


def test_a_damaged_key_is_refused(tmp_path):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(PseudonymKeyError, match=r"expected a key of 32 bytes in .*, found 5 bytes; restore"):
        PseudonymKey(tmp_path / "key").read()

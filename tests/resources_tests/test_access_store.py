"""Tokens: they open what they were made for until they expire or are revoked, and are kept as hashes."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from resources.access_store import AccessKey, AccessKeyError, AccessStore, AccessStoreError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    return AccessStore(f"sqlite:///{tmp_path / 'access' / 'access.sqlite'}")


def test_a_token_is_found_by_itself_only(store):
    token, identity = store.create("王伟的笔记本", "viewer", DAY, ["shop", "hotel"], NOW)
    assert store.find(token) == identity == store.get(identity.token_id)
    assert (identity.name, identity.role, identity.sources) == ("王伟的笔记本", "viewer", ("hotel", "shop"))
    assert [store.find(other) for other in ("", "tm_", token + "x", token[:-1], identity.token_id)] == [None] * 5


def test_a_token_is_valid_until_it_expires(store):
    _, identity = store.create("amy", "viewer", DAY, now=NOW)
    assert [identity.is_valid(NOW + after) for after in (timedelta(0), DAY - timedelta(seconds=1), DAY)] == [True, True, False]


def test_a_revoked_token_stays_revoked(store):
    token, identity = store.create("amy", "viewer", DAY, now=NOW)
    assert store.revoke(identity.token_id, NOW).revoked_at == NOW
    assert store.revoke(identity.token_id, NOW + DAY).revoked_at == NOW
    assert not store.find(token).is_valid(NOW)


def test_the_database_holds_hashes_and_is_readable_by_the_owner_only(store, tmp_path):
    token, _ = store.create("amy", "admin", DAY, now=NOW)
    file = tmp_path / "access" / "access.sqlite"
    assert file.stat().st_mode & 0o077 == 0
    assert token.removeprefix("tm_").encode() not in file.read_bytes()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name, role FROM access_tokens").fetchall() == [("amy", "admin")]
    connection.close()


def test_tokens_are_listed_in_the_order_they_were_made(store):
    for number, name in enumerate(("one", "二", "three")):
        store.create(name, "viewer", DAY, now=NOW + number * DAY)
    assert [identity.name for identity in store.list()] == ["one", "二", "three"]


@pytest.mark.parametrize(("name", "lifetime"), [("", DAY), (" ", DAY), ("amy", timedelta(0)), ("amy", -DAY)])
def test_a_token_needs_a_name_and_a_lifetime(store, name, lifetime):
    with pytest.raises(ValueError, match="Expected a name and a lifetime above zero"):
        store.create(name, "viewer", lifetime)


def test_an_unknown_token_says_where_to_look(store):
    with pytest.raises(AccessStoreError, match=r"found 'x'\. `textmill token list` prints the ids"):
        store.revoke("x")


def test_a_broken_key_says_what_removing_it_means(tmp_path):
    file = tmp_path / "access.key"
    file.write_bytes(b"short")
    with pytest.raises(AccessKeyError, match=r"found 5 bytes; restore the file .* which ends the proof of the audit log so far"):
        AccessKey(file).read()

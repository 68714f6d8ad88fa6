"""The SQL channel streams rows beyond its cursor, never shows a password, and refuses what would lose rows."""

import json
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa

from resources.channels.fetched import SourceError
from resources.channels.sql import SqlChannel, decode_cursor, encode_cursor

QUERY = "SELECT * FROM reviews WHERE id > :cursor ORDER BY id"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE reviews (id INTEGER, text TEXT, price REAL, picture BLOB)")
    rows = [(1, "good", 1.5, None), (2, "很好", None, b"\xff"), (3, "bad", 2.0, None)]
    connection.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    yield connection, f"sqlite:///{path}"
    connection.close()


def collect(channel, cursor):
    outcomes = list(channel.fetch(dict(cursor)))
    cursor.update({item.cursor_key: item.cursor_value for item in outcomes})
    return [[json.loads(line) for line in item.payload.decode().splitlines()] for item in outcomes]


def test_rows_come_in_batches_of_json_lines(database):
    batches = collect(SqlChannel(database[1], QUERY, "id", batch_rows=2), {})
    assert batches == [
        [
            {"id": 1, "text": "good", "price": 1.5, "picture": None},
            {"id": 2, "text": "很好", "price": None, "picture": {"base64": "/w=="}},
        ],
        [{"id": 3, "text": "bad", "price": 2.0, "picture": None}],
    ]


def test_only_rows_beyond_the_cursor_come_again(database):
    connection, url = database
    channel, cursor = SqlChannel(url, QUERY, "id"), {}
    assert len(collect(channel, cursor)) == 1
    assert list(cursor.values()) == ["3"]
    assert collect(channel, cursor) == []
    connection.execute("INSERT INTO reviews VALUES (4, 'new', 0, NULL)")
    connection.commit()
    assert [row["id"] for batch in collect(channel, cursor) for row in batch] == [4]


def test_an_interrupted_fetch_goes_on_behind_the_last_stored_batch(database):
    channel = SqlChannel(database[1], QUERY, "id", batch_rows=1)
    outcomes = channel.fetch({})
    first = next(outcomes)
    outcomes.close()
    rest = list(channel.fetch({first.cursor_key: first.cursor_value}))
    assert [json.loads(item.payload)["id"] for item in rest] == [2, 3]


def test_another_query_starts_again(database):
    cursor = {}
    collect(SqlChannel(database[1], QUERY, "id"), cursor)
    other = SqlChannel(database[1], "SELECT id, text FROM reviews WHERE id > :cursor ORDER BY id", "id", cursor_start=1)
    assert [row["id"] for batch in collect(other, cursor) for row in batch] == [2, 3]


@pytest.mark.parametrize(
    "value",
    [7, 7.5, "2026-01-31", "中文", datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31), date(2026, 1, 31), Decimal("1.10")],
    ids=repr,
)
def test_a_cursor_value_keeps_its_type(value):
    back = decode_cursor(encode_cursor(value))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize("value", [None, True, b"x", [1]], ids=repr)
def test_a_cursor_value_of_another_type_is_refused(value):
    with pytest.raises(SourceError, match="expected a number, a text, a date or a time in the cursor column, found"):
        encode_cursor(value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT text FROM reviews WHERE id > :cursor", r"expected the cursor column 'id' .* found the columns \['text'\]"),
        ("SELECT * FROM reviews WHERE id > :cursor ORDER BY id DESC", "expected rows ordered by 'id', found a smaller value"),
        ("SELECT NULL AS id FROM reviews WHERE id > :cursor", "expected a value in the cursor column 'id' of every row, found NULL"),
        ("SELECT CASE id WHEN 1 THEN 1 ELSE 'a' END AS id FROM reviews WHERE id > :cursor", "expected comparable values in the cursor"),
        ("SELECT * FROM nowhere WHERE id > :cursor", "cannot read sqlite:///.*: no such table: nowhere"),
        ("SELEKT :cursor", "cannot read sqlite:///.*: near"),
    ],
)
def test_a_query_that_would_lose_rows_is_an_error_of_the_source(database, query, message):
    with pytest.raises(SourceError, match=message):
        list(SqlChannel(database[1], query, "id").fetch({}))


def test_order_is_checked_across_batches(database):
    channel = SqlChannel(database[1], "SELECT * FROM reviews WHERE id > :cursor ORDER BY id % 3", "id", batch_rows=1)
    with pytest.raises(SourceError, match="expected rows ordered by 'id'"):
        list(channel.fetch({}))


def test_a_missing_database_is_an_error_and_is_not_created(tmp_path):
    with pytest.raises(SourceError, match=r"expected a SQLite database at .*none.sqlite, found no such file"):
        list(SqlChannel(f"sqlite:///{tmp_path}/none.sqlite", QUERY, "id").fetch({}))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_an_error_of_the_source(tmp_path):
    (tmp_path / "text.sqlite").write_text("no database at all, only a text" * 100)
    with pytest.raises(SourceError, match="file is not a database"):
        list(SqlChannel(f"sqlite:///{tmp_path}/text.sqlite", QUERY, "id").fetch({}))


def test_an_address_that_is_none_is_an_error_without_the_address():
    with pytest.raises(SourceError, match="expected a SQLAlchemy URL such as") as caught:
        list(SqlChannel("secret-password", QUERY, "id").fetch({}))
    assert "secret" not in str(caught.value)


def test_an_unknown_kind_of_database_is_an_error_of_the_source():
    with pytest.raises(SourceError, match="cannot read nosuch://host/db: "):
        list(SqlChannel("nosuch://host/db", QUERY, "id").fetch({}))


def test_passwords_never_appear(monkeypatch):
    def refuse(*_, **__):
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("login failed for user:hunter2@db?key=opensesame"))

    monkeypatch.setattr(sa, "create_engine", refuse)
    url = "postgresql+psycopg://user:hunter2@db/shop?key=opensesame"
    with pytest.raises(SourceError) as caught:
        list(SqlChannel(url, QUERY, "id").fetch({}))
    assert str(caught.value) == "cannot read postgresql+psycopg://user:***@db/shop: login failed for user:***@db?key=***"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("12"), 12),
        (Decimal("1.5"), 1.5),
        pytest.param(memoryview(b"\xff"), {"base64": "/w=="}, id="memoryview"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ],
    ids=repr,
)
def test_values_that_json_lacks_become_texts_and_numbers(database, monkeypatch, value, shown):
    monkeypatch.setattr(SqlChannel, "_batches", lambda *_: iter([[{"id": 1, "value": value}]]))
    assert collect(SqlChannel(database[1], QUERY, "id"), {}) == [[{"id": 1, "value": shown}]]

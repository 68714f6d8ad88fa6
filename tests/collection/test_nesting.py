"""Fields that a path reaches, lists of records within JSON, and threads of messages."""

import json

import pytest
from pydantic import ValidationError

from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.source_settings import FieldMapping

TICKET = {
    "ticket": {"id": 7, "subject": "退款"},
    "messages": [
        {"id": "a", "body": {"text": "Where is my money?"}, "at": "2026-01-02T03:04:05Z"},
        {"body": {"text": "已经退款了。"}, "at": "2026-01-03T00:00:00Z"},
    ],
}
NAMES = FieldMapping(messages="messages", parent_id="ticket.id", title="ticket.subject", text="body.text", published_at="at")


def parse(content, names, media_type="application/x-ndjson"):
    payload = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    return parse_objects([RawObject(payload, "0" * 64, "file:///a", media_type)], fields=names)


def test_every_message_of_a_thread_is_a_document_of_it():
    found = parse(TICKET, NAMES)
    columns = ["external_id", "parent_id", "title", "text", "locator"]
    assert found.documents[columns].to_numpy().tolist() == [
        ["7#a", "7", "退款", "Where is my money?", "line 1 message 1"],
        ["7#2", "7", "退款", "已经退款了。", "line 1 message 2"],
    ]
    assert [time.isoformat() for time in found.documents["published_at"]] == ["2026-01-02T03:04:05+00:00", "2026-01-03T00:00:00+00:00"]
    assert len(found.rejected) == 0


def test_messages_have_votes_of_their_own():
    thread = {"id": 1, "messages": [{"text": "good", "label": ["praise"]}, {"text": "差", "label": []}]}
    found = parse(thread, FieldMapping(messages="messages", parent_id="id", votes="label"))
    assert found.votes[["external_id", "label"]].to_numpy().tolist() == [["1#1", "praise"]]


def test_messages_have_authors_of_their_own():
    thread = {"id": 1, "messages": [{"text": "好", "by": {"name": "张三"}}, {"text": "bad", "by": None}]}
    found = parse(thread, FieldMapping(messages="messages", parent_id="id", authors="by.name"))
    assert found.documents["authors"].tolist() == [("张三",), None]


def test_messages_without_a_title_have_none():
    assert parse(TICKET, NAMES.model_copy(update={"title": None})).documents["title"].isna().all()


@pytest.mark.parametrize(
    ("thread", "reason", "locator"),
    [
        ({"id": 1}, "missing_messages", "line 1"),
        ({"id": 1, "messages": "hello"}, "missing_messages", "line 1"),
        ({"messages": []}, "missing_thread_id", "line 1"),
        ({"id": [1], "messages": []}, "missing_thread_id", "line 1"),
        ({"id": 1, "messages": ["你好"]}, "not_an_object", "line 1 message 1"),
        ({"id": 1, "messages": [{"text": " "}]}, "missing_text", "line 1 message 1"),
        ({"id": 1, "messages": [{"text": 5}]}, "text_not_a_string", "line 1 message 1"),
    ],
)
def test_a_thread_of_no_use_is_refused_where_it_is_wrong(thread, reason, locator):
    found = parse(thread, FieldMapping(messages="messages", parent_id="id"))
    assert len(found.documents) == 0
    assert found.rejected[["reason", "locator"]].to_numpy().tolist() == [[reason, locator]]


def test_the_list_of_records_lies_at_a_path():
    names = FieldMapping(records="data.items", text="body.text", external_id="key.id")
    found = parse({"data": {"items": [{"key": {"id": 3}, "body": {"text": "三"}}, {"key": 4}]}}, names, "application/json")
    assert found.documents[["external_id", "text"]].to_numpy().tolist() == [["3", "三"]]
    assert found.rejected[["reason", "locator"]].to_numpy().tolist() == [["missing_text", "item 2"]]


def test_a_list_that_is_not_there_is_one_refusal():
    found = parse({"data": None}, FieldMapping(records="data.items"), "application/json")
    assert found.rejected["detail"].tolist() == ["expected a list of records at 'data.items', found NoneType"]


def test_a_field_of_that_very_name_comes_before_the_path():
    found = parse({"id": 1, "a.b": "flat", "a": {"b": "deep"}}, FieldMapping(text="a.b"))
    assert found.documents["text"].tolist() == ["flat"]


def test_threads_and_paths_work_in_parquet_too(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([TICKET]), tmp_path / "a.parquet")
    found = parse((tmp_path / "a.parquet").read_bytes(), NAMES, "application/vnd.apache.parquet")
    assert found.documents["text"].tolist() == ["Where is my money?", "已经退款了。"]


def test_threads_need_the_field_of_their_id():
    with pytest.raises(ValidationError, match="expected `parent_id`, the field with a thread's id, beside `messages`, found none"):
        FieldMapping(messages="messages")

"""Records taken out of stored bytes, format by format."""

import json

import pytest

from assets.collection.reading import RawObject
from assets.collection.redaction import holder_of, without_records


def raw(payload, media_type, charset="utf-8"):
    return RawObject(payload, "0" * 64, "file:///x", media_type, charset, "documents", None, None)


GONE = holder_of(["d" * 32], ["The secret  lamp", "张小花的翡翠浴缸"], "id", ["7"])


def test_lines_become_blank_and_the_others_keep_their_numbers():
    lines = [
        '{"id": "1", "text": "kept"}',
        '{"id": 7, "text": "changed"}',
        '{"text": "The secret lamp"}',
        "{broken",
        '{"votes": [{"x": "%s"}]}' % ("d" * 32),
    ]
    found = without_records(raw("\n".join(lines).encode(), "application/jsonl"), GONE)
    assert found.payload.decode().split("\n") == [lines[0], "", "", "{broken", ""]


def test_a_charset_is_kept_readable():
    text = '{"id": "1", "text": "这家酒店很好"}\n{"id": "2", "text": "张小花的翡翠浴缸"}'
    found = without_records(raw(text.encode("gb18030"), "application/jsonl", "gb18030"), GONE)
    assert (found.charset, found.payload.decode()) == ("utf-8", text.split("\n")[0] + "\n")


def test_items_of_the_innermost_list_go():
    content = {"page": 1, "data": {"items": [{"id": "1", "text": "kept"}, {"id": "7", "text": "x"}]}}
    found = without_records(raw(json.dumps(content).encode(), "application/json"), GONE)
    assert json.loads(found.payload) == {"page": 1, "data": {"items": [{"id": "1", "text": "kept"}]}}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_of_csv_go(delimiter):
    text = (
        delimiter.join(["id", "text"])
        + "\n"
        + delimiter.join(["1", '"kept, and\nso on; yes"'])
        + "\n"
        + delimiter.join(["2", "The secret lamp"])
        + "\n"
    )
    found = without_records(raw(text.encode(), "text/csv"), GONE).payload.decode()
    assert "secret" not in found
    assert "kept, and\nso on; yes" in found
    assert found.startswith(delimiter.join(["id", "text"]))


@pytest.mark.parametrize(
    ("payload", "media_type"),
    [
        (b'{"id": "7", "text": "x"}', "application/jsonl"),
        (b'[{"id": "7", "text": "x"}]', "application/json"),
        (b'{"id": "7", "text": "The secret lamp"}', "application/json"),
        (b"id,text\n7,x\n", "text/csv"),
        (b"<p>The secret lamp</p>", "text/html"),
        (b"The secret lamp", "text/plain"),
    ],
)
def test_nothing_is_left_of_an_object_that_is_all_of_it_or_not_taken_apart(payload, media_type):
    assert without_records(raw(payload, media_type), GONE) is None


def test_an_object_without_the_record_is_the_same():
    whole = raw(b'{"id": "1", "text": "kept"}', "application/jsonl")
    assert without_records(whole, GONE) is whole

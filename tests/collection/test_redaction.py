"""Records taken out of stored bytes, format by format."""

import dataclasses
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject, ReadingRules
from assets.collection.redaction import without_records
from assets.collection.traces import find_places, traces_of
from assets.source_settings import FieldMapping


def raw(payload, media_type, charset="utf-8"):
    return RawObject(payload, "0" * 64, "file:///x", media_type, charset, "documents", None, None)


GONE = traces_of(["d" * 32], ["The secret  lamp", "张小花的翡翠浴缸"], "id", ["7"])
LONG = "The secret lamp number seven burnt down the garage of Mrs Quillfeather."
LONG_GONE = traces_of((), [LONG, "张小花的翡翠浴缸"], "id", ["7", "seven@example.com"])
FIELDS = FieldMapping(external_id="id", text="text")
RULES = ReadingRules(FIELDS, "page", 1000)


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


def mail(number, text):
    return f"From amy Thu Jan  1 00:00:00 2026\nMessage-ID: <{number}@example.com>\nSubject: lamps\n\n{text}\n\n"


def texts_of(found):
    return parse_objects([found], fields=FIELDS).documents["text"].tolist()


def test_messages_of_a_mailbox_go_and_the_others_keep_their_bytes():
    kept = [mail("one", "First message."), mail("three", ">From here on it is quoted.\nThird message.")]
    mailbox = (kept[0] + mail("two", LONG) + kept[1] + mail("seven", "Another text of the same record.")).encode()
    found = without_records(raw(mailbox, "application/mbox"), LONG_GONE)
    assert found.payload.strip() == "".join(kept).encode().strip()
    assert texts_of(found) == ["First message.", "From here on it is quoted.\nThird message."]


def test_a_message_is_found_with_what_it_quotes_and_without():
    text = f"{LONG}\n> Where is it?"
    mailbox = (mail("one", "First message.") + mail("two", text)).encode()
    assert without_records(raw(mailbox, "application/mbox"), LONG_GONE).payload.decode().count("Message-ID") == 1


def test_rows_of_parquet_go_and_the_types_stay():
    table = pa.table({"id": pa.array([1, 7, 3], pa.int16()), "text": ["kept", "changed", "张小花的翡翠浴缸"], "more": [[1.5], [], None]})
    file = io.BytesIO()
    pq.write_table(table, file)
    found = pq.read_table(io.BytesIO(without_records(raw(file.getvalue(), "application/vnd.apache.parquet"), GONE).payload))
    assert found.equals(table.slice(0, 1))


def test_sentences_of_conll_become_blank_with_their_comments():
    lines = ["-DOCSTART-", "", "Amy B-PER", "laughs O", "", "# id = 7", "The O", "lamp O", "", "-DOCSTART-", "Bo B-PER", ""]
    found = without_records(raw("\n".join(lines).encode(), "text/x-conll"), LONG_GONE)
    assert found.payload.decode().split("\n") == [*lines[:5], "", "", "", *lines[8:]]


def test_messages_of_a_thread_leave_their_place_to_the_others():
    thread = {"id": "t1", "messages": [{"text": "first"}, {"text": LONG}, {"text": "third"}]}
    for payload, media_type in ((json.dumps(thread), "application/jsonl"), (json.dumps([thread]), "application/json")):
        found = json.loads(without_records(raw(payload.encode(), media_type), LONG_GONE, has_threads=True).payload)
        (found,) = found if isinstance(found, list) else [found]
        assert found["messages"] == [{"text": "first"}, None, {"text": "third"}]
    assert without_records(raw(json.dumps(thread).encode(), "application/jsonl"), LONG_GONE) is None


@pytest.mark.parametrize(
    ("payload", "media_type", "left"),
    [
        ('{"id": "1", "text": "kept"}\n{"id": "5", "text": "' + LONG, "application/jsonl", "kept"),
        (f"id,text\n1,kept\n5,{LONG},too many\n", "text/csv", "kept"),
        (mail("one", "kept") + f'From amy\nContent-Type: text/plain; charset="x\n\n{LONG}', "application/mbox", "kept"),
        ('[{"text": "' + LONG, "application/json", None),
        (f"{LONG},text\n1,kept\n", "text/csv", None),
    ],
)
def test_what_cannot_be_read_goes_where_the_text_is_a_part_of_it(payload, media_type, left):
    found = without_records(raw(payload.encode(), media_type), LONG_GONE)
    assert (found is None) == (left is None)
    if found:
        assert left in found.payload.decode()
        assert LONG not in found.payload.decode()


def test_a_record_that_can_be_read_and_quotes_the_text_is_another_record():
    quoting = raw(json.dumps({"id": "1", "text": f"She said: {LONG}"}).encode(), "application/jsonl")
    assert without_records(quoting, LONG_GONE) is quoting
    assert find_places(quoting, RULES, LONG_GONE) is None


def test_numbers_of_tasks_of_the_labeling_server_are_no_ids_of_the_source():
    task = raw(json.dumps({"id": 7, "data": {"text": "kept"}, "annotations": []}).encode(), "application/vnd.label-studio.tasks+jsonl")
    assert without_records(task, dataclasses.replace(LONG_GONE, id_field=None)) is task


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ('{"id": "1", "text": "kept"}', None),
        (json.dumps({"id": ["x"], "text": LONG}), ["line 1"]),
        ('{"id": 7.0, "text": 5}', ["line 1"]),
        ('{"text": broken "' + LONG, []),
        ('{"text": "张小花的翡翠浴缸", broken', None),
    ],
)
def test_refused_records_are_found_by_id_text_and_as_a_part_of_what_is_broken(line, places):
    assert find_places(raw(line.encode(), "application/jsonl"), RULES, LONG_GONE) == places

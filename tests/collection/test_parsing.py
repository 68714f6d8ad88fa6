"""Every record becomes exactly one document or one refusal with its reason; votes come beside it."""

import io
import json
import time
import tracemalloc
from datetime import UTC, datetime

import pandas as pd
import pytest

from assets.collection.parsing import DOCUMENT_COLUMNS, RIGHTS_COLUMNS, hash_text, parse_objects
from assets.collection.reading import RawObject
from assets.collection.votes import COLUMNS
from assets.source_settings import FieldMapping

JSONL = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"


def raw(payload, media_type=JSONL, **facts):
    return RawObject(payload if isinstance(payload, bytes) else payload.encode(), "0" * 64, "file:///drop/a", media_type, **facts)


def parsed(payload, media_type=JSONL, fields=None, segment="page", max_text_chars=1_000_000, **facts):
    return parse_objects(
        [raw(payload, media_type, **facts)], fields=fields or FieldMapping(), segment=segment, max_text_chars=max_text_chars
    )


def refusals(found):
    return list(zip(found.rejected["locator"], found.rejected["reason"], strict=True))


def pairs(found):
    return list(zip(found.documents["external_id"], found.documents["text"], strict=True))


def to_parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_json_lines_become_documents():
    found = parsed('{"id": 1, "text": "good"}\n\n{"id": "b", "text": "很好\\u2028吗"}\r\n')
    assert pairs(found) == [("1", "good"), ("b", "很好\u2028吗")]
    assert list(found.documents["locator"]) == ["line 1", "line 3"]
    assert list(found.documents.columns) == DOCUMENT_COLUMNS
    assert set(found.documents["uri"]) == {"file:///drop/a"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": 1, "text": "cut', "malformed_json"),
        ("not json", "malformed_json"),
        ("[" * 100_000, "malformed_json"),
        ('{"id": 1, "text": ' + "9" * 5000 + "}", "malformed_json"),
        ('["a", "list"]', "not_an_object"),
        ("7", "not_an_object"),
        ("null", "not_an_object"),
        ('{"id": 1}', "missing_text"),
        ('{"id": 1, "text": null}', "missing_text"),
        ('{"id": 1, "text": NaN}', "missing_text"),
        ('{"id": 1, "text": ""}', "missing_text"),
        ('{"id": 1, "text": " \\n\\u3000 "}', "missing_text"),
        ('{"id": 1, "text": 7}', "text_not_a_string"),
        ('{"id": 1, "text": {"base64": "/w=="}}', "text_not_a_string"),
        ('{"id": 1, "text": "12345678901"}', "text_too_long"),
        ('{"id": [1], "text": "good"}', "malformed_id"),
        ('{"id": true, "text": "good"}', "malformed_id"),
    ],
)
def test_a_bad_line_is_one_refusal_and_its_neighbours_stay(line, reason):
    found = parsed(f'{{"id": "a", "text": "before"}}\n{line}\n{{"id": "z", "text": "之后"}}\n', max_text_chars=10)
    assert pairs(found) == [("a", "before"), ("z", "之后")]
    assert refusals(found) == [("line 2", reason)]


def test_duplicate_ids_keep_the_first_and_refuse_the_others():
    lines = [("1", "first"), ("2", "二"), ("1", "first"), ("1", "other")]
    found = parsed(
        "".join(json.dumps({"id": name, "text": text, "votes": [1]}) + "\n" for name, text in lines), fields=FieldMapping(votes="votes")
    )
    assert pairs(found) == [("1", "first"), ("2", "二")]
    assert refusals(found) == [("line 3", "duplicate_id"), ("line 4", "duplicate_id")]
    assert found.rejected["detail"][0] == "expected ids to be distinct, found '1' at line 1 too"
    assert list(found.votes["locator"]) == ["line 1 vote 1", "line 2 vote 1"]


def test_the_same_id_in_two_objects_is_no_duplicate():
    found = parse_objects([raw('{"id": 1, "text": "one"}'), raw('{"id": 1, "text": "two"}')], fields=FieldMapping())
    assert pairs(found) == [("1", "one"), ("1", "two")]


@pytest.mark.parametrize(
    ("written", "read"), [("7", "7"), ("7.0", "7"), ('"七"', "七"), ("123456789012345678901", "123456789012345678901")]
)
def test_ids_keep_their_digits(written, read):
    assert parsed(f'{{"id": {written}, "text": "x"}}').documents["external_id"][0] == read


@pytest.mark.parametrize(
    "line", ['{"text": "no id"}', '{"id": null, "text": "no id"}', '{"id": "", "text": "no id"}', '{"id": NaN, "text": "no id"}']
)
def test_a_record_without_id_is_named_by_its_text(line):
    assert list(parsed(line).documents["external_id"]) == [hash_text("no id")]


def test_named_fields_are_read_and_others_are_not():
    fields = FieldMapping(external_id="key", text="body", parent_id="thread", title="head", url="link", published_at="at", authors="by")
    record = {
        "key": 1,
        "body": "b",
        "thread": 9,
        "head": "标题",
        "link": "https://x",
        "at": "2026-01-02T03:04:05+08:00",
        "by": "王伟",
        "text": "not this",
    }
    (row,) = parsed(json.dumps(record), fields=fields).documents.drop(columns=RIGHTS_COLUMNS).to_dict("records")
    assert row == {
        "external_id": "1",
        "parent_id": "9",
        "text": "b",
        "title": "标题",
        "url": "https://x",
        "published_at": pd.Timestamp("2026-01-01T19:04:05Z"),
        "authors": ("王伟",),
        "locator": "line 1",
        "uri": "file:///drop/a",
        "raw_sha256": "0" * 64,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-02", "2026-01-02T00:00:00Z"),
        ("2026-01-02 03:04:05.123456", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("yesterday", None),
        ("99999-01-01", None),
        (17, None),
        (None, None),
    ],
)
def test_times_are_utc_or_missing(value, expected):
    at = parsed(json.dumps({"id": 1, "text": "x", "at": value}), fields=FieldMapping(published_at="at")).documents["published_at"]
    assert str(at.dtype) == "datetime64[us, UTC]"
    assert (pd.isna(at[0]), at[0]) == (True, at[0]) if expected is None else at[0] == pd.Timestamp(expected)


def test_a_gbk_file_and_a_latin_1_file_come_out_right():
    chinese = '{"id": 1, "text": "服务态度很好"}\n{"id": 2, "text": "垃圾"}\n'.encode("gbk")
    western = '{"id": 1, "text": "très bien, café"}\n'.encode("latin-1")
    assert pairs(parsed(chinese)) == [("1", "服务态度很好"), ("2", "垃圾")]
    assert pairs(parsed(western)) == [("1", "très bien, café")]


def test_halves_of_characters_do_not_break_storage():
    assert pairs(parsed('{"id": "\\ud83d", "text": "ok \\ud83d\\ude00 \\ud83d"}')) == [("\ufffd", "ok 😀 \ufffd")]


def test_a_single_huge_line_is_refused_quickly_in_bounded_memory():
    payload = b'{"id": 1, "text": "' + b"x" * 200_000_000 + b'"}\n{"id": 2, "text": "small"}\n'
    tracemalloc.start()
    started = time.perf_counter()
    found = parsed(payload)
    seconds = time.perf_counter() - started
    extra = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs(found) == [("2", "small")]
    assert refusals(found) == [("line 1", "record_too_long")]
    assert extra < 1.1 * len(payload)
    assert seconds < 10


def test_csv_rows_become_documents():
    found = parsed('id,text,extra\n1,"a, ""quoted""\nline",x\n2,很好,y\n', "text/csv")
    assert pairs(found) == [("1", 'a, "quoted"\nline'), ("2", "很好")]
    assert list(found.documents["locator"]) == ["row 2", "row 3"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiters_are_found_in_the_header(delimiter):
    assert pairs(parsed(f"id{delimiter}text\n1{delimiter}好\n", "text/csv")) == [("1", "好")]


def test_csv_refuses_ragged_and_badly_quoted_rows_and_reads_on():
    payload = 'id,text\n1,good\n2\n3,a,b\n4,"x"y\n\n5,还行\n6,\n'
    found = parsed(payload, "text/csv")
    assert pairs(found) == [("1", "good"), ("5", "还行")]
    assert refusals(found) == [
        ("row 3", "malformed_row"),
        ("row 4", "malformed_row"),
        ("row 5", "malformed_row"),
        ("row 8", "missing_text"),
    ]


def test_csv_fields_may_be_longer_than_the_modules_default():
    text = "长" * 200_000
    assert pairs(parsed(f"id,text\n1,{text}\n", "text/csv")) == [("1", text)]


@pytest.mark.parametrize("payload", ["id,body\n1,x\n", "just words"])
def test_csv_without_the_text_column_is_one_refusal(payload):
    found = parsed(payload, "text/csv")
    assert refusals(found) == [("row 1", "missing_column")]
    assert found.rejected["detail"][0].startswith("expected a header with ['text'], found [")


def test_parquet_rows_become_documents():
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3],
            "text": ["good", None, "很好"],
            "at": pd.to_datetime(["2026-01-02"] * 3, utc=True),
            "votes": [[1, 2], [3], None],
            "other": [1.0, 2.0, 3.0],
        }
    )
    found = parsed(to_parquet(frame), PARQUET, fields=FieldMapping(published_at="at", votes="votes"))
    assert pairs(found) == [("1", "good"), ("3", "很好")]
    assert refusals(found) == [("row 2", "missing_text")]
    assert set(found.documents["published_at"]) == {pd.Timestamp("2026-01-02", tz="UTC")}
    assert list(found.votes["value"]) == [1.0, 2.0]


def test_parquet_that_is_broken_or_lacks_the_text_is_one_refusal():
    assert refusals(parsed(b"PAR1 not really", PARQUET)) == [("file", "malformed_parquet")]
    assert refusals(parsed(to_parquet(pd.DataFrame({"a": [1]})), PARQUET)) == [("file", "missing_column")]


def test_a_json_file_holds_one_record_or_a_list():
    assert pairs(parsed('{"id": 1, "text": "one"}', "application/json")) == [("1", "one")]
    found = parsed('[{"id": 1, "text": "一"}, 7]', "application/json")
    assert (pairs(found), refusals(found)) == ([("1", "一")], [("item 2", "not_an_object")])
    assert refusals(parsed("{", "application/json")) == [("file", "malformed_json")]


def test_a_text_file_is_one_document():
    found = parsed("第一行\n第二行".encode("gbk"), "text/plain")
    assert pairs(found) == [("file:///drop/a", "第一行\n第二行")]
    assert refusals(parsed(" \n", "text/plain")) == [("file", "missing_text")]


def test_an_unknown_media_type_is_one_refusal():
    found = parsed(b"\x89PNG", "image/png")
    assert refusals(found) == [("file", "unknown_media_type")]
    assert found.rejected["detail"][0] == "expected JSON lines, JSON, CSV, Parquet, CoNLL, mbox, HTML or plain text, found 'image/png'"


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([3, -1.5], [("anonymous:01", 3.0, None), ("anonymous:02", -1.5, None)]),
        (["good", "差"], [("anonymous:01", None, "good"), ("anonymous:02", None, "差")]),
        ([{"annotator": "ann", "value": 2}, {"annotator": 7, "label": "好"}], [("ann", 2.0, None), ("7", None, "好")]),
        ([{"value": 1, "label": "good"}], [("anonymous:01", 1.0, "good")]),
        ([{"annotator_id": "bob", "label": "bad"}], [("bob", None, "bad")]),
        ("[1, 2]", [("anonymous:01", 1.0, None), ("anonymous:02", 2.0, None)]),
        (None, []),
        ("", []),
        ("  ", []),
        ([], []),
    ],
    ids=repr,
)
def test_votes_come_in_several_shapes(votes, expected):
    found = parsed(json.dumps({"id": 1, "text": "x", "r": votes}), fields=FieldMapping(votes="r"))
    assert list(found.votes.columns) == COLUMNS
    rows = (
        found.votes[["annotator_id", "value", "label"]].astype(object).where(found.votes[["annotator_id", "value", "label"]].notna(), None)
    )
    assert list(rows.itertuples(index=False, name=None)) == expected
    assert set(found.votes["external_id"]) <= {"1"}
    assert found.rejected_votes.empty


@pytest.mark.parametrize(
    ("votes", "locator", "detail"),
    [
        (7, "line 1 votes", "expected a list of votes, found int"),
        ({"a": 1}, "line 1 votes", "expected a list of votes, found dict"),
        ("none", "line 1 votes", "expected a list of votes or JSON of one, found text that is no JSON"),
        ([1, None], "line 1 vote 2", "expected a finite number or a label, found NoneType None"),
        ([1, True], "line 1 vote 2", "expected a finite number or a label, found bool True"),
        ([1, float("inf")], "line 1 vote 2", "expected a finite number or a label, found float inf"),
        ([1, 10**400], "line 1 vote 2", "expected a finite number or a label, found int 1000"),
        ([1, " "], "line 1 vote 2", "expected a finite number or a label, found str ' '"),
        ([1, {"annotator": "a"}], "line 1 vote 2", "expected a finite number or a label, found NoneType None"),
        ([1, {"value": "x"}], "line 1 vote 2", "expected a number as value and a text as label, found 'x' and None"),
        ([1, {"value": 1, "label": 2}], "line 1 vote 2", "expected a number as value and a text as label, found 1 and 2"),
    ],
    ids=repr,
)
def test_a_malformed_vote_is_refused_and_its_document_stays(votes, locator, detail):
    found = parsed(json.dumps({"id": 1, "text": "好", "r": votes}), fields=FieldMapping(votes="r"))
    assert pairs(found) == [("1", "好")]
    assert (list(found.rejected_votes["locator"]), list(found.rejected_votes["reason"])) == ([locator], ["malformed_vote"])
    assert found.rejected_votes["detail"][0].startswith(detail)
    assert len(found.votes) == (0 if locator.endswith("votes") else 1)


def test_a_votes_file_names_its_texts():
    votes = [{"text": "Yes.", "ratings": [1]}, {"text": "Yes. ", "votes": [2]}, {"text": "不。", "ratings": [3]}, {"id": 5, "ratings": [4]}]
    found = parsed(json.dumps(votes), "application/json", role="annotations", parent_id="a1")
    rows = found.votes.astype(object).where(found.votes.notna(), None)
    assert list(rows[["external_id", "parent_id", "text", "occurrence", "value"]].itertuples(index=False, name=None)) == [
        (None, "a1", "Yes.", 0, 1.0),
        (None, "a1", "Yes.", 1, 2.0),
        (None, "a1", "不。", 0, 3.0),
        ("5", None, None, 0, 4.0),
    ]
    assert found.documents.empty


@pytest.mark.parametrize(
    ("payload", "refused"),
    [("{", ("file", "malformed_json")), ('[{"ratings": [1]}]', ("item 1", "missing_text")), ("[3]", ("item 1", "not_an_object"))],
)
def test_a_bad_votes_file_refuses_votes_not_documents(payload, refused):
    found = parsed(payload, "application/json", role="annotations", parent_id="a1")
    assert (found.rejected_votes["locator"][0], found.rejected_votes["reason"][0]) == refused
    assert found.rejected.empty


def test_every_record_is_one_document_or_one_refusal():
    lines = [{"id": number % 7, "text": "x" * (number % 5)} for number in range(100)]
    found = parsed("".join(json.dumps(line) + "\n" for line in lines), max_text_chars=3)
    assert len(found.documents) + len(found.rejected) == 100
    assert not set(found.documents["locator"]) & set(found.rejected["locator"])


def test_nothing_gives_empty_frames_with_all_columns():
    found = parse_objects([], fields=FieldMapping())
    assert [len(frame) for frame in (found.documents, found.votes, found.rejected, found.rejected_votes)] == [0, 0, 0, 0]
    assert str(found.documents["published_at"].dtype) == "datetime64[us, UTC]"
    assert str(found.votes["value"].dtype) == "float64"


def test_the_transports_time_and_id_fill_in():
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    found = parsed('{"text": "x", "id": 1}', parent_id="entry", published_at=at)
    assert (found.documents["parent_id"][0], found.documents["published_at"][0]) == ("entry", pd.Timestamp(at))

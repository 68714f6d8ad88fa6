"""Ids, revisions, and the document that each vote is about."""

import hashlib
from datetime import UTC, datetime

import pandas as pd
import pytest

from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.collection.records import KNOWN_COLUMNS, to_raw_annotations, to_raw_documents
from assets.schemas import RAW_ANNOTATIONS, RAW_DOCUMENTS, REJECTED_ANNOTATIONS
from assets.source_settings import FieldMapping

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOTHING = pd.DataFrame({"external_id": pd.Series(dtype="str"), "document_id": pd.Series(dtype="str"), "revision": pd.Series(dtype="int64")})


def documents_of(*rows):
    """A parsed frame of (external_id, text), or (external_id, text, parent_id)."""
    return pd.DataFrame(
        {
            "external_id": [row[0] for row in rows],
            "parent_id": [row[2] if len(row) > 2 else row[0] for row in rows],
            "text": [row[1] for row in rows],
            "title": pd.Series([None] * len(rows), dtype="str"),
            "url": pd.Series([None] * len(rows), dtype="str"),
            "published_at": pd.Series([pd.NaT] * len(rows), dtype="datetime64[us, UTC]"),
            "authors": pd.Series([None] * len(rows), dtype="str"),
            "locator": [f"line {number}" for number in range(1, len(rows) + 1)],
            "uri": "file:///a",
            "raw_sha256": "0" * 64,
            "robots_allowed": pd.Series([None] * len(rows), dtype="boolean"),
            "ai_training_signal": pd.Series([None] * len(rows), dtype="str"),
        }
    )


def collect(documents, known=NOTHING):
    return to_raw_documents(documents, source="news", known=known, now=NOW)


def after(*frames):
    return pd.concat([frame[KNOWN_COLUMNS] for frame in frames], ignore_index=True)


def test_the_id_is_a_hash_of_source_id_and_text():
    rows = collect(documents_of(("7", "你好"))).rows
    assert list(rows["document_id"]) == [hashlib.sha256("news\x007\x00你好".encode()).hexdigest()[:32]]
    assert list(rows.columns) == RAW_DOCUMENTS.column_names()
    assert (rows["revision"][0], rows["collected_at"][0], rows["source"][0]) == (1, pd.Timestamp(NOW), "news")


def test_a_known_text_makes_no_row():
    first = collect(documents_of(("1", "a"), ("2", "二")))
    again = collect(documents_of(("1", "a"), ("2", "二"), ("3", "c")), after(first.rows))
    assert list(again.rows["external_id"]) == ["3"]
    assert again.unchanged_count == 2


def test_a_changed_text_is_the_next_revision_and_a_returning_text_is_no_news():
    first = collect(documents_of(("1", "好")))
    second = collect(documents_of(("1", "很好")), after(first.rows))
    assert list(second.rows["revision"]) == [2]
    third = collect(documents_of(("1", "好")), after(first.rows, second.rows))
    assert (len(third.rows), third.unchanged_count) == (0, 1)
    fourth = collect(documents_of(("1", "最好")), after(first.rows, second.rows))
    assert list(fourth.rows["revision"]) == [3]


def test_revisions_within_one_call_count_up_and_doubles_are_dropped():
    found = collect(documents_of(("1", "a"), ("1", "b"), ("1", "a"), ("2", "c")))
    assert list(zip(found.rows["external_id"], found.rows["revision"], strict=True)) == [("1", 1), ("1", 2), ("2", 1)]
    assert found.unchanged_count == 1


def test_the_input_is_not_edited():
    documents = documents_of(("1", "a"))
    before = documents.copy()
    collect(documents)
    pd.testing.assert_frame_equal(documents, before)


def test_no_documents_make_no_rows():
    found = collect(documents_of())
    assert (list(found.rows.columns), len(found.rows), found.unchanged_count) == (RAW_DOCUMENTS.column_names(), 0, 0)


def votes_of(payload, **facts):
    media_type = "application/json" if facts.get("role") == "annotations" else "application/x-ndjson"
    raw = RawObject(payload.encode(), "1" * 64, "http://site/v", media_type, **facts)
    return parse_objects([raw], fields=FieldMapping(votes="ratings")).votes


def resolve(votes, known, **options):
    return to_raw_annotations(votes, known, source="news", now=NOW, **options)


def test_votes_by_id_are_about_the_newest_revision():
    first = collect(documents_of(("1", "旧")))
    second = collect(documents_of(("1", "新")), after(first.rows))
    known = pd.concat([second.rows, first.rows], ignore_index=True)
    found = resolve(votes_of('{"id": 1, "text": "新", "ratings": [2, "good"]}'), known)
    newest = second.rows["document_id"][0]
    assert list(found.rows["document_id"]) == [newest, newest]
    assert list(found.rows["vote_id"]) == [
        hashlib.sha256(f"{newest}\0anonymous:01\0{2.0!r}".encode()).hexdigest()[:32],
        hashlib.sha256(f"{newest}\0anonymous:02\0good".encode()).hexdigest()[:32],
    ]
    assert list(found.rows.columns) == RAW_ANNOTATIONS.column_names()
    assert list(found.rows["external_id"]) == ["1", "1"]
    assert found.rejected.empty


def test_votes_by_text_find_their_paragraph():
    rows = collect(documents_of(("a#1", "Yes.", "a"), ("a#2", "不 行", "a"), ("a#10", "Yes.", "a"), ("b#1", "Yes.", "b"))).rows
    votes = votes_of(
        '[{"text": "Yes.", "ratings": [1]}, {"text": " Yes.", "ratings": [2]}, {"text": "不\\n行", "ratings": [3]}]',
        role="annotations",
        parent_id="a",
    )
    found = resolve(votes, rows.sample(frac=1, random_state=1))
    assert list(zip(found.rows["external_id"], found.rows["value"], strict=True)) == [("a#1", 1.0), ("a#10", 2.0), ("a#2", 3.0)]
    names = rows.set_index("external_id")["document_id"]
    assert list(found.rows["document_id"]) == [names["a#1"], names["a#10"], names["a#2"]]


def test_votes_by_text_prefer_the_newest_revision():
    first = collect(documents_of(("a#1", "one", "a"), ("a#2", "two", "a")))
    second = collect(documents_of(("a#1", "zero", "a"), ("a#2", "one", "a"), ("a#3", "two", "a")), after(first.rows))
    known = pd.concat([first.rows, second.rows], ignore_index=True)
    found = resolve(votes_of('[{"text": "one", "ratings": [1]}]', role="annotations", parent_id="a"), known)
    assert list(found.rows["external_id"]) == ["a#2"]


def test_votes_without_a_document_are_refused_one_by_one():
    known = collect(documents_of(("a#1", "here", "a"))).rows
    votes = pd.concat(
        [
            votes_of('{"id": 9, "text": "x", "ratings": [1, 2]}'),
            votes_of('[{"text": "不在", "ratings": [3]}, {"text": "here", "ratings": [4]}]', role="annotations", parent_id="a"),
        ],
        ignore_index=True,
    )
    found = resolve(votes, known)
    assert list(found.rows["value"]) == [4.0]
    assert list(found.rejected.columns) == REJECTED_ANNOTATIONS.column_names()
    assert list(zip(found.rejected["locator"], found.rejected["reason"], found.rejected["detail"], strict=True)) == [
        ("line 1 vote 1", "no_such_document", "expected a collected document for the vote, found none for 9"),
        ("line 1 vote 2", "no_such_document", "expected a collected document for the vote, found none for 9"),
        ("item 1 vote 1", "no_such_document", "expected a collected document for the vote, found none for a text of a"),
    ]
    assert len(votes) == len(found.rows) + len(found.rejected) + found.unchanged_count


def test_known_and_doubled_votes_make_no_row():
    known = collect(documents_of(("1", "好"))).rows
    ratings = '[{"annotator": "a", "value": 1}, {"annotator": "a", "value": 1}, {"annotator": "a", "value": 2}]'
    votes = votes_of(f'{{"id": 1, "text": "好", "ratings": {ratings}}}')
    first = resolve(votes, known)
    assert (list(first.rows["value"]), first.unchanged_count) == ([1.0, 2.0], 1)
    again = resolve(votes, known, known_vote_ids=first.rows["vote_id"])
    assert (len(again.rows), again.unchanged_count) == (0, 3)


@pytest.mark.parametrize("known", [NOTHING.assign(parent_id="", text=""), documents_of().assign(document_id="", revision=1)])
def test_no_votes_and_no_documents_are_fine(known):
    found = resolve(votes_of(""), known)
    assert (len(found.rows), len(found.rejected), found.unchanged_count) == (0, 0, 0)


def test_many_votes_keep_distinct_ids():
    known = collect(documents_of(*((str(number), f"text {number}") for number in range(2_000)))).rows
    lines = "".join(f'{{"id": {number}, "text": "text {number}", "ratings": [{",".join(["1"] * 100)}]}}\n' for number in range(2_000))
    found = resolve(votes_of(lines), known)
    assert (len(found.rows), found.rows["vote_id"].nunique()) == (200_000, 200_000)

"""Votes on spans and on several labels come in many shapes and leave in one; relations and questions become marked texts."""

import io
import json

import pandas as pd
import pytest

from assets.answers import decode_quoted_spans
from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.collection.records import to_raw_annotations, to_raw_documents
from assets.collection.vote_shapes import MalformedVoteError, VotedText, read_bounds
from assets.source_settings import FieldMapping

NOW = pd.Timestamp("2026-01-02", tz="UTC")
TEXT = "小明 met Ann 😀 in 上海"
ANN = [(7, 10, "PERSON", "Ann")]


def raw(payload, media_type="application/x-ndjson", **facts):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    return RawObject(payload, "0" * 64, "file:///drop/a", media_type, **facts)


def parse_record(record, **names):
    return parse_objects([raw(json.dumps({"id": 1} | record, ensure_ascii=False))], fields=FieldMapping(**names))


def spans_of(found):
    return [
        [(quoted.span.start, quoted.span.end, quoted.span.label, quoted.quote) for quoted in decode_quoted_spans(answer)]
        for answer in found.votes["label"]
    ]


@pytest.mark.parametrize(
    ("votes", "annotators", "spans"),
    [
        ([{"annotator": "wang", "spans": [{"start": 7, "end": 10, "label": "PERSON"}]}], ["wang"], [ANN]),
        ([{"annotator": "wang", "spans": []}, {"annotator_id": 7, "spans": [[7, 10, "PERSON"]]}], ["wang", "7"], [[], ANN]),
        ({"annotator": "wang", "spans": [[7, 10, "PERSON"]]}, ["wang"], [ANN]),
        ([[7, 10, "PERSON"], [16, 18, "地点"]], ["anonymous:01"], [[*ANN, (16, 18, "地点", "上海")]]),
        ([{"start": 7, "end": 10, "labels": ["PERSON"]}], ["anonymous:01"], [ANN]),
        (
            [{"start": 7, "end": 10, "labels": ["PERSON", "人"]}],
            ["anonymous:01"],
            [[(7, 10, "PERSON", "Ann"), (7, 10, "人", "Ann")]],
        ),
        ([{"value": {"start": 7, "end": 10, "text": "Ann", "labels": ["PERSON"]}, "type": "labels"}], ["anonymous:01"], [ANN]),
        ([{"annotator": "wang", "label": [[7, 10, "PERSON"]]}], ["wang"], [ANN]),
        ([{"annotator": "a", "start": 7, "end": 10, "label": "PERSON"}], ["a"], [ANN]),
        ([{"annotator": "wang", "spans": [[11, 12, "脸"]]}], ["wang"], [[(11, 12, "脸", "😀")]]),
        (json.dumps([[7, 10, "PERSON"]]), ["anonymous:01"], [ANN]),
        ([], [], []),
    ],
)
def test_spans_are_read_in_every_shape(votes, annotators, spans):
    found = parse_record({"text": TEXT, "votes": votes}, votes="votes")
    assert found.rejected_votes.empty
    assert found.votes["annotator_id"].tolist() == annotators
    assert spans_of(found) == spans


def test_a_field_of_spans_is_one_vote_even_when_it_holds_none():
    lines = [
        {"id": 1, "text": "小明", "label": [[0, 2, "P"]]},
        {"id": 2, "text": "nobody", "label": []},
        {"id": 3, "text": "unread", "label": None},
    ]
    payload = "\n".join(json.dumps(line) for line in lines)
    found = parse_objects([raw(payload)], fields=FieldMapping(spans="label", annotator="li"))
    assert found.votes[["external_id", "annotator_id"]].to_numpy().tolist() == [["1", "li"], ["2", "li"]]
    assert spans_of(found) == [[(0, 2, "P", "小明")], []]
    assert found.votes["locator"].tolist() == ["line 1 spans vote 1", "line 2 spans vote 1"]


def test_several_labels_are_one_answer():
    votes = [{"annotator": "a", "labels": ["sport", "政治", "sport"]}, {"annotator": "b", "labels": []}, ["money"], "plain"]
    found = parse_record({"text": TEXT, "votes": votes}, votes="votes")
    assert found.votes[["annotator_id", "label"]].to_numpy().tolist() == [
        ["a", '["sport","政治"]'],
        ["b", "[]"],
        ["anonymous:03", '["money"]'],
        ["anonymous:04", "plain"],
    ]


@pytest.mark.parametrize(
    ("votes", "locator", "detail"),
    [
        ([{"annotator": "a", "spans": [[0, 99, "P"]]}], "line 1 vote 1", "expected a span with 0 <= start < end within 18 characters"),
        ([{"annotator": "a", "spans": [[3, 3, "P"]]}], "line 1 vote 1", "expected a span with 0 <= start < end"),
        ([{"annotator": "a", "spans": [[0, 2]]}], "line 1 vote 1", "expected a span with start, end (whole numbers) and label"),
        ([{"annotator": "a", "spans": [[0, 1.5, "P"]]}], "line 1 vote 1", "expected a span with start, end (whole numbers) and label"),
        ([{"annotator": "a", "spans": [{"start": 0, "end": 2, "labels": []}]}], "line 1 vote 1", "expected a span with start"),
        ([{"annotator": "a", "spans": "P"}], "line 1 vote 1", "expected a list of spans, found str 'P'"),
        ([{"annotator": "a", "labels": ["sport", 3]}], "line 1 vote 1", "expected a list of labels, found ['sport', 3]"),
        ([{"start": 7, "end": 10, "label": "P", "text": "Bob"}], "line 1 vote 1", "expected 'Bob' at 7 of the text, found 'Ann'"),
        ({"unknown": 1}, "line 1 votes", "expected a list of votes, found dict"),
        ({"text": ["x"], "answer_start": []}, "line 1 votes", "expected as many texts as answer_start in lists"),
        ({"text": [1], "answer_start": [0]}, "line 1 votes", "expected texts and whole numbers as answers, found 1 at 0"),
    ],
)
def test_a_malformed_answer_is_refused_and_its_document_stays(votes, locator, detail):
    found = parse_record({"text": TEXT, "votes": votes}, votes="votes")
    assert len(found.documents) == 1
    ((found_locator, reason, found_detail),) = found.rejected_votes[["locator", "reason", "detail"]].to_numpy().tolist()
    assert (found_locator, reason) == (locator, "malformed_vote")
    assert found_detail.startswith(detail)


def test_malformed_json_in_a_field_of_spans_is_refused():
    found = parse_record({"text": TEXT, "spans": "[oops"}, spans="spans")
    assert found.rejected_votes["locator"].tolist() == ["line 1 spans"]
    assert found.rejected_votes["detail"][0].startswith("expected a list of spans or JSON of one, found text that is no JSON")


@pytest.mark.parametrize("shape", [{"start": 4, "end": 6}, [4, 6], "[4, 6]", '{"start": 4.0, "end": 6}'])
def test_entities_of_a_relation_are_marked(shape):
    found = parse_record(
        {"text": "小明住在上海。", "head": [0, 2], "tail": shape, "votes": ["住"]}, head="head", tail="tail", votes="votes"
    )
    assert found.documents["text"].tolist() == ["[E1]小明[/E1]住在[E2]上海[/E2]。"]
    assert found.votes["label"].tolist() == ["住"]


def test_relations_within_one_text_have_one_parent():
    lines = [{"id": n, "text": "Ann met Bob.", "head": [0, 3], "tail": [8, 11]} for n in (1, 2)]
    payload = "\n".join(json.dumps(line) for line in lines)
    found = parse_objects([raw(payload)], fields=FieldMapping(head="head", tail="tail"))
    assert len(set(found.documents["parent_id"])) == 1


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        ({"head": [0, 2]}, "malformed_entity", "expected start and end as whole numbers, {start, end} or [start, end], found None"),
        ({"head": [0, 2], "tail": [4, 99]}, "malformed_entity", "expected a span with 0 <= start < end within 7 characters, found 4 to 99"),
        ({"head": [0, 2], "tail": "x"}, "malformed_entity", "expected {start, end} or [start, end] or JSON of one"),
    ],
)
def test_a_relation_without_its_entities_is_refused(record, reason, detail):
    found = parse_record({"text": "小明住在上海。"} | record, head="head", tail="tail")
    assert found.rejected["reason"].tolist() == [reason]
    assert found.rejected["detail"][0].startswith(detail)


@pytest.mark.parametrize("bounds", [[1], [1, 2, 3], {"start": 1}, [True, 2], 7, None])
def test_bounds_are_two_whole_numbers(bounds):
    with pytest.raises(MalformedVoteError, match="expected start and end as whole numbers"):
        read_bounds(bounds)


def test_answers_to_a_question_move_with_their_text():
    answers = {"text": ["鲁迅", "鲁迅"], "answer_start": [4, 4]}
    record = {"text": "《呐喊》鲁迅著。", "question": "谁写的?", "answers": answers}
    found = parse_record(record, question="question", votes="answers")
    (text,) = found.documents["text"]
    assert text == "[Q] 谁写的? [C] 《呐喊》鲁迅著。"
    assert found.votes["annotator_id"].tolist() == ["anonymous:01", "anonymous:02"]
    assert [[(text[start:end], label, quote) for start, end, label, quote in spans] for spans in spans_of(found)] == [
        [("鲁迅", "answer", "鲁迅")]
    ] * 2


@pytest.mark.parametrize(
    ("answers", "spans"),
    [
        ({"text": [], "answer_start": []}, [[]]),
        ([{"annotator": "a", "spans": [[0, 3]]}], [[(21, 24, "answer", "Ann")]]),
        ([{"annotator": "a", "spans": [{"start": 8, "end": 11}]}], [[(29, 32, "answer", "Bob")]]),
    ],
)
def test_an_answer_may_be_none_or_without_label(answers, spans):
    found = parse_record({"text": "Ann met Bob", "q": "Who is here?", "a": answers}, question="q", votes="a")
    assert found.rejected_votes.empty
    assert spans_of(found) == spans


def test_questions_about_one_text_have_one_parent_and_none_is_refused():
    lines = [{"id": n, "text": "Ann met Bob.", "q": question} for n, question in enumerate(["Who?", "谁?", " ", None])]
    payload = "\n".join(json.dumps(line) for line in lines)
    found = parse_objects([raw(payload)], fields=FieldMapping(question="q"))
    assert (len(found.documents), found.documents["parent_id"].nunique()) == (2, 1)
    assert found.rejected["reason"].tolist() == ["missing_question"] * 2


def test_rows_of_csv_and_parquet_hold_json_or_lists():
    spans = [{"start": 0, "end": 2, "label": "P"}]
    fields = FieldMapping(votes="votes", spans="spans")
    frame = pd.DataFrame({"id": ["1"], "text": ["小明来了"], "votes": ['[{"annotator": "a", "spans": []}]'], "spans": [json.dumps(spans)]})
    as_csv = parse_objects([raw(frame.to_csv(index=False), "text/csv")], fields=fields)
    buffer = io.BytesIO()
    frame.assign(spans=[spans]).to_parquet(buffer)
    as_parquet = parse_objects([raw(buffer.getvalue(), "application/vnd.apache.parquet")], fields=fields)
    for found in (as_csv, as_parquet):
        assert found.votes["annotator_id"].tolist() == ["a", "anonymous:01"]
        assert spans_of(found) == [[], [(0, 2, "P", "小明")]]


def test_squad_in_parquet_is_read():
    buffer = io.BytesIO()
    row = {"id": "1", "context": "Ann met Bob", "question": "Who?", "answers": {"text": ["Bob"], "answer_start": [8]}}
    pd.DataFrame([row]).to_parquet(buffer)
    fields = FieldMapping(text="context", question="question", votes="answers")
    found = parse_objects([raw(buffer.getvalue(), "application/vnd.apache.parquet")], fields=fields)
    assert spans_of(found) == [[(21, 24, "answer", "Bob")]]


def documents_of(text):
    parsed = parse_record({"text": text})
    known = pd.DataFrame({"external_id": [], "document_id": [], "revision": pd.Series(dtype="int64")})
    return to_raw_documents(parsed.documents, source="news", known=known, now=NOW).rows


def resolve(record):
    votes = parse_objects([raw(json.dumps([record]), "application/json", role="annotations")], fields=FieldMapping(votes="votes")).votes
    return to_raw_annotations(votes, documents_of(TEXT), source="news", now=NOW)


def test_votes_that_came_without_the_text_are_quoted_from_their_document():
    found = resolve({"id": 1, "votes": [{"annotator": "a", "spans": [[7, 10, "PERSON"]]}, {"annotator": "b", "spans": []}]})
    quoted = '[{"start":7,"end":10,"label":"PERSON","quote":"Ann","visible_before":5}]'
    assert found.rows[["annotator_id", "label"]].to_numpy().tolist() == [["a", quoted], ["b", "[]"]]
    assert found.rejected.empty


def test_spans_outside_their_document_are_refused_and_the_others_stay():
    votes = [{"annotator": "a", "spans": [[7, 99, "P"]]}, {"annotator": "b", "spans": [[-1, 2, "P"]]}, {"annotator": "c", "label": "P"}]
    found = resolve({"id": 1, "votes": votes})
    assert found.rows["annotator_id"].tolist() == ["c"]
    assert found.rejected[["locator", "reason"]].to_numpy().tolist() == [
        ["item 1 vote 1", "malformed_vote"],
        ["item 1 vote 2", "malformed_vote"],
    ]
    assert found.rejected["detail"][0] == "expected spans with 0 <= start < end within the text of 1, found one that is not"


def test_a_voted_text_knows_nothing_unless_told():
    assert VotedText() == VotedText(None, 0, None)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"head": "h"}, "expected both `head` and `tail` or neither, found head='h' and tail=None"),
        ({"head": "h", "tail": "t", "question": "问"}, "expected either `head` and `tail` or `question`, found all three"),
    ],
)
def test_a_mapping_that_makes_no_text_is_an_error(names, message):
    with pytest.raises(ValueError, match=message):
        FieldMapping(**names)


def test_fields_without_which_there_is_no_text_are_required_columns():
    found = parse_objects([raw("id,text\n1,小明\n", "text/csv")], fields=FieldMapping(question="q"))
    assert found.rejected[["reason", "detail"]].to_numpy().tolist() == [
        ["missing_column", "expected a header with ['text', 'q'], found ['id', 'text']"]
    ]

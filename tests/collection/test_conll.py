"""CoNLL files become documents with the spans that their tags write, whatever the scheme."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.answers import decode_quoted_spans
from assets.collection.conll import join_tokens, read_conll, spans_of_tags
from assets.collection.formats import Record, Refusal
from assets.collection.parsing import parse_objects
from assets.collection.reading import CONLL, RawObject
from assets.source_settings import FieldMapping

DATA = Path(__file__).parent / "data"


def parsed(payload, media_type=CONLL, fields=None):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    return parse_objects([RawObject(payload, "0" * 64, "file:///drop/a", media_type)], fields=fields or FieldMapping())


def answers(found):
    """Text and (quote, label) of each span, per document, in order."""
    votes = dict(zip(found.votes["external_id"], found.votes["label"], strict=True))
    texts = dict(zip(found.documents["external_id"], found.documents["text"], strict=True))
    return {texts[name]: [(quoted.quote, quoted.span.label) for quoted in decode_quoted_spans(answer)] for name, answer in votes.items()}


def test_the_same_corpus_comes_out_of_conll_and_json_lines():
    conll = parsed((DATA / "ner.conll").read_bytes(), fields=FieldMapping(annotator="wang"))
    lines = parsed((DATA / "ner.jsonl").read_bytes(), "application/x-ndjson", FieldMapping(spans="spans", annotator="wang"))
    columns = ["external_id", "annotator_id", "label"]
    assert conll.votes[columns].to_numpy().tolist() == lines.votes[columns].to_numpy().tolist()
    assert conll.documents[["external_id", "text"]].to_numpy().tolist() == lines.documents[["external_id", "text"]].to_numpy().tolist()
    assert (len(conll.documents), len(conll.votes), len(conll.rejected), len(conll.rejected_votes)) == (34, 34, 0, 0)
    found = answers(conll)
    assert found["Ann Lee moved from Leeds to New York last spring ."] == [("Ann Lee", "PERSON"), ("Leeds", "PLACE"), ("New York", "PLACE")]
    assert found["他买了iPhone 15和一个保护壳"] == [("iPhone 15", "PRODUCT")]
    assert found["# monday is not my friend"] == []
    assert found["张伟刘洋都没来😂"] == [("张伟", "PERSON"), ("刘洋", "PERSON")]


@pytest.mark.parametrize(
    ("scheme", "tags", "spans"),
    [
        ("BIO", "B-P I-P O B-L B-L I-L", [(0, 2, "P"), (3, 4, "L"), (4, 6, "L")]),
        ("IOB1", "I-P I-P O I-L B-L I-L", [(0, 2, "P"), (3, 4, "L"), (4, 6, "L")]),
        ("BIOES", "B-P E-P O S-L B-L E-L", [(0, 2, "P"), (3, 4, "L"), (4, 6, "L")]),
        ("BILOU", "B-P L-P O U-L B-L L-L", [(0, 2, "P"), (3, 4, "L"), (4, 6, "L")]),
        ("a type changes inside", "B-P I-L I-L", [(0, 1, "P"), (1, 3, "L")]),
        ("I- after O opens", "O I-地点 O", [(1, 2, "地点")]),
        ("I- after an end opens", "B-P E-P I-P", [(0, 2, "P"), (2, 3, "P")]),
        ("I- after a single opens", "S-P I-P", [(0, 1, "P"), (1, 2, "P")]),
        ("E- after O is a span", "O E-P E-P", [(1, 2, "P"), (2, 3, "P")]),
        ("B- never closed", "B-P B-P", [(0, 1, "P"), (1, 2, "P")]),
        ("types with hyphens", "B-geo-loc I-geo-loc", [(0, 2, "geo-loc")]),
        ("nothing", "O O", []),
        ("no token", "", []),
    ],
)
def test_every_scheme_and_every_mistake_has_its_spans(scheme, tags, spans):
    assert spans_of_tags(tags.split()) == spans, scheme


def tags_of(spans, length, scheme):
    """The tags of spans that do not overlap."""
    tags = ["O"] * length
    for start, end, label in spans:
        for place in range(start, end):
            marks = {"first": place == start, "last": place == end - 1}
            if scheme == "BIO":
                mark = "B" if marks["first"] else "I"
            else:
                mark = {(True, True): "S", (True, False): "B", (False, True): "E", (False, False): "I"}[tuple(marks.values())]
            tags[place] = f"{mark}-{label}"
    return tags


@st.composite
def disjoint_spans(draw):
    bounds = sorted(draw(st.sets(st.integers(0, 30), max_size=14)))
    pairs = list(pairwise(bounds))
    return [(start, end, draw(st.sampled_from(["P", "地点"]))) for start, end in pairs if draw(st.booleans())]


@given(disjoint_spans(), st.sampled_from(["BIO", "BIOES"]))
def test_spans_come_back_from_their_tags(spans, scheme):
    assert spans_of_tags(tags_of(spans, 31, scheme)) == spans


@given(st.lists(st.text(st.characters(exclude_categories=["Zs", "Zl", "Zp", "Cc", "Cs"]), min_size=1), max_size=8))
def test_every_token_is_where_it_is_said_to_be(tokens):
    text, places = join_tokens(tokens)
    assert [text[start:end] for start, end in places] == tokens


def test_names_documents_and_annotators_come_from_comments():
    text = "-DOCSTART- -X- O O\n\n# annotator = 李\nBob NNP B-P\nruns VBZ O\n\n# sent_id = b\n上\tB-L\n海\tI-L\n\n# newdoc\nno\tO\n"
    records = list(read_conll(text, "file:///a", "conll"))
    assert [(record.locator, record.fields["id"], record.fields["text"], record.fields["parent"]) for record in records] == [
        ("line 4", None, "Bob runs", "file:///a#1"),
        ("line 8", "b", "上海", "file:///a#1"),
        ("line 12", None, "no", "file:///a#2"),
    ]
    assert [record.fields["votes"][0]["annotator"] for record in records] == ["李", "conll", "conll"]
    assert records[2].fields["votes"][0]["spans"] == []


def test_a_sentence_alone_is_its_own_parent_and_is_named_by_its_text():
    found = parsed("Bob B-P\r\nruns O\r\n\r\n")
    assert found.documents["text"].tolist() == ["Bob runs"]
    assert found.documents["parent_id"].tolist() == found.documents["external_id"].tolist()
    assert found.votes["annotator_id"].tolist() == ["conll"]


def test_the_token_number_sign_is_no_comment():
    assert [record.fields["text"] for record in read_conll("# O\n1 O\n\n# a remark without a tag\n第\tO\n", "a", "conll")] == ["# 1", "第"]


@pytest.mark.parametrize(
    ("lines", "reason", "detail"),
    [
        ("好 O\nBob\n", "malformed_row", "expected a token and its tag in line 4, found 1 column(s)"),
        ("\tO\n", "malformed_row", "expected a token and its tag in line 3, found no token"),
        ("Bob PERSON\n", "malformed_tag", "expected O or B-, I-, E-, S-, U- or L- with a type in line 3, found 'PERSON'"),
        ("上 B-\n", "malformed_tag", "expected O or B-, I-, E-, S-, U- or L- with a type in line 3, found 'B-'"),
    ],
)
def test_a_sentence_that_cannot_be_read_is_one_refusal_and_its_neighbours_stay(lines, reason, detail):
    before, refused, after = read_conll(f"good O\n\n{lines}\n之后 O\n", "a", "conll")
    assert (before.fields["text"], after.fields["text"]) == ("good", "之后")
    assert isinstance(before, Record)
    assert isinstance(refused, Refusal)
    assert (refused.locator, refused.reason, refused.detail) == ("line 3", reason, detail)

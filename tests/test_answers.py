"""Every answer is one text, whatever the task; equal answers are equal texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.answers import (
    AnswerError,
    QuotedSpan,
    Span,
    SpanOutsideTextError,
    UnknownLabelError,
    answer_pattern,
    canonical_answer,
    count_outside_task,
    decode_labels,
    decode_quoted_spans,
    decode_spans,
    encode_labels,
    encode_quoted_spans,
    encode_spans,
    labels_of_answer,
    mark_entities,
    mark_question,
    marked_parts,
    quote_spans,
)
from assets.project import Task

TOPICS = Task(kind="multi_label_classification", labels=("sport", "money", "政治"))
ENTITIES = Task(kind="token_classification", labels=("PERSON", "地点"))
ONE = Task(labels=("差评", "好评"))
TEXT = "小明 met Ann in 上海 😀."

spans = st.builds(
    lambda start, length, label: Span(start, start + length, label), st.integers(0, 50), st.integers(1, 9), st.text(min_size=1)
)


@given(st.lists(spans))
def test_spans_come_back_in_order_and_match_the_pattern(found):
    answer = encode_spans(found)
    assert decode_spans(answer, [span.label for span in found]) == tuple(sorted(set(found)))
    assert re.fullmatch(answer_pattern(ENTITIES), answer)


@given(st.sets(st.sampled_from(TOPICS.labels)))
def test_labels_come_back_in_the_order_of_the_task(chosen):
    answer = encode_labels(chosen, TOPICS.labels)
    assert decode_labels(answer, TOPICS.labels) == tuple(label for label in TOPICS.labels if label in chosen)
    assert re.fullmatch(answer_pattern(TOPICS), answer)


@pytest.mark.parametrize("answer", ["", "sport", "[sport]", '["sport",]', '{"start":1}', '[{"start":0,"end":1}]', '["sport"] ', "[[]]"])
def test_the_pattern_matches_no_other_shape(answer):
    assert not re.fullmatch(answer_pattern(TOPICS), answer)
    assert not re.fullmatch(answer_pattern(ENTITIES), answer)


def test_quoted_spans_come_back_and_are_answers_without_their_quotes():
    quoted = quote_spans([Span(7, 10, "PERSON"), Span(0, 2, "PERSON"), Span(14, 16, "地点")], TEXT)
    assert quoted == (
        QuotedSpan(Span(0, 2, "PERSON"), "小明", 0),
        QuotedSpan(Span(7, 10, "PERSON"), "Ann", 5),
        QuotedSpan(Span(14, 16, "地点"), "上海", 10),
    )
    answer = encode_quoted_spans(quoted)
    assert decode_quoted_spans(answer) == quoted
    assert canonical_answer(answer, ENTITIES) == encode_spans(found.span for found in quoted)
    bare = (QuotedSpan(Span(0, 2, "PERSON")),)
    assert decode_quoted_spans(encode_quoted_spans(bare), ENTITIES.labels) == bare


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: encode_labels(["opera"], TOPICS.labels), UnknownLabelError, r"expected labels out of .*'政治'\], found \['opera'\]"),
        (lambda: decode_labels("sport", TOPICS.labels), AnswerError, r"expected a JSON list, found 'sport'"),
        (lambda: decode_labels('["sport","sport"]', TOPICS.labels), AnswerError, "expected a JSON list of distinct labels"),
        (lambda: decode_labels('{"sport":1}', TOPICS.labels), AnswerError, "expected a JSON list"),
        (lambda: decode_spans('[{"start":"0","end":1,"label":"PERSON"}]', ENTITIES.labels), AnswerError, "expected spans with start, end"),
        (lambda: decode_spans('[{"start":0,"end":1,"label":"物"}]', ENTITIES.labels), UnknownLabelError, r"found \['物'\]"),
        (
            lambda: decode_spans('[{"start":2,"end":2,"label":"PERSON"}]', ENTITIES.labels),
            SpanOutsideTextError,
            "start < end, found 2 to 2",
        ),
        (lambda: quote_spans([Span(0, 99, "PERSON")], TEXT), SpanOutsideTextError, "within 19 characters, found 0 to 99"),
        (
            lambda: decode_quoted_spans('[{"start":0,"end":1,"label":"a","quote":"x"}]'),
            AnswerError,
            "expected quote .* and visible_before .* in each span",
        ),
        (lambda: decode_quoted_spans('[{"start":0,"end":1,"label":"a"}]', ["b"]), UnknownLabelError, r"out of \['b'\], found \['a'\]"),
        (lambda: canonical_answer("中评", ONE), UnknownLabelError, r"found \['中评'\]"),
        (lambda: mark_entities("Ann", (0, 3), (3, 3)), SpanOutsideTextError, "found 3 to 3"),
    ],
)
def test_what_is_no_answer_says_what_was_expected_and_found(act, error, message):
    with pytest.raises(error, match=message):
        act()


@pytest.mark.parametrize(
    ("answer", "task", "labels"),
    [
        ("好评", ONE, ("好评",)),
        ('["money","sport"]', TOPICS, ("sport", "money")),
        ("[]", TOPICS, ()),
        ('[{"start":4,"end":5,"label":"地点"},{"start":0,"end":1,"label":"地点"}]', ENTITIES, ("地点",)),
    ],
)
def test_an_answer_names_its_labels_once(answer, task, labels):
    assert labels_of_answer(answer, task) == labels


def test_answers_outside_the_task_are_counted():
    assert count_outside_task(["好评", "中评", None], ONE) == 1
    assert count_outside_task(['["sport"]', '["sport" ]', '["money","sport"]', "sport"], TOPICS) == 3
    span = '[{"start":0,"end":2,"label":"PERSON"}]'
    assert count_outside_task([span, span, "[]"], ENTITIES, [2, 1, 0]) == 1


@pytest.mark.parametrize(
    ("text", "head", "tail", "marked"),
    [
        ("Ann works at Acme.", (0, 3), (13, 17), "[E1]Ann[/E1] works at [E2]Acme[/E2]."),
        ("Acme hired Ann", (11, 14), (0, 4), "[E2]Acme[/E2] hired [E1]Ann[/E1]"),
        ("北京大学", (0, 4), (0, 2), "[E1][E2]北京[/E2]大学[/E1]"),
        ("北京大学", (0, 2), (0, 4), "[E2][E1]北京[/E1]大学[/E2]"),
        ("北京大学", (2, 4), (0, 4), "[E2]北京[E1]大学[/E1][/E2]"),
        ("小明小红", (0, 2), (2, 4), "[E1]小明[/E1][E2]小红[/E2]"),
        ("Ann", (0, 3), (0, 3), "[E1][E2]Ann[/E2][/E1]"),
    ],
)
def test_entities_are_marked_where_they_are(text, head, tail, marked):
    assert mark_entities(text, head, tail) == marked


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (mark_question("谁写的?", "鲁迅写的。")[0], ("谁写的?",)),
        (mark_entities("Ann, Ann and Bob", (5, 8), (13, 16)), ("1 Ann", "0 Bob")),
        (mark_entities("北京大学", (0, 4), (0, 2)), ("0 北京大学", "0 北京")),
        (mark_entities("北京大学", (2, 4), (0, 4)), ("0 大学", "0 北京大学")),
        ("nothing [Q] is marked [C] here", ()),
        ("only [E1]one[/E1] is", ()),
        ("[E1]not closed, [E2]two[/E2]", ()),
    ],
)
def test_a_marked_text_says_what_it_is_about(text, parts):
    assert marked_parts(text) == parts


def test_a_question_stands_before_its_text():
    marked, shift = mark_question(" 谁写的? ", "鲁迅写的。")
    assert marked == "[Q] 谁写的? [C] 鲁迅写的。"
    assert marked[shift:] == "鲁迅写的。"

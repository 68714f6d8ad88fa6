"""Reading queries: what people write in English and Chinese, and what they get wrong."""

from datetime import UTC, date, datetime

import pytest

from assets.cleaning.tokens import tokenize_text
from resources.search_query import (
    All,
    Between,
    Either,
    Equals,
    Filters,
    Not,
    Phrase,
    SearchQueryError,
    Term,
    any_word,
    parse_query,
    tokens_of,
)

LIFE, BATTERY, PHONE = Term("life"), Term("batteri"), Term("phone")


def parse(text):
    return parse_query(text, tokenize_text)


def day(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("the batteries", BATTERY),
        ("battery life", All((BATTERY, LIFE))),
        ("battery AND life", All((BATTERY, LIFE))),
        ("battery batteries", All((BATTERY, BATTERY))),
        ('"battery life"', Phrase(("batteri", "life"))),
        ("“电池寿命”", Phrase(("电池", "寿命"))),
        ('"battery"', BATTERY),
        ("battery OR life phone", Either((BATTERY, All((LIFE, PHONE))))),
        ("(battery OR life) phone", All((Either((BATTERY, LIFE)), PHONE))),
        ("（battery OR life） phone", All((Either((BATTERY, LIFE)), PHONE))),
        ("battery -phone", All((BATTERY, Not(PHONE)))),
        ("battery NOT phone", All((BATTERY, Not(PHONE)))),
        ("NOT (battery OR life)", Not(Either((BATTERY, LIFE)))),
        ("NOT NOT battery", Not(Not(BATTERY))),
        ("well-known", All((Term("well"), Term("known")))),
        ("source:shop battery", All((Equals("source", "shop"), BATTERY))),
        ('source:"my shop"', Equals("source", "my shop")),
        ("source：酒店", Equals("source", "酒店")),
        ("label:positive OR label:negative", Either((Equals("label", "positive"), Equals("label", "negative")))),
        ("sauce:shop", All((Term("sauc"), Term("shop")))),
        ("the OR phone", PHONE),
        ("date:2026-03-01", Between(day(2026, 3, 1), day(2026, 3, 2))),
        ("date:2026-3", Between(day(2026, 3, 1), day(2026, 4, 1))),
        ("date:2026-12", Between(day(2026, 12, 1), day(2027, 1, 1))),
        ("date:2026", Between(day(2026, 1, 1), day(2027, 1, 1))),
        ("date:2026-01..2026-03", Between(day(2026, 1, 1), day(2026, 4, 1))),
        ("date:2026..", Between(day(2026, 1, 1), None)),
        ("date:..2026", Between(None, day(2027, 1, 1))),
        ("or not and", Term("not")),
    ],
)
def test_a_query_means(text, query):
    assert parse(text) == query


def test_words_are_cut_in_the_language_that_is_asked_for():
    assert parse("Häuser language:de") == All((Term("haus"), Equals("language", "de")))
    assert parse("Häuser").token != "haus"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found the end"),
        ("the 的", "at least one word that is not a stop word"),
        ('battery "life', "quotation mark at character 9 to be closed"),
        ("“电池", "quotation mark at character 1 to be closed"),
        ("(battery", "parenthesis at character 1 to be closed"),
        ("battery)", "closing one at character 8"),
        ("()", r"found '\)' at character 2"),
        ("battery OR", "found the end"),
        ("AND battery", "found 'AND' at character 1"),
        ("source: battery", "a value after source:, found none"),
        ('label:""', "a value after label:, found none"),
        ("date:yesterday", "Expected a date such as .* found 'yesterday'"),
        ("date:2026-02-30", "found '2026-02-30'"),
        ("date:0000", "found '0000'"),
        ("date:9999", "found '9999'"),
        ("date:..", "found two dots alone"),
        ("date:2026..2025", "a first day that is not after the last one"),
        ("(" * 30 + "a" + ")" * 30, "at most 20 parentheses or NOT"),
        ("NOT " * 30 + "a", "at most 20 parentheses or NOT"),
        (" ".join(["word"] * 101), "at most 100 parts, found 101"),
    ],
)
def test_what_cannot_be_understood_says_why(text, message):
    with pytest.raises(SearchQueryError, match=message):
        parse(text)


ODD = ["-" * 50, "((((", '"“”"', "：：", "date:2026-01-01-01", "a:b:c", "５Ｇ手机", "\u0000", "\ud800", "AND OR NOT", "-(", "NOT"]


@pytest.mark.parametrize("text", ODD)
def test_nothing_else_than_a_query_error_comes_out(text):
    try:
        found = str(parse(text))
    except SearchQueryError as error:
        found = str(error)
    assert found.startswith(("Expected ", "Term(", "All("))


def test_only_words_alone_are_content_with_any_of_them():
    assert any_word(parse("battery life")) == Either((BATTERY, LIFE))
    for text in ("battery", '"battery life"', "battery -life", "battery OR life", "battery source:shop"):
        assert any_word(parse(text)) is None


def test_what_is_marked_is_what_is_wanted():
    assert tokens_of(parse('battery "good life" OR phone -broken source:shop')) == {"batteri", "good", "life", "phone"}


def test_filters_hold_beside_a_query():
    assert Filters().applied_to(PHONE) == PHONE
    found = Filters(["b", "a"], "positive", "zh", date(2026, 1, 1), date(2026, 1, 1)).applied_to(PHONE)
    assert found == All(
        (
            PHONE,
            Either((Equals("source", "a"), Equals("source", "b"))),
            Equals("label", "positive"),
            Equals("language", "zh"),
            Between(day(2026, 1, 1), day(2026, 1, 2)),
        )
    )
    assert Filters([]).applied_to(PHONE) == All((PHONE, Either(())))
    assert Filters(until=date.max).applied_to(PHONE) == PHONE

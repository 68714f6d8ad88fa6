"""Where a text shows what it was found by."""

import pytest

from assets.cleaning.tokens import tokenize_text
from resources.search_query import parse_query, tokens_of
from services.highlights import SHOWN_CHARS, find_highlights, marked_excerpt


def marked(query, text, language):
    tokens = tokens_of(parse_query(query, tokenize_text))
    return [text[start:end] for start, end in find_highlights(text, tokens, language)]


@pytest.mark.parametrize(
    ("query", "text", "language", "words"),
    [
        ("battery lasts", "Batteries lasted: the BATTERY. It was batter.", "en", ["Batteries", "lasted", "BATTERY"]),
        ('"good screens" -bad', "A good screen, not bad.", "en", ["good", "screen"]),
        ("服务", "酒店服务好，服务周到", "zh", ["服务", "服务"]),
        ("中国科学院", "在中国科学院附近", "zh", ["中国科学院"]),
        ("手机 phone", "手机phone和ｐｈｏｎｅ", "zh", ["手机phone", "ｐｈｏｎｅ"]),
        ("don't", "I don’t know", "en", ["don’t"]),
        ("source:shop", "A shop.", "en", []),
        ("a.b*c [x]", "x (a.b*c)", "en", ["x", "b", "c"]),
        ("phone", "", "en", []),
    ],
)
def test_words_are_marked_as_they_were_found(query, text, language, words):
    assert marked(query, text, language) == words


def test_an_excerpt_shows_what_was_found_in_a_long_text():
    text = "word " * 100 + "needle in\nthe hay " + "word " * 100
    place = text.index("needle")
    shown = marked_excerpt(text, [(place, place + 6), (place + 400, place + 404)], lambda words: f"<{words}>")
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert "<needle> in the hay" in shown
    assert len(shown) <= SHOWN_CHARS + 6


def test_an_excerpt_of_a_short_text_is_all_of_it():
    assert marked_excerpt("我喜欢 needles", [(4, 11)], str.upper) == "我喜欢 NEEDLES"
    assert marked_excerpt("x" * 500, [], str.upper) == "x" * SHOWN_CHARS + " …"

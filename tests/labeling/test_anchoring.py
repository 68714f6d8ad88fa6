"""Spans of a collected text are found again in the cleaned one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.answers import QuotedSpan, Span, SpanOutsideTextError, quote_spans
from assets.labeling.anchoring import SpanNotFoundError, anchor_span, fold_text
from assets.replacements import Replacement


def anchored(raw, start, end, clean):
    """What the span of the raw text covers in the clean one."""
    (quoted,) = quote_spans([Span(start, end, "X")], raw)
    span = anchor_span(quoted, fold_text(clean))
    return span.start, clean[span.start : span.end]


@pytest.mark.parametrize(
    ("raw", "quote", "clean", "found"),
    [
        ("Ann lives here", "Ann", "Ann lives here", (0, "Ann")),
        ("  Ann \t lives\r\n\r\nhere ", "here", "Ann lives\nhere", (10, "here")),
        ("New \n York", "New \n York", "New\nYork", (0, "New\nYork")),
        ("王　小明 说", "王　小明", "王 小明 说", (0, "王 小明")),
        ("AT&amp;T hired Ann", "AT&amp;T", "AT&T hired Ann", (0, "AT&T")),
        ("AT&amp;T hired Ann", "Ann", "AT&T hired Ann", (11, "Ann")),
        ("in Sa\u0303o Paulo", "Sa\u0303o Paulo", "in São Paulo", (3, "São Paulo")),
        ("zero\u200bwidth", "zero\u200bwidth", "zerowidth", (0, "zerowidth")),
        ("上\ufeff海 下雨", "上\ufeff海", "上海 下雨", (0, "上海")),
        ("好 😀 吗", "😀", "好 😀 吗", (2, "😀")),
        (" in Paris ", " Paris ", "in Paris", (3, "Paris")),
    ],
)
def test_a_span_survives_cleaning(raw, quote, clean, found):
    start = raw.index(quote)
    assert anchored(raw, start, start + len(quote), clean) == found


@pytest.mark.parametrize(("raw", "clean"), [("ha  ha   ha ha", "ha ha ha ha"), ("哈 \n 哈　哈 哈", "哈\n哈 哈 哈")])
def test_of_equal_words_the_one_that_was_marked_is_found(raw, clean):
    word = raw[: 2 if raw.startswith("ha") else 1]
    places = [place for place in range(len(raw)) if raw.startswith(word, place)]
    wanted = [place for place in range(len(clean)) if clean.startswith(word, place)]
    assert [anchored(raw, place, place + len(word), clean)[0] for place in places] == wanted


def test_a_word_that_moved_is_the_nearest():
    assert anchored("<b>Ann</b> met Ann", 3, 6, "Ann met Ann") == (0, "Ann")


@given(st.text(st.sampled_from("ab 上\n\t　"), min_size=1), st.data())
def test_folding_white_space_moves_no_span_to_another_word(raw, data):
    start = data.draw(st.integers(0, len(raw) - 1))
    end = data.draw(st.integers(start + 1, len(raw)))
    visible = "".join(raw[start:end].split())
    clean = " ".join(raw.split())
    if visible:
        place, found = anchored(raw, start, end, clean)
        assert "".join(found.split()) == visible
        assert len("".join(clean[:place].split())) == len("".join(raw[:start].split()))


@pytest.mark.parametrize(("raw", "quote", "clean"), [("Ann met Bob", "Bob", "Ann met Rob"), ("上海 天气", " ", "上海 天气")])
def test_what_cannot_be_found_is_an_error_that_does_not_quote_it(raw, quote, clean):
    start = raw.index(quote)
    with pytest.raises(SpanNotFoundError, match=f"expected the {len(quote)} characters .* from {start} on in the cleaned") as error:
        anchored(raw, start, start + len(quote), clean)
    assert repr(quote) not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "quote", "clean", "replacements", "found"),
    [
        ("mail a@x.co to Ann", "a@x.co", "mail [EMAIL_a] to Ann", [(5, 14, 6)], (5, "[EMAIL_a]")),
        ("mail a@x.co to Ann", "Ann", "mail [EMAIL_a] to Ann", [(5, 14, 6)], (18, "Ann")),
        ("mail a@x.co to Ann", "x.co to", "mail [EMAIL_a] to Ann", [(5, 14, 6)], (5, "[EMAIL_a] to")),
        ("138 0013 或 139 0013", "139 0013", "[PHONE_a] 或 [PHONE_b]", [(0, 9, 7), (12, 21, 7)], (12, "[PHONE_b]")),
        ("电话13800138000，上海", "13800138000", "电话[PHONE_a]，上海", [(2, 11, 11)], (2, "[PHONE_a]")),
        ("电话13800138000，上海的上海", "上海", "电话[PHONE_a]，上海的上海", [(2, 11, 11)], (12, "上海")),
    ],
)
def test_a_span_survives_pseudonyms_in_the_text(raw, quote, clean, replacements, found):
    (quoted,) = quote_spans([Span(raw.index(quote), raw.index(quote) + len(quote), "X")], raw)
    folded = fold_text(clean, [Replacement(start, end, "email", chars) for start, end, chars in replacements])
    span = anchor_span(quoted, folded)
    assert (span.start, clean[span.start : span.end]) == found


def test_a_lost_quote_is_not_taken_for_a_pseudonym_that_stands_elsewhere():
    raw = "a@x.co wrote a letter to Zoe about nothing"
    (quoted,) = quote_spans([Span(25, 28, "X")], raw)
    with pytest.raises(SpanNotFoundError, match="expected the 3 characters"):
        anchor_span(quoted, fold_text("[EMAIL_a] wrote a letter to Amy about nothing", [Replacement(0, 9, "email", 6)]))


def test_a_span_without_quote_is_about_the_cleaned_text_already():
    assert anchor_span(QuotedSpan(Span(0, 2, "X")), fold_text("上海")) == Span(0, 2, "X")
    with pytest.raises(SpanOutsideTextError, match="within 2 characters, found 0 to 3"):
        anchor_span(QuotedSpan(Span(0, 3, "X")), fold_text("上海"))

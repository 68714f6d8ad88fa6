import re

import pytest
from ftfy.badness import BADNESS_RE, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.cleaning.repair import Repaired, fold_space, repair_text


@pytest.mark.parametrize(
    ("damaged", "mended"),
    [
        ("cafÃ© crÃ¨me", "café crème"),
        ("â€œquoteâ€\x9d", "“quote”"),
        ("å¥½å\x90ƒ", "好吃"),
        ("我很å¥½", "我很好"),
        ("hi \ud83d\ude00", "hi 😀"),
        ("broken \ud83d here", "broken \ufffd here"),
    ],
)
def test_decoding_damage_is_mended_and_flagged(damaged, mended):
    assert repair_text(damaged) == Repaired(mended, is_repaired=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rock &amp; roll", "rock & roll"),
        ("&amp;amp;amp;lt;3", "<3"),
        ("&am&#112;lt;", "<"),
        ("看了一点&#183;&#183;就没看了", "看了一点··就没看了"),
        ("AT&T and ?a=1&copy=2", "AT&T and ?a=1&copy=2"),
        ("  two  spaces\t here ", "two spaces here"),
        ("书很泛泛\u3000\u3000一些道理", "书很泛泛 一些道理"),
        ("one \r\n\r\n two\u2028three", "one\ntwo\nthree"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen", "zerowidth softhyphen"),
        ("很\u200b好\x00", "很好"),
        ("right\u202eto left", "rightto left"),
        ("e\u0301te\u0301", "été"),
    ],
)
def test_routine_repairs_are_not_flagged_as_damage(text, expected):
    assert repair_text(text) == Repaired(expected, is_repaired=False)


@pytest.mark.parametrize(
    "text",
    [
        "don’t “curl” — or… 'straighten'",
        "我打１０分，真的！（全角）",
        "½ of 20㎡ is x² ™",
        "👩\u200d👩\u200d👧 and ❤\ufe0f",
        "می\u200cخواهم",
        "क\u094d\u200dष",
        "line one\nline two",
    ],
)
def test_what_is_right_stays_as_it_is(text):
    assert repair_text(text) == Repaired(text, is_repaired=False)


@pytest.mark.parametrize("text", ["", "   ", "\u3000\u3000", "\u200b", "&nbsp;", "\x00\x01"])
def test_a_text_of_nothing_visible_becomes_empty(text):
    assert repair_text(text).text == ""


PIECES = st.sampled_from(
    [
        "a",
        "Z",
        " ",
        "\n",
        "\xa0",
        "\u3000",
        "&",
        "amp;",
        "&lt;",
        "#38;",
        ";",
        "Ã",
        "©",
        "â€",
        "\x9d",
        "好",
        "，",
        "\u200b",
        "\u200d",
        "👩",
        "e\u0301",
        "\ud83d",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_repairing_a_repaired_text_changes_nothing(text):
    once = repair_text(text).text
    assert repair_text(once) == Repaired(once, is_repaired=False)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("a好，. \n\t\r\u2028\u3000\xa0\x1c"), max_size=12))
def test_white_space_is_folded_run_by_run(text):
    runs = re.sub(r"\s+", lambda run: "\n" if set(run[0]) & set("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029") else " ", text.strip())
    assert fold_space(text) == runs


def test_nothing_is_mojibake_without_a_character_that_is_looked_for_first():
    """Each character outside those, beside each one that ftfy names, and every pair of ASCII: none is damage by itself."""
    others = "".join(map(chr, range(0x20, 0x7F))) + "，。好タ한Ａ😀"
    named = {character for character in BADNESS_RE.pattern if ord(character) >= 0x80}
    assert {character for character in named if not "\x80" <= character <= "\u2fff"} == set("\uf8ff\ufb01\ufb02\ufffd")
    assert not is_bad(" ".join(left + right for left in others for right in others))
    assert not is_bad("".join(left + right for left in others for right in others))


def test_a_million_spaces_are_folded_in_linear_time():
    assert fold_space("a" + " " * 1_000_000 + "b" + "\n" * 1_000_000 + "c") == "a b\nc"


def test_a_text_built_to_need_endless_rounds_ends():
    assert repair_text("&" + "amp;" * 100_000 + "lt;").text == "<"

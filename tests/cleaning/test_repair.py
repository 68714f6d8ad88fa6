import pytest
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


def test_a_million_spaces_are_folded_in_linear_time():
    assert fold_space("a" + " " * 1_000_000 + "b" + "\n" * 1_000_000 + "c") == "a b\nc"


def test_a_text_built_to_need_endless_rounds_ends():
    assert repair_text("&" + "amp;" * 100_000 + "lt;").text == "<"

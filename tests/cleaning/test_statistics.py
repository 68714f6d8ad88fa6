"""Statistics of texts, by hand."""

from math import isnan

import pytest

from assets.cleaning.statistics import measure_text

WORDS = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"]  # 52, each twice
DISTINCT = [f"{first}{second}x" for first in "abcdefgh" for second in "abcdefgh"]  # 64


@pytest.mark.parametrize(
    ("text", "measure", "expected"),
    [
        (" ".join(DISTINCT), "top_ngram_ratio", 0.0),
        (" ".join(DISTINCT), "doubled_ngram_ratio", 0.0),
        (" ".join([*DISTINCT[:58], *DISTINCT[:3], *DISTINCT[:3]]), "top_ngram_ratio", 9 / 64),
        (" ".join(["a"] * 64), "top_ngram_ratio", 1.0),
        (" ".join([*DISTINCT[:54], *DISTINCT[:10]]), "doubled_ngram_ratio", 10 / 64),
        (" ".join(WORDS), "doubled_ngram_ratio", 0.5),
        (" ".join(DISTINCT), "word_chars", 3.0),
        (" ".join([*DISTINCT[:32], *(["42"] * 32)]), "alphabetic_word_ratio", 0.5),
        ("the cat and the dog " * 15, "stop_words", 2.0),
        ("a\nb\na\na", "repeated_line_ratio", None),
        ("a\nb\na\na\nc", "repeated_line_ratio", 0.4),
        ("- a\n1. b\n（一） c\n2、丁\n- e", "bullet_line_ratio", 0.8),
        ("a…\nb...\nc……\nd\ne", "ellipsis_line_ratio", 0.6),
        ("a.\nb。\nc\nd\ne", "finished_line_ratio", 0.4),
        ("a" * 30 + "\nb\nc\nd\n" + "好" * 29, "short_line_ratio", 0.8),
        ("加微信", "advertising_signs", 1.0),
        ("日赚三百", "advertising_signs", 0.0),
        ("all rights reserved\n1234567890123456789", "boilerplate_ratio", 19 / 39),
    ],
)
def test_statistics_are_what_they_say(text, measure, expected):
    found = getattr(measure_text(text, "en"), measure)
    assert isnan(found) if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize(("count", "is_judged"), [(49, False), (50, True)])
def test_prose_begins_at_fifty_words(count, is_judged):
    assert isnan(measure_text(" ".join(DISTINCT[:count]), "en").top_ngram_ratio) is not is_judged


@pytest.mark.parametrize(("count", "is_judged"), [(99, False), (100, True)])
def test_chinese_prose_begins_at_a_hundred_characters(count, is_judged):
    text = "".join(chr(0x4E00 + number) for number in range(count))
    assert isnan(measure_text(text, "zh").top_ngram_ratio) is not is_judged

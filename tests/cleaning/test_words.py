import pytest

from assets.cleaning.words import find_words, symbol_ratio


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, me-now!", ["Don't", "stop", "me", "now"]),
        ("don’t — café", ["don’t", "café"]),
        ("我喜欢iPhone13的屏幕。", ["我", "喜", "欢", "iPhone13", "的", "屏", "幕"]),
        ("タワー", ["タ", "ワ", "ー"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Привет, мир", ["Привет", "мир"]),
        ("snake_case 3.5", ["snake", "case", "3", "5"]),
        ("...!! :-)", []),
    ],
)
def test_words_are_runs_of_letters_and_single_chinese_characters(text, words):
    assert find_words(text) == words


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("", 0.0),
        ("ab c", 0.0),
        ("a_b!", 0.5),
        ("怎么还没到货？？？？？？？？？？？", 1 / 7),
        ("Why?????????", 1 / 4),
        ("好，好", 1 / 3),
        ("हिन्दी", 0.0),
        ("?!?!", 1.0),
    ],
)
def test_a_run_of_one_symbol_counts_once(text, ratio):
    assert symbol_ratio(text) == ratio

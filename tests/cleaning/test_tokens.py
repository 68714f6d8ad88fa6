import re
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import rjieba
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.cleaning import tokens
from assets.cleaning.stop_words import stop_words
from assets.cleaning.tokens import tokenize, tokenize_text
from assets.cleaning.words import HAN, find_words


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The movies were running, and I liked them!", "en", ["movi", "run", "like"]),
        ("I don't like it; it's NOT good", "en", ["don't", "like", "not", "good"]),
        ("I don’t", "en", ["don't"]),
        ("see https://example.com/a?b=c now", "en", ["see", "now"]),
        ("我不喜欢这个手机的屏幕，没有意思", "zh", ["不", "喜欢", "手机", "屏幕", "没有", "意思"]),
        ("这本书好看", "zh", ["本书", "好看"]),
        ("中国科学院", "zh", ["中国", "科学", "学院", "科学院", "中国科学院"]),
        ("买了ＩＰＨＯＮＥ１３的phones", "zh", ["买", "iphone13", "phone"]),
        ("Visited 北京 with friends", "en", ["visit", "北京", "friend"]),
        ("running movies", "und", ["run", "movi"]),
        ("die Häuser sind nicht schön", "de", ["haus", "nicht", "schon"]),
        ("running movies", "tlh", ["running", "movies"]),
        ("...!!", "en", []),
        ("", "zh", []),
    ],
)
def test_texts_are_cut_into_stemmed_words_without_stop_words(text, language, expected):
    assert tokenize_text(text, language) == expected


@pytest.mark.parametrize(
    ("language", "kept", "dropped"),
    [
        ("en", {"no", "not", "never", "nothing", "good", "great", "best", "microsoft", "world"}, {"the", "and", "it's"}),
        ("zh", {"不", "没", "没有", "不是", "无", "好", "看", "很"}, {"的", "了", "我们"}),
        ("de", {"nicht", "kein", "nie"}, {"der", "und"}),
        ("fr", {"ne", "pas", "jamais"}, {"le", "et"}),
    ],
)
def test_stop_words_hold_neither_negations_nor_opinions(language, kept, dropped):
    words = stop_words(language)
    assert kept & words == set()
    assert dropped <= words


PIECES = [
    "我不喜欢这个手机",
    "中国科学院",
    "的",
    "〇々",
    "iPhone13",
    "running movies",
    "don’t",
    "，。！",
    " ",
    "\n",
    "タワー",
    "ﬁ",
    "😀",
    "３",
]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_runs_of_chinese_are_cut_as_if_each_stood_alone(text):
    folded = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    parts = re.split(f"([{HAN}]+)", folded)
    words = [word for part in parts for word in (rjieba.cut_for_search(part) if re.match(f"[{HAN}]", part) else find_words(part))]
    stems = [word if re.match(f"[{HAN}]", word) else tokens._stem(word, "zh") for word in words if word not in stop_words("zh")]
    assert tokenize_text(text, "zh") == stems


def test_a_language_without_a_list_has_no_stop_words():
    assert stop_words("tlh") == frozenset()


def test_a_frame_gives_one_row_per_document():
    documents = pd.DataFrame(
        {
            "document_id": ["d1", "d2", "d3"],
            "source": "tweets",
            "language": ["en", "zh", "und"],
            "text": ["Good movies", "很好的手机", "?!"],
            "text_chars": 1,
        },
        index=[7, 3, 5],
    )
    assert tokenize(documents).to_dict("records") == [
        {"document_id": "d1", "source": "tweets", "language": "en", "tokens": "good movi", "tokens_count": 2},
        {"document_id": "d2", "source": "tweets", "language": "zh", "tokens": "很 好 手机", "tokens_count": 3},
        {"document_id": "d3", "source": "tweets", "language": "und", "tokens": "", "tokens_count": 0},
    ]


def test_an_empty_frame_gives_the_declared_columns():
    empty = pd.DataFrame({name: pd.Series(dtype="str") for name in ("document_id", "source", "language", "text")})
    assert tokenize(empty).dtypes.astype(str).to_dict() == {
        "document_id": "str",
        "source": "str",
        "language": "str",
        "tokens": "str",
        "tokens_count": "int64",
    }


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"expected documents to tokenize with the columns .*, found no \['language', 'text'\]"):
        tokenize(pd.DataFrame({"document_id": ["d1"], "source": ["tweets"]}))


def test_threads_share_the_stemmers_safely():
    texts = [" ".join(f"{stem}{number}izations {stem}{number}fulness" for stem in ("nation", "hope", "motor")) for number in range(500)]
    expected = [tokenize_text(text, "en") for text in texts]
    tokens._stem.cache_clear()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda text: tokenize_text(text, "en"), texts)) == expected
    finally:
        sys.setswitchinterval(interval)

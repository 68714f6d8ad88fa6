import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.cleaning.shingles import MIN_WORDS, SHINGLE_WORDS, fold_text, shingle_sets, shingle_words, sketch, text_sha256
from assets.cleaning.word_hashes import hash_words, odd_numbers
from assets.cleaning.words import find_words

# Characters of every class and of every length in UTF-8, and pieces whose folding changes their length.
PIECES = [
    *"aZ9_ .!'\n\t",
    *"’éßİœ\u00a0\u0301",
    *"我喜欢々〇タワーﾀｱ１．Ａ：ー한글ㄱ",
    *"हिन्दीالعربيةไทย",
    *"😀👍🏽\u200d\ufe0f𠀀𝐀\U0003134a\x00\x85\u2028",
    "don't ",
    " rock'n'roll ",
    "''",
    " the quick brown fox ",
    "supercalifragilistic",
    "x" * 70,
    " https://example.com/a?b=c ",
    "http://t.cn/xyz很好",
    "www.",
    " WWW.example.org/路径 ",
    "ﬁﬂ㎏",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.characters(codec="utf-8")), max_size=30).map("".join)


def hashes_of(text):
    return hash_words([text.encode()]).hashes.tolist()


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXTS, max_size=6))
def test_words_of_many_texts_at_once_are_those_of_each_text(texts):
    folded = [fold_text(text) for text in texts]
    found = hash_words([text.encode() for text in folded])
    words = [find_words(text) for text in folded]
    assert found.counts.tolist() == [len(each) for each in words]
    # Hashes are equal exactly where words are, wherever they stand: alone, each word is hashed by itself.
    alone = {word: hash_words([word.encode()]).hashes.tolist() for each in words for word in each}
    assert found.hashes.tolist() == [hash_ for each in words for word in each for hash_ in alone[word]]
    assert len({tuple(hash_) for hash_ in alone.values()}) == len(alone)


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=6))
def test_shingle_sets_are_as_large_as_those_of_strings_and_share_as_much(texts):
    windows = []
    for text in texts:
        words = shingle_words(text)
        places = range(len(words) - SHINGLE_WORDS + 1) if len(words) >= MIN_WORDS else ()
        windows.append({tuple(words[place : place + SHINGLE_WORDS]) for place in places})
    found = shingle_sets(texts)
    sets = [set(each.tolist()) for each in found.sets]
    assert found.words == [len(shingle_words(text)) for text in texts]
    assert all((np.diff(each) > 0).all() for each in found.sets)
    assert [[len(left & right) for right in sets] for left in sets] == [[len(left & right) for right in windows] for left in windows]


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=6))
def test_exact_hashes_of_a_batch_are_those_of_each_text(texts):
    frame = sketch(pd.DataFrame({"document_id": [str(number) for number in range(len(texts))], "text": pd.Series(texts, dtype=object)}))
    assert frame["text_sha256"].tolist() == [text_sha256(text) for text in texts]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("word", "words"),
        ("eightchr", "eightchrs"),
        ("a" * 16, "a" * 17),
        ("a" * 64, "a" * 65),
        ("a" * 65, "a" * 66),
        ("abcdefgh", "abcdefgi"),
        ("abcdefghijklmnop", "ijklmnopabcdefgh"),
        ("很", "好"),
        ("é", "è"),
    ],
)
def test_other_words_have_other_hashes(left, right):
    assert hashes_of(left) != hashes_of(right)


def test_hashes_are_the_same_on_every_machine():
    """Changes with `shingles.SCHEME` only."""
    assert hashes_of("dog 很 supercalifragilistic " + "x" * 70) == [
        14900584809532183475,
        8864812251194680108,
        2409937105440638130,
        17821620293350027645,
    ]
    assert odd_numbers(2, seed=1).tolist() == [10451216379200822465, 13757245211066428519]


@pytest.mark.parametrize(
    ("text", "is_odd"),
    [
        ("one two", False),
        ("one  two", True),
        (" one", True),
        ("one ", True),
        ("one\ttwo", True),
        ("one\x1ftwo", True),
        ("one\x00two", False),
        ("", True),
        ("一 二", True),
    ],
)
def test_odd_spaces_are_seen_in_the_text_that_has_them(text, is_odd):
    found = hash_words([b"before it", text.encode(), b"after it"])
    assert found.has_odd_spaces.tolist() == [False, is_odd, False]


def test_no_texts_have_no_words():
    found = hash_words([])
    assert (len(found.hashes), len(found.counts), len(found.has_odd_spaces)) == (0, 0, 0)

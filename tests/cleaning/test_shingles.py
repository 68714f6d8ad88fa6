import hashlib
import random

import numpy as np
import pandas as pd
import pytest

from assets.cleaning.shingles import BANDS, SCHEME, fold_text, jaccard, shingle_set, shingle_words, sketch, text_sha256

VOCABULARY = [f"word{number}" for number in range(5000)]


def documents(texts):
    return pd.DataFrame({"document_id": [f"d{number}" for number in range(len(texts))], "text": texts})


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ("I Like\n it ", "i like it", True),
        ("很 好", "很  好", True),
        ("I like it!", "I like it", False),
        ("很好！", "很好", False),
        ("10", "１０", False),
    ],
)
def test_exact_hashes_fold_case_and_white_space_only(left, right, is_same):
    assert (text_sha256(left) == text_sha256(right)) is is_same


def test_the_exact_hash_is_plain_sha256_of_the_folded_text():
    assert text_sha256("Straße \t Zwei") == hashlib.sha256(b"strasse zwei").hexdigest()


def test_addresses_are_one_word_whatever_they_point_to():
    assert shingle_words("RT: see https://t.co/AbC9 now") == ["rt", "see", "urladdress", "now"]
    assert shingle_words("看http://t.cn/xyz很好") == ["看", "urladdress", "很", "好"]


def test_compatibility_forms_are_folded_for_near_duplicates():
    assert fold_text("１．Ａ，Don’t") == "1.a,don't"


@pytest.mark.parametrize(
    ("text", "count"),
    [("one two three four", 0), ("one two three four five", 3), ("很好很好", 0), ("不错不错不", 2), ("a b c a b c", 3), ("", 0)],
)
def test_texts_under_five_words_have_no_shingles(text, count):
    assert len(shingle_set(text)) == count


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a b c d e f g", "a b c d e f g", 1.0),
        ("a b c d e f g", "a b c d e f h", 4 / 6),
        ("我很喜欢这本书", "我很喜欢这本", 4 / 5),
        ("a b c d e", "f g h i j", 0.0),
        ("a b", "a b", 0.0),
    ],
)
def test_jaccard_is_that_of_the_shingle_sets(left, right, expected):
    assert jaccard(shingle_set(left), shingle_set(right)) == expected


def test_one_row_per_document_and_no_bands_for_short_ones():
    frame = sketch(documents(["far too short", "long enough to have some bands", "太短", "这一句足够长了"]))
    assert frame["document_id"].tolist() == ["d0", "d1", "d2", "d3"]
    assert frame["scheme"].unique().tolist() == [SCHEME]
    assert [len(bands) for bands in frame["bands"]] == [0, BANDS, 0, BANDS]
    assert {bands.dtype for bands in frame["bands"]} == {np.dtype("uint64")}


def test_no_documents_give_no_rows():
    frame = sketch(documents([]).astype("str"))
    assert len(frame) == 0
    assert list(frame.columns) == ["document_id", "text_sha256", "scheme", "bands"]


def test_bands_are_the_same_in_every_release_and_on_every_machine():
    """The lake keeps bands for years: if this fails, change `SCHEME` with whatever changed the hashes."""
    frame = sketch(documents(["the quick brown fox jumps over the lazy dog"]))
    assert frame["text_sha256"][0] == "05c6e08f1d9fdafa03147fcb8f82f124c76d2f70e3d989dc8aadb5e7d7450bec"
    assert (SCHEME, [int(band) for band in frame["bands"][0][:2]]) == (
        "minhash-w3-b12x4-2",
        [1911684085333684794, 1665152261447788392],
    )


def test_a_sketch_does_not_depend_on_its_neighbours(monkeypatch):
    texts = [" ".join(random.Random(seed).choices(VOCABULARY, k=3 + seed)) for seed in range(40)]
    together = sketch(documents(texts))["bands"]
    monkeypatch.setattr("assets.cleaning.shingles._CHUNK_CHARS", 300)
    in_chunks = sketch(documents(texts))["bands"]
    alone = [sketch(documents([text]))["bands"][0] for text in texts]
    for left, middle, right in zip(together, in_chunks, alone, strict=True):
        assert left.tolist() == middle.tolist() == right.tolist()


def test_equal_rows_of_different_bands_do_not_collide():
    bands = sketch(documents(["the same words again and again"]))["bands"][0]
    assert len(set(bands.tolist())) == BANDS


@pytest.mark.parametrize(("changed_words", "least_recall"), [(1, 1.0), (7, 0.98)])
def test_nearly_all_pairs_above_the_threshold_share_a_band(changed_words, least_recall):
    """200 words, 198 shingles: 1 changed word is a similarity of 0.97, 7 are 0.81."""
    chooser = random.Random(7)
    texts = []
    for _ in range(300):
        words = chooser.sample(VOCABULARY, 200)
        near = list(words)
        for position in range(changed_words):
            near[10 + 25 * position] = "changed"
        texts += [" ".join(words), " ".join(near)]
    bands = [set(each.tolist()) for each in sketch(documents(texts))["bands"]]
    found = sum(bool(left & right) for left, right in zip(bands[::2], bands[1::2], strict=True))
    assert found / 300 >= least_recall
    assert not bands[0] & bands[2]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"expected documents to sketch with the columns .*, found no \['text'\]"):
        sketch(pd.DataFrame({"document_id": ["d0"]}))

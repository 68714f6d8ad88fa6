from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.cleaning import duplicates
from assets.cleaning.duplicates import CANDIDATE_COLUMNS, Deduplicated, deduplicate
from assets.cleaning.shingles import sketch
from assets.schemas import CLEAN_DOCUMENTS, DUPLICATE_INDEX, REJECTED_DOCUMENTS

NOW = datetime(2026, 5, 4, tzinfo=UTC)
ENGLISH = "the hotel was clean and quiet and the staff at the desk were really kind to our two small children all week long every day"
CHINESE = "这家酒店很干净也很安静，前台的服务员对我们的两个小孩子非常友好，早餐也很丰富，下次还会再住"


def clean_documents(*texts, start=0, hours=None, **columns):
    count = len(texts)
    numbers = range(start, start + count)
    times = [NOW + timedelta(hours=hour) for hour in (hours if hours is not None else numbers)]
    frame = pd.DataFrame(
        {
            "document_id": [f"d{number}" for number in numbers],
            "source": "reviews",
            "external_id": [f"e{number}" for number in numbers],
            "parent_id": [f"e{number}" for number in numbers],
            "revision": 1,
            "text": pd.Series(texts, dtype="str"),
            "title": "",
            "has_title": False,
            "language": "en",
            "language_confidence": 1.0,
            "is_repaired": False,
            "text_chars": [len(text) for text in texts],
            "text_words": [len(text.split()) for text in texts],
            "symbol_ratio": 0.0,
            "is_code_switched": False,
            "replacements": None,
            "published_at": pd.Series(times, dtype="datetime64[us, UTC]"),
            "has_published_at": False,
            "collected_at": pd.Series(times, dtype="datetime64[us, UTC]"),
            "licence": None,
            "robots_allowed": None,
            "ai_training_signal": None,
            "authors": None,
            "ai_training_allowed": True,
        }
    )
    return frame.assign(**columns).astype({"document_id": "str", "external_id": "str"})


NO_CANDIDATES = pd.DataFrame({name: pd.Series(dtype=object) for name in CANDIDATE_COLUMNS})


def resolve(kept, candidates=NO_CANDIDATES, threshold=0.8):
    return deduplicate(kept, sketch(kept), candidates, threshold=threshold, now=NOW)


def as_candidates(*earlier: Deduplicated):
    """What the lake gives back: the kept documents of earlier increments with their index rows, bands as lists, in no order."""
    frames = [each.kept.merge(each.index, on=["document_id", "cluster_id"])[list(CANDIDATE_COLUMNS)] for each in earlier]
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(bands=[list(bands) for bands in frame["bands"]]).iloc[::-1]


def refusals(resolved):
    return [tuple(row) for row in resolved.rejected[["document_id", "reason", "duplicate_of"]].itertuples(index=False)]


def clusters(resolved):
    return dict(zip(resolved.kept["document_id"], resolved.kept["cluster_id"], strict=True))


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("Thanks!", "thanks!", "exact_duplicate"),
        ("谢谢！", "谢谢！", "exact_duplicate"),
        (ENGLISH, ENGLISH.upper() + " ", "exact_duplicate"),
        (ENGLISH, ENGLISH + " !!!", "near_duplicate"),
        (ENGLISH, "RT " + ENGLISH, "near_duplicate"),
        (ENGLISH + " https://t.co/aaa", ENGLISH + " https://t.co/bbb", "near_duplicate"),
        (CHINESE, CHINESE + "。", "near_duplicate"),
        (CHINESE, "补充：" + CHINESE, "near_duplicate"),
    ],
)
def test_the_later_of_two_like_documents_is_refused(first, second, reason):
    resolved = resolve(clean_documents(first, second))
    assert clusters(resolved) == {"d0": "d0"}
    assert refusals(resolved) == [("d1", reason, "d0")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Thanks!", "Thanks"),
        ("Great phone", "great phone!!!"),
        ("我给三分", "我给八分"),
        ("I rate it 3/10", "I rate it 8/10"),
        ("I love this very much", "I hate this very much"),
        (ENGLISH, ENGLISH.replace("clean", "dirty").replace("kind", "rude")),
        (CHINESE, CHINESE.replace("干净", "肮脏").replace("友好", "冷淡")),
    ],
)
def test_short_or_different_documents_are_kept_in_their_own_clusters(first, second):
    resolved = resolve(clean_documents(first, second))
    assert clusters(resolved) == {"d0": "d0", "d1": "d1"}
    assert refusals(resolved) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ENGLISH, ENGLISH + " 2"),
        (ENGLISH + " :)", ENGLISH + " :("),
        (ENGLISH, ENGLISH + " not"),
        (CHINESE, "2、" + CHINESE),
        (CHINESE + "😀", CHINESE + "😡"),
        ("[Q] Who came? [C] " + 4 * ENGLISH, "[Q] Who left? [C] " + 4 * ENGLISH),
        ("[Q] 谁来了？ [C] " + CHINESE, "[Q] 谁走了？ [C] " + CHINESE),
    ],
)
def test_similar_documents_that_say_something_else_are_kept_in_one_cluster(first, second):
    resolved = resolve(clean_documents(first, second))
    assert clusters(resolved) == {"d0": "d0", "d1": "d0"}
    assert refusals(resolved) == []


def test_near_duplicates_keep_the_earliest_document():
    resolved = resolve(clean_documents(ENGLISH + " a", ENGLISH + " b", ENGLISH, hours=[3, 1, 2]))
    assert clusters(resolved) == {"d1": "d1"}
    assert refusals(resolved) == [("d2", "near_duplicate", "d1"), ("d0", "near_duplicate", "d1")]


def test_of_documents_collected_at_once_the_smallest_id_is_kept_whatever_the_row_order():
    documents = clean_documents(*[CHINESE] * 4, hours=[0] * 4)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        resolved = resolve(documents.iloc[order])
        assert refusals(resolved) == [(f"d{number}", "exact_duplicate", "d0") for number in (1, 2, 3)]


def test_documents_are_compared_with_earlier_increments():
    first = resolve(clean_documents(ENGLISH, CHINESE, "Thanks!"))
    second = resolve(clean_documents("So " + ENGLISH, CHINESE + "！", "THANKS!", "new here", start=3), as_candidates(first))
    assert clusters(second) == {"d6": "d6"}
    assert refusals(second) == [("d3", "near_duplicate", "d0"), ("d4", "near_duplicate", "d1"), ("d5", "exact_duplicate", "d2")]


def test_an_earlier_increment_wins_over_an_earlier_collection_time():
    first = resolve(clean_documents(ENGLISH, hours=[9]))
    second = resolve(clean_documents(ENGLISH, start=1, hours=[0]), as_candidates(first))
    assert refusals(second) == [("d1", "exact_duplicate", "d0")]


@pytest.mark.parametrize("second_text", [ENGLISH + " indeed", "another text altogether, written anew by its author"])
def test_a_revision_is_kept_in_the_cluster_of_its_earlier_revision(second_text):
    same = {"external_id": "e0"}
    first = resolve(clean_documents(ENGLISH))
    later = resolve(clean_documents(second_text, start=1, **same, revision=2), as_candidates(first))
    assert clusters(later) == {"d1": "d0"}
    together = resolve(clean_documents(ENGLISH, second_text, **same).assign(revision=[1, 2]))
    assert clusters(together) == {"d0": "d0", "d1": "d0"}


def test_the_same_external_id_at_another_source_is_no_revision():
    resolved = resolve(clean_documents(ENGLISH, ENGLISH, external_id="e0").assign(source=["reviews", "tweets"]))
    assert refusals(resolved) == [("d1", "exact_duplicate", "d0")]


def test_a_revision_that_copies_another_document_is_refused():
    resolved = resolve(clean_documents(CHINESE, ENGLISH, CHINESE + "！").assign(external_id=["e0", "e1", "e1"], revision=[1, 1, 2]))
    assert refusals(resolved) == [("d2", "near_duplicate", "d0")]


def test_a_copy_of_a_revised_document_is_refused():
    resolved = resolve(clean_documents(CHINESE, CHINESE + "！", CHINESE).assign(external_id=["e0", "e0", "e1"], revision=[1, 2, 1]))
    assert refusals(resolved) == [("d2", "exact_duplicate", "d0")]


def test_a_document_that_was_cleaned_before_is_not_kept_twice():
    first = resolve(clean_documents(ENGLISH))
    again = resolve(clean_documents(ENGLISH), as_candidates(first))
    assert refusals(again) == [("d0", "exact_duplicate", "d0")]


def test_bands_of_another_scheme_are_not_compared():
    candidates = as_candidates(resolve(clean_documents(ENGLISH, CHINESE)))
    candidates.loc[candidates["document_id"] == "d0", "scheme"] = "minhash-of-yesteryear"
    resolved = resolve(clean_documents("So " + ENGLISH, ENGLISH, CHINESE + "！", start=2), candidates)
    assert clusters(resolved) == {"d2": "d2"}
    assert refusals(resolved) == [("d3", "exact_duplicate", "d0"), ("d4", "near_duplicate", "d1")]


def test_the_threshold_is_the_similarity_from_which_a_document_is_refused():
    documents = clean_documents("a b c d e f g h i j k", "a b c d e f g h i j k l")
    assert refusals(resolve(documents, threshold=0.9)) == [("d1", "near_duplicate", "d0")]
    assert refusals(resolve(documents, threshold=0.91)) == []


def test_details_name_what_was_found_and_never_the_text():
    documents = clean_documents("a b c d e f g h i j k", "a b c d e f g h i j k l", "A B C D E F G H I J K")
    assert resolve(documents).rejected["detail"].tolist() == [
        "expected a similarity below 0.80 to every earlier document, found 0.90 to d0",
        "expected no earlier document with the same text, found d0",
    ]


def test_a_thousand_copies_of_a_page_cost_a_thousand_comparisons(monkeypatch):
    compared = []
    original = duplicates.similarity
    monkeypatch.setattr(duplicates, "similarity", lambda left, right: compared.append(1) or original(left, right))
    resolved = resolve(clean_documents(*[f"{ENGLISH} copy{'x' * (number + 1)}" for number in range(1000)]))
    assert clusters(resolved) == {"d0": "d0"}
    assert len(resolved.rejected) == 999
    assert len(compared) == 999


def test_a_template_filled_in_differently_costs_a_bounded_number_of_comparisons(monkeypatch):
    compared = []
    original = duplicates.similarity
    monkeypatch.setattr(duplicates, "similarity", lambda left, right: compared.append(1) or original(left, right))
    texts = [f"dear {chr(97 + number % 26)}{number} " + ENGLISH[:60] + f" and your order {number} is on its way" for number in range(500)]
    resolved = resolve(clean_documents(*texts))
    assert len(resolved.kept) == 500
    assert 0 < len(compared) <= 500 * duplicates.MAX_COMPARISONS


@pytest.mark.parametrize("texts", [[], [ENGLISH], [ENGLISH, ENGLISH]])
def test_frames_have_the_declared_columns_whatever_they_hold(texts):
    resolved = resolve(clean_documents(*texts))
    assert list(resolved.kept.columns) == CLEAN_DOCUMENTS.column_names()
    assert list(resolved.index.columns) == DUPLICATE_INDEX.column_names()
    assert list(resolved.rejected.columns) == REJECTED_DOCUMENTS.column_names()
    assert resolved.kept["document_id"].tolist() == resolved.index["document_id"].tolist() == ["d0"][: len(texts)]
    assert str(resolved.rejected["rejected_at"].dtype) == "datetime64[us, UTC]"


def test_a_document_without_a_sketch_is_an_error():
    documents = clean_documents("one", "two")
    with pytest.raises(ValueError, match=r"expected a sketch of every document, found none of \['d1'\]"):
        deduplicate(documents, sketch(documents.head(1)), NO_CANDIDATES, threshold=0.8, now=NOW)


@pytest.mark.parametrize("missing", ["documents to deduplicate", "sketches", "candidates"])
def test_a_missing_column_is_named(missing):
    frames = {"documents to deduplicate": clean_documents("one"), "sketches": sketch(clean_documents("one")), "candidates": NO_CANDIDATES}
    frames[missing] = frames[missing].drop(columns="document_id")
    with pytest.raises(ValueError, match=rf"expected {missing} with the columns .*, found no \['document_id'\]"):
        deduplicate(*frames.values(), threshold=0.8, now=NOW)


WORDS = st.lists(st.sampled_from("we like this old hotel not 3 好 不 :)".split()), min_size=1, max_size=9).map(" ".join)


@settings(deadline=None, max_examples=15)
@given(st.lists(WORDS, max_size=10), st.integers(0, 10))
def test_where_a_batch_ends_changes_nothing_and_loses_nothing(texts, cut):
    documents = clean_documents(*texts)
    whole = resolve(documents)
    first = resolve(documents.iloc[:cut])
    second = resolve(documents.iloc[cut:], as_candidates(first))
    assert len(whole.kept) + len(whole.rejected) == len(texts)
    assert clusters(first) | clusters(second) == clusters(whole)
    assert refusals(first) + refusals(second) == refusals(whole)

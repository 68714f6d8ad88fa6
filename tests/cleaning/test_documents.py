from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.cleaning.documents import clean
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning_settings import PERSONAL_DATA, Cleaning
from assets.replacements import decode_replacements
from assets.schemas import CLEAN_DOCUMENTS, RAW_DOCUMENTS, REJECTED_DOCUMENTS

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
PSEUDONYMIZER = Pseudonymizer(frozenset(PERSONAL_DATA), ("CN", "US"), b"a key for tests")
COLLECTED = datetime(2026, 5, 1, tzinfo=UTC)


def raw_documents(texts, **columns):
    count = len(texts)
    frame = pd.DataFrame(
        {
            "document_id": [f"d{number}" for number in range(count)],
            "source": "tweets",
            "external_id": [str(number) for number in range(count)],
            "parent_id": [str(number) for number in range(count)],
            "revision": 1,
            "text": pd.Series(texts, dtype=object),
            "title": pd.Series([None] * count, dtype=object),
            "url": None,
            "published_at": pd.Series([pd.NaT] * count, dtype="datetime64[us, UTC]"),
            "raw_sha256": "00",
            "locator": [f"line {number}" for number in range(count)],
            "collected_at": pd.Series([COLLECTED] * count, dtype="datetime64[us, UTC]"),
            "licence": None,
            "robots_allowed": None,
            "ai_training_signal": None,
            "authors": None,
            "ai_training_allowed": True,
        }
    ).assign(**columns)
    return frame[RAW_DOCUMENTS.column_names()]


def clean_texts(texts, languages=("en", "zh"), **thresholds):
    return clean(raw_documents(texts), settings=Cleaning(**thresholds), languages=languages, pseudonymizer=PSEUDONYMIZER, now=NOW)


@pytest.mark.parametrize(
    ("text", "thresholds", "reason", "detail"),
    [
        (None, {}, "missing_text", "expected a text, found none"),
        (float("nan"), {}, "missing_text", "expected a text, found none"),
        (" \u3000 ", {}, "missing_text", "expected a text, found none"),
        ("caf\ufffd \ufffd\ufffd la", {}, "undecodable", "expected at most 10% undecodable characters, found 30.0%"),
        ("ok", {}, "too_short", "expected at least 3 characters, found 2"),
        ("京东", {}, "too_short", "expected at least 3 characters, found 2"),
        ("one two three", {"max_chars": 12}, "too_long", "expected at most 12 characters, found 13"),
        ("这本书好", {"max_chars": 3}, "too_long", "expected at most 3 characters, found 4"),
        ("...!!!", {}, "too_few_words", "expected at least 1 words, found 0"),
        ("two words", {"min_words": 3}, "too_few_words", "expected at least 3 words, found 2"),
        ("一般般", {"min_words": 4}, "too_few_words", "expected at least 4 words, found 3"),
        ("a!?#$%", {}, "too_many_symbols", "expected at most 60.0% symbols, found 83.3%"),
        ("好，。、！", {}, "too_many_symbols", "expected at most 60.0% symbols, found 80.0%"),
        (
            "Das ist eindeutig ein deutscher Satz.",
            {"refuse_other_languages": True},
            "other_language",
            "expected one of en, zh, found de",
        ),
    ],
)
def test_each_rule_refuses_with_its_reason_threshold_and_finding(text, thresholds, reason, detail):
    cleaned = clean_texts([text], **thresholds)
    assert cleaned.kept.empty
    assert cleaned.rejected.to_dict("records") == [
        {
            "document_id": "d0",
            "source": "tweets",
            "external_id": "0",
            "reason": reason,
            "detail": detail,
            "rule_version": 1,
            "duplicate_of": pytest.approx(float("nan"), nan_ok=True),
            "rejected_at": pd.Timestamp(NOW),
        }
    ]


@pytest.mark.parametrize(
    ("text", "thresholds"),
    [
        ("ok!", {}),
        ("怎么还没到货？？？？？？？？？？？？？", {}),
        ("one two three", {"max_chars": 13}),
        ("two words", {"min_words": 2}),
        ("Das ist eindeutig ein deutscher Satz.", {}),
        ("Hello?", {"refuse_other_languages": True}),
        ("我觉得很好，推荐给大家", {"refuse_other_languages": True}),
    ],
)
def test_a_text_at_the_threshold_is_kept(text, thresholds):
    cleaned = clean_texts([text], **thresholds)
    assert cleaned.kept["text"].tolist() == [text]
    assert cleaned.rejected.empty


def test_a_document_that_breaks_several_rules_has_the_first_reason_only():
    cleaned = clean_texts(["\ufffd!", "!", "?!"], min_words=3)
    assert cleaned.rejected["reason"].tolist() == ["undecodable", "too_short", "too_short"]


@pytest.mark.parametrize("text", ["Just posted a photo", "系统默认好评！"])
def test_a_silent_rule_refuses_nothing(text):
    assert clean_texts([text]).rejected["reason"].tolist() == ["automatic_text"]
    assert clean_texts([text], skip_rules=("automatic_text",)).rejected.empty


@pytest.mark.parametrize("text", ["buy " * 25 + "now please", "很好" * 12 + "再来"])
def test_thresholds_of_quality_come_from_the_project(text):
    assert (
        clean_texts([text], quality={"min_distinct_word_ratio": 0.5})
        .rejected["detail"]
        .str.match(r"expected at least 50% of the words distinct, found \d+%")
        .all()
    )
    assert clean_texts([text], quality={"min_distinct_word_ratio": 0.01}).rejected.empty


@pytest.mark.parametrize(
    ("text", "is_switched"),
    [
        ("这个 app 的 UI 很 nice，service 也 good", True),
        ("这个应用很好用，我很喜欢 iPhone", False),
        ("All in English here", False),
        ("123 456 789", False),
    ],
)
def test_texts_that_mix_chinese_with_words_in_latin_script_are_flagged(text, is_switched):
    assert clean_texts([text]).kept["is_code_switched"].tolist() == [is_switched]


def test_a_rejected_row_never_shows_the_text():
    cleaned = clean_texts(["secret@example.com " * 3, "身份证号码" * 3], max_chars=10)
    assert cleaned.rejected["detail"].tolist() == ["expected at most 10 characters, found 56", "expected at most 10 characters, found 15"]


def test_kept_documents_are_measured_and_repaired():
    cleaned = clean_texts(["cafÃ© &amp; crÃ¨me, please bring it to us", "这本书不错！"])
    assert cleaned.kept[["text", "language", "is_repaired", "text_chars", "text_words", "symbol_ratio"]].to_dict("records") == [
        {
            "text": "café & crème, please bring it to us",
            "language": "en",
            "is_repaired": True,
            "text_chars": 35,
            "text_words": 7,
            "symbol_ratio": 2 / 35,
        },
        {"text": "这本书不错！", "language": "zh", "is_repaired": False, "text_chars": 6, "text_words": 5, "symbol_ratio": 1 / 6},
    ]


def test_missing_titles_and_times_are_filled_and_flagged():
    published = pd.Series([pd.Timestamp("2025-12-24T18:00Z"), pd.NaT], dtype="datetime64[us, UTC]")
    raw = raw_documents(["a first text", "第二个文本"], title=["A &amp; B", " "], published_at=published)
    kept = clean(raw, settings=Cleaning(), languages=("en", "zh"), pseudonymizer=PSEUDONYMIZER, now=NOW).kept
    assert kept["title"].tolist() == ["A & B", ""]
    assert kept["has_title"].tolist() == [True, False]
    assert kept["published_at"].tolist() == [pd.Timestamp("2025-12-24T18:00Z"), pd.Timestamp(COLLECTED)]
    assert kept["has_published_at"].tolist() == [True, False]


@pytest.mark.parametrize("texts", [[], ["kept text here"], [None]])
def test_frames_have_the_declared_columns_and_types_whatever_they_hold(texts):
    cleaned = clean_texts(texts)
    assert cleaned.kept.dtypes.astype(str).to_dict() == {
        "document_id": "str",
        "source": "str",
        "external_id": "str",
        "parent_id": "str",
        "revision": "int64",
        "text": "str",
        "title": "str",
        "has_title": "bool",
        "language": "str",
        "language_confidence": "float64",
        "is_repaired": "bool",
        "text_chars": "int64",
        "text_words": "int64",
        "symbol_ratio": "float64",
        "is_code_switched": "bool",
        "replacements": "str",
        "published_at": "datetime64[us, UTC]",
        "has_published_at": "bool",
        "collected_at": "datetime64[us, UTC]",
        "licence": "str",
        "robots_allowed": "boolean",
        "ai_training_signal": "str",
        "authors": "str",
        "ai_training_allowed": "boolean",
    }
    assert list(cleaned.kept.columns) == [name for name in CLEAN_DOCUMENTS.column_names() if name != "cluster_id"]
    assert list(cleaned.rejected.columns) == REJECTED_DOCUMENTS.column_names()
    assert str(cleaned.rejected["rejected_at"].dtype) == "datetime64[us, UTC]"


def test_the_input_frame_is_not_edited():
    raw = raw_documents(["a  text &amp; more", "文本\u3000文本"])
    before = raw.copy(deep=True)
    clean(raw, settings=Cleaning(), languages=("en", "zh"), pseudonymizer=PSEUDONYMIZER, now=NOW)
    pd.testing.assert_frame_equal(raw, before)


def test_a_missing_column_is_named():
    raw = raw_documents(["a text"]).drop(columns="locator")
    with pytest.raises(ValueError, match=r"expected raw documents with the columns .*, found no \['locator'\] among"):
        clean(raw, settings=Cleaning(), languages=("en",), pseudonymizer=PSEUDONYMIZER, now=NOW)


def test_a_document_id_that_occurs_twice_is_refused_by_name():
    raw = raw_documents(["a text", "another text"], document_id=["same", "same"])
    with pytest.raises(ValueError, match="expected distinct document ids in a batch of raw documents, found 'same' more than once"):
        clean(raw, settings=Cleaning(), languages=("en",), pseudonymizer=PSEUDONYMIZER, now=NOW)


TEXTS = st.lists(
    st.one_of(
        st.none(),
        st.text(max_size=30),
        st.text(alphabet="ab &;!\ufffd\u200b好，。\n", max_size=20),
        st.sampled_from(["I like it", "我喜欢", "cafÃ©", "&amp;lt;", "ok"]),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=20)
@given(TEXTS)
def test_every_row_is_kept_or_rejected_and_none_twice(texts):
    cleaned = clean_texts(texts)
    ids = [*cleaned.kept["document_id"], *cleaned.rejected["document_id"]]
    assert sorted(ids) == sorted(f"d{number}" for number in range(len(texts)))


@settings(deadline=None, max_examples=20)
@given(TEXTS)
def test_cleaning_clean_text_changes_nothing(texts):
    once = clean_texts(texts).kept
    again = clean_texts(once["text"].tolist())
    columns = ["text", "language", "language_confidence", "text_chars", "text_words", "symbol_ratio"]
    assert again.rejected.empty
    pd.testing.assert_frame_equal(again.kept[columns], once[columns])
    assert not again.kept["is_repaired"].any()


def test_personal_data_in_texts_and_titles_becomes_pseudonyms_that_the_language_does_not_depend_on():
    texts = ["Please write to ann@example.com for the whole story.", "电话13800138000", "Nothing here at all."]
    raw = raw_documents(texts, title=["By ann@example.com", None, None])
    cleaned = clean(raw, settings=Cleaning(), languages=("en", "zh"), pseudonymizer=PSEUDONYMIZER, now=NOW)
    kept = cleaned.kept
    pseudonym = kept["title"][0].removeprefix("By ")
    assert kept["text"][0] == f"Please write to {pseudonym} for the whole story."
    assert kept["language"].tolist() == ["en", "zh", "en"]
    assert kept["text_chars"].tolist() == [len(text) for text in kept["text"]]
    assert [len(decode_replacements(each)) for each in kept["replacements"]] == [1, 1, 0]
    assert cleaned.replaced == {"email": 2, "phone": 1}


def test_details_of_refused_documents_hold_no_personal_data():
    cleaned = clean_texts(["ann@example.com " * 9], max_chars=20)
    assert cleaned.rejected["detail"].tolist() == ["expected at most 20 characters, found 170"]

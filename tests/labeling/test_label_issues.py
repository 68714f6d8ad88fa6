"""Labels that are probably wrong: found by models that did not learn from them, and said in words."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from assets.labeling.label_errors import Labelled, doubt, estimate_errors, folds_of, nearest, predict_out_of_fold
from assets.labeling.label_issues import (
    Evidence,
    contradicted_votes,
    differing_duplicates,
    doubted_labels,
    issue_table,
    to_table,
)
from assets.schemas import LABEL_ISSUES

NAMES = ("差", "good")
WORDS = {0: ["broken", "awful", "失望", "退货"], 1: ["lovely", "great", "喜欢", "满意"]}


def labelled(documents=300, wrong=(), seed=0):
    """Texts of words that tell the label, with vectors that nearly do; some labels are wrong."""
    random = np.random.default_rng(seed)
    truth = np.arange(documents) % 2
    tokens = [" ".join([random.choice(WORDS[label]), random.choice(["phone", "手机"]), f"n{random.integers(30)}"]) for label in truth]
    vectors = random.normal(0, 0.3, (documents, 16)).astype(np.float32)
    vectors[:, 0] += 2 * truth - 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = truth.copy()
    labels[list(wrong)] = 1 - labels[list(wrong)]
    groups = pd.Series([f"g{number // 3}" for number in range(documents)])
    sure = np.ones(documents, dtype=bool)
    return Labelled(vectors, pd.Series(tokens), pd.Series(tokens), labels, groups, 2, sure)


def test_models_never_learn_from_the_group_that_they_speak_of():
    groups = pd.Series([f"g{number // 3}" for number in range(31)])
    folds = list(folds_of(groups))
    assert np.sum(folds, axis=0).tolist() == [1] * 31
    assert all(held.groupby(groups).nunique().eq(1).all() for held in map(pd.Series, folds))


def test_flipped_labels_are_found_first():
    wrong = [3, 40, 77, 123, 250]
    documents = labelled(wrong=wrong)
    probabilities = predict_out_of_fold(documents)
    doubts = doubt(documents.labels, probabilities, np.ones(300))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(300))
    assert 0 < estimate_errors(documents.labels, probabilities) <= 10
    assert set(np.argsort(-doubts)[:5]) == set(wrong)
    assert predict_out_of_fold(documents) == pytest.approx(probabilities)


def test_labels_below_the_quorum_are_predicted_but_nothing_is_learnt_from_them():
    documents = labelled()
    documents.is_learnt_from[:150] = False
    documents.labels[:150] = 0
    probabilities = predict_out_of_fold(documents)
    assert (probabilities.argmax(axis=1) == np.arange(300) % 2).mean() > 0.95


def test_a_label_that_cannot_be_learnt_is_refused():
    documents = labelled(30)
    documents.labels[:] = 0
    with pytest.raises(ValueError, match="expected documents of every label in every fold, found a label with too few documents"):
        predict_out_of_fold(documents)


def test_a_label_that_people_were_divided_over_is_doubted_less():
    labels, probabilities = np.array([0, 0]), np.array([[0.2, 0.8], [0.2, 0.8]])
    assert doubt(labels, probabilities, np.array([1.0, 0.5])).tolist() == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize("block", [1, 2, 100])
def test_the_nearest_documents_come_in_order_and_never_the_document_itself(block):
    angles = np.array([0.0, 0.1, 0.3, 3.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    places, cosines = nearest(vectors, 2, block)
    assert places.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert cosines[0].tolist() == pytest.approx(np.cos([0.1, 0.3]), abs=1e-6)
    assert nearest(vectors[:1], 5)[0].shape == (1, 0)


def evidence(language="en", **changes):
    """Four documents; the first is labelled wrongly, and the second is its twin."""
    documents = pd.DataFrame(
        {
            "document_id": ["a", "b", "c", "d"],
            "source": "shop",
            "label": ["差", "good", "good", "差"],
            "is_confident": True,
            "people": [3, 5, 0, 2],
            "agreed": [2, 5, 0, 2],
        }
    )
    labels = np.array([0, 1, 1, 0])
    probabilities = np.array([[0.03, 0.97], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
    neighbours, cosines = np.array([[1, 2], [0, 2], [1, 0], [2, 1]]), np.array([[0.99, 0.4], [0.99, 0.4], [0.4, 0.4], [0.1, 0.1]])
    doubts = doubt(labels, probabilities, np.array([0.9, 1.0, 1.0, 1.0]))
    known = {"documents": documents, "probabilities": probabilities, "neighbours": neighbours, "cosines": cosines, "doubt": doubts}
    return Evidence(names=NAMES, labels=labels, language=language, **(known | changes))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            "2 of 3 people said 差; a model that never saw this text says good (0.97; 差 0.03); "
            "of its 2 nearest texts 0 are 差 and 2 are good.",
        ),
        (
            "zh",
            "3 人中有 2 人说是 差；没有见过这段文本的模型认为是 good（0.97；差 为 0.03）；"
            "与它最接近的 2 段文本中，0 段是 差，2 段是 good。",
        ),
    ],
)
def test_a_doubted_label_says_who_gave_it_and_what_speaks_against_it(language, words):
    (row,) = doubted_labels(evidence(language), 10).to_dict("records")
    assert (row["document_id"], row["kind"], row["annotator_id"]) == ("a", "model_disagrees", "")
    assert (row["given_label"], row["suggested_label"]) == ("差", "good")
    assert row["score"] == pytest.approx(1 - 0.03 / 0.81)
    assert row["explanation"] == words


def test_labels_below_the_quorum_are_not_doubted_and_no_more_than_the_limit_is_shown():
    contradicted = np.array([[0.03, 0.97], [0.9, 0.1], [0.6, 0.4], [0.9, 0.1]])
    against = {"probabilities": contradicted, "doubt": doubt(np.array([0, 1, 1, 0]), contradicted, np.ones(4))}
    assert doubted_labels(evidence(**against), 10)["document_id"].tolist() == ["a", "b", "c"]
    assert doubted_labels(evidence(**against), 2)["document_id"].tolist() == ["a", "b"]
    unsure = evidence().documents.assign(is_confident=[False, True, True, True])
    assert doubted_labels(evidence(documents=unsure, **against), 10)["document_id"].tolist() == ["b", "c"]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "2 of 3 people said 差; an almost identical text (document b, cosine 0.99) is labelled good."),
        ("zh", "3 人中有 2 人说是 差；一段几乎相同的文本（文档 b，余弦 0.99）的标签是 good。"),
    ],
)
def test_of_two_almost_identical_texts_the_more_doubtful_is_named(language, words):
    (row,) = differing_duplicates(evidence(language), 10).to_dict("records")
    assert (row["document_id"], row["given_label"], row["suggested_label"]) == ("a", "差", "good")
    assert row["explanation"] == words
    assert differing_duplicates(evidence(cosines=np.full((4, 2), 0.94)), 10).empty


def test_a_vote_is_contradicted_when_the_label_and_the_model_say_otherwise():
    votes = pd.DataFrame(
        [("b", "Ann", "差"), ("b", "李雷", "good"), ("d", "Bo", "good"), ("c", "Bo", "差"), ("gone", "Bo", "差"), ("b", "Bo", "old label")],
        columns=["document_id", "annotator_id", "label"],
    )
    found = contradicted_votes(evidence(), votes, 10)
    assert found[["document_id", "annotator_id", "given_label", "suggested_label"]].to_numpy().tolist() == [
        ["b", "Ann", "差", "good"],
        ["d", "Bo", "good", "差"],
    ]
    assert found["explanation"].iloc[0] == "Ann said 差; the other votes and a model that never saw this text say good (0.90)."
    assert len(contradicted_votes(evidence(), votes, 1)) == 1


def test_the_table_has_every_kind_and_no_text():
    parts = [doubted_labels(evidence(), 10), differing_duplicates(evidence(), 10)]
    rows = to_table(parts, datetime(2026, 1, 1, tzinfo=UTC))
    assert list(rows.columns) == LABEL_ISSUES.column_names()
    assert issue_table(rows).count("\n") == 3
    assert to_table([part.head(0) for part in parts], datetime(2026, 1, 1, tzinfo=UTC)).empty

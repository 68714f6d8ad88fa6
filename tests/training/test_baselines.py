import numpy as np
import pandas as pd
import pytest

from assets.project import RatingScale, Task
from assets.training.baselines import (
    compute_baselines,
    correlate_with_others,
    describe_human_rater,
    label_ratings,
    pick_ratings,
    predict_human_rater,
    predict_majority,
    predict_tfidf,
    predict_vader,
)

LABELS = ("negative", "neutral", "positive")


def test_all_four_baselines_answer_on_the_same_rows(documents, task):
    found = compute_baselines(documents(200, 0), documents(50, 1, "test"), task, 13)
    assert [baseline.scorer for baseline in found] == ["majority class", "VADER", "TF-IDF + logistic regression", "one human rater"]
    assert {len(baseline.labels) for baseline in found} == {50}
    assert {label for baseline in found for label in baseline.labels} <= set(LABELS)


def test_a_task_without_poles_or_ratings_has_fewer_baselines(documents):
    plain = Task(labels=LABELS)
    assert [baseline.scorer for baseline in compute_baselines(documents(90, 0), documents(20, 1), plain, 1)] == [
        "majority class",
        "TF-IDF + logistic regression",
    ]


def test_one_label_in_train_leaves_out_the_classifier(documents, task):
    train = documents(60, 0).query("label == 'positive'")
    names = [baseline.scorer for baseline in compute_baselines(train, documents(20, 1), task, 1)]
    assert "TF-IDF + logistic regression" not in names
    with pytest.raises(ValueError, match=r"expected train rows of at least 2 labels, found \['positive'\]"):
        predict_tfidf(["a"], ["positive"], ["b"], task, 1)


def test_the_majority_class_says_the_commonest_label_with_its_share():
    found = predict_majority(pd.DataFrame({"label": ["neutral", "neutral", "positive", "neutral"]}), 2, LABELS)
    assert found.labels.tolist() == ["neutral", "neutral"]
    assert found.probabilities.tolist() == [[0.0, 0.75, 0.25]] * 2
    assert found.valence is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I love this, it is great!", "positive"),
        ("This is horrible.", "negative"),
        ("The table is here.", "neutral"),
        ("桌子在这里", "neutral"),
    ],
)
def test_vader_reads_english_and_is_neutral_on_what_it_cannot_read(text, label, task):
    assert predict_vader([text], task).labels.tolist() == [label]


def test_without_a_middle_label_the_sign_of_vader_decides():
    two = Task(labels=("坏", "好"), positive_label="好", negative_label="坏")
    assert predict_vader(["great", "horrible", "table"], two).labels.tolist() == ["好", "坏", "好"]


def test_vader_needs_poles():
    with pytest.raises(ValueError, match="VADER: expected a task with positive_label and negative_label, found none"):
        predict_vader(["a"], Task(labels=LABELS))


def test_tfidf_learns_words_english_and_segmented_chinese(task):
    texts = ["good film", "bad film", "plain film", "电影 好", "电影 坏", "电影 子"] * 5
    labels = ["positive", "negative", "neutral"] * 10
    found = predict_tfidf(texts, labels, ["good table", "坏 桌"], task, 1)
    assert found.labels.tolist() == ["positive", "negative"]
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert found.valence[0] > 0 > found.valence[1]


def test_tfidf_reads_the_tokens_it_is_given_instead_of_the_text(task):
    train = pd.DataFrame({"text": ["x"] * 6, "label": ["positive", "negative"] * 3, "ratings": [[]] * 6})
    test = pd.DataFrame({"text": ["x", "x"], "ratings": [[], []]})
    found = compute_baselines(train, test, task, 1, ["好", "坏"] * 3, ["坏", "好"])
    assert found[-1].labels.tolist() == ["negative", "positive"]


def test_a_label_that_train_never_shows_has_probability_0(task):
    found = predict_tfidf(["a b", "c d"] * 3, ["positive", "negative"] * 3, ["a"], task, 1)
    assert found.probabilities[0, 1] == 0.0


@pytest.mark.parametrize(
    ("rating", "label"),
    [
        (-4.0, "negative"),
        (-0.5, "negative"),
        (0.0, "neutral"),
        (0.49, "neutral"),
        (0.5, "positive"),
        (4.0, "positive"),
        (-5.0, None),
        (np.nan, None),
    ],
)
def test_a_rating_takes_the_label_of_the_highest_threshold_it_reaches(rating, label):
    scale = RatingScale(minimum=-4, maximum=4, thresholds={"positive": 0.5, "negative": -4, "neutral": 0})
    assert label_ratings(np.array([rating]), scale).tolist() == [label]


def test_the_human_rater_is_one_of_the_ratings_and_the_same_for_a_seed(documents, task):
    test = documents(60, 2, "test")
    found = predict_human_rater(test, task.rating, 5)
    assert all(value in row for value, row in zip(found.valence, test["ratings"], strict=True))
    assert found.valence.tolist() == pick_ratings(test["ratings"], 5).tolist()
    assert found.valence.tolist() != pick_ratings(test["ratings"], 6).tolist()


def test_a_text_without_ratings_has_no_human_rater(task):
    found = predict_human_rater(pd.DataFrame({"ratings": [[], [3.0]]}), task.rating, 1)
    assert found.labels.tolist() == [None, "positive"]


def test_a_rater_is_compared_with_the_mean_of_the_others_only():
    opposite = pd.DataFrame({"ratings": [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [5.0, 5.0]]})
    picked = pick_ratings(opposite["ratings"], 3)
    others = opposite["ratings"].map(sum).to_numpy() - picked
    assert correlate_with_others(opposite, 3) == pytest.approx(np.corrcoef(picked, others)[0, 1])


@pytest.mark.parametrize("ratings", [[[1.0], [2.0], [3.0]], [[1.0, 1.0]] * 5])
def test_the_correlation_with_others_is_nan_where_it_is_not_defined(ratings):
    assert np.isnan(correlate_with_others(pd.DataFrame({"ratings": ratings}), 1))
    assert describe_human_rater(pd.DataFrame({"ratings": ratings}), 1) == ()


def test_the_report_is_told_what_one_rater_knows_of_the_others(documents):
    test = documents(60, 2, "test")
    (sentence,) = describe_human_rater(test, 5)
    assert sentence.endswith(f"Pearson r {correlate_with_others(test, 5):.3f}.")

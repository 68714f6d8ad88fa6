import numpy as np
import pandas as pd
import pytest

from assets.answers import Span, decode_spans, encode_spans
from assets.project import RatingScale, Task
from assets.training.judging.baselines import (
    choose_labels,
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
from assets.training.judging.span_baselines import find_context, find_likest_sentence, make_gazetteer, split_context

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


def test_a_relation_has_the_baselines_of_one_label():
    relations = Task(kind="relation_extraction", labels=("works_for", "无"))
    train = pd.DataFrame(
        {"text": ["[E1]Ann[/E1] joined [E2]IBM[/E2]", "[E1]Ann[/E1] saw [E2]IBM[/E2]"] * 5, "label": ["works_for", "无"] * 5}
    )
    found = compute_baselines(train, train, relations, 1)
    assert [baseline.scorer for baseline in found] == ["majority class", "TF-IDF + logistic regression"]
    assert found[1].labels.tolist() == train["label"].tolist()


TOPICS = Task(kind="multi_label_classification", labels=("sports", "钱", "rare", "always"))


def test_sets_of_labels_have_frequencies_and_one_regression_per_label():
    train = pd.DataFrame(
        {
            "text": ["球赛 game", "bank 银行", "game at the bank", "球赛"] * 6,
            "label": ['["sports","always"]', '["钱","always"]', '["sports","钱","always"]', '["sports","always"]'] * 6,
        }
    )
    test = pd.DataFrame({"text": ["a game", "银行", "nothing"]})
    frequencies, tfidf = compute_baselines(train, test, TOPICS, 1)
    assert (frequencies.scorer, tfidf.scorer) == ("label frequencies", "TF-IDF + logistic regression")
    assert frequencies.labels.tolist() == ['["sports","钱","always"]'] * 3
    assert frequencies.probabilities.tolist() == [[0.75, 0.5, 0.0, 1.0]] * 3
    assert tfidf.labels.tolist()[:2] == ['["sports","always"]', '["钱","always"]']
    assert tfidf.probabilities[:, 2].tolist() == [0.0] * 3


def test_sets_of_labels_that_never_vary_have_no_regression():
    train = pd.DataFrame({"text": ["a", "b"], "label": ['["always"]'] * 2})
    assert [baseline.scorer for baseline in compute_baselines(train, train, TOPICS, 1)] == ["label frequencies"]


def test_labels_that_are_likelier_than_not_are_chosen():
    assert choose_labels("x", np.array([[0.5, 0.49, 0.0, 1.0], [0.1] * 4]), TOPICS.labels).labels.tolist() == ['["sports","always"]', "[]"]


NAMES = Task(kind="token_classification", labels=("PER", "地点"))


def marked(text, *parts):
    """A text and the answer of the parts of it, each (words, label)."""
    return text, encode_spans(Span(text.index(part), text.index(part) + len(part), label) for part, label in parts)


def found_in(text, *rows):
    gazetteer = make_gazetteer([text for text, _ in rows], [answer for _, answer in rows], NAMES.labels)
    return [(text[span.start : span.end], span.label) for span in gazetteer.find(text)]


@pytest.mark.parametrize(
    ("text", "rows", "found"),
    [
        ("Ann left", [marked("Ann ran", ("Ann", "PER"))], [("Ann", "PER")]),
        ("Anna left", [marked("Ann ran", ("Ann", "PER"))], []),
        ("ann left", [marked("Ann ran", ("Ann", "PER"))], []),
        (
            "New York  City",
            [marked("New York", ("New York", "地点")), marked("New York City", ("New York City", "地点"))],
            [("New York  City", "地点")],
        ),
        ("New York New", [marked("New York", ("New York", "地点"))], [("New York", "地点")]),
        ("Bern, Bern", [marked("in Bern", ("Bern", "地点"))], [("Bern", "地点"), ("Bern", "地点")]),
        ("小明去上海市", [marked("小明", ("小明", "PER")), marked("在上海", ("上海", "地点"))], [("小明", "PER"), ("上海", "地点")]),
        (
            "Jordan",
            [marked("Jordan", ("Jordan", "地点")), marked("Jordan", ("Jordan", "PER")), marked("Jordan", ("Jordan", "地点"))],
            [("Jordan", "地点")],
        ),
        ("Jordan", [marked("Jordan", ("Jordan", "地点")), marked("Jordan", ("Jordan", "PER"))], [("Jordan", "PER")]),
        ("in New", [marked("New York", ("New York", "地点")), marked("New", ("New", "PER"))], [("New", "PER")]),
        ("在北", [marked("北京", ("北京", "地点")), marked("北", ("北", "PER"))], [("北", "PER")]),
        ("anything 都行", [marked("nothing")], []),
        ("", [marked("Ann", ("Ann", "PER"))], []),
    ],
)
def test_a_gazetteer_finds_the_longest_known_words_with_their_commonest_label(text, rows, found):
    assert found_in(text, *rows) == found


def test_labelled_spans_have_nothing_and_a_gazetteer_beside_them():
    train = pd.DataFrame([marked("小明 met Ann", ("小明", "PER"), ("Ann", "PER"))], columns=["text", "label"])
    nothing, gazetteer = compute_baselines(train, pd.DataFrame({"text": ["Ann and 小明", "nobody"]}), NAMES, 1)
    assert (nothing.scorer, nothing.labels.tolist()) == ("no spans", ["[]", "[]"])
    assert gazetteer.scorer == "gazetteer of the train split"
    assert [decode_spans(answer, NAMES.labels) for answer in gazetteer.labels] == [(Span(0, 3, "PER"), Span(8, 10, "PER")), ()]


ENGLISH_QUESTION = "[Q] Who wrote it? [C] It is 3.5 years old. Ann Lee wrote it! Few read it"
CHINESE_QUESTION = "[Q] 谁写了红楼梦？ [C] 这本书很长。曹雪芹写了红楼梦。很好看"


@pytest.mark.parametrize(
    ("text", "sentences", "likest"),
    [
        (ENGLISH_QUESTION, ["It is 3.5 years old.", "Ann Lee wrote it!", "Few read it"], "Ann Lee wrote it!"),
        (CHINESE_QUESTION, ["这本书很长。", "曹雪芹写了红楼梦。", "很好看"], "曹雪芹写了红楼梦。"),
        ("no markers. At all", ["no markers.", "At all"], "no markers."),
    ],
)
def test_the_sentences_of_a_context_are_found_and_the_likest_is_picked(text, sentences, likest):
    assert [text[span.start : span.end] for span in split_context(text, "answer")] == sentences
    (span,) = find_likest_sentence(text, "answer")
    assert text[span.start : span.end] == likest


@pytest.mark.parametrize("text", ["[Q] who? [C]", "[Q] 谁？ [C]  "])
def test_an_empty_context_has_no_answer(text):
    assert find_context(text, "answer") == split_context(text, "answer") == find_likest_sentence(text, "answer") == []


def test_questions_have_four_answers_beside_the_model():
    questions = Task(kind="question_answering", labels=("answer",))
    train = pd.DataFrame({"text": [ENGLISH_QUESTION], "label": ["[]"]})
    found = compute_baselines(train, pd.DataFrame({"text": [CHINESE_QUESTION]}), questions, 1)
    parts = {baseline.scorer: decode_spans(baseline.labels[0], ("answer",)) for baseline in found}
    assert {name: "".join(CHINESE_QUESTION[span.start : span.end] for span in spans) for name, spans in parts.items()} == {
        "no spans": "",
        "first sentence": "这本书很长。",
        "sentence most like the question": "曹雪芹写了红楼梦。",
        "whole context": "这本书很长。曹雪芹写了红楼梦。很好看",
    }

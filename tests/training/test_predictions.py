import json

import numpy as np
import pandas as pd
import pytest

from assets.answers import Span, encode_labels, encode_spans
from assets.project import Task
from assets.training.judging.metrics import compute_metrics
from assets.training.judging.predictions import Predictions, PredictionsError, decisions_of, predictions_of_frame, statistics_of

TOPICS = Task(kind="multi_label_classification", labels=("sports", "money", "政治"))
NAMES = Task(kind="token_classification", labels=("PER", "地点"))
MOOD = Task(labels=("bad", "好"), positive_label="好", negative_label="bad")
QUESTIONS = Task(kind="question_answering", labels=("answer",))


def frame_of(task, answers, **columns):
    return pd.DataFrame({"label": answers, "text": ["小明 in Bern"] * len(answers), **columns})


def spans(*parts):
    return encode_spans(Span(*part) for part in parts)


def test_a_model_of_labels_brings_probabilities_and_valence():
    frame = frame_of(MOOD, ["bad", "好"], probabilities=[[0.8, 0.2], np.array([0.1, 0.9])], valence=[-0.6, 0.8], span_scores=[None, None])
    found = predictions_of_frame("model", frame, MOOD)
    assert found.labels.tolist() == ["bad", "好"]
    assert found.probabilities.tolist() == [[0.8, 0.2], [0.1, 0.9]]
    assert found.valence.tolist() == [-0.6, 0.8]
    assert found.span_scores is None


def test_a_model_of_spans_brings_scores_and_no_probabilities():
    answers = [spans((0, 2, "PER")), "[]"]
    frame = frame_of(NAMES, answers, probabilities=[None, None], valence=[np.nan, np.nan], span_scores=[[0.7], []])
    found = predictions_of_frame("model", frame, NAMES)
    assert found.probabilities is None
    assert found.valence is None
    assert [list(row) for row in found.span_scores] == [[0.7], []]
    assert found.take(np.array([False, True])).labels.tolist() == ["[]"]


def test_a_task_without_valence_has_none():
    found = predictions_of_frame("model", frame_of(TOPICS, ["[]"], probabilities=[[0.1, 0.2, 0.3]], valence=[np.nan]), TOPICS)
    assert found.valence is None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"label": ["bad", None]}), "model: expected a column `label` with an answer in every row, found none or gaps"),
        (pd.DataFrame({"text": ["a"]}), "model: expected a column `label` with an answer in every row"),
        (
            pd.DataFrame({"label": ["bad"] * 2, "probabilities": [[0.5, 0.5], [1.0]]}),
            "model: expected probabilities of 2 labels in every row, found more or fewer",
        ),
        (pd.DataFrame({"label": ["bad"], "probabilities": [[np.nan, 1.0]]}), "model: expected probabilities, found 1 rows with NaN"),
    ],
)
def test_a_frame_that_does_not_fit_is_an_error(frame, message):
    with pytest.raises(PredictionsError, match=message):
        predictions_of_frame("model", frame, MOOD)


@pytest.mark.parametrize(
    ("task", "truth", "predicted", "message"),
    [
        (TOPICS, '["sports"]', '["体育"]', r"model: expected labels out of \['sports', 'money', '政治'\], found \['体育'\]"),
        (TOPICS, "sports", "[]", "consensus: expected a JSON list, found 'sports'"),
        (NAMES, "[]", '[{"start":0,"end":2,"label":"ORG"}]', r"model: expected labels out of \['PER', '地点'\], found \['ORG'\]"),
        (NAMES, "[]", "{", "model: expected a JSON list, found '{'"),
        (MOOD, "bad", "neutral", r"model: expected labels out of \['bad', '好'\], found \['neutral'\]"),
    ],
)
def test_answers_outside_the_task_are_an_error(task, truth, predicted, message):
    with pytest.raises(PredictionsError, match=message):
        statistics_of(Predictions("model", np.array([predicted], dtype=object)), frame_of(task, [truth]), task)


def test_scores_that_do_not_fit_the_spans_are_an_error():
    predictions = Predictions("model", np.array(["[]"], dtype=object), span_scores=np.array([[0.5], None], dtype=object)[:1])
    with pytest.raises(PredictionsError, match="model: expected one score per predicted span, found more or fewer"):
        statistics_of(predictions, frame_of(NAMES, ["[]"]), NAMES)


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        (MOOD, ["bad", "好", "好"]),
        (TOPICS, ['["sports","政治"]', "[]", '["money"]']),
        (NAMES, [spans((0, 2, "PER"), (6, 10, "地点")), "[]", spans((6, 10, "地点"))]),
        (QUESTIONS, [spans((6, 10, "answer")), "[]", spans((0, 2, "answer"))]),
        (Task(kind="relation_extraction", labels=("works_for", "无")), ["works_for", "无", "无"]),
    ],
)
def test_every_kind_of_task_has_macro_f1_and_it_is_1_for_the_truth(task, answers):
    metrics = compute_metrics(statistics_of(Predictions("model", np.array(answers, dtype=object)), frame_of(task, answers), task).total())
    assert {name: float(metrics[name]) for name in ("accuracy", "macro_f1", "micro_f1", "weighted_f1")} == dict.fromkeys(
        ("accuracy", "macro_f1", "micro_f1", "weighted_f1"), 1.0
    )


def test_one_row_without_ratings_is_enough():
    test = frame_of(MOOD, ["bad"])
    metrics = compute_metrics(statistics_of(Predictions("model", np.array(["好"], dtype=object)), test, MOOD).total())
    assert (float(metrics["macro_f1"]), float(metrics["accuracy"])) == (0.0, 0.0)


def test_decisions_are_rows_labels_or_spans():
    mood = Predictions("model", np.array(["bad"], dtype=object), np.array([[0.7, 0.3]]))
    assert [part.tolist() for part in decisions_of(mood, frame_of(MOOD, ["好"]), MOOD)] == [[0.7], [False]]
    topics = Predictions("model", np.array([encode_labels(["money"], TOPICS.labels)], dtype=object), np.array([[0.25, 0.75, 0.5]]))
    confidence, is_right = decisions_of(topics, frame_of(TOPICS, [json.dumps(["money", "sports"])]), TOPICS)
    assert (confidence.tolist(), is_right.tolist()) == ([0.75, 0.75, 0.5], [False, True, True])
    names = predictions_of_frame("model", frame_of(NAMES, [spans((0, 2, "PER"))], span_scores=[[0.4]]), NAMES)
    assert [part.tolist() for part in decisions_of(names, frame_of(NAMES, [spans((0, 2, "PER"))]), NAMES)] == [[0.4], [True]]
    assert decisions_of(Predictions("rule", np.array(["[]"], dtype=object)), frame_of(NAMES, ["[]"]), NAMES) is None

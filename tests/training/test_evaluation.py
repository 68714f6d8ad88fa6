from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from assets.answers import Span, encode_labels, encode_spans
from assets.project import Task
from assets.schemas import EVALUATION_REPORT, check_columns
from assets.training.expectations import METRICS
from assets.training.judging.evaluation import count_impossible_values, evaluate, value_of
from assets.training.judging.metrics import (
    bootstrap_weights,
    compute_metrics,
    confusion_matrix,
    interval,
    macro_f1,
    multi_label_statistics,
    row_statistics,
    two_sided_p,
)
from assets.training.judging.predictions import Predictions, PredictionsError, predictions_of_probabilities

LABELS = ("negative", "neutral", "positive")
CHINESE = ("负面", "中性", "正面")
TASK, CHINESE_TASK = Task(labels=LABELS), Task(labels=CHINESE)


def random_predictions(rows, seed, labels=LABELS, sharpness=2.0, truth=None):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, (rows, 3))
    if truth is not None:
        logits += sharpness * np.eye(3)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return predictions_of_probabilities("model", probabilities, labels, labels[2], labels[0])


@pytest.fixture
def test_rows(documents):
    return documents(300, 5, "test")


@pytest.fixture
def model(test_rows):
    truth = pd.Index(LABELS).get_indexer(test_rows["label"])
    return random_predictions(300, 1, truth=truth)


def test_the_frame_has_exactly_the_columns_and_key_of_its_table(model, test_rows):
    frame = evaluate([model], test_rows, TASK, "m", "d", 1, samples=50).frame
    check_columns(EVALUATION_REPORT, frame.columns)
    assert not frame.duplicated(list(EVALUATION_REPORT.key)).any()
    assert frame["value"].notna().all()
    assert set(frame["slice"]) == {"overall", "source=movies", "source=tweets"}


@pytest.mark.parametrize("slice_name", ["overall", "source=tweets"])
def test_every_number_equals_that_of_scikit_learn(model, test_rows, slice_name):
    frame = evaluate([model], test_rows, TASK, "m", "d", 1, samples=50).frame
    rows = np.ones(300, dtype=bool) if slice_name == "overall" else (test_rows["source"] == "tweets").to_numpy()
    truth, found = test_rows["label"][rows], model.labels[rows]
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, found, labels=list(LABELS))
    expected = {
        "accuracy": reference.accuracy_score(truth, found),
        "macro_f1": reference.f1_score(truth, found, average="macro"),
        "weighted_f1": reference.f1_score(truth, found, average="weighted"),
        "micro_f1": reference.f1_score(truth, found, average="micro"),
        "macro_precision": reference.precision_score(truth, found, average="macro"),
        "weighted_recall": reference.recall_score(truth, found, average="weighted"),
        "brier": np.square(model.probabilities[rows] - np.eye(3)[pd.Index(LABELS).get_indexer(truth)]).sum(1).mean(),
        "pearson_r": np.corrcoef(model.valence[rows], test_rows["mean_rating"][rows])[0, 1],
        "confusion/negative/positive": ((truth == "negative") & (found == "positive")).sum(),
    }
    expected |= {f"precision/{label}": value for label, value in zip(LABELS, precision, strict=True)}
    expected |= {f"recall/{label}": value for label, value in zip(LABELS, recall, strict=True)}
    expected |= {f"f1/{label}": value for label, value in zip(LABELS, f1, strict=True)}
    expected |= {f"support/{label}": value for label, value in zip(LABELS, support, strict=True)}
    for metric, value in expected.items():
        assert value_of(frame, "model", metric, slice_name)[0] == pytest.approx(value), metric


def test_calibration_error_is_the_mean_gap_between_confidence_and_correctness():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    statistics = row_statistics(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 2, probabilities, None, None)
    expected = (3 * abs(0.9 - 2 / 3) + abs(0.7 - 1)) / 4
    assert float(compute_metrics(statistics.total())["ece"]) == pytest.approx(expected)


def test_intervals_hold_the_value_and_shrink_with_more_rows(documents):
    widths = []
    for rows in (100, 1600):
        frame = documents(rows, 5, "test")
        truth = pd.Index(LABELS).get_indexer(frame["label"])
        found = evaluate([random_predictions(rows, 1, truth=truth)], frame, TASK, "m", "d", 1, samples=300).frame
        value, low, high = value_of(found, "model", "accuracy")
        assert low < value < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for trial in range(200):
        right = np.random.default_rng(trial).random(150) < 0.8
        statistics = row_statistics(np.zeros(150, dtype=int), np.where(right, 0, 1), 2, None, None, None)
        weights = bootstrap_weights(150, 200, trial)
        low, high = interval(np.concatenate([compute_metrics(statistics.weighted(block))["accuracy"] for block in weights]))
        hits += low <= 0.8 <= high
    assert 176 <= hits <= 199


def test_rows_of_one_group_are_drawn_together():
    right = np.repeat(np.random.default_rng(0).random(40) < 0.7, 25)
    statistics = row_statistics(np.zeros(1000, dtype=int), np.where(right, 0, 1), 2, None, None, None)

    def width(groups):
        sums = statistics.by_group(groups)
        block = bootstrap_weights(len(sums.labels), 400, 1)[0]
        low, high = interval(compute_metrics(sums.weighted(block))["accuracy"])
        return high - low

    assert width(np.repeat(np.arange(40), 25)) > 3 * width(np.arange(1000))


def test_a_bootstrap_in_blocks_draws_what_it_draws_at_once(monkeypatch):
    whole = bootstrap_weights(50, 40, 7)
    monkeypatch.setattr("assets.training.judging.metrics.WEIGHTS_AT_ONCE", 500)
    parts = bootstrap_weights(50, 40, 7)
    assert (len(whole), len(parts)) == (1, 4)
    np.testing.assert_array_equal(np.concatenate(parts), whole[0])
    assert (whole[0].sum(axis=1) == 50).all()


def test_the_same_seed_gives_the_same_report(model, test_rows):
    frames = [evaluate([model], test_rows, TASK, "m", "d", seed, samples=50).frame for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert not frames[0].equals(frames[2])


def test_numbers_that_are_not_defined_are_left_out_and_said():
    frame = pd.DataFrame({"source": "a", "group_id": list("abcd"), "label": ["正面"] * 4, "mean_rating": [None] * 4, "text": ["好"] * 4})
    constant = predictions_of_probabilities("model", np.tile([0.1, 0.2, 0.7], (4, 1)), CHINESE, "正面", "负面")
    found = evaluate([constant], frame, CHINESE_TASK, "m", "d", 1, samples=50)
    assert "pearson_r" not in set(found.frame["metric"])
    assert "precision/负面" not in set(found.frame["metric"])
    assert found.notes[-1] == (
        "model: pearson_r, precision/负面, precision/中性, recall/负面, recall/中性, f1/负面, f1/中性 are not defined and left out"
        " (overall, source=a)."
    )
    assert value_of(found.frame, "model", "f1/正面")[0] == 1.0


def test_rows_without_a_prediction_are_left_out_and_said(model, test_rows):
    labels = model.labels.copy()
    labels[:30] = None
    found = evaluate([Predictions("one human rater", labels, None, None)], test_rows, TASK, "m", "d", 1, samples=50)
    assert set(found.frame.query("slice == 'overall'")["rows_count"]) == {270}
    assert found.notes[0] == (
        "one human rater: not every row has a prediction, and such rows are left out"
        " (overall 30 of 300, source=movies 15 of 150, source=tweets 15 of 150)."
    )


def test_no_test_rows_are_an_error(model, test_rows):
    with pytest.raises(ValueError, match="evaluation: expected test rows, found none"):
        evaluate([model], test_rows.iloc[:0], TASK, "m", "d", 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["positive"] * 299, "model: expected 300 predictions, one per test row, found 299"),
        (["糟糕"] * 300, r"model: expected labels out of \['negative', 'neutral', 'positive'\], found \['糟糕'\]"),
    ],
)
def test_predictions_that_do_not_fit_are_an_error(test_rows, labels, message):
    with pytest.raises(PredictionsError, match=message):
        evaluate([Predictions("model", np.array(labels, dtype=object))], test_rows, TASK, "m", "d", 1, samples=50)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.ones((2, 2)), r"model: expected probabilities of 3 labels, found an array of shape \(2, 2\)"),
        (np.array([[np.nan, 0.5, 0.5]]), "model: expected probabilities, found 1 rows with NaN"),
    ],
)
def test_probabilities_that_do_not_fit_are_an_error(probabilities, message):
    with pytest.raises(PredictionsError, match=message):
        predictions_of_probabilities("model", probabilities, LABELS)


def test_macro_f1_leaves_out_labels_that_nobody_has():
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1]), 5) == 1.0
    assert np.isnan(macro_f1(np.array([], dtype=int), np.array([], dtype=int), 2))


def test_the_confusion_matrix_has_true_labels_down_and_predicted_across():
    assert confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist() == [[1, 1], [0, 1]]


TOPICS = Task(kind="multi_label_classification", labels=("sports", "money", "政治", "unused"))
NAMES = Task(kind="token_classification", labels=("PER", "地点"))
QUESTIONS = Task(kind="question_answering", labels=("answer",))


def rows_of(answers, texts=None):
    count = len(answers)
    return pd.DataFrame(
        {
            "document_id": [f"d{row}" for row in range(count)],
            "source": ["tweets" if row % 2 else "新闻" for row in range(count)],
            "group_id": [f"g{row // 2}" for row in range(count)],
            "text": ["小明 lives in Bern"] * count if texts is None else texts,
            "label": answers,
        }
    )


def sets_of(chosen):
    return [encode_labels([label for label, is_in in zip(TOPICS.labels, row, strict=True) if is_in], TOPICS.labels) for row in chosen]


def test_every_number_of_a_multi_label_task_equals_that_of_scikit_learn():
    random = np.random.default_rng(3)
    truth = random.random((120, 4)) < (0.5, 0.3, 0.1, 0.0)
    probabilities = np.clip(truth * 0.4 + random.random((120, 4)) * 0.6, 0, 1) * (1, 1, 1, 0.5)
    chosen = probabilities >= 0.5
    model = Predictions("model", np.array(sets_of(chosen), dtype=object), probabilities)
    frame = evaluate([model], rows_of(sets_of(truth)), TOPICS, "m", "d", 1, samples=50).frame
    used = [0, 1, 2]
    expected = {
        "accuracy": reference.accuracy_score(truth, chosen),
        "brier": np.square(probabilities - truth).mean(),
        "brier/政治": np.square(probabilities - truth)[:, 2].mean(),
        "precision/sports": reference.precision_score(truth[:, 0], chosen[:, 0]),
        "recall/政治": reference.recall_score(truth[:, 2], chosen[:, 2]),
        "support/money": truth[:, 1].sum(),
    }
    for average in ("micro", "macro", "weighted"):
        pair = truth[:, used], chosen[:, used]
        expected[f"{average}_f1"] = reference.f1_score(*pair, average=average)
        expected[f"{average}_precision"] = reference.precision_score(*pair, average=average, zero_division=0)
        expected[f"{average}_recall"] = reference.recall_score(*pair, average=average)
    for metric, value in expected.items():
        assert value_of(frame, "model", metric)[0] == pytest.approx(value), metric
    assert frame["metric"].str.match(METRICS).all()
    assert not frame["metric"].str.startswith("confusion/").any()


def test_calibration_of_label_sets_is_that_of_every_decision():
    truth, predicted = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
    metrics = compute_metrics(multi_label_statistics(truth, predicted, np.array([[0.8, 0.6]])).total())
    assert float(metrics["ece"]) == pytest.approx((0.2 + 0.6) / 2)
    assert float(metrics["brier"]) == pytest.approx((0.04 + 0.36) / 2)


def name_spans(*parts):
    return encode_spans(Span(*part) for part in parts)


@pytest.fixture
def name_rows():
    right = [name_spans((0, 2, "PER"), (12, 16, "地点")), name_spans((0, 2, "PER")), "[]", name_spans((12, 16, "地点"))] * 10
    said = [name_spans((0, 2, "PER"), (12, 16, "PER")), name_spans((0, 2, "PER")), "[]", name_spans((9, 16, "地点"))] * 10
    scores = np.empty(40, dtype=object)
    scores[:] = [[0.9, 0.4], [0.8], [], [0.7]] * 10
    return rows_of(right), Predictions("model", np.array(said, dtype=object), span_scores=scores)


def test_spans_are_judged_strictly_and_by_words(name_rows):
    test, model = name_rows
    frame = evaluate([model], test, NAMES, "m", "d", 1, samples=50).frame
    check_columns(EVALUATION_REPORT, frame.columns)
    assert not frame.duplicated(list(EVALUATION_REPORT.key)).any()
    assert frame["metric"].str.match(METRICS).all()
    expected = {
        "precision/PER": 2 / 3,
        "recall/PER": 1.0,
        "f1/PER": 0.8,
        "f1/地点": 0.0,
        "support/地点": 20,
        "macro_f1": 0.4,
        "micro_f1": 0.5,
        "accuracy": 0.5,
        "errors/wrong_label": 10,
        "errors/wrong_border": 10,
        "errors/missed": 0,
        "token_support/B-PER": 20,
        "token_support/I-PER": 20,
        "token_precision/B-PER": 2 / 3,
        "token_recall/B-PER": 1.0,
        "token_f1/B-地点": 0.0,
        "token_accuracy": (40 * 5 - 10 - 20) / (40 * 5),
    }
    for metric, value in expected.items():
        assert value_of(frame, "model", metric)[0] == pytest.approx(value), metric
    assert value_of(frame, "model", "token_macro_f1")[0] < value_of(frame, "model", "token_f1/O")[0]
    assert count_impossible_values(frame) == 0


def test_calibration_of_spans_needs_scores(name_rows):
    test, model = name_rows
    silent = Predictions("rule", model.labels)
    frame = evaluate([model, silent], test, NAMES, "m", "d", 1, samples=50).frame
    assert value_of(frame, "model", "ece")[0] == pytest.approx((10 * 0.1 + 10 * 0.4 + 10 * 0.2 + 10 * 0.7) / 40)
    assert np.isnan(value_of(frame, "rule", "ece")[0])


def test_a_task_without_any_span_leaves_f1_out_and_says_so():
    found = evaluate([Predictions("model", np.array(["[]"], dtype=object))], rows_of(["[]"]), NAMES, "m", "d", 1, samples=50)
    assert found.frame["value"].notna().all()
    assert value_of(found.frame, "model", "accuracy")[0] == 1.0
    (note,) = found.notes
    assert note.startswith("model: micro_precision, macro_precision, weighted_precision, micro_recall,")
    assert note.endswith("are not defined and left out (overall, source=新闻).")


def test_answers_to_questions_have_exact_match_and_overlap():
    text = "[Q] 谁 who? [C] Ann Lee"
    test = rows_of([name_spans((15, 22, "answer"))] * 4, [text] * 4)
    said = np.array([name_spans((15, 22, "answer")), name_spans((15, 18, "answer")), "[]", name_spans((15, 22, "answer"))], dtype=object)
    frame = evaluate([Predictions("model", said)], test, QUESTIONS, "m", "d", 1, samples=50).frame
    assert value_of(frame, "model", "exact_match")[0] == 0.5
    assert value_of(frame, "model", "macro_f1")[0] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    assert not frame["metric"].str.startswith("token_").any()


def test_the_first_scorer_is_compared_with_every_other_on_the_same_draws(model, test_rows):
    truth = pd.Index(LABELS).get_indexer(test_rows["label"])
    worse = replace(random_predictions(300, 2, truth=truth, sharpness=0.5), scorer="worse")
    same = replace(model, scorer="双胞胎")
    frame = evaluate([model, worse, same], test_rows, TASK, "m", "d", 1, samples=200).frame
    value, low, high = value_of(frame, "model", "difference/macro_f1/worse")
    assert value == pytest.approx(value_of(frame, "model", "macro_f1")[0] - value_of(frame, "worse", "macro_f1")[0])
    assert 0 < low < value < high
    assert value_of(frame, "model", "p_value/macro_f1/worse")[0] == pytest.approx(2 / 201)
    assert value_of(frame, "model", "difference/macro_f1/双胞胎") == (0.0, 0.0, 0.0)
    assert value_of(frame, "model", "p_value/macro_f1/双胞胎")[0] == 1.0
    assert value_of(frame, "model", "difference/pearson_r/worse", "source=tweets")[0] > 0
    assert not frame.query("scorer != 'model'")["metric"].str.startswith(("difference/", "p_value/")).any()


def test_paired_intervals_are_narrower_than_those_of_strangers(test_rows):
    truth = pd.Index(LABELS).get_indexer(test_rows["label"])
    model = random_predictions(300, 1, truth=truth)
    labels = model.labels.copy()
    labels[::60] = "neutral"
    frame = evaluate([model, Predictions("near", labels)], test_rows, TASK, "m", "d", 1, samples=200).frame
    _, low, high = value_of(frame, "model", "difference/macro_f1/near")
    _, own_low, own_high = value_of(frame, "model", "macro_f1")
    assert high - low < (own_high - own_low) / 2


def test_a_rival_with_gaps_is_compared_on_the_rows_it_answers(model, test_rows):
    labels = model.labels.copy()
    labels[:30] = None
    frame = evaluate([model, Predictions("one human rater", labels)], test_rows, TASK, "m", "d", 1, samples=50).frame
    found = frame.query("metric == 'difference/macro_f1/one human rater' and slice == 'overall'")
    assert (found["value"].item(), found["rows_count"].item()) == (0.0, 270)


def test_chance_alone_is_called_significant_about_as_often_as_p_says():
    rejected = 0
    for trial in range(200):
        random = np.random.default_rng(trial)
        truth, drawn = np.zeros(120, dtype=int), []
        for _ in range(2):
            right = row_statistics(truth, np.where(random.random(120) < 0.8, 0, 1), 2, None, None, None)
            drawn.append(
                np.concatenate([compute_metrics(right.weighted(block))["accuracy"] for block in bootstrap_weights(120, 200, trial)])
            )
        rejected += two_sided_p(drawn[0] - drawn[1]) < 0.05
    assert 2 <= rejected <= 22


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        (np.full(99, 0.1), 0.02),
        (np.full(99, -0.1), 0.02),
        (np.zeros(99), 1.0),
        (np.array([-1.0, 1.0] * 50), 1.0),
        (np.array([np.nan] * 60 + [0.1] * 40), np.nan),
        (np.array([]), np.nan),
    ],
)
def test_p_is_never_0_and_1_for_no_difference(differences, expected):
    assert two_sided_p(differences) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("metric", "value", "count"),
    [
        ("macro_f1", 1.2, 1),
        ("macro_f1", -0.1, 1),
        ("pearson_r", -0.9, 0),
        ("pearson_r", 1.1, 1),
        ("support/正面", 400.0, 0),
        ("brier", 1.7, 0),
        ("difference/macro_f1/VADER", -0.4, 0),
        ("difference/pearson_r/VADER", 1.4, 0),
        ("p_value/macro_f1/VADER", 1.01, 1),
    ],
)
def test_values_that_a_metric_cannot_have_are_counted(metric, value, count):
    assert count_impossible_values(pd.DataFrame({"metric": [metric], "value": [value]})) == count

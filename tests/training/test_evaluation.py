import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from assets.schemas import EVALUATION_REPORT, check_columns
from assets.training.evaluation import evaluate, value_of
from assets.training.metrics import bootstrap_weights, compute_metrics, confusion_matrix, interval, macro_f1, row_statistics
from assets.training.predictions import Predictions, PredictionsError, predictions_of_probabilities

LABELS = ("negative", "neutral", "positive")
CHINESE = ("负面", "中性", "正面")


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
    frame = evaluate([model], test_rows, LABELS, "m", "d", 1, samples=50).frame
    check_columns(EVALUATION_REPORT, frame.columns)
    assert not frame.duplicated(list(EVALUATION_REPORT.key)).any()
    assert frame["value"].notna().all()
    assert set(frame["slice"]) == {"overall", "source=movies", "source=tweets"}


@pytest.mark.parametrize("slice_name", ["overall", "source=tweets"])
def test_every_number_equals_that_of_scikit_learn(model, test_rows, slice_name):
    frame = evaluate([model], test_rows, LABELS, "m", "d", 1, samples=50).frame
    rows = np.ones(300, dtype=bool) if slice_name == "overall" else (test_rows["source"] == "tweets").to_numpy()
    truth, found = test_rows["label"][rows], model.labels[rows]
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, found, labels=list(LABELS))
    expected = {
        "accuracy": reference.accuracy_score(truth, found),
        "macro_f1": reference.f1_score(truth, found, average="macro"),
        "weighted_f1": reference.f1_score(truth, found, average="weighted"),
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
        found = evaluate([random_predictions(rows, 1, truth=truth)], frame, LABELS, "m", "d", 1, samples=300).frame
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
    monkeypatch.setattr("assets.training.metrics.WEIGHTS_AT_ONCE", 500)
    parts = bootstrap_weights(50, 40, 7)
    assert (len(whole), len(parts)) == (1, 4)
    np.testing.assert_array_equal(np.concatenate(parts), whole[0])
    assert (whole[0].sum(axis=1) == 50).all()


def test_the_same_seed_gives_the_same_report(model, test_rows):
    frames = [evaluate([model], test_rows, LABELS, "m", "d", seed, samples=50).frame for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert not frames[0].equals(frames[2])


def test_numbers_that_are_not_defined_are_left_out_and_said():
    frame = pd.DataFrame({"source": "a", "group_id": list("abcd"), "label": ["正面"] * 4, "mean_rating": [None] * 4, "text": ["好"] * 4})
    constant = predictions_of_probabilities("model", np.tile([0.1, 0.2, 0.7], (4, 1)), CHINESE, "正面", "负面")
    found = evaluate([constant], frame, CHINESE, "m", "d", 1, samples=50)
    assert "pearson_r" not in set(found.frame["metric"])
    assert "precision/负面" not in set(found.frame["metric"])
    assert "model: pearson_r is not defined and left out (overall, source=a)." in found.notes
    assert value_of(found.frame, "model", "f1/正面")[0] == 1.0


def test_rows_without_a_prediction_are_left_out_and_said(model, test_rows):
    labels = model.labels.copy()
    labels[:30] = None
    found = evaluate([Predictions("one human rater", labels, None, None)], test_rows, LABELS, "m", "d", 1, samples=50)
    assert set(found.frame.query("slice == 'overall'")["rows_count"]) == {270}
    assert found.notes[0] == (
        "one human rater: not every row has a prediction, and such rows are left out"
        " (overall 30 of 300, source=movies 15 of 150, source=tweets 15 of 150)."
    )


def test_no_test_rows_are_an_error(model, test_rows):
    with pytest.raises(ValueError, match="evaluation: expected test rows, found none"):
        evaluate([model], test_rows.iloc[:0], LABELS, "m", "d", 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["positive"] * 299, "model: expected 300 predictions, one per test row, found 299"),
        (["糟糕"] * 300, r"model: expected labels out of \['negative', 'neutral', 'positive'\], found \['糟糕'\]"),
    ],
)
def test_predictions_that_do_not_fit_are_an_error(test_rows, labels, message):
    with pytest.raises(PredictionsError, match=message):
        evaluate([Predictions("model", np.array(labels, dtype=object))], test_rows, LABELS, "m", "d", 1, samples=50)


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

import json

import numpy as np
import pandas as pd
import pytest

from assets.project import Promotion
from assets.training.predictions import Predictions, predictions_of_probabilities
from assets.training.promotion import judge

LABELS = ("负面", "中性", "正面")
SETTINGS = Promotion(metric="accuracy", max_overall_loss=0.0, max_slice_loss=0.02, bootstrap_samples=200)


def make_test(rows=400):
    return pd.DataFrame(
        {
            "source": ["tweets", "news"] * (rows // 2),
            "group_id": [f"g{number}" for number in range(rows)],
            "label": [LABELS[number // 2 % 3] for number in range(rows)],
            "mean_rating": [float(number // 2 % 3 - 1) for number in range(rows)],
        }
    )


def model_with_errors(test, wrong, name="model"):
    """A model that is right save on the rows given."""
    truth = pd.Index(LABELS).get_indexer(test["label"])
    said = np.where(np.isin(np.arange(len(test)), list(wrong)), (truth + 1) % 3, truth)
    return predictions_of_probabilities(name, np.eye(3)[said] * 0.7 + 0.1, LABELS, "正面", "负面")


TWEETS, NEWS = range(0, 400, 2), range(1, 400, 2)


@pytest.mark.parametrize(
    ("challenger_errors", "champion_errors", "decision"),
    [
        ([], [], "promoted"),
        ([], TWEETS[:20], "promoted"),
        (TWEETS[:20], TWEETS[:20], "promoted"),
        (TWEETS[:20], [], "refused"),
        (TWEETS[:1], [], "refused"),
        (NEWS[:40], TWEETS[:60], "refused"),
        (NEWS[:2], TWEETS[:60], "promoted"),
        (NEWS[:5], [*TWEETS[:60], NEWS[100]], "promoted"),
    ],
    ids=["equal", "better", "same errors", "worse", "one row worse", "better overall, worse on news", "within the margin", "by chance"],
)
def test_a_challenger_must_not_lose_overall_or_on_any_source(challenger_errors, champion_errors, decision):
    test = make_test()
    found = judge(model_with_errors(test, challenger_errors), model_with_errors(test, champion_errors), test, LABELS, SETTINGS, 1)
    assert found.decision == decision, found.reason


def test_the_reason_names_what_was_lost_and_by_how_much():
    test = make_test()
    found = judge(model_with_errors(test, NEWS[:40]), model_with_errors(test, TWEETS[:60]), test, LABELS, SETTINGS, 1)
    assert found.reason.startswith(
        "The challenger loses: source=news: accuracy 0.8000 against 1.0000 (difference -0.2000, 95 % interval -0.2"
    )
    assert "overall" not in found.reason


def test_a_loss_on_few_rows_that_chance_explains_is_forgiven():
    test = make_test(40)
    found = judge(model_with_errors(test, [1]), model_with_errors(test, [0, 2]), test, LABELS, SETTINGS, 1)
    assert found.evidence["slices"]["source=news"]["difference"] == pytest.approx(-0.05)
    assert found.evidence["slices"]["source=news"]["high"] == 0.0
    assert found.decision == "promoted"


def test_an_allowed_overall_loss_is_no_loss():
    test = make_test()
    tolerant = SETTINGS.model_copy(update={"max_overall_loss": 0.05, "max_slice_loss": 0.2})
    pair = model_with_errors(test, TWEETS[:19]), model_with_errors(test, [])
    assert judge(*pair, test, LABELS, tolerant, 1).decision == "promoted"
    assert judge(*pair, test, LABELS, SETTINGS, 1).decision == "refused"


def test_the_first_model_is_promoted_when_its_numbers_are_complete():
    test = make_test()
    found = judge(model_with_errors(test, TWEETS[:20]), None, test, LABELS, SETTINGS, 1, is_first=True)
    assert found.decision == "promoted"
    assert found.reason == "First model: accuracy 0.9500 overall."


def test_evidence_has_the_numbers_of_every_slice_as_json():
    test = make_test()
    found = judge(model_with_errors(test, []), model_with_errors(test, TWEETS[:20]), test, LABELS, SETTINGS, 1)
    slices = json.loads(json.dumps(found.evidence))["slices"]
    assert list(slices) == ["overall", "source=news", "source=tweets"]
    assert slices["source=tweets"]["challenger"] == 1.0
    assert slices["source=tweets"]["champion"] == 0.9
    assert slices["source=tweets"]["rows"] == 200
    assert 0 < slices["source=tweets"]["low"] < 0.1 < slices["source=tweets"]["high"]


def test_the_same_seed_decides_the_same():
    test = make_test()
    pair = model_with_errors(test, NEWS[:9]), model_with_errors(test, TWEETS[:30])
    assert judge(*pair, test, LABELS, SETTINGS, 4) == judge(*pair, test, LABELS, SETTINGS, 4)


def with_nan(predictions):
    probabilities = predictions.probabilities.copy()
    probabilities[3, 1] = np.nan
    return Predictions(predictions.scorer, predictions.labels, probabilities, predictions.valence)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda model: None, "Expected predictions of challenger and champion, found none of the "),
        (lambda model: model.take(np.arange(400) < 399), "model: expected 400 predictions, one per test row, found 399"),
        (with_nan, "model: expected probabilities for every test row, found missing or infinite numbers"),
        (lambda model: Predictions("model", np.array(["糟糕"] * 400, dtype=object)), "model: expected labels out of"),
        (lambda model: Predictions("model", np.array([None] * 400, dtype=object)), "model: expected labels out of"),
    ],
    ids=["missing", "rows", "nan", "unknown label", "no label"],
)
@pytest.mark.parametrize("spoilt", ["challenger", "champion"])
def test_what_cannot_be_judged_is_refused(spoil, reason, spoilt):
    test = make_test()
    models = {"challenger": model_with_errors(test, []), "champion": model_with_errors(test, TWEETS[:50])}
    models[spoilt] = spoil(models[spoilt])
    found = judge(models["challenger"], models["champion"], test, LABELS, SETTINGS, 1)
    assert found.decision == "refused"
    assert reason in found.reason


def test_a_metric_that_is_not_defined_on_a_source_refuses_even_the_first_model():
    test = make_test()
    test.loc[test["source"] == "news", "mean_rating"] = np.nan
    settings = SETTINGS.model_copy(update={"metric": "pearson_r"})
    for champion, is_first in [(None, True), (model_with_errors(test, TWEETS[:50]), False)]:
        found = judge(model_with_errors(test, TWEETS[:3]), champion, test, LABELS, settings, 1, is_first=is_first)
        assert found.decision == "refused"
        assert "Expected pearson_r on every slice, found no number for source=news (challenger)" in found.reason


def test_without_test_rows_nothing_is_promoted():
    test = make_test().iloc[:0]
    empty = Predictions("model", np.array([], dtype=object))
    assert judge(empty, None, test, LABELS, SETTINGS, 1, is_first=True).reason == "Expected test rows to compare on, found none."

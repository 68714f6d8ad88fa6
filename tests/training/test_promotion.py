import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from assets.project import Task
from assets.training.gate.behaviours import SuiteResult
from assets.training.gate.criteria import Trial
from assets.training.gate.promotion import judge
from assets.training.gate.smoke import SmokeResult
from assets.training.judging.predictions import Predictions, predictions_of_probabilities
from assets.training_settings import Promotion

LABELS = ("负面", "中性", "正面")
TASK = Task(labels=LABELS, positive_label="正面", negative_label="负面")
SUITES = ("typos", "names", "emoji", "punctuation", "casing", "whitespace")
SETTINGS = Promotion(metric="accuracy", max_overall_loss=0.0, max_slice_loss=0.02, bootstrap_samples=200, max_ece=0.5)
TRIAL = Trial(tuple(SuiteResult(name, 10, 1, 0.9, ("a",)) for name in SUITES), SmokeResult("", 60, 8.0, 20.0), 90_000_000)


def decide(challenger, champion, test, settings=SETTINGS, seed=1, is_first=False, trial=TRIAL, facts=None):
    return judge(challenger, champion, test, TASK, settings, seed, is_first, trial, facts)


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
    found = decide(model_with_errors(test, challenger_errors), model_with_errors(test, champion_errors), test)
    assert found.decision == decision, found.reason


def test_the_reason_names_what_was_lost_and_by_how_much():
    test = make_test()
    found = decide(model_with_errors(test, NEWS[:40]), model_with_errors(test, TWEETS[:60]), test)
    assert found.reason.startswith(
        "The challenger loses: source=news: accuracy 0.8000 against 1.0000 (difference -0.2000, 95 % interval -0.2"
    )
    assert "overall" not in found.reason


def test_a_loss_on_few_rows_that_chance_explains_is_forgiven():
    test = make_test(40)
    found = decide(model_with_errors(test, [1]), model_with_errors(test, [0, 2]), test)
    assert found.evidence["slices"]["source=news"]["difference"] == pytest.approx(-0.05)
    assert found.evidence["slices"]["source=news"]["high"] == 0.0
    assert found.decision == "promoted"


def test_an_allowed_overall_loss_is_no_loss():
    test = make_test()
    tolerant = SETTINGS.model_copy(update={"max_overall_loss": 0.05, "max_slice_loss": 0.2})
    pair = model_with_errors(test, TWEETS[:19]), model_with_errors(test, [])
    assert decide(*pair, test, tolerant, 1).decision == "promoted"
    assert decide(*pair, test, SETTINGS, 1).decision == "refused"


def test_the_first_model_is_promoted_when_its_numbers_are_complete():
    test = make_test()
    found = decide(model_with_errors(test, TWEETS[:20]), None, test, is_first=True)
    assert found.decision == "promoted"
    assert found.reason == "First model: accuracy 0.9500 overall."


def test_evidence_has_the_numbers_of_every_slice_as_json():
    test = make_test()
    found = decide(model_with_errors(test, []), model_with_errors(test, TWEETS[:20]), test)
    slices = json.loads(json.dumps(found.evidence))["slices"]
    assert list(slices) == ["overall", "source=news", "source=tweets"]
    assert slices["source=tweets"]["challenger"] == 1.0
    assert slices["source=tweets"]["champion"] == 0.9
    assert slices["source=tweets"]["rows"] == 200
    assert 0 < slices["source=tweets"]["low"] < 0.1 < slices["source=tweets"]["high"]


def test_the_same_seed_decides_the_same():
    test = make_test()
    pair = model_with_errors(test, NEWS[:9]), model_with_errors(test, TWEETS[:30])
    assert decide(*pair, test, SETTINGS, 4) == decide(*pair, test, SETTINGS, 4)


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
    found = decide(models["challenger"], models["champion"], test)
    assert found.decision == "refused"
    assert reason in found.reason


def test_a_metric_that_is_not_defined_on_a_source_refuses_even_the_first_model():
    test = make_test()
    test.loc[test["source"] == "news", "mean_rating"] = np.nan
    settings = SETTINGS.model_copy(update={"metric": "pearson_r"})
    for champion, is_first in [(None, True), (model_with_errors(test, TWEETS[:50]), False)]:
        found = decide(model_with_errors(test, TWEETS[:3]), champion, test, settings, is_first=is_first)
        assert found.decision == "refused"
        assert "Expected pearson_r on every slice, found no number for source=news (challenger)" in found.reason


def test_without_test_rows_nothing_is_promoted():
    test = make_test().iloc[:0]
    empty = Predictions("model", np.array([], dtype=object))
    assert decide(empty, None, test, is_first=True).reason == "Expected test rows to compare on, found none."


def replace_suite(name, **changes):
    results = tuple(dataclasses.replace(result, **changes) if result.suite == name else result for result in TRIAL.behaviours)
    return dataclasses.replace(TRIAL, behaviours=results)


@pytest.mark.parametrize(
    ("settings", "trial", "reason"),
    [
        ({"min_scores": {"macro_f1": 0.96}}, TRIAL, "macro_f1 (overall): expected at least 0.96, found 0.95"),
        ({"min_scores": {"pearson_r": 0.5, "f2": 0.1}}, TRIAL, "f2 (overall): expected at least 0.1, found no number"),
        ({"min_slice_scores": {"accuracy": 0.92}}, TRIAL, "accuracy (source=tweets): expected at least 0.92, found 0.9"),
        ({"max_ece": 0.01}, TRIAL, "ece (overall): expected at most 0.01, found 0.1"),
        ({"max_latency_ms": 19.0}, TRIAL, "milliseconds of a request, 95th percentile: expected at most 19, found 20"),
        (
            {},
            dataclasses.replace(TRIAL, smoke=SmokeResult("", 60, 8.0, float("nan"))),
            "95th percentile: expected at most 1000, found no number",
        ),
        ({"max_model_bytes": 1000}, TRIAL, "bytes of the model: expected at most 1000, found 9e+07"),
        ({}, dataclasses.replace(TRIAL, model_bytes=None), "bytes of the model: expected at most 2e+09, found no number"),
        ({}, replace_suite("typos", pass_rate=0.5), "share of passed cases (typos): expected at least 0.7, found 0.5"),
        ({}, replace_suite("names", cases=0, pass_rate=None), "share of passed cases (names): expected at least 0.7, found no number"),
        ({}, dataclasses.replace(TRIAL, behaviours=()), "share of passed cases (casing): expected at least 0.7, found no number"),
        ({}, dataclasses.replace(TRIAL, smoke=SmokeResult("服务没有回答")), "Serving: 服务没有回答."),
        ({}, dataclasses.replace(TRIAL, smoke=None), "Serving: expected a smoke test of the serving app, found none."),
        ({}, None, "Serving: expected a smoke test of the serving app, found none."),
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
def test_every_champion_meets_the_policy_and_what_is_missing_fails(settings, trial, reason, is_first):
    test = make_test()
    champion = None if is_first else model_with_errors(test, TWEETS[:50])
    policy = SETTINGS.model_copy(update=settings)
    found = decide(model_with_errors(test, TWEETS[:20]), champion, test, policy, is_first=is_first, trial=trial)
    assert found.decision == "refused"
    assert reason in found.reason


def test_a_behavioural_test_without_a_threshold_is_only_reported():
    test = make_test()
    trial = dataclasses.replace(TRIAL, behaviours=(*TRIAL.behaviours, SuiteResult("negation", 30, 30, 0.0, ("en-0-0",))))
    found = decide(model_with_errors(test, []), None, test, is_first=True, trial=trial)
    assert found.decision == "promoted", found.reason
    assert found.evidence["behaviours"]["negation"] == {"cases": 30, "failures": 30, "pass_rate": 0.0, "examples": ("en-0-0",)}


def test_a_behavioural_test_that_is_switched_off_is_not_asked_for():
    test = make_test()
    settings = SETTINGS.model_copy(update={"behaviours": ("typos",)})
    found = decide(model_with_errors(test, []), None, test, settings, is_first=True, trial=replace_suite("typos"))
    assert found.decision == "promoted", found.reason


def test_a_threshold_of_a_suite_that_nobody_ran_fails():
    test = make_test()
    settings = SETTINGS.model_copy(update={"min_behaviour_pass_rate": {"退款": 0.9}})
    found = decide(model_with_errors(test, []), None, test, settings, is_first=True)
    assert "share of passed cases (退款): expected at least 0.9, found no number" in found.reason


def test_evidence_lists_every_criterion_and_keeps_the_facts():
    test = make_test()
    found = decide(model_with_errors(test, []), None, test, is_first=True, facts={"test_sha256": "ab", "problems": []})
    assert found.evidence["test_sha256"] == "ab"
    assert found.evidence["criteria"][0] == {
        "name": "macro_f1 (overall)",
        "bound": "at least",
        "limit": 0.3,
        "found": 1.0,
        "is_met": True,
    }
    assert len(found.evidence["criteria"]) == 9
    assert json.loads(json.dumps(found.evidence))["serving"]["p95_ms"] == 20.0


def test_the_reason_says_why_predictions_are_missing():
    test = make_test()
    found = decide(None, None, test, is_first=True, facts={"problems": ["内存不足"]})
    assert found.reason == "Expected predictions of challenger and champion, found none of the challenger. 内存不足"


def test_spans_are_not_asked_for_calibration_and_case_is_no_invariance_there():
    task = Task(kind="token_classification", labels=("PERSON",))
    test = pd.DataFrame(
        {
            "source": ["news"] * 4,
            "group_id": list("abcd"),
            "text": ["王伟 came"] * 4,
            "label": ['[{"start":0,"end":2,"label":"PERSON"}]'] * 4,
        }
    )
    answers = Predictions("model", test["label"].to_numpy(dtype=object))
    trial = dataclasses.replace(TRIAL, behaviours=tuple(result for result in TRIAL.behaviours if result.suite != "casing"))
    found = judge(answers, None, test, task, Promotion(bootstrap_samples=100), 1, is_first=True, trial=trial)
    assert found.decision == "promoted", found.reason
    assert not [entry for entry in found.evidence["criteria"] if "ece" in entry["name"] or "casing" in entry["name"]]

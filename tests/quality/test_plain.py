"""The quick way to a verdict agrees with Great Expectations on everything it knows, and hands on what it does not."""

import pandas as pd
import pytest

from assets.quality.plain import validate_plainly
from assets.quality.suites import expect_fact, expect_rows
from assets.quality.validation import validate

FRAME = pd.DataFrame({"reason": ["short", "好的好的好的好的好的", None], "score": [0.0, 2.0, None], "label": ["a", "正面", None]})


@pytest.mark.parametrize(
    "expectation",
    [
        expect_rows("length", "m", "column_value_lengths_to_be_between", column="reason", min_value=10),
        expect_rows("length", "m", "column_value_lengths_to_be_between", column="reason", min_value=5, max_value=10),
        expect_fact("low", "m", "score", minimum=1),
        expect_fact("high", "m", "score", maximum=1),
        expect_fact("within", "m", "score", minimum=0, maximum=2),
        expect_rows("set", "m", "column_values_to_be_in_set", column="label", value_set=["a"]),
        expect_rows("set", "m", "column_values_to_be_in_set", column="label", value_set=["a", "正面"]),
        expect_fact("gone", "m", "no_such_fact", maximum=0),
        expect_rows("pattern", "m", "column_values_to_match_regex", column="reason", regex="^short$"),
    ],
    ids=lambda expectation: f"{expectation.name}-{len(expectation.kwargs)}",
)
def test_both_ways_give_the_same_verdict(expectation):
    (plain,), (usual,) = validate_plainly(FRAME, [expectation]), validate(FRAME, [expectation])
    assert plain.passed == usual.passed
    assert plain.counts.get("unexpected_count", 0) == usual.counts.get("unexpected_count", 0)
    assert bool(plain.problem) == bool(usual.problem)


def test_the_suite_of_decisions_is_known_so_that_a_rollback_is_quick(monkeypatch, project_of):
    from assets.training.expectations import champion_model

    def never(frame, expectations):
        raise AssertionError("validated the slow way")

    monkeypatch.setattr("assets.quality.plain.validate", never)
    suite = champion_model(project_of([{"kind": "files", "name": "shop", "path": "/none/*.jsonl"}]))
    frame = pd.DataFrame({"reason": ["because of it"]})
    about_rows = [expectation for expectation in suite.expectations if expectation.looks_at == "rows"]
    assert all(verdict.passed for verdict in validate_plainly(frame, about_rows))
    assert len(validate_plainly(frame, suite.expectations)) == len(suite.expectations)

"""The adapter to Great Expectations: every type that the suites use, failures that cannot be run, and no data in any result."""

import importlib
import math

import pandas as pd
import pytest

from assets.quality.audit import merge
from assets.quality.suites import Expectation, Suite, expect_fact, expect_rows, suite
from assets.quality.validation import Verdict, explain, validate
from assets.schemas import Column, Table

FRAME = pd.DataFrame(
    {
        "email": ["someone@example.com", "某人@example.cn"],
        "label": ["positive", "负面"],
        "score": [0.25, 0.75],
        "gap": ["x", None],
        "empty": pd.Series([None, None], dtype="object"),
    }
)


@pytest.mark.parametrize(
    ("type", "good", "bad"),
    [
        ("column_values_to_be_in_set", {"value_set": ["positive", "负面"]}, {"value_set": ["positive"]}),
        ("column_values_to_match_regex", {"regex": r"^(?:positive|\w\w)$"}, {"regex": "^[a-z]+$"}),
        ("column_values_to_not_match_regex", {"regex": "neutral|中性"}, {"regex": "负面"}),
        ("column_value_lengths_to_be_between", {"min_value": 2, "max_value": 8}, {"min_value": 3}),
        ("column_values_to_be_between", {"column": "score", "min_value": 0.25, "max_value": 0.75}, {"column": "score", "max_value": 0.7}),
        ("column_values_to_be_unique", {}, {"column": "same"}),
        ("column_values_to_not_be_null", {}, {"column": "gap"}),
        ("column_value_lengths_to_equal", {"column": "gap", "value": 1}, {"value": 2}),
    ],
)
def test_each_type_of_expectation_tells_good_rows_from_bad(type, good, bad):
    frame = FRAME.assign(same="同")
    verdicts = validate(
        frame,
        [
            expect_rows("good", "Good.", type, **({"column": "label"} | good)),
            expect_rows("bad", "Bad.", type, **({"column": "label"} | bad)),
        ],
    )
    assert [(verdict.expectation.name, verdict.passed, verdict.problem) for verdict in verdicts] == [("good", True, ""), ("bad", False, "")]


def test_every_type_that_the_stages_declare_looks_at_one_row_at_a_time_or_is_checked_in_one_chunk():
    known = {
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_not_match_regex",
        "expect_column_value_lengths_to_be_between",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_not_be_null",
        "expect_column_value_lengths_to_equal",
    }
    found = set()
    for stage in ("collection", "cleaning", "labeling", "storage", "training"):
        module = importlib.import_module(f"assets.{stage}.expectations")
        with open(module.__file__, encoding="utf-8") as source:
            found |= {word for word in source.read().replace('"', " ").split() if word.startswith("column_value")}
    assert found
    assert {f"expect_{name}" for name in found} <= known


def test_verdicts_come_in_the_order_of_the_expectations():
    expectations = [expect_rows(name, "Short.", "column_value_lengths_to_be_between", column="label", max_value=5) for name in "zaywb"]
    assert [verdict.expectation.name for verdict in validate(FRAME, expectations)] == list("zaywb")
    assert validate(FRAME, []) == []


def test_failures_are_counted_and_never_quoted():
    (verdict,) = validate(FRAME, [expect_rows("no_mail", "No address.", "column_values_to_not_match_regex", column="email", regex="@")])
    assert (verdict.passed, verdict.counts) == (
        False,
        {"element_count": 2.0, "unexpected_count": 2.0, "unexpected_percent": 100.0, "missing_count": 0.0},
    )
    assert "example" not in repr(verdict)


@pytest.mark.parametrize(
    ("looks_at", "expectation"),
    [
        ("rows", expect_rows("it", "It.", "column_values_to_be_between", column="absent", min_value=0)),
        ("facts", expect_fact("it", "It.", "absent", minimum=0)),
    ],
)
def test_a_missing_column_or_fact_fails_and_is_named(looks_at, expectation):
    (verdict,) = validate(FRAME, [expectation])
    assert (verdict.passed, verdict.problem) == (False, "could not be run: expected columns ['absent'], missing ['absent']")


def test_an_expectation_that_raises_fails_with_the_kind_of_error_and_without_its_text():
    (verdict,) = validate(FRAME, [expect_rows("it", "It.", "column_values_to_be_between", column="email", min_value=1)])
    assert not verdict.passed
    assert verdict.problem == "could not be run on columns ['email']: MetricResolutionError, TypeError"


class Result:
    """A failed result whose error quotes a value."""

    def __init__(self, traceback: str):
        self.result: dict[str, object] = {}
        self.exception_info = {"metric": {"raised_exception": True, "exception_message": "x@y.cn: bad", "exception_traceback": traceback}}


@pytest.mark.parametrize(
    ("traceback", "kinds"),
    [
        ("Traceback:\n  File 'x', line 1\nKeyError: 'someone@example.com'\n", "KeyError"),
        (
            "a.b.ValueError: time data '某人@example.cn' does not match\n\nlib.errors.OtherException: 某人@example.cn\n",
            "OtherException, ValueError",
        ),
        ("", "no result"),
    ],
)
def test_the_text_of_an_error_is_never_shown(traceback, kinds):
    expectation = expect_rows("it", "It.", "column_values_to_be_unique", column="email")
    assert explain(expectation, Result(traceback), FRAME.columns).problem == f"could not be run on columns ['email']: {kinds}"


def test_an_unknown_type_of_expectation_stops_the_audit():
    with pytest.raises(Exception, match="expect_column_values_to_be_nice not found"):
        validate(FRAME, [expect_rows("it", "It.", "column_values_to_be_nice", column="email")])


@pytest.mark.parametrize(("value", "passes"), [(0.5, True), (1, True), (0.49, False), (1.01, False), (math.inf, False)])
def test_facts_are_compared_with_both_limits(value, passes):
    (verdict,) = validate(pd.DataFrame([{"share": float(value)}]), [expect_fact("it", "It.", "share", minimum=0.5, maximum=1)])
    assert verdict.passed is passes


def verdict_on(expectation: Expectation, **counts: float) -> Verdict:
    return Verdict(expectation, passed=not counts, counts=counts)


def test_a_promise_about_rows_holds_if_it_holds_in_every_chunk_and_counts_add_up():
    one, two = (expect_rows(name, "It.", "column_values_to_not_be_null", column="gap") for name in ("one", "two"))
    chunks = [
        [verdict_on(one), verdict_on(two)],
        [verdict_on(one), verdict_on(two, unexpected_count=2.0, missing_count=1.0, element_count=9.0, unexpected_percent=22.0)],
        [verdict_on(one), verdict_on(two, unexpected_count=3.0)],
        [verdict_on(one), verdict_on(two)],
    ]
    merged = merge([one, two], chunks)
    assert [(verdict.expectation.name, verdict.passed, verdict.counts) for verdict in merged] == [
        ("one", True, {}),
        ("two", False, {"unexpected_count": 5.0, "missing_count": 1.0}),
    ]


def test_a_suite_refuses_two_expectations_of_one_name():
    table = Table("notes", "notes", "One row per note.", (Column("key", "VARCHAR", "Key."),), ("key",))
    with pytest.raises(ValueError, match=r"Suite notes: expected distinct expectation names, found \['keys_are_unique'\] more than once"):
        suite(table, expect_fact("keys_are_unique", "Keys.", "duplicate_keys", maximum=0))


@pytest.mark.parametrize(
    ("producer", "may_be_empty", "names"),
    [
        ("notes", False, ["has_rows", "required_values_are_present", "values_fit_the_schema", "keys_are_unique"]),
        ("notes", True, ["row_count_is_known", "required_values_are_present", "values_fit_the_schema", "keys_are_unique"]),
        ("other", True, ["row_count_is_known", "required_values_are_present", "values_fit_the_schema", "keys_are_unique"]),
    ],
)
def test_every_table_makes_the_promises_that_follow_from_its_declaration(producer, may_be_empty, names):
    table = Table("notes", producer, "One row per note.", (Column("key", "VARCHAR", "Key."),), ("key",), may_be_empty=may_be_empty)
    own = ["work_was_done", "every_row_is_accounted_for"] if producer == "notes" else []
    found: Suite = suite(table)
    assert [expectation.name for expectation in found.expectations] == names + own
    assert {expectation.severity for expectation in found.expectations} == {"ERROR"}

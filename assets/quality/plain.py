"""Verdicts on a few rows without Great Expectations, whose import alone takes seconds: for decisions that cannot wait, such as a rollback.

Knows the three kinds of expectation that one-row tables need and no others: a suite with another kind is validated the usual way. The
tests hold both ways beside each other. Does not belong here: deciding an increment (`audit.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from assets.quality.suites import Expectation
from assets.quality.validation import Verdict, validate

Rule = Callable[["pd.Series[Any]", Mapping[str, Any]], "pd.Series[bool]"]


def validate_plainly(frame: pd.DataFrame, expectations: Sequence[Expectation]) -> list[Verdict]:
    """One verdict per expectation, in order; the same as `validate` gives.

    Args:
        frame: The rows or the facts; a handful.
        expectations: What must hold.
    """
    if not all(_is_known(expectation) for expectation in expectations):
        return validate(frame, expectations)
    return [_verdict(frame, expectation) for expectation in expectations]


def _verdict(frame: pd.DataFrame, expectation: Expectation) -> Verdict:
    column = expectation.kwargs["column"]
    if column not in frame:
        return Verdict(expectation, passed=False, problem=f"could not be run: expected columns {expectation.columns}, missing {[column]}")
    values = frame[column].dropna()
    failures = int((~RULES[expectation.type](values, expectation.kwargs).astype(bool)).sum())
    counts = {"element_count": float(len(frame)), "unexpected_count": float(failures), "missing_count": float(len(frame) - len(values))}
    return Verdict(expectation, passed=not failures, counts=counts if failures else {})


def _between(values: "pd.Series[Any]", kwargs: Mapping[str, Any]) -> "pd.Series[bool]":
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    return (values >= (float("-inf") if low is None else low)) & (values <= (float("inf") if high is None else high))


def _lengths_between(values: "pd.Series[Any]", kwargs: Mapping[str, Any]) -> "pd.Series[bool]":
    return _between(values.astype(str).str.len(), kwargs)


def _in_set(values: "pd.Series[Any]", kwargs: Mapping[str, Any]) -> "pd.Series[bool]":
    return values.isin(list(kwargs["value_set"]))


RULES: dict[str, Rule] = {
    "expect_column_values_to_be_between": _between,
    "expect_column_value_lengths_to_be_between": _lengths_between,
    "expect_column_values_to_be_in_set": _in_set,
}
UNDERSTOOD = {"column", "min_value", "max_value", "value_set"}


def _is_known(expectation: Expectation) -> bool:
    return expectation.type in RULES and set(expectation.kwargs) <= UNDERSTOOD

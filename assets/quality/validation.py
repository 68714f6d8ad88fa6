"""Runs expectations on a frame: the only code that drives Great Expectations.

Importing the library takes seconds and 200 MB, so it happens inside the first validation of a process and never while
definitions load. A verdict is asked for cheaply (booleans only); counts are computed for what failed. Results never carry
values of the data: a check that finds an e-mail address must not publish it.
"""

import os
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from assets.quality.suites import Expectation

if TYPE_CHECKING:
    from great_expectations.datasource.fluent.interfaces import Batch

ResultFormat = Literal["BOOLEAN_ONLY", "BASIC"]
ERROR_KIND = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception))(?=:|$)", re.MULTILINE)
SHOWN = 5  # finds of a scan that are told one by one
COUNTED = ("element_count", "unexpected_count", "unexpected_percent", "missing_count")


@dataclass(frozen=True)
class Verdict:
    """Whether one expectation held.

    Attributes:
        expectation: Which.
        passed: False also when it could not be run.
        counts: Numbers about the failure: elements, unexpected, missing.
        problem: Why it could not be run, or what a scan found, without data values; else empty.
    """

    expectation: Expectation
    passed: bool
    counts: dict[str, float] = field(default_factory=dict)
    problem: str = ""


@lru_cache(maxsize=1)
def _batch_definition() -> Any:  # noqa: ANN401  # the type would import the library
    """One ephemeral context per process, with one place to put frames: building them costs more than a validation."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports a deprecated module of the standard library
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
        from great_expectations.execution_engine import pandas_execution_engine

    # The engine fingerprints every frame, which costs more than ten expectations on it, and nobody reads the fingerprint.
    pandas_execution_engine.hash_pandas_dataframe = lambda _frame: "not computed"

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("frames").add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")


def validate(frame: pd.DataFrame, expectations: Sequence[Expectation]) -> list[Verdict]:
    """One verdict per expectation, in order.

    Args:
        frame: The rows or the facts.
        expectations: What must hold.
    """
    scans = {expectation.name: _scan(frame, expectation) for expectation in expectations if expectation.find is not None}
    others = iter(_validate_with_library(frame, [expectation for expectation in expectations if expectation.find is None]))
    return [scans.get(expectation.name) or next(others) for expectation in expectations]


def _scan(frame: pd.DataFrame, expectation: Expectation) -> Verdict:
    """The verdict of a search; what was found is told by kind and key for a few, and counted."""
    found = expectation.find(frame) if expectation.find else ()
    if not found:
        return Verdict(expectation, passed=True)
    counts = {"element_count": float(len(frame)), "unexpected_count": float(len(found))}
    return Verdict(expectation, passed=False, counts=counts, problem=f"found {', '.join(found[:SHOWN])}")


def _validate_with_library(frame: pd.DataFrame, expectations: Sequence[Expectation]) -> list[Verdict]:
    if not expectations:
        return []
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": frame})
    cheap = _run(batch, expectations, "BOOLEAN_ONLY")
    failed = [expectation for expectation, result in zip(expectations, cheap, strict=True) if not result.success]
    details = dict(zip((expectation.name for expectation in failed), _run(batch, failed, "BASIC"), strict=True))
    return [
        explain(expectation, details[expectation.name], frame.columns) if expectation.name in details else Verdict(expectation, passed=True)
        for expectation in expectations
    ]


def _run(batch: "Batch", expectations: Sequence[Expectation], result_format: ResultFormat) -> list[Any]:
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    if not expectations:
        return []
    built = [get_expectation_impl(expectation.type)(**expectation.kwargs) for expectation in expectations]
    for position, expectation in enumerate(built):
        expectation.meta = {"position": position}
    results = batch.validate(gx.ExpectationSuite("suite", expectations=built), result_format=result_format).results
    return sorted(results, key=lambda result: result.expectation_config.meta["position"])


def explain(expectation: Expectation, result: Any, found: Collection[str]) -> Verdict:  # noqa: ANN401  # the type would import the library
    """Keep the numbers of a failed result and drop everything that quotes data; `found` are the frame's columns."""
    counts = {name: float(result.result[name]) for name in COUNTED if result.result.get(name) is not None}
    missing = [column for column in expectation.columns if column not in found]
    if missing:
        return Verdict(expectation, passed=False, problem=f"could not be run: expected columns {expectation.columns}, missing {missing}")
    return Verdict(expectation, passed=False, counts=counts, problem="" if counts else problem_of(expectation, result))


def problem_of(expectation: Expectation, result: Any) -> str:  # noqa: ANN401  # the type would import the library
    """Why an expectation could not be run: its columns and the kinds of the errors, never their texts, which may quote data."""
    info = result.exception_info or {}
    entries = [info] if "raised_exception" in info else [entry for entry in info.values() if isinstance(entry, dict)]
    tracebacks = [str(entry.get("exception_traceback", "")) for entry in entries if entry.get("raised_exception")]
    kinds = sorted({kind for traceback in tracebacks for kind in ERROR_KIND.findall(traceback)})
    return f"could not be run on columns {expectation.columns}: {', '.join(kinds) or 'no result'}"

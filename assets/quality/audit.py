"""The audit: validates the staged increments of an asset against its suites and records the verdict in the ledger.

A check that cannot run fails; an increment that fails any ERROR expectation is rejected and stays invisible.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from assets.quality.suites import Expectation, Suite
from assets.quality.validation import Verdict, validate
from resources.lakehouse import Lakehouse
from resources.ledger import Increment

Validator = Callable[[pd.DataFrame, Sequence[Expectation]], list[Verdict]]
SUMMABLE: tuple[str, ...] = ("unexpected_count", "missing_count")


@dataclass(frozen=True)
class AuditedIncrement:
    """The verdicts on one increment, per table."""

    increment: Increment
    verdicts: dict[str, list[Verdict]]

    @property
    def is_approved(self) -> bool:
        """No ERROR expectation failed."""
        return all(verdict.passed or verdict.expectation.severity == "WARN" for verdicts in self.verdicts.values() for verdict in verdicts)


def audit(
    lakehouse: Lakehouse, producer: str, suites: Sequence[Suite], run_id: str, validator: Validator = validate
) -> list[AuditedIncrement]:
    """Validate and decide every increment of a producer that waits and is not another live run's to decide."""
    waiting = [
        increment
        for increment in lakehouse.staged(producer)
        if increment.run_id == run_id or not lakehouse.run_marks.is_alive_elsewhere(increment.run_id)
    ]
    return [_decide(lakehouse, increment, suites, validator) for increment in waiting]


def _decide(lakehouse: Lakehouse, increment: Increment, suites: Sequence[Suite], validator: Validator) -> AuditedIncrement:
    """Decide one increment before the next is looked at, so that keys of two partitions are compared with each other too."""
    result = AuditedIncrement(increment, verdicts_on(lakehouse, increment, suites, validator))
    lakehouse.decide(increment, approved=result.is_approved)
    return result


def verdicts_on(
    lakehouse: Lakehouse, increment: Increment, suites: Sequence[Suite], validator: Validator = validate
) -> dict[str, list[Verdict]]:
    """Verdicts on one increment, per table, in the suites' order."""
    facts = lakehouse.facts(increment)
    return {suite.table.name: _verdicts_on_table(lakehouse, increment, suite, facts, validator) for suite in suites}


def _verdicts_on_table(
    lakehouse: Lakehouse, increment: Increment, suite: Suite, facts: dict[str, float], validator: Validator
) -> list[Verdict]:
    about_facts = [expectation for expectation in suite.expectations if expectation.looks_at == "facts"]
    about_rows = [expectation for expectation in suite.expectations if expectation.looks_at == "rows"]
    table_facts = lakehouse.table_facts(suite.table.name, increment)
    swallowed = {"rows_swallowed": 0.0 if table_facts["rows_staged"] else max(facts["rows_in"], facts["rows_left_unread"])}
    verdicts = validator(pd.DataFrame([facts | table_facts | swallowed]), about_facts)
    if about_rows and table_facts["rows_staged"]:
        columns = sorted({column for expectation in about_rows for column in expectation.columns})
        chunks = lakehouse.staged_rows(suite.table.name, increment.increment_id, columns)
        verdicts += merge(about_rows, (validator(chunk, about_rows) for chunk in chunks))
    else:
        verdicts += [Verdict(expectation, passed=True) for expectation in about_rows]
    order = {expectation.name: position for position, expectation in enumerate(suite.expectations)}
    return sorted(verdicts, key=lambda verdict: order[verdict.expectation.name])


def merge(expectations: Sequence[Expectation], chunks: Iterable[list[Verdict]]) -> list[Verdict]:
    """Verdicts on all chunks as one: a promise about rows holds if it holds in every chunk; counts add up."""
    merged = {expectation.name: Verdict(expectation, passed=True) for expectation in expectations}
    for verdicts in chunks:
        for verdict in verdicts:
            if not verdict.passed:
                merged[verdict.expectation.name] = _add(merged[verdict.expectation.name], verdict)
    return list(merged.values())


def _add(total: Verdict, failed: Verdict) -> Verdict:
    counts = {
        name: total.counts.get(name, 0.0) + failed.counts.get(name, 0.0)
        for name in SUMMABLE
        if name in total.counts or name in failed.counts
    }
    return Verdict(total.expectation, passed=False, counts=counts, problem=total.problem or failed.problem)

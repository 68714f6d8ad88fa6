"""Every row counts: rows in = rows out + rows rejected + rows skipped, and an empty increment never passes by vacuity."""

from dataclasses import replace

import pandas as pd
import pytest

from assets.quality.audit import verdicts_on
from assets.quality.suites import expect_fact, suite
from assets.schemas import Column, Table
from resources.increments import increment
from resources.ledger import Counts

ROWS = pd.DataFrame({"key": ["k0", "k1", "k2"], "text": ["one", "二", "three"]})


@pytest.mark.parametrize(
    ("counts", "unaccounted"),
    [
        (Counts(), 0),
        (Counts(5, 3, 1, 1), 0),
        (Counts(5, 3, 1, 0), 1),
        (Counts(5, 5, 1, 0), -1),
        (Counts(2, 1, 1, 0) + Counts(3, 1, 0, 2), 0),
    ],
)
def test_unaccounted_rows_are_those_in_less_those_out_rejected_and_skipped(counts, unaccounted):
    assert counts.rows_unaccounted == unaccounted


def test_counts_add_up_field_by_field():
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)


def failed(chain, asset: str, *promises) -> list[str]:
    (staged,) = chain.lakehouse.staged(asset)
    table = next(table for table in chain.tables if table.name == asset)
    verdicts = verdicts_on(chain.lakehouse, staged, [suite(table, *promises)])[asset]
    return [verdict.expectation.name for verdict in verdicts if not verdict.passed]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"rows_in": 3, "rows_out": 3}, []),
        ({"rows_in": 5, "rows_out": 3, "rows_skipped": 1, "reasons": pd.Series(["太短"])}, []),
        ({"rows_in": 4, "rows_out": 3}, ["every_row_is_accounted_for"]),
        ({"rows_in": 3, "rows_out": 3, "rows_skipped": 1}, ["every_row_is_accounted_for"]),
        ({"rows_in": 0}, ["work_was_done"]),
    ],
)
def test_a_step_that_loses_or_invents_a_row_is_refused(chain, options, names):
    with increment(chain.lakehouse, "a", run_id="r", code_version="1") as step:
        step.write("a", ROWS)
        step.count(**options)
    assert failed(chain, "a") == names


def test_reasons_are_counted_by_name(chain):
    with increment(chain.lakehouse, "a", run_id="r", code_version="1") as step:
        step.write("a", ROWS)
        step.count(rows_in=6, rows_out=3, reasons=pd.Series(["too_short", "blank", "too_short"]))
    assert dict(step.reasons) == {"too_short": 2, "blank": 1}
    (stored,) = chain.lakehouse.increments("a")
    assert stored.counts == Counts(6, 3, 3, 0)


def test_an_increment_without_rows_does_not_pass_unless_its_table_may_be_empty(chain_of):
    columns = (Column("key", "VARCHAR", "Key."), Column("text", "VARCHAR", "Text."))
    full = Table("full", "full", "One row per text.", columns, ("key",))
    chain = chain_of(full, replace(full, name="sparse", producer="sparse", may_be_empty=True))
    names = {}
    for asset in ("full", "sparse"):
        with increment(chain.lakehouse, asset, run_id="r", code_version="1") as step:
            step.count(rows_in=1, rows_skipped=1)
        names[asset] = failed(chain, asset)
    assert names == {"full": ["has_rows"], "sparse": []}


def test_new_input_that_yields_nothing_is_still_an_increment_which_its_audit_refuses(chain):
    chain.put("a", ROWS)
    chain.decide("a")
    with increment(chain.lakehouse, "b", run_id="r", code_version="1", upstream=["a"]):
        pass
    assert failed(chain, "b") == ["has_rows", "work_was_done"]


def test_nothing_to_do_writes_no_increment(chain):
    with increment(chain.lakehouse, "a", run_id="r", code_version="1") as step:
        pass
    assert (step.is_committed, chain.states("a")) == (False, [])


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_fact_that_is_missing_or_no_number_breaks_its_promise(chain, value):
    with increment(chain.lakehouse, "a", run_id="r", code_version="1") as step:
        step.write("a", ROWS)
        step.count(rows_in=3, rows_out=3)
        if value is not None:
            step.measure("agreement", value)
    assert failed(chain, "a", expect_fact("agrees", "People agree.", "agreement", minimum=0.5)) == ["agrees"]


@pytest.mark.parametrize(("value", "names"), [(0.5, []), (0.49, ["agrees"])])
def test_measured_facts_reach_the_audit(chain, value, names):
    with increment(chain.lakehouse, "a", run_id="r", code_version="1") as step:
        step.write("a", ROWS)
        step.count(rows_in=3, rows_out=3)
        step.measure("agreement", value)
    assert failed(chain, "a", expect_fact("agrees", "People agree.", "agreement", minimum=0.5)) == names

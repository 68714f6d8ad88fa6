"""Commits that fail, or that seem to: nothing is written twice, a locked catalog is tried again, other errors are not."""

import duckdb
import pandas as pd
import pytest

from resources import lakehouse as module
from resources.increments import increment

ROWS = pd.DataFrame({"key": ["k0", "k1"], "text": ["one", "二"]})
STORED = [("k0", "one"), ("k1", "二")]
LOCKED = "Failed to commit: database is locked"


class Failing:
    """A connection whose statements fail when told, before or after they did their work."""

    def __init__(self, connection, statement: str, times: int, error: Exception, *, after: bool):
        self._connection, self._statement, self._times, self._error, self._after = connection, statement, times, error, after
        self.failures = 0

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, sql, *arguments):
        fails = sql.startswith(self._statement) and self.failures < self._times
        self.failures += fails
        if fails and not self._after:
            raise self._error
        result = self._connection.execute(sql, *arguments)
        if fails:
            raise self._error
        return result


@pytest.fixture
def fail(chain, monkeypatch):
    """Makes statements of the chain's connection fail."""
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)

    def start(statement: str, times: int, error: Exception, *, after: bool = False) -> Failing:
        chain.lakehouse.snapshot_id()
        chain.lakehouse._connection = Failing(chain.lakehouse._connection, statement, times, error, after=after)
        return chain.lakehouse._connection

    return start


def put_failing(chain, fail, *arguments, **options):
    """One increment of a whose commit, and nothing before it, fails."""
    with increment(chain.lakehouse, "a", run_id="r", code_version="1") as step:
        step.write("a", ROWS)
        step.count(rows_in=2, rows_out=2)
        return fail(*arguments, **options)


def test_a_commit_that_happened_but_was_not_acknowledged_is_not_written_twice(chain, fail):
    assert put_failing(chain, fail, "COMMIT", 1, duckdb.TransactionException(LOCKED), after=True).failures == 1
    assert (chain.rows("a", "main"), chain.states("a")) == (STORED, ["staged"])
    chain.decide("a")
    assert chain.rows("a") == STORED


def test_a_commit_that_happened_and_then_broke_for_good_is_replaced_by_the_next_run(chain, fail):
    with pytest.raises(duckdb.IOException, match="the disk is gone"):
        put_failing(chain, fail, "COMMIT", 1, duckdb.IOException("the disk is gone"), after=True)
    chain.put("a", ROWS)
    chain.decide("a")
    assert (chain.rows("a", "main"), chain.states("a")) == (STORED, ["rejected", "approved"])


def test_a_verdict_that_was_recorded_but_not_acknowledged_stands(chain, fail):
    chain.put("a", ROWS)
    failing = fail("COMMIT", 1, duckdb.TransactionException(LOCKED), after=True)
    chain.decide("a")
    assert (failing.failures, chain.states("a"), chain.rows("a")) == (1, ["approved"], STORED)


@pytest.mark.parametrize("message", [LOCKED, "Transaction conflict: someone wrote", "SQLite: busy"])
@pytest.mark.parametrize("statement", ["COMMIT", "INSERT INTO lake.main.a", "INSERT INTO lake.main.increments"])
def test_a_locked_catalog_is_tried_again(chain, fail, message, statement):
    failing = put_failing(chain, fail, statement, 3, duckdb.TransactionException(message))
    assert (failing.failures, chain.rows("a", "main"), chain.states("a")) == (3, STORED, ["staged"])


def test_a_catalog_that_stays_locked_is_given_up_with_nothing_written(chain, fail):
    with pytest.raises(duckdb.TransactionException, match="database is locked"):
        put_failing(chain, fail, "COMMIT", 100, duckdb.TransactionException(LOCKED))
    assert chain.lakehouse._connection.failures == module.ATTEMPTS
    chain.reopened()
    assert (chain.rows("a", "main"), chain.states("a")) == ([], [])


def test_any_other_error_is_raised_at_once_with_nothing_written(chain, fail):
    with pytest.raises(duckdb.IOException, match="no space left"):
        put_failing(chain, fail, "COMMIT", 100, duckdb.IOException("no space left"))
    assert chain.lakehouse._connection.failures == 1
    chain.reopened()
    assert (chain.rows("a", "main"), chain.states("a")) == ([], [])


def test_an_error_inside_a_transaction_rolls_it_back(chain):
    def break_in_between():
        with chain.lakehouse.transaction() as connection:
            connection.execute("INSERT INTO lake.main.a VALUES ('i', 'k', 't')")
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        break_in_between()
    assert chain.rows("a", "main") == []

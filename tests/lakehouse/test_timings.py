"""What reading and writing takes is kept with each commit and verdict, in the same transaction."""

import duckdb
import pandas as pd
import pytest

ROWS = pd.DataFrame({"key": ["k0", "k1"], "text": ["one", "二"]})
KEPT_SQL = """
SELECT operation, sum(calls)::INT AS calls, sum(errors)::INT AS errors FROM lake.main.increment_timings WHERE place = 'lakehouse'
GROUP BY operation"""


def kept(lakehouse):
    return {row.operation: (row.calls, row.errors) for row in lakehouse.read(KEPT_SQL).itertuples()}


def counted(lakehouse):
    return {operation: timing.calls for (_, operation), timing in lakehouse.timings.read().items()}


def test_a_commit_is_kept_by_its_verdict_and_a_verdict_by_the_next_commit(chain):
    chain.put("a", ROWS)
    assert set(kept(chain.lakehouse)) == {"wait"}
    chain.decide("a")
    assert kept(chain.lakehouse)["commit"] == (1, 0)
    assert "verdict" not in kept(chain.lakehouse)
    chain.upper()
    assert kept(chain.lakehouse)["verdict"] == (1, 0)
    assert kept(chain.lakehouse)["read"][0] >= 1
    assert counted(chain.lakehouse)["commit"] == 1  # of the second commit, not yet kept


def test_counts_of_several_processes_add_up(chain):
    chain.put("a", ROWS)
    chain.decide("a")
    chain.reopened()
    chain.upper()
    chain.decide("b")
    assert kept(chain.lakehouse)["commit"] == (2, 0)


def test_a_commit_that_fails_keeps_nothing_and_is_kept_as_a_failure_by_the_next(chain, monkeypatch):
    chain.put("a", ROWS)
    before = kept(chain.lakehouse)
    with monkeypatch.context() as patched:
        patched.setattr("resources.increments.insert_increment", lambda *_: (_ for _ in ()).throw(duckdb.IOException("disk full")))
        with pytest.raises(duckdb.IOException, match="disk full"):
            chain.put("b", ROWS)
    assert kept(chain.lakehouse) == before
    chain.put("b", ROWS)
    assert kept(chain.lakehouse)["commit"] == (2, 1)


def test_attempts_after_a_locked_catalog_are_counted(chain, monkeypatch):
    monkeypatch.setattr("resources.lakehouse.time.sleep", lambda _: None)
    attempts = iter([duckdb.IOException("database is locked"), duckdb.IOException("database is locked"), None])

    def act():
        error = next(attempts)
        if error is not None:
            raise error
        return "done"

    assert chain.lakehouse.retry(act, "merge") == "done"
    timing = chain.lakehouse.timings.read()["lakehouse", "merge"]
    assert (timing.calls, timing.retries, timing.errors) == (1, 2, 0)


def test_an_older_lakehouse_gets_the_table(chain):
    chain.put("a", ROWS)
    with chain.lakehouse.session() as connection:
        connection.execute("DROP TABLE lake.main.increment_timings")
    chain.reopened()
    chain.decide("a")
    assert chain.states("a") == ["approved"]
    assert "wait" in kept(chain.lakehouse)

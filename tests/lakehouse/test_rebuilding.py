"""Rebuilding replaces what was published in the moment of its approval; how assets follow an upstream that changes."""

import pandas as pd
import pytest

from resources.increments import increment
from resources.lakehouse import ConcurrentIncrementError

OLD = pd.DataFrame({"key": ["k0", "k1"], "text": ["old one", "旧的"]})
NEW = pd.DataFrame({"key": ["k2"], "text": ["new one"]})


@pytest.fixture
def built(chain):
    """A chain with two increments of a, consumed by b, consumed by c."""
    for rows in (OLD, NEW):
        chain.put("a", rows)
        chain.decide("a")
        chain.upper()
        chain.decide("b")
        chain.reverse()
        chain.decide("c")
    return chain


def rebuild_b(chain, suffix: str):
    return chain.follow("b", "a", lambda batch: batch.assign(text=batch["text"].str.upper() + suffix), full_refresh=True)


def test_a_rebuild_replaces_all_rows_in_the_moment_of_its_approval(built):
    before = built.rows("b")
    step = rebuild_b(built, "!")
    assert (step.is_rebuild, step.counts.rows_in, built.rows("b")) == (True, 3, before)
    built.decide("b")
    assert built.rows("b") == [("k0", "OLD ONE!"), ("k1", "旧的!"), ("k2", "NEW ONE!")]
    assert built.states("b") == ["superseded", "superseded", "approved"]
    assert built.rows("b", "history") == sorted([*before, *built.rows("b")])


def test_a_rejected_rebuild_leaves_the_old_rows_published(built):
    before = built.rows("b")
    rebuild_b(built, "!")
    built.decide("b", approved=False)
    assert (built.rows("b"), built.states("b")) == (before, ["approved", "approved", "rejected"])
    assert not built.upper().is_committed
    assert built.rows("b", "main") == before


def test_downstream_is_rebuilt_when_what_it_consumed_was_superseded(built):
    rebuild_b(built, "!")
    built.decide("b")
    step = built.reverse()
    built.decide("c")
    assert (step.is_rebuild, step.counts.rows_in) == (True, 3)
    assert built.rows("c") == [("k0", "!ENO DLO"), ("k1", "!的旧"), ("k2", "!ENO WEN")]
    assert built.states("c") == ["superseded", "superseded", "approved"]
    assert not built.reverse().is_committed


def test_a_snapshot_is_made_anew_from_everything_whenever_anything_is_new(chain):
    def snapshot():
        step = chain.follow("b", "a", lambda batch: batch, following="snapshot")
        chain.decide("b")
        return step.is_committed, step.is_rebuild, step.counts.rows_in

    chain.put("a", OLD)
    chain.decide("a")
    assert [snapshot(), snapshot()] == [(True, True, 2), (False, False, 0)]
    chain.put("a", NEW)
    chain.decide("a")
    assert snapshot() == (True, True, 3)
    assert (len(chain.rows("b")), chain.states("b")) == (3, ["superseded", "approved"])


def test_a_journal_keeps_its_older_results_when_its_upstream_is_rebuilt(built):
    def record():
        with increment(built.lakehouse, "c", run_id=built.new_run(), code_version="1", upstream=["b"], following="journal") as step:
            rows = sum(len(batch) for batch in step.batches("b"))
            if step.has_new_input:
                step.write("c", pd.DataFrame({"key": [f"result {len(built.states('c'))}"], "text": [f"{rows} rows"]}))
                step.count(rows_in=1, rows_out=1)
        built.decide("c")
        return step.is_committed, step.is_rebuild

    assert record() == (False, False)
    rebuild_b(built, "!")
    built.decide("b")
    before = built.rows("c")
    assert [record(), record()] == [(True, False), (False, False)]
    assert built.rows("c") == [*before, ("result 2", "3 rows")]


def test_a_rebuild_replaces_its_own_partition_only(chain):
    for partition, key in (("p1", "k1"), ("p2", "k2")):
        chain.put("a", pd.DataFrame({"key": [key], "text": ["文"]}), partition=partition)
        chain.decide("a")
        chain.follow("b", "a", lambda batch: batch, partition=partition, upstream_partition=partition)
        chain.decide("b")
    step = chain.follow("b", "a", lambda batch: batch.assign(text="new"), partition="p1", upstream_partition="p1", full_refresh=True)
    chain.decide("b")
    assert (step.counts.rows_in, chain.rows("b")) == (1, [("k1", "new"), ("k2", "文")])


def test_a_rebuild_may_repeat_the_keys_that_it_replaces_but_not_those_of_other_partitions(chain):
    for partition, key in (("p1", "k1"), ("p2", "k2")):
        chain.put("a", pd.DataFrame({"key": [key], "text": ["文"]}), partition=partition)
        chain.decide("a")
        chain.follow("b", "a", lambda batch: batch, partition=partition, upstream_partition=partition)
        chain.decide("b")

    def doubled(key: str) -> float:
        chain.follow("b", "a", lambda batch: batch.assign(key=key), partition="p1", upstream_partition="p1", full_refresh=True)
        (staged,) = chain.lakehouse.staged("b")
        return chain.lakehouse.table_facts("b", staged)["duplicate_keys"]

    assert [doubled("k1"), doubled("k2")] == [0, 1]


@pytest.mark.parametrize(("following", "is_refused"), [("incremental", True), ("snapshot", True), ("journal", False)])
def test_an_upstream_that_was_superseded_while_it_was_read_refuses_the_commit(built, following, is_refused):
    def materialize():
        with increment(
            built.lakehouse, "c", run_id="reader", code_version="1", upstream=["b"], following=following, full_refresh=True
        ) as step:
            rebuild_b(built, "!")
            built.decide("b")
            step.write("c", pd.DataFrame({"key": ["k9"], "text": ["读"]}))
            step.count(rows_in=1, rows_out=1)

    if not is_refused:
        materialize()
        assert built.states("c")[-1] == "staged"
        return
    before = built.states("c")
    with pytest.raises(ConcurrentIncrementError, match="Expected b to stay as c read it, found that another run published it anew"):
        materialize()
    assert built.states("c") == before


@pytest.mark.parametrize(("following", "is_refused"), [("incremental", False), ("snapshot", True)])
def test_what_was_added_upstream_meanwhile_is_left_to_the_next_increment_unless_the_table_is_a_snapshot(chain, following, is_refused):
    def materialize():
        with increment(chain.lakehouse, "b", run_id="reader", code_version="1", upstream=["a"], following=following) as step:
            chain.put("a", NEW)
            chain.decide("a")
            for batch in step.batches("a"):
                step.write("b", batch)
                step.count(rows_in=len(batch), rows_out=len(batch))

    chain.put("a", OLD)
    chain.decide("a")
    if is_refused:
        with pytest.raises(ConcurrentIncrementError, match="Expected a to stay as b read it"):
            materialize()
        assert chain.states("b") == []
    else:
        materialize()
        chain.decide("b")
        chain.follow("b", "a", lambda batch: batch)
        chain.decide("b")
        assert chain.rows("b") == chain.rows("a")

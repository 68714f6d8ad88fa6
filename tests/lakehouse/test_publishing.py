"""Nothing unaudited flows downstream, and the rows of an increment stand or fall together."""

import pandas as pd
import pytest

from assets.quality.suites import expect_rows
from resources.lakehouse import ConcurrentIncrementError, LakehouseError

ROWS = pd.DataFrame({"key": ["k0", "k1"], "text": ["good news", "好消息"]})
PUBLISHED = [("k0", "good news"), ("k1", "好消息")]
UPPER = [("k0", "GOOD NEWS"), ("k1", "好消息")]


def promise(pattern: str):
    return expect_rows("no_such_word", "No text holds it.", "column_values_to_not_match_regex", column="text", regex=pattern)


def test_staged_rows_are_seen_by_nobody_until_their_audit(chain):
    chain.put("a", ROWS)
    assert (chain.rows("a", "main"), chain.rows("a"), chain.rows("a", "history")) == (PUBLISHED, [], [])
    chain.reopened()
    assert (chain.rows("a"), chain.upper().is_committed) == ([], False)
    assert chain.audit("a") == [True]
    assert (chain.rows("a"), chain.rows("a", "history")) == (PUBLISHED, PUBLISHED)


@pytest.mark.parametrize("word", ["news", "消息"])
def test_rejected_rows_stay_invisible_across_processes_and_materializations_until_the_rule_is_fixed(chain, word):
    for _ in range(3):
        chain.put("a", ROWS)
        assert chain.audit("a", promise(word)) == [False]
        chain.reopened()
        assert (chain.rows("a"), chain.rows("a", "history"), chain.upper().is_committed) == ([], [], False)
    chain.put("a", ROWS)
    assert chain.audit("a", promise("absent")) == [True]
    assert chain.rows("a", "main") == chain.rows("a") == PUBLISHED
    assert chain.states("a") == ["rejected"] * 3 + ["approved"]


def test_downstream_reads_what_is_approved_and_nothing_else(chain):
    chain.put("a", ROWS)
    chain.audit("a")
    chain.put("a", pd.DataFrame({"key": ["k2"], "text": ["bad"]}))
    chain.audit("a", promise("bad"))
    step = chain.upper()
    assert (step.counts.rows_in, chain.audit("b")) == (2, [True])
    assert chain.rows("b") == UPPER
    chain.put("a", pd.DataFrame({"key": ["k2"], "text": ["staged"]}))
    assert not chain.upper().is_committed
    chain.audit("a")
    chain.upper()
    chain.audit("b")
    assert chain.rows("b") == [*UPPER, ("k2", "STAGED")]


def test_an_increment_is_consumed_once(chain):
    chain.put("a", ROWS)
    chain.audit("a")
    assert chain.upper().is_committed
    chain.audit("b")
    assert [chain.upper().is_committed, chain.upper().is_committed] == [False, False]
    assert (chain.rows("b", "main"), chain.states("b")) == (UPPER, ["approved"])


def test_work_on_a_rejected_downstream_increment_is_done_again(chain):
    chain.put("a", ROWS)
    chain.audit("a")
    chain.upper()
    assert chain.audit("b", promise("NEWS")) == [False]
    chain.upper()
    assert chain.audit("b") == [True]
    assert chain.rows("b", "main") == chain.rows("b") == UPPER


def test_a_failing_step_leaves_nothing_behind(chain):
    def fail(batch):
        raise RuntimeError("the step broke")

    chain.put("a", ROWS)
    chain.audit("a")
    with pytest.raises(RuntimeError, match="the step broke"):
        chain.follow("b", "a", fail)
    assert (chain.rows("b", "main"), chain.states("b")) == ([], [])


def test_a_verdict_on_a_replaced_increment_is_refused(chain):
    chain.put("a", ROWS)
    (old,) = chain.lakehouse.staged("a")
    chain.put("a", ROWS)
    with pytest.raises(ConcurrentIncrementError, match=r"Expected increment .* of a to wait for its verdict.*Materialize the asset again"):
        chain.lakehouse.decide(old, approved=True)
    assert chain.rows("a") == []


def test_only_the_producer_writes_its_table_and_with_its_columns(chain):
    with pytest.raises(LakehouseError, match=r"Expected b to write a table of its own.*a belongs to a"):
        chain.follow("b", "a", lambda batch: batch).write("a", ROWS)
    with pytest.raises(LakehouseError, match=r"\['key', 'text'\], found \['key'\]"):
        chain.put("a", ROWS[["key"]])
    assert chain.states("a") == []


def test_a_run_writes_and_audits_its_own_increment_only(chain):
    chain.put("a", ROWS, run_id="one", partition="p1")
    chain.put("a", ROWS.assign(key=["k8", "k9"]), run_id="two", partition="p2")
    assert [found.partition for found in chain.lakehouse.staged("a", "two")] == ["p2"]
    assert [found.partition for found in chain.lakehouse.staged("a")] == ["p1", "p2"]

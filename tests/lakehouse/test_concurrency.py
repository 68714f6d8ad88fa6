"""Several processes and threads on one lakehouse: one wins, the others are told, and nothing is lost."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from assets.schemas import Column, Table
from resources.increments import increment
from resources.lake_connection import claim_spill_folder, release_spill_folder
from resources.lakehouse import ConcurrentIncrementError, Lakehouse, LakehouseError

ROWS = pd.DataFrame({"key": ["k0", "k1"], "text": ["one", "二"]})
UPPER = [("k0", "ONE"), ("k1", "二")]
COLUMNS = (Column("key", "VARCHAR", "Key."), Column("text", "VARCHAR", "Text."))


def give(chain, sign: str) -> None:
    (chain.folder.parent / sign).touch()


def wait_for(chain, sign: str, count: int) -> None:
    while len(list(chain.folder.parent.glob(f"{sign}-awaited-by-*"))) < count:
        time.sleep(0.005)


def test_of_two_processes_on_one_asset_exactly_one_wins_and_a_retry_finds_nothing_to_do(chain, workers):
    chain.put("a", ROWS)
    chain.decide("a")
    racers = [workers.start("race"), workers.start("race")]
    wait_for(chain, "write", 2)
    give(chain, "write")
    wait_for(chain, "end", 1)
    with pytest.raises(ConcurrentIncrementError, match=r"Expected to be alone in materializing b, found run race\d+ about to audit"):
        chain.upper()
    give(chain, "end")
    assert [workers.end(pid) for pid in racers] == [0, 0]
    won, lost = sorted((workers.result(pid)["outcome"] for pid in racers), key=len)
    assert (won, lost) == (
        "wrote",
        "Expected b to be unchanged since this run began, found that another run wrote it. Nothing was written; materialize it again.",
    )
    chain.decide("b")
    assert (chain.upper().is_committed, chain.states("b")) == (False, ["approved"])
    assert chain.rows("b", "main") == [("k0", "one"), ("k1", "二")]


def test_what_a_live_run_staged_is_left_to_it_and_recovered_once_it_is_dead(chain, workers):
    chain.put("a", ROWS)
    chain.decide("a")
    holder = workers.start("stage")
    wait_for(chain, "end", 1)
    with pytest.raises(ConcurrentIncrementError, match="found run stager about to audit"):
        chain.upper()
    assert (chain.audit("b"), chain.states("b")) == ([], ["staged"])
    os.kill(holder, signal.SIGKILL)
    assert workers.end(holder) == -signal.SIGKILL
    assert not chain.lakehouse.run_marks.is_alive_elsewhere("stager")
    chain.upper()
    chain.decide("b")
    assert (chain.rows("b", "main"), chain.states("b")) == (UPPER, ["rejected", "approved"])


def test_what_a_dead_run_staged_can_be_audited_by_another(chain, workers):
    chain.put("a", ROWS)
    chain.decide("a")
    give(chain, "end")
    assert workers.run("stage") == (0, {})
    assert (chain.audit("b"), chain.rows("b")) == ([True], UPPER)


def test_no_commit_of_eight_threads_is_lost(chain_of):
    tables = [Table(f"t{number}", f"t{number}", "One row per text.", COLUMNS, ("key",)) for number in range(8)]
    chain = chain_of(*tables)

    def commit_ten(asset: str) -> None:
        for number in range(10):
            chain.put(asset, pd.DataFrame({"key": [f"{number}"], "text": [f"{asset} 文本"]}), run_id=f"{asset} {number}")
            chain.decide(asset)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(commit_ten, [table.name for table in tables]))
    expected = {table.name: [(f"{number}", f"{table.name} 文本") for number in range(10)] for table in tables}
    assert {table.name: chain.rows(table.name) for table in tables} == expected
    assert {table.name: chain.states(table.name) for table in tables} == {table.name: ["approved"] * 10 for table in tables}


def test_no_commit_of_three_processes_is_lost(chain, workers):
    started = [workers.start("many", asset=asset, commits=5) for asset in ("a", "b", "c")]
    assert [workers.end(pid) for pid in started] == [0, 0, 0]
    expected = [(f"{number:03d}", f"文本 {number}") for number in range(5)]
    assert {table: chain.rows(table) for table in ("a", "b", "c")} == {"a": expected, "b": expected, "c": expected}


def test_processes_that_spill_at_once_read_back_their_own_rows(chain, workers):
    chain.lakehouse.snapshot_id()
    started = [workers.start("spill", seed=seed) for seed in (1, 2)]
    assert [workers.end(pid) for pid in started] == [0, 0]
    assert [workers.result(pid) for pid in started] == [{"rows": 1_500_000, "good_batches": 6, "checked": 1_500_000}] * 2


def test_spill_folders_of_dead_processes_are_removed_and_those_in_use_are_not(tmp_path):
    in_use = claim_spill_folder(tmp_path)
    left = tmp_path / "spill-left"
    left.mkdir()
    (left / "rows").write_text("left by a killed process")
    other = claim_spill_folder(tmp_path)
    assert (in_use.exists(), left.exists(), other.exists()) == (True, False, True)
    release_spill_folder(in_use)
    release_spill_folder(other)
    assert list(tmp_path.iterdir()) == []


def test_one_thread_reads_while_another_writes_with_tables_of_their_own(chain):
    chain.put("a", pd.DataFrame({"key": [f"{n:02d}" for n in range(10)], "text": ["x"] * 10}))
    chain.decide("a")
    outer = [
        (batch["key"].tolist(), [inner["key"].tolist() for inner in chain.lakehouse.read_batches("SELECT key FROM a ORDER BY 1 DESC", 5)])
        for batch in chain.lakehouse.read_batches("SELECT key FROM a ORDER BY 1", 5)
    ]
    down = [["09", "08", "07", "06", "05"], ["04", "03", "02", "01", "00"]]
    assert outer == [(["00", "01", "02", "03", "04"], down), (["05", "06", "07", "08", "09"], down)]


def test_two_partitions_of_one_asset_can_be_written_at_once(chain):
    lake = chain.lakehouse
    with (
        increment(lake, "a", run_id="r1", code_version="1", partition="p1") as first,
        increment(lake, "a", run_id="r1", code_version="1", partition="p2") as second,
    ):
        first.write("a", ROWS)
        second.write("a", ROWS.assign(key=["k8", "k9"]))
        first.count(rows_in=2, rows_out=2)
        second.count(rows_in=2, rows_out=2)
    chain.decide("a")
    assert chain.rows("a") == [("k0", "one"), ("k1", "二"), ("k8", "one"), ("k9", "二")]


def test_a_lock_that_is_held_too_long_is_named(chain, monkeypatch):
    monkeypatch.setattr("resources.lakehouse.LOCK_TIMEOUT_SECONDS", 0.05)
    other = Lakehouse(chain.lakehouse.place, chain.tables)
    with (
        chain.lakehouse.session(),
        pytest.raises(LakehouseError, match=r"Expected the lock of .* within 0 s, found it held.*Wait for that process or end it"),
        other.session(),
    ):
        pass

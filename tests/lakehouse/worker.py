"""Processes that the tests start, race and kill: reads one JSON command a line, forks a child for each.

Forking from a process that has imported everything and opened nothing makes a child cost milliseconds. Commands name a function
below; `wait` waits for a child and tells how it ended.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pandas as pd
from conftest import Chain

from resources.increments import increment
from resources.lakehouse import ConcurrentIncrementError, Lakehouse

BATCH = 7
WORDS = ("good", "bad", "fine", "好", "坏", "还行")


def source_rows(batch: int) -> pd.DataFrame:
    """The rows that the source holds in one of its batches."""
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    return pd.DataFrame({"key": [f"{number:05d}" for number in numbers], "text": [f"{WORDS[n % 6]} {n}" for n in numbers]})


class Deadly:
    """A connection that ends the process at its n-th statement: before, after or while it runs."""

    def __init__(self, connection, moment: str, number: int, counter: list[int]):
        self._connection, self._moment, self._number, self._counter = connection, moment, number, counter

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, *arguments):
        self._counter[0] += 1
        is_last = self._counter[0] == self._number
        if is_last and self._moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if is_last and self._moment == "during":
            threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGKILL)).start()
        result = self._connection.execute(*arguments)
        if is_last and self._moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def work(chain: Chain, moment: str = "never", number: int = 0, batches: int = 1) -> dict:
    """Bring batches of the source through a, b and c, each step audited; perhaps die on the way."""
    counter = [0]
    chain.lakehouse.snapshot_id()  # opens it: the set-up is not part of what is killed
    chain.lakehouse._connection = Deadly(chain.lakehouse._connection, moment, number, counter)
    for _ in range(batches):
        collect(chain)
        decide(chain, "a")
        chain.follow("b", "a", lambda batch: batch.assign(text=batch["text"].str.upper()), run_id=f"b{os.getpid()}")
        decide(chain, "b")
        refine(chain)
        decide(chain, "c")
    return {"statements": counter[0]}


def collect(chain: Chain) -> None:
    done = int(chain.lakehouse.read("SELECT count(*) AS n FROM a")["n"].item())
    chain.put("a", source_rows(done // BATCH), run_id=f"a{os.getpid()}")


def refine(chain: Chain) -> None:
    """Refuses one row in seven, skips another, reverses the others."""
    with increment(chain.lakehouse, "c", run_id=f"c{os.getpid()}", code_version="1", upstream=["b"]) as step:
        for batch in step.batches("b", 3):
            digit = batch["key"].astype(int) % 7
            kept = batch[digit > 1]
            step.write("c", kept.assign(text=kept["text"].str[::-1]))
            refused = pd.Series(["seventh"] * int((digit == 0).sum()), dtype="object")
            step.count(rows_in=len(batch), rows_out=len(kept), rows_skipped=int((digit == 1).sum()), reasons=refused)


def decide(chain: Chain, asset: str) -> None:
    for waiting in chain.lakehouse.staged(asset):
        facts = chain.lakehouse.facts(waiting) | chain.lakehouse.table_facts(asset, waiting)
        chain.lakehouse.decide(waiting, approved=facts["rows_unaccounted"] == facts["duplicate_keys"] == 0)


def race(chain: Chain) -> dict:
    """Materialize b at the very moment at which others do, and stay alive until they are done."""
    try:
        with increment(chain.lakehouse, "b", run_id=f"race{os.getpid()}", code_version="1", upstream=["a"]) as step:
            for batch in step.batches("a"):
                step.write("b", batch)
                step.count(rows_in=len(batch), rows_out=len(batch))
            meet(chain, "write")
    except ConcurrentIncrementError as error:
        return {"outcome": str(error)}
    meet(chain, "end")
    return {"outcome": "wrote"}


def stage(chain: Chain) -> dict:
    """Stage an increment of b, then stay alive until killed."""
    chain.upper(run_id="stager")
    meet(chain, "end")
    return {}


def many(chain: Chain, asset: str, commits: int) -> dict:
    """Commit and approve increment after increment of one asset."""
    for number in range(commits):
        chain.put(asset, pd.DataFrame({"key": [f"{number:03d}"], "text": [f"文本 {number}"]}), run_id=f"{asset}{number}")
        chain.decide(asset)
    return {}


def spill(chain: Chain, seed: int) -> dict:
    """Read back more rows than fit into memory, while others do the same."""
    lakehouse = Lakehouse(chain.lakehouse.place, chain.tables, memory_limit="120MB")
    sql = f"SELECT i, hash(i + {seed})::VARCHAR || repeat('x', 40) AS word FROM range(1500000) r(i)"
    seen = good = 0
    for batch in lakehouse.read_batches(sql, 250_000):
        good += int(batch["i"].to_numpy().tolist() == list(range(seen, seen + len(batch))))
        seen += len(batch)
    checked = lakehouse.read(f"SELECT count(*) AS n FROM ({sql})")["n"].item()
    lakehouse.close()
    return {"rows": seen, "good_batches": good, "checked": int(checked)}


def meet(chain: Chain, sign: str) -> None:
    """Say that the sign is waited for, and wait for it."""
    (chain.folder.parent / f"{sign}-awaited-by-{os.getpid()}").touch()
    while not (chain.folder.parent / sign).exists():
        time.sleep(0.005)


def answer(**content: object) -> None:
    os.write(1, (json.dumps(content, ensure_ascii=False) + "\n").encode())


def serve(folder: Path) -> None:
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        if name == "wait":
            status = os.waitpid(command["pid"], 0)[1]
            answer(pid=command["pid"], ended=os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            try:
                answer(pid=os.getpid(), result=globals()[name](Chain(folder), **command))
            except BaseException as error:
                answer(pid=os.getpid(), result={"error": repr(error)})
            os._exit(0)
        answer(pid=pid, started=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

"""Nothing is lost and nothing is doubled when a process is killed at any moment and started again."""

import random
import signal
from collections import Counter

from resources.lakehouse import Lakehouse

KILLS = {"embedded": 12, "server": 6}  # one takes two seconds on servers
LEAST_ORPHANS = {"embedded": 1, "server": 0}  # so few kills need not hit a moment that leaves one: see test_server_place.py
TABLES = ("a", "b", "c")


def expected_rows(source: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """What the chain makes of the source's rows, said in plain Python."""
    upper = [(key, text.upper()) for key, text in source]
    return {"a": source, "b": upper, "c": [(key, text[::-1]) for key, text in upper if int(key) % 7 > 1]}


def test_killed_and_restarted_processes_leave_the_tables_of_an_uninterrupted_run(
    chain, chain_of, workers, workers_at, record_property, kind
):
    ended, report = workers.run("work")
    assert ended == 0
    statements = report["statements"]
    chooser = random.Random(20250714)
    # Every statement of a pass has its turn to be the last in one of the three ways, spread evenly and then shuffled.
    points = [
        (moment, 1 + (index * statements) // (KILLS[kind] // 3))
        for index in range(KILLS[kind] // 3)
        for moment in ("before", "during", "after")
    ]
    chooser.shuffle(points)
    kills = Counter()
    for moment, number in points:
        ended, report = workers.run("work", moment=moment, number=number + chooser.randrange(3))
        assert ended in (0, -signal.SIGKILL), report
        assert "error" not in report
        kills[moment] += ended == -signal.SIGKILL
    record_property("kills", dict(kills))
    print(f"{kills.total()} kills among {statements} statements a pass: {dict(kills)}")
    assert kills.total() == KILLS[kind]
    assert workers.run("work")[0] == 0
    lakehouse = chain.lakehouse
    check_tables(chain)
    check_ledger(lakehouse)
    check_orphans(chain, lakehouse, least=LEAST_ORPHANS[kind])
    uninterrupted = chain_of(folder="uninterrupted")
    with workers_at(uninterrupted.folder) as others:
        assert others.run("work", batches=len(chain.rows("a")) // 7)[0] == 0
    assert tables_of(chain) == tables_of(uninterrupted)


def tables_of(chain) -> dict[str, list[tuple]]:
    return {table: chain.rows(table) for table in TABLES}


def check_tables(chain) -> None:
    published = tables_of(chain)
    assert len(published["a"]) >= 14
    assert [key for key, _ in published["a"]] == [f"{number:05d}" for number in range(len(published["a"]))]
    assert published == expected_rows(published["a"])


def check_ledger(lakehouse: Lakehouse) -> None:
    for table in TABLES:
        increments = lakehouse.increments(table)
        assert {found.state for found in increments} <= {"approved", "rejected"}
        assert {found.counts.rows_unaccounted for found in increments} == {0}
        approved = {found.increment_id: found.counts.rows_out for found in increments if found.state == "approved"}
        stored = lakehouse.read(f"SELECT increment_id, count(*)::BIGINT AS n FROM lake.main.{table} GROUP BY 1").set_index("increment_id")[
            "n"
        ]
        assert stored.to_dict() == approved
    doubled = lakehouse.read(
        """SELECT input_increment_id FROM lake.main.increment_inputs
           JOIN lake.main.increments USING (increment_id) WHERE state = 'approved' GROUP BY asset, 1 HAVING count(*) > 1"""
    )
    assert doubled.empty


def check_orphans(chain, lakehouse: Lakehouse, least: int) -> None:
    before = tables_of(chain)
    removed = lakehouse.remove_orphans()
    print(f"{removed} orphaned files removed")
    assert removed >= least
    assert tables_of(chain) == before
    assert lakehouse.remove_orphans() == 0
    assert tables_of(chain) == before

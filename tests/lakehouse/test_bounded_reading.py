"""Reading stays bounded: frames have at most the asked-for rows, and one increment of a large table does not scan the rest."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from assets.schemas import Column, Table
from resources.increments import increment
from resources.lake_tables import published_rows_sql

COLUMNS = (Column("key", "BIGINT", "Key."), Column("text", "VARCHAR", "Text."))
PLAIN = Table("plain", "plain", "One row per number.", COLUMNS, ("key",))
LATEST = replace(PLAIN, name="latest", producer="latest", latest_by_key=True)
COPY = replace(PLAIN, name="copy", producer="copy")
BIG = 300_000


@pytest.fixture
def tables(chain_of):
    return chain_of(PLAIN, LATEST, COPY)


def numbers(first: int, count: int) -> pd.DataFrame:
    return pd.DataFrame({"key": range(first, first + count), "text": "文本 text"})


def test_three_hundred_thousand_rows_pass_in_bounded_frames_and_none_is_lost(tables):
    tables.put("plain", numbers(0, BIG))
    (staged,) = tables.lakehouse.staged("plain")
    audited = [len(chunk) for chunk in tables.lakehouse.staged_rows("plain", staged.increment_id, ["text"], 70_000)]
    assert audited == [70_000] * 4 + [20_000]
    tables.decide("plain")
    lengths, keys = [], []
    with increment(tables.lakehouse, "copy", run_id="r", code_version="1", upstream=["plain"]) as step:
        for batch in step.batches("plain", 32_000):
            lengths.append(len(batch))
            keys += batch["key"].tolist()
            step.write("copy", batch)
            step.count(rows_in=len(batch), rows_out=len(batch))
    assert (lengths, keys) == ([32_000] * 9 + [12_000], list(range(BIG)))
    copied = tables.lakehouse.read("SELECT count(*) AS n, sum(key)::BIGINT AS s FROM lake.main.copy")
    assert copied.to_dict("records") == [{"n": BIG, "s": BIG * (BIG - 1) // 2}]


def test_spooled_rows_are_gone_when_the_step_ends(tables):
    tables.put("plain", numbers(0, 10))
    tables.decide("plain")
    with increment(tables.lakehouse, "copy", run_id="r", code_version="1", upstream=["plain"]) as step:
        for batch in step.batches("plain", 4):
            step.write("copy", batch)
        assert len(next(tables.lakehouse.read_batches("SELECT * FROM plain", 2))) == 2  # abandoned in the middle
        step.count(rows_in=10, rows_out=10)
    with tables.lakehouse.session() as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'temp'").fetchall() == []


def files_read(tables, table: Table, ids: list[str]) -> list[int]:
    """Files of the table that a read of some increments opens, per scan."""
    with tables.lakehouse.session() as connection:
        plan = connection.execute(f"EXPLAIN ANALYZE {published_rows_sql(table)}", {"ids": ids}).fetchall()[0][1]
    return sorted(int(found) for found in re.findall(r"Total Files Read: (\d+)", plan))


@pytest.mark.parametrize("table", [PLAIN, LATEST], ids=["plain", "latest by key"])
def test_reading_the_newest_increment_opens_its_file_only(tables, table):
    ids = []
    for number in range(8):
        ids.append(tables.put(table.name, numbers(number * 10, 10)).increment_id)
        tables.decide(table.name)
    assert max(files_read(tables, table, ids)) == 8
    assert max(files_read(tables, table, ids[-1:])) == 1

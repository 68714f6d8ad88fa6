"""Keys are unique, required values are present, and values lie in their column's declared set or range."""

import pandas as pd
import pytest
import uuid6

from assets.schemas import Column, Table
from resources.lake_tables import TABLE_FACTS, published_rows_sql

COLUMNS = (
    Column("key", "VARCHAR", "Key."),
    Column("text", "VARCHAR", "Text."),
    Column("kind", "VARCHAR", "A kind.", nullable=True, allowed=("it's", "人", "b")),
    Column("share", "DOUBLE", "A share.", nullable=True, minimum=0, maximum=1),
)
PLAIN = Table("plain", "plain", "One row per text.", COLUMNS, ("key",))
LATEST = Table("latest", "latest", "One row per text; the newest counts.", COLUMNS, ("key",), latest_by_key=True)


def frame(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["key", "text", "kind", "share"]).astype({"share": "float64"})


@pytest.fixture
def tables(chain_of):
    return chain_of(PLAIN, LATEST)


def facts(chain, asset: str, rows: pd.DataFrame) -> dict[str, float]:
    chain.put(asset, rows)
    (staged,) = chain.lakehouse.staged(asset)
    return chain.lakehouse.table_facts(asset, staged)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("k", "one", "b", 0.5), ("l", "二", "人", 1.0), ("m", "3", "it's", 0.0), ("n", "", None, None)], (4, 0, 0, 0)),
        ([("k", None, "b", 0.5), ("l", None, None, 0.5)], (2, 2, 0, 0)),
        ([("k", "one", "c", 0.5), ("l", "二", "女", 0.5)], (2, 0, 2, 0)),
        ([("k", "one", "b", -0.01), ("l", "二", "b", 1.01)], (2, 0, 2, 0)),
        ([("k", "one", "b", float("inf")), ("l", "二", "b", float("nan"))], (2, 0, 1, 0)),
        ([("k", "one", "b", 0.5), ("k", "二", "b", 0.5), ("l", "3", "b", 0.5)], (3, 0, 0, 1)),
    ],
)
def test_facts_count_what_breaks_the_declaration(tables, rows, expected):
    assert facts(tables, "plain", frame(*rows)) == dict(zip(TABLE_FACTS, map(float, expected), strict=True))


def test_a_key_that_is_published_already_is_a_duplicate_unless_the_newest_counts(tables):
    doubled = {}
    for asset in ("plain", "latest"):
        tables.put(asset, frame(("k", "old", "b", 0.5)))
        tables.decide(asset)
        doubled[asset] = facts(tables, asset, frame(("k", "new", "b", 0.5), ("l", "新", "b", 0.5)))["duplicate_keys"]
    assert doubled == {"plain": 1, "latest": 0}


def test_the_same_key_in_two_partitions_of_one_run_is_refused_the_second_time(tables):
    tables.put("plain", frame(("k", "one", "b", 0.5)), run_id="r", partition="p1")
    tables.put("plain", frame(("k", "二", "b", 0.5)), run_id="r", partition="p2")
    assert tables.audit("plain", run_id="r") == [True, False]
    assert tables.rows("plain") == [("k", "one")]


def test_the_newest_row_per_key_is_published_and_the_older_stay_history(tables):
    for text in ("old", "new"):
        tables.put("latest", frame(("k", text, "b", 0.5), (f"only {text}", "文", "b", 0.5)))
        tables.decide("latest")
    assert tables.rows("latest") == [("k", "new"), ("only new", "文"), ("only old", "文")]
    assert tables.rows("latest", "history") == [("k", "new"), ("k", "old"), ("only new", "文"), ("only old", "文")]


def test_a_rejected_newer_row_hides_nothing(tables):
    tables.put("latest", frame(("k", "old", "b", 0.5)))
    tables.decide("latest")
    tables.put("latest", frame(("k", "new", "b", 0.5)))
    tables.decide("latest", approved=False)
    assert tables.rows("latest") == [("k", "old")]


def test_rows_written_later_are_newer_even_if_the_clock_was_set_back(tables, monkeypatch):
    early = uuid6.uuid7()
    tables.put("latest", frame(("k", "old", "b", 0.5)))
    tables.decide("latest")
    monkeypatch.setattr("resources.plans.uuid6.uuid7", lambda: early)
    tables.put("latest", frame(("k", "新", "b", 0.5)))
    tables.decide("latest")
    assert tables.rows("latest") == [("k", "新")]


def test_a_reader_of_new_rows_gets_the_newest_per_key_only(tables):
    ids = []
    for text in ("first", "second", "第三"):
        step = tables.put("latest", frame(("k", text, "b", 0.5), (text, text, "b", 0.5)))
        tables.decide("latest")
        ids.append(step.increment_id)

    def read(*chosen: str) -> list[tuple]:
        found = tables.lakehouse.read(f"SELECT key, text FROM ({published_rows_sql(LATEST)}) ORDER BY 1", {"ids": list(chosen)})
        return list(found.itertuples(index=False, name=None))

    assert read(*ids) == [("first", "first"), ("k", "第三"), ("second", "second"), ("第三", "第三")]
    assert read(ids[1]) == [("second", "second")]
    assert read(ids[0], ids[2]) == [("first", "first"), ("k", "第三"), ("第三", "第三")]
    assert read() == []


def test_numbers_that_are_no_numbers_are_stored_as_missing(tables):
    tables.put("plain", frame(("k", "one", "b", float("nan"))))
    assert tables.lakehouse.read("SELECT share IS NULL AS m FROM lake.main.plain")["m"].tolist() == [True]

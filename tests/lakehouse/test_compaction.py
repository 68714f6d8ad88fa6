"""Compaction makes files fewer and snapshots shorter, and every row that ever was approved stays."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from resources import compaction
from resources.compaction import compact, remove_timings
from resources.lake_copy import TableState
from resources.lakehouse import LakehouseError

TEXTS = ["first", "第二", "third", "第四", "fifth"]


@pytest.fixture
def kind():
    """These are about files of a folder; on servers: `test_server_place.py`."""
    return "embedded"


@pytest.fixture
def filled(chain):
    """Five increments in a, rebuilt once in b: superseded rows and current ones."""
    for number, text in enumerate(TEXTS):
        chain.put("a", pd.DataFrame({"key": [str(number)], "text": [text]}))
        chain.decide("a")
        chain.upper(full_refresh=number == len(TEXTS) - 1)
        chain.decide("b")
    return chain


def data_files(chain):
    return sorted(path.name for path in (chain.folder / "data").rglob("*.parquet"))


def snapshots(chain):
    with chain.lakehouse.session() as connection:
        return connection.execute("SELECT count(*) FROM lake.snapshots()").fetchall()[0][0]


def test_files_become_few_and_published_and_superseded_rows_stay(filled):
    def rows():
        return [filled.rows(table, schema) for table in "ab" for schema in ("published", "history")]

    before = rows()
    assert len(data_files(filled)) == 10
    done = compact(filled.lakehouse, datetime.now(UTC))
    assert (done.files_before, done.files_after, len(data_files(filled))) == (10, 2, 2)
    assert done.bytes_after < done.bytes_before
    assert done.files_deleted == 10
    assert (filled.states("b"), rows()) == (["superseded"] * 4 + ["approved"], before)
    assert done.catalog_bytes == (filled.folder / "catalog.sqlite").stat().st_size


def test_old_counts_of_reads_and_writes_go_from_the_catalog_too_and_newer_ones_stay(filled):
    def kept():
        return filled.lakehouse.read("SELECT written_at FROM lake.main.increment_timings ORDER BY written_at")["written_at"].tolist()

    before = kept()
    moment = before[len(before) // 2]
    old = [written_at for written_at in before if written_at < moment]
    assert old
    assert remove_timings(filled.lakehouse, moment) == len(old)
    assert kept() == before[len(old) :]
    assert remove_timings(filled.lakehouse, moment) == 0
    compact(filled.lakehouse, datetime.now(UTC))
    filled.lakehouse.close()
    with sqlite3.connect(filled.folder / "catalog.sqlite") as catalog:
        names = [name for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE name LIKE 'ducklake_inlined_data_%'")]
        columns = {name: [row[1] for row in catalog.execute(f"PRAGMA table_info('{name}')")] for name in names}
        timings = [name for name in names if "histogram" in columns[name]]
        assert sum(catalog.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in timings) <= len(before) - len(old)


def test_the_chain_goes_on_and_one_increment_is_still_read_alone(filled):
    compact(filled.lakehouse, datetime.now(UTC))
    filled.put("a", pd.DataFrame({"key": ["5"], "text": ["sixth"]}))
    filled.decide("a")
    assert filled.upper().counts.rows_in == 1
    filled.decide("b")
    assert [text for _, text in filled.rows("b")] == [*(text.upper() for text in TEXTS), "SIXTH"]


def test_young_snapshots_can_still_be_read(filled):
    before = snapshots(filled)
    assert compact(filled.lakehouse, datetime.now(UTC) - timedelta(days=1)).snapshots_expired == 0
    assert snapshots(filled) >= before
    assert compact(filled.lakehouse, datetime.now(UTC)).snapshots_expired >= before - 1
    assert snapshots(filled) == 1


def test_compacting_again_finds_nothing_to_do(filled):
    compact(filled.lakehouse, datetime.now(UTC))
    files = data_files(filled)
    done = compact(filled.lakehouse, datetime.now(UTC))
    assert (done.files_before, done.files_after, done.files_deleted, data_files(filled)) == (2, 2, 0, files)


def test_files_of_killed_writers_go(filled):
    orphan = filled.folder / "data" / "main" / "a" / "ducklake-00000000-0000-0000-0000-000000000000.parquet"
    orphan.write_bytes(b"half a file")
    assert compact(filled.lakehouse, datetime.now(UTC)).files_deleted == 11
    assert not orphan.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DELETE FROM lake.main.a WHERE key = '1'", "found 4 rows instead of 5"),
        ("UPDATE lake.main.a SET text = '第三' WHERE key = '1'", "found other values in them"),
    ],
)
def test_a_merge_that_would_change_rows_is_taken_back(filled, monkeypatch, change, message):
    before = filled.rows("a")
    monkeypatch.setattr(compaction, "merge", lambda connection, table: connection.execute(change))
    with pytest.raises(LakehouseError, match=f"Expected a to hold the same rows after its files were merged, {message}"):
        compact(filled.lakehouse, datetime.now(UTC))
    assert filled.rows("a") == before


def test_states_differ_by_rows_or_by_values():
    assert compaction.describe(TableState(2, "x"), TableState(1, "y")) == "1 rows instead of 2"
    assert compaction.describe(TableState(2, "x"), TableState(2, "y")) == "other values in them"


def test_a_compaction_waits_for_a_backup_and_says_so_in_the_end(filled, chain_of, monkeypatch):
    monkeypatch.setattr("resources.lakehouse.LOCK_TIMEOUT_SECONDS", 0.1)
    with (
        filled.lakehouse.files_to_oneself(),
        pytest.raises(LakehouseError, match=r"Expected the lock of the files of .*, found a backup or a compaction that holds it"),
    ):
        compact(chain_of().lakehouse, datetime.now(UTC))

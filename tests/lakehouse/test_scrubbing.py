"""Deleted rows leave nothing: no snapshot, no file, no smallest or largest value in the catalog; what is left is read as before."""

import pandas as pd
import pytest

from resources.scrubbing import scrub

GONE = ["AAA quillfeather", "zzz 翡翠浴缸"]


@pytest.fixture
def filled(chain):
    """Two increments in a, made into b; the smallest and the largest text are to go."""
    for number, text in enumerate([GONE[0], "middle", GONE[1], "第二"]):
        chain.put("a", pd.DataFrame({"key": [str(number)], "text": [text]}))
        chain.decide("a")
    chain.upper()
    chain.decide("b")
    return chain


def catalog_of(chain, tmp_path):
    with chain.lakehouse.session():
        chain.lakehouse.place.copy_catalog(tmp_path / "copy.sqlite")
    return (tmp_path / "copy.sqlite").read_bytes()


def test_nothing_of_deleted_rows_is_left_and_the_chain_goes_on(filled, tmp_path):
    assert GONE[0].encode() in catalog_of(filled, tmp_path)
    (tmp_path / "copy.sqlite").unlink()
    with filled.lakehouse.transaction() as connection:
        for table in "ab":
            connection.execute(f"DELETE FROM lake.main.{table} WHERE key IN ('0', '2')")
    scrub(filled.lakehouse)
    catalog = catalog_of(filled, tmp_path)
    assert not [text for text in (*GONE, GONE[0].upper(), GONE[1].upper()) if text.encode() in catalog]
    with filled.lakehouse.session() as connection:
        assert connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone() == (1,)
        sql = "SELECT data_file, delete_file FROM ducklake_list_files('lake', ?, schema => 'main')"
        named = [row for table in "ab" for row in connection.execute(sql, [table]).fetchall()]
    assert not [row for row in named if row[1]]
    assert {str(row[0]).rsplit("/", 1)[-1] for row in named} == set(filled.lakehouse.place.data_files())
    assert filled.rows("a") == [("1", "middle"), ("3", "第二")]
    assert filled.rows("b") == [("1", "MIDDLE"), ("3", "第二")]
    assert filled.lakehouse.read("SELECT key FROM lake.published.a WHERE text = 'middle'")["key"].tolist() == ["1"]

    filled.put("a", pd.DataFrame({"key": ["4"], "text": [GONE[0]]}))
    filled.decide("a")
    assert filled.upper().counts.rows_in == 1
    assert filled.reopened().read("SELECT key FROM lake.published.a WHERE text < 'B'")["key"].tolist() == ["4"]


def test_scrubbing_twice_changes_nothing(filled):
    before = filled.rows("b")
    scrub(filled.lakehouse)
    scrub(filled.lakehouse)
    assert filled.rows("b") == before

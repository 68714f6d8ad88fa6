"""Opening a lakehouse: where it may lie, which packages it needs, and how declared tables evolve."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import duckdb
import pandas as pd
import pytest

from assets.schemas import Column, Table
from resources import lake_connection
from resources.increments import BATCH_ROWS
from resources.lakehouse import Lakehouse, LakehouseError

KEY, TEXT = Column("key", "VARCHAR", "Key."), Column("text", "VARCHAR", "Text.")
NOTES = Table("notes", "notes", "One row per note.", (KEY, TEXT), ("key",))
LANGUAGE = Column("language", "VARCHAR", "Language.", nullable=True)


@pytest.fixture
def kind():
    """These are about folders; on servers: `test_server_place.py`."""
    return "embedded"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused_before_anything_is_written(tmp_path, monkeypatch, kind):
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)]
    monkeypatch.setattr(lake_connection.psutil, "disk_partitions", lambda all: mounts)
    with pytest.raises(LakehouseError, match=f"on a local disk, found the network file system '{kind}'.*Set TEXTMILL_HOME"):
        Lakehouse(tmp_path / "deep" / "lake", [NOTES]).snapshot_id()
    assert list(tmp_path.iterdir()) == []


def test_a_local_disk_inside_a_network_file_system_is_accepted(tmp_path, monkeypatch):
    mounts = [SimpleNamespace(mountpoint="/", fstype="nfs"), SimpleNamespace(mountpoint=str(tmp_path), fstype="ext4")]
    monkeypatch.setattr(lake_connection.psutil, "disk_partitions", lambda all: mounts)
    lake_connection.refuse_network_file_system(tmp_path / "lake")


def test_a_missing_extension_package_is_named():
    with pytest.raises(LakehouseError, match=rf"Expected the package duckdb-extension-absent=={duckdb.__version__}; install it with pip"):
        lake_connection.extension_file("absent")


def test_an_extension_of_another_duckdb_version_is_refused(monkeypatch):
    monkeypatch.setattr(lake_connection.duckdb, "__version__", "0.0.1")
    with pytest.raises(LakehouseError, match=r"duckdb 0\.0\.1 and duckdb-extension-ducklake must have one version"):
        lake_connection.extension_file("ducklake")


def test_a_folder_with_a_quote_and_chinese_characters_in_its_name_works(chain_of):
    chain = chain_of(NOTES, folder="it's 湖")
    chain.put("notes", pd.DataFrame({"key": ["k"], "text": ["文"]}))
    chain.decide("notes")
    assert chain.reopened().read("SELECT text FROM notes")["text"].tolist() == ["文"]


def test_a_lakehouse_that_was_moved_goes_on_where_it_was(chain_of, tmp_path):
    before = chain_of(NOTES, folder="before")
    before.put("notes", pd.DataFrame({"key": ["k0"], "text": ["旧"]}))
    before.decide("notes")
    before.lakehouse.close()
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    shutil.rmtree(tmp_path / "before")
    moved = chain_of(NOTES, folder="after")
    moved.put("notes", pd.DataFrame({"key": ["k1"], "text": ["new"]}))
    moved.decide("notes")
    assert moved.reopened().read("SELECT text FROM notes ORDER BY key")["text"].tolist() == ["旧", "new"]
    assert not (tmp_path / "before").exists()


def test_a_column_added_in_the_middle_is_filled_by_name_and_empty_in_older_rows(chain_of):
    chain_of(NOTES).put("notes", pd.DataFrame({"key": ["k0"], "text": ["old"]}))
    chain = chain_of(replace(NOTES, columns=(KEY, LANGUAGE, TEXT)))
    chain.put("notes", pd.DataFrame({"key": ["k0"], "language": ["en"], "text": ["old"]}))
    chain.decide("notes")
    chain.put("notes", pd.DataFrame({"key": ["k1"], "language": ["zh"], "text": ["新"]}))
    chain.decide("notes")
    found = chain.lakehouse.read("SELECT key, language, text FROM notes ORDER BY key")
    assert list(found.itertuples(index=False, name=None)) == [("k0", "en", "old"), ("k1", "zh", "新")]


def test_rows_from_before_a_column_was_added_stay_published(chain_of):
    old = chain_of(NOTES)
    old.put("notes", pd.DataFrame({"key": ["k0"], "text": ["旧"]}))
    old.decide("notes")
    old.lakehouse.close()
    chain = chain_of(replace(NOTES, columns=(KEY, LANGUAGE, TEXT)))
    found = chain.lakehouse.read("SELECT key, text, language IS NULL AS missing FROM notes")
    assert found.to_dict("records") == [{"key": "k0", "text": "旧", "missing": True}]


def test_a_column_whose_type_changed_is_refused_every_time(chain_of):
    chain_of(NOTES).lakehouse.snapshot_id()
    changed = chain_of(replace(NOTES, columns=(KEY, replace(TEXT, type="DOUBLE"))))
    for _ in range(2):
        with pytest.raises(
            LakehouseError, match=r"Expected column notes\.text of type DOUBLE, found VARCHAR\. Give the new column another"
        ):
            changed.lakehouse.snapshot_id()


def test_opening_again_changes_nothing(chain_of):
    first = chain_of(NOTES).lakehouse
    snapshot = first.snapshot_id()
    first.close()
    assert chain_of(NOTES).lakehouse.snapshot_id() == snapshot


def test_frames_can_be_joined_by_name(chain_of):
    chain = chain_of(NOTES)
    chain.put("notes", pd.DataFrame({"key": ["k0", "k1"], "text": ["one", "二"]}))
    chain.decide("notes")
    wanted = pd.DataFrame({"key": ["k1", "k9"]})
    found = chain.lakehouse.read("SELECT text FROM notes SEMI JOIN wanted USING (key)", frames={"wanted": wanted})
    assert found["text"].tolist() == ["二"]


def test_one_thread_works_on_a_lakehouse_until_it_is_large(chain_of, monkeypatch):
    def threads(connection):
        return connection.execute("SELECT current_setting('threads')").fetchone()[0]

    with duckdb.connect() as connection:
        every = threads(connection)
    monkeypatch.setattr(lake_connection, "SMALL_BYTES", 1)
    chain = chain_of(NOTES)
    for rows, expected in ((0, 1), (1, 1), (BATCH_ROWS, every)):  # a few rows are not worth a look
        chain.lakehouse = Lakehouse(chain.folder, chain.tables) if not rows else chain.lakehouse
        keys = [f"k{rows}-{number}" for number in range(rows)]
        chain.put("notes", pd.DataFrame({"key": keys, "text": keys}))
        with chain.lakehouse.session() as connection:
            assert threads(connection) == expected
        chain.decide("notes")
    chain.lakehouse.close()
    with chain.lakehouse.session() as connection:
        assert threads(connection) == every


def test_every_core_works_on_many_rows_and_the_threads_are_as_before_afterwards():
    with duckdb.connect(config={"threads": 3}) as connection:

        def threads():
            return connection.execute("SELECT current_setting('threads')").fetchone()[0]

        connection.execute("RESET threads")
        every = threads()
        connection.execute("SET threads = 1")
        with lake_connection.threads_for(connection, lake_connection.MANY_ROWS - 1):
            assert threads() == 1
        with lake_connection.threads_for(connection, lake_connection.MANY_ROWS):
            assert threads() == every
        assert threads() == 1


def test_a_statement_over_many_rows_that_fails_is_told_as_it_is():
    with duckdb.connect() as connection:
        connection.execute("BEGIN")
        with pytest.raises(duckdb.CatalogException, match="nowhere"), lake_connection.threads_for(connection, lake_connection.MANY_ROWS):
            connection.execute("SELECT * FROM nowhere")

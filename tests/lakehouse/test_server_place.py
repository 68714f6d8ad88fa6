"""A lakehouse on a real Postgres and a real S3: what is particular to servers. The rest runs on them in the other modules."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import boto3
import duckdb
import pandas as pd
import pytest

from resources import catalog_copy
from resources.backups import BackupError, Backups
from resources.compaction import compact
from resources.lake_connection import LakehouseError, extension_file
from resources.lake_place import EmbeddedPlace
from resources.lake_shell import LakeShell
from resources.lakehouse import Lakehouse
from resources.object_store import LocalObjectStore, ServerEncryption
from resources.postgres_address import PostgresAddressError, parse_postgres_address
from resources.s3_object_store import open_s3_object_store
from resources.server_place import ServerPlace

TEXTS = ("0 first", "plainly readable secret 8315", "明文秘密八三一五", "\uffff last")
ROWS = pd.DataFrame({"key": list("abcd"), "text": TEXTS})


@pytest.fixture
def kind():
    return "server"


@pytest.fixture
def servers(environment):
    return json.loads(os.environ["TEXTMILL_TEST_SERVERS"])


@pytest.fixture
def written(chain):
    """Two increments of a and one of b, which waits for its verdict."""
    chain.put("a", ROWS)
    chain.decide("a")
    chain.put("a", ROWS.assign(key=list("efgh")))
    chain.decide("a")
    chain.upper()
    return chain


def stored_objects(chain, servers):
    bucket = boto3.resource("s3", endpoint_url=servers["TEXTMILL_OBJECT_STORE_ENDPOINT"]).Bucket("textmill")
    found = {
        item.key: item.get()["Body"].read()
        for item in bucket.objects.filter(Prefix=chain.lakehouse.place.data_url[len("s3://textmill/") :])
    }
    bucket.meta.client.close()
    return found


def test_data_files_lie_encrypted_on_s3_and_nothing_stays_here(written, servers):
    found = stored_objects(written, servers)
    assert [content[:4] for content in found.values()] == [b"PARE"] * 3
    assert not [text for text in TEXTS if any(text.encode() in content for content in found.values())]
    written.lakehouse.close()
    left = [path for path in written.folder.rglob("*") if path.is_file()]
    assert left == []


@pytest.fixture
def backed_up(written, tmp_path):
    """Backups with one of the servers, and the store of objects."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "objects").mkdir()
    backups, objects = Backups(LocalObjectStore(tmp_path / "elsewhere"), tmp_path / "work"), LocalObjectStore(tmp_path / "objects")
    made = backups.make(written.lakehouse, objects)
    assert (made.differing_tables, made.manifest.tables["a"].rows, made.manifest.tables["increments"].rows) == ((), 8, 3)
    return backups, objects


@pytest.mark.parametrize("way", [["servers"], ["folder"], ["folder", "servers"]], ids="-".join)
def test_a_backup_is_proven_and_comes_back_on_servers_and_in_folders(written, backed_up, place_at, tmp_path, way):
    backups, objects = backed_up
    before = written.rows("a"), written.states("b")
    for number, kind in enumerate(way):
        folder = tmp_path / f"restored-{number}"
        place = EmbeddedPlace(folder) if kind == "folder" else place_at(folder)
        backups.restore(backups.find(), place, objects)
        with pytest.raises(
            BackupError, match=r"expected no lakehouse in .*, found one; move the folder away first, or name another schema"
        ):
            backups.restore(backups.find(), place, objects)
        written.lakehouse.close()
        written.lakehouse = Lakehouse(place, written.tables)
        assert (written.rows("a"), written.states("b")) == before
        assert backups.make(written.lakehouse, objects).differing_tables == ()
    written.decide("b")
    written.put("a", ROWS.assign(key=list("ijkl")))
    written.decide("a")
    assert (len(written.rows("a")), len(written.rows("b"))) == (12, 8)
    assert compact(written.lakehouse, datetime.now(UTC)).files_deleted > 0


def test_a_restore_that_was_cut_short_leaves_no_lakehouse_and_is_done_again(written, backed_up, place_at, tmp_path, monkeypatch):
    backups, objects = backed_up
    place = place_at(tmp_path / "restored")
    with monkeypatch.context() as broken:
        broken.setattr(catalog_copy, "_converted", lambda value, kind: value if kind != "bytea" else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            backups.restore(backups.find(), place, objects)
    assert place.is_empty()
    backups.restore(backups.find(), place, objects)
    before = written.rows("a")
    written.lakehouse.close()
    written.lakehouse = Lakehouse(place, written.tables)
    assert written.rows("a") == before


def test_a_catalog_of_another_ducklake_is_refused_whole(written, place_at, tmp_path):
    catalog, place = tmp_path / "catalog.sqlite", place_at(tmp_path / "restored")
    with written.lakehouse.session():
        written.lakehouse.place.copy_catalog(catalog)
    with closing(sqlite3.connect(catalog)) as opened, opened:
        opened.execute("ALTER TABLE ducklake_table ADD COLUMN colour VARCHAR")
    with pytest.raises(LakehouseError, match=r"Expected a catalog of this version of DuckLake, found ducklake_table with \['colour'\]"):
        place.put_catalog(catalog)
    assert place.is_empty()


def test_a_second_backup_copies_the_catalog_alone(written, backed_up):
    backups, objects = backed_up
    written.decide("b")
    second = backups.make(written.lakehouse, objects)
    assert second.bytes_copied == next(file.size_bytes for file in second.manifest.lake_files if file.path == "catalog.sqlite")


def test_a_compaction_merges_files_and_keeps_the_rows(written, servers):
    before = written.rows("a")
    done = compact(written.lakehouse, datetime.now(UTC))
    assert (done.files_before, done.files_after, done.files_deleted, len(stored_objects(written, servers))) == (3, 2, 2, 2)
    assert written.rows("a") == before
    assert done.catalog_bytes > 0


def test_files_of_killed_writers_go(written, servers):
    key = f"{written.lakehouse.place.data_url}main/a/ducklake-00000000-0000-0000-0000-000000000000.parquet"[len("s3://textmill/") :]
    client = boto3.client("s3", endpoint_url=servers["TEXTMILL_OBJECT_STORE_ENDPOINT"])
    client.put_object(Bucket="textmill", Key=key, Body=b"half a file")
    client.close()
    assert (written.lakehouse.remove_orphans(), written.lakehouse.remove_orphans()) == (1, 0)
    assert len(written.rows("a")) == 8


def test_a_lock_that_was_lost_refuses_the_commit(chain, servers):
    chain.put("a", ROWS)
    killer = parse_postgres_address(servers["TEXTMILL_CATALOG_URL"]).connect()

    def write():
        with chain.lakehouse.transaction() as connection:
            connection.execute("DELETE FROM lake.main.a")
            killer.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")

    with pytest.raises(
        LakehouseError, match=r"Expected to hold the lock of postgresql://textmill:\*\*\*@.* until the commit, found it lost"
    ):
        write()
    killer.close()
    chain.decide("a")
    assert len(chain.rows("a")) == 4


def test_the_shell_asks_and_changes_nothing(written):
    place = written.lakehouse.place
    with LakeShell(place) as shell:
        assert shell.ask("SELECT count(*) AS n FROM a")["n"].tolist() == [8]
        for sql in ("DELETE FROM a", "SELECT * FROM read_text('/etc/hostname')"):
            with pytest.raises(LakehouseError):
                shell.ask(sql)
        described = "".join(
            shell.ask(sql).to_string() for sql in ("FROM duckdb_secrets()", "FROM duckdb_databases()", "FROM duckdb_settings()")
        )
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in described
    assert place._catalog.url.password not in described


def test_there_is_no_lakehouse_before_something_wrote_it(chain):
    with pytest.raises(LakehouseError, match=r"Expected a lakehouse in postgresql://textmill:\*\*\*@.*, found none"):
        LakeShell(chain.lakehouse.place)


@pytest.mark.parametrize("wrong", ["password", "key"])
def test_no_error_repeats_a_credential(chain, servers, monkeypatch, wrong):
    place = chain.lakehouse.place
    if wrong == "key":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-8315")
        with pytest.raises(Exception, match=r"403|Forbidden|SignatureDoesNotMatch") as caught:
            chain.put("a", ROWS)
    else:
        address = parse_postgres_address(servers["TEXTMILL_CATALOG_URL"].replace(place._catalog.url.password, "wrong-secret-8315"))
        other = ServerPlace(place.folder, address, "other", place._data, None)
        with pytest.raises(
            LakehouseError, match=r"Expected the database postgresql://textmill:\*\*\*@.*password authentication failed"
        ) as caught:
            Lakehouse(other, chain.tables).snapshot_id()
        assert "8315" not in repr(address) + repr(other) + str(address)
    assert "8315" not in repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__)


@pytest.mark.parametrize("url", ["", "mysql://u:secret@h/d", "postgresql://u:secret@h", "postgresql:///d", "not an address: secret"])
def test_another_address_is_refused_without_repeating_it(url):
    with pytest.raises(
        PostgresAddressError, match="expected postgresql://user:password@host:port/database, found something else"
    ) as caught:
        parse_postgres_address(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("encryption", "expected"),
    [(None, False), (ServerEncryption("AES256"), False), (ServerEncryption("aws:kms", "alias/text'mill"), True)],
)
def test_data_files_are_written_with_the_key_of_the_key_service(tmp_path, servers, encryption, expected):
    data = open_s3_object_store("textmill", "kms", servers["TEXTMILL_OBJECT_STORE_ENDPOINT"], encryption)
    place = ServerPlace(tmp_path, parse_postgres_address(servers["TEXTMILL_CATALOG_URL"]), "kms", data, None)
    with duckdb.connect() as connection:
        connection.load_extension(str(extension_file("httpfs")))
        connection.execute(place._files_secret_sql())
        (kept,) = connection.execute("SELECT secret_string FROM duckdb_secrets() WHERE name = 'lake_files'").fetchone()
    assert ("kms_key_id=alias/text'mill" in kept) == expected

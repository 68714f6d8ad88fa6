"""What lies on disk: no text in any data or spill file; what the catalog keeps in clear is for its owner only."""

import sqlite3
import stat

import pandas as pd
import pytest

SECRETS = ("plainly readable secret 8315", "明文秘密八三一五")
ROWS = pd.DataFrame({"key": ["a", "b", "c", "d"], "text": ["0 first", *SECRETS, "\uffff last"]})


@pytest.fixture
def kind():
    """These are about a SQLite catalog; on servers: `test_server_place.py`."""
    return "embedded"


@pytest.fixture
def written(chain):
    """A chain that holds the secrets in two tables, one increment approved, one rejected."""
    chain.put("a", ROWS)
    chain.decide("a")
    chain.upper()
    chain.decide("b", approved=False)
    return chain


def files_holding(folder, secret: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_file_holds_a_text_that_is_neither_the_first_nor_the_last_of_its_column(written, secret):
    assert [text for _, text in written.rows("a")].count(secret) == 1
    written.lakehouse.close()
    assert (files_holding(written.folder, secret), files_holding(written.folder, secret.upper())) == ([], [])


def test_the_first_and_the_last_text_of_a_file_lie_in_the_catalog_and_nowhere_else(written):
    written.lakehouse.close()
    assert files_holding(written.folder, "0 first") == ["catalog.sqlite"]


def test_data_files_are_encrypted_parquet_each_with_a_key_of_its_own(written):
    written.lakehouse.close()
    paths = list((written.folder / "data").rglob("*.parquet"))
    assert {path.read_bytes()[:4] for path in paths} == {b"PARE"}
    with sqlite3.connect(written.folder / "catalog.sqlite") as catalog:
        keys = [row[0] for row in catalog.execute("SELECT encryption_key FROM ducklake_data_file")]
    catalog.close()
    assert len(set(keys)) == len(keys) == len(paths) == 2


def test_rows_of_tables_are_never_inlined_into_the_catalog(chain):
    chain.put("a", ROWS.iloc[1:2])
    chain.lakehouse.close()
    assert len(list((chain.folder / "data").rglob("*.parquet"))) == 1


def test_folder_and_catalog_are_their_owners_only(written):
    modes = {name: stat.S_IMODE((written.folder / name).stat().st_mode) for name in (".", "data", "catalog.sqlite")}
    assert modes == {".": 0o700, "data": 0o700, "catalog.sqlite": 0o600}

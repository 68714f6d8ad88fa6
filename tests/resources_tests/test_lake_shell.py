"""SQL on the published tables: it answers, and changes and opens nothing else."""

import pandas as pd
import pytest

from assets.schemas import TABLES
from resources.increments import increment
from resources.lake_connection import LakehouseError
from resources.lake_shell import LakeShell
from resources.lakehouse import Lakehouse


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A lakehouse with two published documents and one that waits for its audit."""
    folder = tmp_path_factory.mktemp("lake")
    lakehouse = Lakehouse(folder, list(TABLES.values()))
    for number, source in enumerate(("shop", "酒店", "waiting")):
        with increment(lakehouse, "search_index", run_id="r", code_version="c", following="journal") as step:
            step.write("search_index", pd.DataFrame([{"document_id": str(number), "source": source, "language": "en", "label": None}]))
            step.count(rows_in=1, rows_out=1)
        if source != "waiting":
            (staged,) = lakehouse.staged("search_index")
            lakehouse.decide(staged, approved=True)
    lakehouse.close()
    return folder


@pytest.fixture
def shell(folder):
    with LakeShell(folder) as opened:
        yield opened


def test_published_rows_are_found_without_a_schema_and_waiting_ones_are_not(shell):
    assert list(shell.ask("FROM search_index ORDER BY ALL")["source"]) == ["shop", "酒店"]
    assert list(shell.ask("SELECT document_id FROM search_index WHERE source = '酒店'")["document_id"]) == ["1"]
    assert "search_index" in set(shell.ask("SHOW TABLES")["name"])
    assert len(shell.ask("EXPLAIN SELECT 1")) == 1


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM lake.main.search_index", "found DELETE"),
        ("INSERT INTO lake.main.search_index VALUES (1)", "found INSERT"),
        ("CREATE TABLE memory.main.mine AS SELECT 1", "found CREATE"),
        ("COPY search_index TO 'out.csv'", "found COPY"),
        ("ATTACH 'other.db'", "found ATTACH"),
        ("SET enable_external_access = true", "found SET"),
        ("SELECT 1; SELECT 2", "found SELECT, SELECT"),
        ("", "found none"),
        ("SELECT * FROM read_text('/etc/hostname')", "Permission Error"),
        ("SELECT * FROM '/etc/passwd.csv'", "Permission Error"),
        ("SELECT 酒店 FROM search_index", "Binder Error"),
        ("SELEKT", "Parser Error"),
    ],
)
def test_what_does_not_ask_is_refused(shell, statement, message):
    with pytest.raises(LakehouseError, match=message):
        shell.ask(statement)
    assert len(shell.ask("FROM search_index")) == 2


def test_a_text_is_split_into_statements(shell):
    assert [shell.ask(statement).iloc[0, 0] for statement in shell.split("SELECT 'a;b'; SELECT '酒店';")] == ["a;b", "酒店"]
    with pytest.raises(LakehouseError, match="Parser Error"):
        shell.split("SELEKT")


def test_writers_go_on_while_a_shell_is_open(shell, folder):
    lakehouse = Lakehouse(folder, list(TABLES.values()))
    (staged,) = lakehouse.staged("search_index")
    assert shell.ask("SELECT count(*) AS rows FROM search_index")["rows"].item() == 2
    lakehouse.decide(staged, approved=True)
    assert shell.ask("SELECT count(*) AS rows FROM search_index")["rows"].item() == 3
    lakehouse.close()


def test_nothing_is_left_behind(folder):
    before = set(folder.iterdir())
    with LakeShell(folder):
        assert set(folder.iterdir()) > before
    assert set(folder.iterdir()) == before


def test_a_folder_without_a_lakehouse_says_what_to_do(tmp_path):
    with pytest.raises(LakehouseError, match=r"found none\. `textmill run refresh` makes one"):
        LakeShell(tmp_path)

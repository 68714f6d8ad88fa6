"""The commands about tokens, the audit log, the data access API and SQL."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from assets.schemas import TABLES
from dagster_project.cli import app
from resources.increments import increment
from resources.lakehouse import Lakehouse

ROOT = Path(__file__).resolve().parents[1]


class Home:
    """A home with a project and one published row."""

    def __init__(self, folder, project):
        self.folder = folder
        self.config = folder / "project.yaml"
        self.config.write_text(yaml.safe_dump(project.model_dump(mode="json", exclude_unset=True), allow_unicode=True), encoding="utf-8")
        lakehouse = Lakehouse(folder / "lake", list(TABLES.values()))
        with increment(lakehouse, "search_index", run_id="r", code_version="c", following="journal") as step:
            step.write("search_index", pd.DataFrame([{"document_id": "1", "source": "shop", "language": "zh", "label": None}]))
            step.count(rows_in=1, rows_out=1)
        (staged,) = lakehouse.staged("search_index")
        lakehouse.decide(staged, approved=True)
        lakehouse.close()

    @property
    def variables(self):
        return {"TEXTMILL_HOME": str(self.folder), "TEXTMILL_CONFIG": str(self.config)}

    def command(self, *words, typed=None, **more):
        return CliRunner().invoke(app, words, env=self.variables | more, input=typed)

    def json(self, *words):
        result = self.command(*words, "--json")
        assert result.exit_code == 0, result.output + repr(result.exception)
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory, project_of):
    return Home(tmp_path_factory.mktemp("home"), project_of([{"kind": "files", "name": "shop", "path": "/none/*.jsonl"}]))


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(home):
    (made,) = home.json("token", "create", "王伟", "--role", "trainer", "--source", "shop", "--days", "7")
    assert made["token"].startswith("tm_")
    listed = {row["id"]: row for row in home.json("token", "list")}
    assert listed[made["id"]] == {name: made[name] for name in ("id", "name", "role", "sources", "expires", "revoked")}
    assert made["token"] not in home.command("token", "list").stdout
    assert home.json("token", "revoke", made["id"])[0]["revoked"]
    assert "王伟" in home.command("token", "list").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("token", "create", "amy", "--source", "shpo"), r"--source: expected sources out of ['shop'], found ['shpo']"),
        (("token", "create", " "), "Expected a name and a lifetime above zero"),
        (("token", "revoke", "nobody"), "`textmill token list` prints the ids"),
        (("sql", "--query", "DROP TABLE search_index"), "found DROP"),
    ],
)
def test_mistakes_say_what_was_expected(home, words, message):
    result = home.command(*words)
    assert result.exit_code != 0
    assert message in str(result.exception)


def test_a_key_that_is_no_secret_is_refused(home):
    result = home.command("token", "list", TEXTMILL_ACCESS_KEY="short")
    assert "TEXTMILL_ACCESS_KEY: expected a secret of 16 bytes or more, found 5" in str(result.exception)


def test_sql_answers_as_table_as_json_and_from_a_shell(home):
    assert home.json("sql", "--query", "SELECT document_id, language FROM search_index") == [{"document_id": "1", "language": "zh"}]
    typed = "SELECT '酒店'\nAS name;\nDROP TABLE x;\nSELEKT;\nSELECT source FROM search_index"
    result = home.command("sql", typed=typed)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line] == ["name", "酒店", "source", "shop"]
    assert "found DROP" in result.stderr
    assert "Parser Error" in result.stderr


def test_the_api_is_served_recorded_and_the_record_verified(home):
    (made,) = home.json("token", "create", "amy")
    address = "http://127.0.0.1:18734"
    command = [sys.executable, "-m", "dagster_project.cli", "serve-data", "--port", "18734"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **home.variables}) as server:
        try:
            wait_for(f"{address}/health", server)
            answer = httpx2.get(f"{address}/datasets", headers={"Authorization": f"Bearer {made['token']}"}, trust_env=False)
            assert (answer.status_code, answer.json()) == (200, [])
        finally:
            server.terminate()
    (entry,) = home.json("audit", "show")
    assert (entry["name"], entry["path"], entry["status"]) == ("amy", "/datasets", 200)
    (report,) = home.json("audit", "verify", "--expect", f"1:{entry['digest']}")
    assert report == {"entries": 1, "head": f"1:{entry['digest']}", "is_whole": True}
    with sqlite3.connect(home.folder / "access" / "access.sqlite") as database:
        database.execute("DROP TRIGGER audit_entries_no_update")
        database.execute("UPDATE audit_entries SET name = 'bo'")
    database.close()
    result = home.command("audit", "verify")
    assert result.exit_code == 1
    assert "entry 1: expected the digest of what it says, found another" in result.stderr


def wait_for(url, server):
    """Until the server answers."""
    for _ in range(600):
        assert server.poll() is None
        try:
            return httpx2.get(url, trust_env=False).raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")

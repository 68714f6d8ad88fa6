"""The commands about models, on a real lakehouse and object store whose models are files of a few bytes."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from assets.schemas import FINE_TUNED_MODEL, TABLES
from assets.training.gate.promotion import Decision
from assets.training.manifests import ModelFolderError, write_manifest
from assets.training.registry import RegistryError, decision_row
from dagster_project.cli import app
from dagster_project.model_lifecycle import bring_model, promote, roll_back
from resources.increments import increment
from resources.lakehouse import Lakehouse
from resources.object_store import LocalObjectStore
from services.model_queries import show_models

ROOT = Path(__file__).resolve().parents[1]
START = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C = (f"model-{letter * 16}" for letter in "abc")


class Shop:
    """A home with models and the gate's decisions on them."""

    def __init__(self, home, project):
        self.home, self.project = home, project
        self.store = LocalObjectStore(home / "objects")
        self.lakehouse = Lakehouse(home / "lake", list(TABLES.values()))
        settings = project.model_dump(mode="json", exclude_unset=True)
        (home / "project.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
        self.hours = 0
        for model_id, decision in ((A, "promoted"), (B, "promoted"), (C, "refused")):
            self.add_model(model_id)
            self.decide(model_id, decision)

    def append(self, table, frame):
        with increment(self.lakehouse, table, run_id=f"test-{self.hours}", code_version="c", following="journal") as step:
            step.write(table, frame)
            step.count(rows_in=1, rows_out=1)
        (staged,) = self.lakehouse.staged(table)
        self.lakehouse.decide(staged, approved=True)

    def add_model(self, model_id):
        self.hours += 1
        folder = self.home / "made" / model_id
        folder.mkdir(parents=True)
        (folder / "task.json").write_text("{}")
        digest = write_manifest(folder, {"model_id": model_id})
        self.store.put_directory(f"models/{model_id}", folder)
        given = {"model_id": model_id, "recipe": "{}", "model_key": f"models/{model_id}", "manifest_sha256": digest}
        given["trained_at"] = START + timedelta(hours=self.hours)
        given |= {"erased_train_rows": 2 if model_id == C else None, "erased_other_rows": 1 if model_id == C else None}
        fill = {"VARCHAR": "x", "DOUBLE": 0.5, "BIGINT": 1}
        row = {column.name: given.get(column.name, fill.get(column.type)) for column in FINE_TUNED_MODEL.columns}
        self.append("fine_tuned_model", pd.DataFrame([row]))

    def decide(self, model_id, decision):
        self.hours += 1
        champion = {row["model"] for row in self.models() if "champion" in row["aliases"]}
        now = START + timedelta(hours=self.hours)
        decided = Decision(decision, "It says why, 因为.", {"rows": 3})
        self.append("champion_model", decision_row(decided, model_id, next(iter(champion), None), "x", str(self.hours), now))

    def models(self):
        return show_models(self.lakehouse)

    def aliases(self):
        return {alias: row["model"] for row in self.models() for alias in row["aliases"].split(", ") if alias}

    @property
    def variables(self):
        return {"TEXTMILL_HOME": str(self.home), "TEXTMILL_CONFIG": str(self.home / "project.yaml"), "TEXTMILL_MLFLOW_URI": ""}

    def command(self, *words, **more):
        return CliRunner().invoke(app, words, env=self.variables | more)

    def json(self, *words, **more):
        result = self.command(*words, **more)
        assert result.exit_code == 0, result.output + repr(result.exception)
        return json.loads(result.stdout)

    @property
    def parts(self):
        return self.lakehouse, self.store, self.project


@pytest.fixture(scope="module")
def shop(tmp_path_factory, project_of):
    """One shop for all tests: those that decide come last and build on each other, in the order of this file."""
    return Shop(tmp_path_factory.mktemp("home"), project_of([{"kind": "files", "name": "shop", "path": "/none/*.jsonl"}]))


def test_models_are_listed_with_aliases_and_decisions(shop):
    assert [(row["model"], row["aliases"], row["decision"]) for row in shop.json("models", "--json")] == [
        (C, "", "refused"),
        (B, "champion", "promoted"),
        (A, "previous", "promoted"),
    ]
    assert "因为" in shop.command("models").stdout


def test_models_that_learnt_from_erased_text_say_so(shop):
    words = "trained on erased text (2 rows): retrain; judged by erased text (1 rows)"
    assert [row["erased"] for row in shop.json("models", "--json")] == [words, "", ""]
    (traced,) = shop.json("models", A)
    assert (traced["model"]["erased_train_rows"], traced["model"]["erased_other_rows"]) == (0, 0)


def test_a_model_is_traced_by_alias_and_by_why(shop):
    (traced,) = shop.json("models", "champion")
    assert (traced["model"]["model_id"], traced["aliases"]) == (B, ["champion"])
    assert traced["decisions"][0]["evidence"] == {"rows": 3}
    assert traced["location"].endswith(f"objects/models/{B}")
    assert shop.json("why", B) == [traced]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote", "champion", "--reason", "again"), f"found {B}, which is the champion already"),
        (("promote", "model-none", "--reason", "why not"), "Expected the id of a model, or one of candidate, champion, previous"),
        (("promote", "candidate", "--reason", "why not"), "Expected a model with the alias 'candidate', found none at present"),
        (("promote", "previous", "--reason", " "), "Expected a reason, for the record, found none"),
        (("rollback", "--to", "champion"), "which is the champion already"),
    ],
)
def test_what_cannot_be_decided_says_why_and_changes_nothing(shop, words, message):
    result = shop.command(*words)
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert shop.aliases() == {"champion": B, "previous": A}


def test_a_promotion_without_a_reason_is_not_understood(shop):
    assert shop.command("promote", A).exit_code == 2


def test_a_changed_model_is_neither_served_nor_returned_to(shop):
    key = f"models/{A}/manifest.json"
    original = shop.store.get(key)
    shop.store.put(key, b'{"files": {}}')
    for refused in (lambda: roll_back(*shop.parts, None, "x"), lambda: bring_model(shop.lakehouse, shop.store, A, shop.home / "served")):
        with pytest.raises(ModelFolderError, match="was changed in the object store after its training"):
            refused()
    shop.store.put(key, original)
    assert shop.aliases()["champion"] == B


def test_a_local_copy_that_was_changed_is_fetched_again(shop):
    folder = bring_model(shop.lakehouse, shop.store, "champion", shop.home / "served")
    assert folder.name == B
    (folder / "task.json").write_text("{1}")
    assert (bring_model(shop.lakehouse, shop.store, "champion", shop.home / "served") / "task.json").read_text() == "{}"


def test_serving_starts_the_app_with_the_checked_files(shop, monkeypatch):
    seen = {}

    def run(command, folder):
        seen.update(command=command[1:3], job=json.loads(Path(command[3]).read_text(encoding="utf-8")))
        return 0

    monkeypatch.setattr("dagster_project.model_commands.run_until_stopped", run)
    result = shop.command("serve", "--model", "previous", "--port", "0")
    assert result.exit_code == 0, result.output
    assert seen["command"] == ["-m", "services.prediction"]
    assert (seen["job"]["model_folder"], seen["job"]["host"]) == (str(shop.home / "work" / "served" / A), "127.0.0.1")


def test_rolling_back_goes_back_one_champion_after_the_other(shop):
    (done,) = shop.json("promote", C, "--reason", "人工检查过", "--json")
    assert (done["champion"], done["before"], done["decision"], done["reason"]) == (C, B, "overridden", "Overridden: 人工检查过")
    assert "trained on erased text (2 rows): retrain" in done["erased"]
    assert shop.aliases() == {"champion": C, "previous": B}
    (done,) = shop.json("rollback", "--reason", "答错了", "--json")
    assert (done["champion"], done["reason"], "erased" in done) == (B, "Rolled back: 答错了", False)
    assert shop.json("rollback", "--json")[0]["champion"] == A
    assert isinstance(shop.command("rollback").exception, RegistryError)
    assert shop.json("rollback", "--to", C, "--json")[0]["champion"] == C


def test_an_override_records_what_it_overrules(shop):
    decisions = shop.json("models", C)[0]["decisions"]
    assert [found["decision"] for found in decisions] == ["refused", "overridden", "rolled_back"]
    assert decisions[1]["evidence"]["overrules"]["decision"] == "refused"
    assert decisions[1]["evidence"]["overrules"]["reason"] == "It says why, 因为."


def test_a_rollback_takes_less_than_a_second_of_work(shop):
    promote(*shop.parts, B, "to have something to leave")
    start = time.process_time()
    roll_back(*shop.parts, None, "for the clock")
    assert time.process_time() - start < 1.0


def test_a_rollback_loads_neither_torch_nor_great_expectations(shop):
    shop.lakehouse.close()
    script = (
        "import sys; from dagster_project.cli import app\n"
        "try: app(['rollback', '--json'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print({'torch', 'sklearn', 'great_expectations', 'mlflow'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **shop.variables}, cwd=ROOT, capture_output=True, text=True)
    assert json.loads(done.stdout)[0]["champion"] == A, done.stderr
    assert done.stderr.splitlines()[-1] == "set()"


@pytest.mark.filterwarnings("ignore")
def test_a_decision_moves_the_aliases_on_mlflow(shop, tmp_path):
    from mlflow import MlflowClient

    shop.json("promote", B, "--reason", "to be seen", "--json", TEXTMILL_MLFLOW_URI=(tmp_path / "mlflow").as_uri())
    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert client.get_model_version_by_alias("test", "champion").tags["model_id"] == B
    assert sorted(client.get_registered_model("test").aliases) == ["champion", "previous"]


def test_a_tracking_server_that_is_down_does_not_undo_the_decision(shop):
    result = shop.command("rollback", "--json", TEXTMILL_MLFLOW_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert result.exit_code == 0
    assert "tracking failed" in result.stderr
    assert shop.aliases()["champion"] == A

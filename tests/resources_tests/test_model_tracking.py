"""Models on a real MLflow, in a SQLite file: written once, mended after a crash, aliases moved, and nothing lost when it is down."""

from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from assets.training.promoting import track_models
from dagster_project.configuration import ConfigurationError
from dagster_project.environments import build_resources, read_environment, read_project
from resources.model_tracking import NoTracking, TrackedModel, TrackingError, open_model_tracking


def model(name, decision="promoted", card="# 卡片"):
    metrics = {f"test_f1_{number}": number / 200 for number in range(120)}
    return TrackedModel(name, {f"p{number}": "值" for number in range(120)}, metrics, {"decision": decision, "dataset_version": "d1"}, card)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def tracking(folder):
    return open_model_tracking(folder.as_uri(), "shop")


@pytest.fixture
def client(tracking):
    return MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)


def runs_of(client):
    experiment = client.get_experiment_by_name("shop")
    return {run.data.tags["model_id"]: run for run in client.search_runs([experiment.experiment_id])}


@pytest.mark.filterwarnings("ignore")
def test_models_metrics_cards_and_aliases_are_shown(tracking, client, tmp_path):
    tracking.record([model("m1"), model("m2", "refused")], {"champion": "m1", "previous": None, "candidate": "m2"})
    run = runs_of(client)["m1"]
    assert (len(run.data.params), len(run.data.metrics), run.info.status) == (120, 120, "FINISHED")
    assert run.data.tags["decision"] == "promoted"
    path = client.download_artifacts(run.info.run_id, "model_card.md", str(tmp_path))
    assert Path(path).read_text(encoding="utf-8") == "# 卡片"
    assert client.get_model_version_by_alias("shop", "champion").tags["model_id"] == "m1"
    assert sorted(client.get_registered_model("shop").aliases) == ["candidate", "champion"]


@pytest.mark.filterwarnings("ignore")
def test_doing_it_again_adds_nothing_moves_aliases_and_tags(tracking, client):
    tracking.record([model("m1"), model("m2", "overridden")], {"champion": "m2", "previous": "m1", "candidate": None})
    assert sorted(runs_of(client)) == ["m1", "m2"]
    assert runs_of(client)["m2"].data.tags["decision"] == "overridden"
    aliases = client.get_registered_model("shop").aliases
    assert {alias: client.get_model_version("shop", version).tags["model_id"] for alias, version in aliases.items()} == {
        "champion": "m2",
        "previous": "m1",
    }


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_a_crash_cut_short_is_written_anew(tracking, client):
    experiment = client.get_experiment_by_name("shop").experiment_id
    client.create_run(experiment, tags={"model_id": "m3"})
    tracking.record([model("m1"), model("m2"), model("m3", card=None)], {"champion": "m2"})
    assert len(runs_of(client)["m3"].data.metrics) == 120


def test_without_an_address_nothing_is_shown_and_nothing_read():
    tracking = open_model_tracking(None, "shop")
    assert tracking == NoTracking() or not tracking.is_on
    assert track_models(tracking, None, None) == ""


@pytest.mark.parametrize("uri", ["http://mlflow.example:5000", "https://127.0.0.1", "sqlite:///x", "file://other/x", "ftp://localhost"])
def test_addresses_elsewhere_are_refused(uri):
    with pytest.raises(TrackingError, match=r"expected file:///folder or http://127\.0\.0\.1:port \(MLflow has no log-in\), found"):
        open_model_tracking(uri, "shop")


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    environment = read_environment({"TEXTMILL_HOME": str(tmp_path), "TEXTMILL_MLFLOW_URI": (tmp_path / "m").as_uri()})
    with pytest.raises(ConfigurationError, match=r"TEXTMILL_MLFLOW_URI: expected MLflow .*pip install 'textmill\[mlflow\]'"):
        build_resources(environment, read_project(environment))


class Shelf:
    """A lakehouse and an object store with one model."""

    def read(self, sql):
        if "fine_tuned_model" in sql:
            names = ("dataset_version", "code_version", "base_model", "manifest_sha256", "device")
            row = dict.fromkeys(names, "x") | {"model_id": "m1", "recipe": '{"training": {"seed": 1}}', "model_key": "models/m1"}
            return pd.DataFrame([row | {"dev_macro_f1": 0.5, "training_seconds": 9.0, "trained_at": pd.Timestamp("2026-01-01")}])
        if "evaluation_report" in sql:
            return pd.DataFrame({"model_id": ["m1"], "metric": ["macro_f1"], "value": [0.7]})
        return pd.DataFrame(columns=["decision_id", "challenger_id", "champion_id", "decision", "reason", "decided_at"])

    def exists(self, key):
        return True

    def get(self, key):
        return "# 卡片".encode()

    def url(self, key):
        return f"file:///store/{key}"


def test_what_is_shown_comes_from_the_registry_and_the_report():
    class Listener:
        is_on = True

        def record(self, models, aliases):
            self.models, self.aliases = models, aliases

    listener = Listener()
    assert track_models(listener, Shelf(), Shelf()) == ""
    (shown,) = listener.models
    assert shown.parameters == {"training.seed": "1"}
    assert shown.metrics == {"test_macro_f1": 0.7, "dev_macro_f1": 0.5, "training_seconds": 9.0}
    assert (shown.tags["location"], shown.card) == ("file:///store/models/m1", "# 卡片")
    assert listener.aliases == {"candidate": "m1", "champion": None, "previous": None}


def test_a_server_that_is_down_costs_a_sentence_and_nothing_else(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    problem = track_models(open_model_tracking("http://127.0.0.1:9", "shop"), Shelf(), Shelf())
    assert problem.startswith("The models are stored and decided about, but tracking failed: Expected http://127.0.0.1:9 to record")

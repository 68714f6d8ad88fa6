"""The training stage in the graph, with a tiny BERT: train, report, decide, retrain, roll back."""

import json

import dagster as dg
import pytest

from assets.labeling.stopping import HISTORY_SQL
from assets.training.registry import RegistryError
from dagster_project.automation import build_retrain_sensor
from dagster_project.model_lifecycle import roll_back
from services.erasure import erase
from services.erasure_plan import Subject, plan_erasure
from services.model_queries import show_models
from services.queries import newest_report

PLAIN = ["the", "film", "is", "a", "table", "电", "影", "是", "桌", "子"]
DECISIVE = (("bad", "awful", "坏"), ("table", "桌", "film"), ("good", "lovely", "好"))


def records(first, count):
    """Texts of a few words, one of which decides how they are rated."""
    for number in range(first, first + count):
        kind = number % 3
        words = [PLAIN[(number * step) % len(PLAIN)] for step in (1, 3, 7)]
        text = " ".join([*words, DECISIVE[kind][number // 3 % 3], f"number {number} of {number * 7}"])
        yield {"id": f"n{number}", "text": text, "ratings": [(kind - 1) * 3] * 3}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drop")
    fields = {"external_id": "id", "text": "text", "votes": "ratings"}
    return folder, {"kind": "files", "name": "shop", "path": str(folder / "*.jsonl"), "fields": fields}


@pytest.fixture(scope="module")
def training(tiny_base):
    return {
        "base_model": str(tiny_base),
        "epochs": 4,
        "learning_rate": 0.01,
        "batch_tokens": 96,
        "dropout": 0.0,
        "export": "off",
        "retrain_after_new_labels": 20,
    }


# The tiny model is judged in earnest by its scores; how fast a busy test machine answers, and how a toy takes typos, is not what is tested.
PROMOTION = {"max_latency_ms": 60_000, "behaviour_cases": 5, "min_behaviour_pass_rate": {"whitespace": 0.5}, "max_ece": 0.5}


@pytest.fixture(scope="module")
def trained(shared_platform, project_of, write_jsonl, source, training):
    """A platform whose whole graph ran once. The tests below build on each other, in the order of this file."""
    folder, declared = source
    write_jsonl(folder / "one.jsonl", list(records(0, 150)))
    shared_platform.configure(project_of([declared], training=training, promotion=PROMOTION))
    outcome = shared_platform.run("everything")
    assert outcome.succeeded, outcome
    return shared_platform


def sensor_tick(platform, cursor=None):
    sensor = build_retrain_sensor(platform.project)
    with dg.build_sensor_context(instance=platform.instance, cursor=cursor, resources={"lakehouse": platform.lakehouse}) as context:
        return sensor.evaluate_tick(context)


def test_the_first_model_is_stored_reported_and_promoted(trained):
    (row,) = trained.rows("fine_tuned_model", "model_id", "dataset_version", "model_key", "train_share", "seed")
    files = {stored.key.rsplit("/", 1)[-1] for stored in trained.resources["object_store"].list(row[2])}
    assert {"model.safetensors", "manifest.json", "tokenizer.json"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    assert trained.rows("champion_model", "champion_id", "decision") == [(row[0], "promoted")]
    manifest = json.loads(trained.resources["object_store"].get(f"{row[2]}/manifest.json"))
    for fact in ("base_model", "dataset_version", "code_version", "seed", "hardware", "training_seconds"):
        assert manifest[fact] is not None, fact


def test_the_report_stands_beside_its_rivals_on_the_same_rows(trained):
    scorers = {row[0] for row in trained.rows("evaluation_report", "scorer")}
    assert scorers == {"fine-tuned BERT", "majority class", "VADER", "TF-IDF + logistic regression", "one human rater"}
    found = newest_report(trained.lakehouse, trained.resources["object_store"])
    assert "fine-tuned BERT" in found.headline
    assert found.location.endswith("report.md")
    metrics = {row[0] for row in trained.rows("evaluation_report WHERE scorer = 'fine-tuned BERT' AND slice = 'overall'", "metric")}
    assert {"accuracy", "macro_f1", "weighted_f1", "pearson_r", "ece", "precision/positive", "confusion/negative/positive"} <= metrics


def test_the_data_set_of_the_model_has_disjoint_splits_and_can_be_found(trained):
    (version,) = {row[0] for row in trained.rows("training_dataset", "dataset_version")}
    store = trained.resources["object_store"]
    manifest = json.loads(store.get(f"datasets/{version}/manifest.json"))
    assert sum(manifest["splits"].values()) == len(trained.rows("training_dataset", "document_id"))
    assert store.exists(f"datasets/{version}/README.md")


def test_a_second_run_trains_nothing(trained):
    outcome = trained.run("everything")
    assert outcome.succeeded
    assert {step.summary for step in outcome.steps} == {"nothing new"}
    assert len(trained.rows("fine_tuned_model", "model_id")) == 1


def test_the_sensor_waits_until_there_are_enough_new_labels(trained):
    assert "0 new labels since data set" in sensor_tick(trained).skip_message


def test_enough_new_labels_request_one_retraining_and_not_a_storm(trained, write_jsonl, source):
    write_jsonl(source[0] / "two.jsonl", list(records(150, 30)))
    assert trained.run("refresh").succeeded
    tick = sensor_tick(trained)
    (request,) = tick.run_requests
    assert request.run_key == sensor_tick(trained).run_requests[0].run_key
    again = sensor_tick(trained, cursor=tick.cursor)
    assert not again.run_requests
    assert "was requested already" in again.skip_message


def test_new_labels_make_a_new_data_set_and_a_challenger_is_judged_on_its_test_rows(trained):
    assert trained.run("retrain").succeeded
    decisions = trained.rows("champion_model", "decided_at", "decision", "reason", "evidence")
    assert len(decisions) == 2
    evidence = json.loads(decisions[-1][3])
    assert set(evidence["slices"]) == {"overall", "source=shop"}
    assert evidence["slices"]["overall"]["champion"] is not None


def test_other_settings_train_another_model_and_the_gate_refuses_a_loser(trained, project_of, source, training):
    (champion,) = trained.lakehouse.read("SELECT champion_id FROM champion_model ORDER BY decided_at DESC LIMIT 1")["champion_id"]
    trained.configure(project_of([source[1]], training=training | {"learning_rate": 1e-7, "epochs": 1}, promotion=PROMOTION))
    assert trained.run("retrain").succeeded
    newest = trained.lakehouse.read("SELECT * FROM champion_model ORDER BY decided_at DESC LIMIT 1").iloc[0]
    assert (newest["decision"], newest["champion_id"]) == ("refused", champion)
    assert "overall: macro_f1" in newest["reason"]


def test_one_command_rolls_back_and_the_decision_is_recorded(trained):
    current = trained.lakehouse.read("SELECT champion_id FROM champion_model ORDER BY decided_at DESC LIMIT 1")["champion_id"].item()
    (other, *_) = [row[0] for row in trained.rows("fine_tuned_model", "model_id") if row[0] != current]
    done = roll_back(trained.lakehouse, trained.resources["object_store"], trained.project, other, "it answered oddly")
    assert done["champion"] == other
    newest = trained.lakehouse.read("SELECT * FROM champion_model ORDER BY decided_at DESC LIMIT 1").iloc[0]
    assert (newest["decision"], newest["previous_champion_id"], newest["reason"]) == (
        "rolled_back",
        current,
        "Rolled back: it answered oddly",
    )


def test_rolling_back_to_nowhere_names_what_can_be_named(trained):
    with pytest.raises(RegistryError, match=r"Expected the id of a model, or one of candidate, champion, previous, found 'model-none'"):
        roll_back(trained.lakehouse, trained.resources["object_store"], trained.project, "model-none", "no reason")


def test_a_missing_base_model_fails_with_what_to_do_and_leaves_nothing(trained, project_of, source, training):
    models = len(trained.rows("fine_tuned_model", "model_id"))
    trained.configure(project_of([source[1]], training=training | {"base_model": "nobody/no-such-model"}))
    outcome = trained.run("retrain")
    assert not outcome.succeeded
    assert "nobody/no-such-model" in outcome.failed_steps["fine_tuned_model"]
    assert len(trained.rows("fine_tuned_model", "model_id")) == models


def test_the_champion_is_asked_about_the_queue(trained, write_jsonl, source):
    unlabelled = [{**record, "ratings": []} for record in records(400, 6)]
    write_jsonl(source[0] / "three.jsonl", unlabelled)
    assert trained.run("refresh").succeeded
    (champion,) = {row[0] for row in trained.rows("champion_model ORDER BY decided_at DESC LIMIT 1", "champion_id")}
    queue = {row[0] for row in trained.rows("labeling_queue", "document_id")}
    rows = trained.rows("pool_predictions SEMI JOIN labeling_queue USING (document_id)", "document_id", "model_id", "label", "margin")
    assert {row[0] for row in rows} == queue
    assert len(queue) >= 6
    assert {row[1] for row in rows} == {champion}
    assert {row[2] for row in rows} <= set(trained.project.task.labels)
    assert all(0 <= row[3] <= 1 for row in rows)


def test_the_queue_tells_what_labels_gained_so_far(trained):
    event = trained.instance.get_latest_materialization_event(dg.AssetKey("labeling_queue"))
    page = event.asset_materialization.metadata["more labels"].value
    models = trained.lakehouse.read(HISTORY_SQL)
    assert len(models) >= 1
    assert models["macro_f1"].between(0, 1).all()
    assert "gain.png" not in page
    assert ("data:image/png;base64," in page) == (len(models) > 1)
    assert "waiting documents" in page


def test_after_an_erasure_a_retraining_is_asked_for_and_trains_without_the_text(trained, project_of, source, training):
    trained.configure(project_of([source[1]], training=training, promotion=PROMOTION))
    learnt = trained.lakehouse.read("""
        SELECT h.document_id FROM lake.history.training_dataset h JOIN fine_tuned_model USING (dataset_version)
        SEMI JOIN training_dataset c ON c.document_id = h.document_id
        WHERE h.split = 'train' AND model_id = (SELECT champion_id FROM champion_model ORDER BY decided_at DESC LIMIT 1) ORDER BY 1""")
    erased = learnt["document_id"].iloc[0]
    known = {row[0] for row in trained.rows("fine_tuned_model", "model_id")}
    erase(trained.resources, plan_erasure(trained.resources, Subject("document", erased)), "request 12", "op")
    asked = sensor_tick(trained)
    assert len(asked.run_requests) == 1
    assert trained.run("retrain").succeeded
    ((model_id, version),) = [row for row in trained.rows("fine_tuned_model", "model_id", "dataset_version") if row[0] not in known]
    manifest = json.loads(trained.resources["object_store"].get(f"datasets/{version}/manifest.json"))
    assert manifest["splits"]["train"] > 0
    assert not trained.rows(f"lake.history.training_dataset WHERE document_id = '{erased}'", "document_id")
    words = {row["model"]: row["erased"] for row in show_models(trained.lakehouse)}
    assert words.pop(model_id) == ""
    assert [word for word in words.values() if word.startswith("trained on erased text (1 rows): retrain")]

"""Data sets and models that held what was erased are marked, and a retraining is asked for and begins with a new data set."""

import json
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from assets.schemas import CHAMPION_MODEL, FINE_TUNED_MODEL
from dagster_project.automation import build_retrain_sensor
from dagster_project.runs import summarize
from resources.increments import increment
from services.downloads import list_versions
from services.erasure import erase
from services.erasure_plan import Subject, plan_erasure
from services.erasures import list_erasures
from services.model_queries import show_models
from services.visibility import View

TOOLS = "lamp kettle violin anchor saddle mirror candle marble bridge castle".split()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = View(None, None, reads_raw=True, sees_people=True, key=b"")


def records():
    for number in range(30):
        words = " and the ".join(TOOLS[(number * step + step) % 10] for step in (1, 3, 7))
        text = f"The {words} were {('awful', 'there', 'lovely')[number % 3]}, wrote visitor number {number * 97} of our shop."
        yield {"id": f"n{number}", "text": text, "ratings": [(number % 3 - 1) * 3] * 3}


def run_asset(platform, name):
    job = platform.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(name)})
    outcome = summarize(job.execute_in_process(instance=platform.instance, raise_on_error=False), job, 0.0)
    assert outcome.succeeded, outcome
    return outcome


def current(platform):
    (version,) = {row[0] for row in platform.rows("training_dataset", "dataset_version")}
    return version


def append(lakehouse, table, **given):
    fill = {"VARCHAR": "{}", "DOUBLE": 0.5, "BIGINT": 1, "TIMESTAMPTZ": NOW}
    row = {column.name: given.get(column.name, None if column.nullable else fill[column.type]) for column in table.columns}
    with increment(lakehouse, table.name, run_id="test", code_version="c", following="journal") as step:
        step.write(table.name, pd.DataFrame([row]))
        step.count(rows_in=1, rows_out=1)
    (staged,) = lakehouse.staged(table.name)
    lakehouse.decide(staged, approved=True)


@pytest.fixture(scope="module")
def trained(shared_platform, shared_files_source, project_of):
    """A platform with a data set, and a champion that stands for one trained on it."""
    platform = shared_platform
    platform.configure(project_of([shared_files_source("shop", list(records()))]))
    assert platform.run("refresh").succeeded
    run_asset(platform, "training_dataset")
    version = current(platform)
    for model_id, trained_on in (("model-old", version), ("model-other", "0" * 24)):
        append(platform.lakehouse, FINE_TUNED_MODEL, model_id=model_id, dataset_version=trained_on)
        platform.resources["object_store"].put(f"reports/{model_id}/model_card.md", b"# A model\n\nRows trained on: 20\n")
    append(
        platform.lakehouse, CHAMPION_MODEL, challenger_id="model-old", champion_id="model-old", decision="promoted", dataset_version=version
    )
    return platform


def member(platform, split):
    return sorted(platform.rows(f"training_dataset WHERE split = '{split}'", "document_id"))[0][0]


def tick(platform, cursor=None):
    sensor = build_retrain_sensor(platform.project)
    with dg.build_sensor_context(instance=platform.instance, cursor=cursor, resources={"lakehouse": platform.lakehouse}) as context:
        return sensor.evaluate_tick(context)


def marks(platform, model_id):
    columns = "erased_train_rows", "erased_other_rows"
    return platform.rows(f"fine_tuned_model WHERE model_id = '{model_id}'", *(f"coalesce({name}, 0)::INT" for name in columns))


def test_data_set_and_model_are_marked_and_others_are_not(trained):
    version = current(trained)
    rows = len(trained.rows("training_dataset", "document_id"))
    assert not tick(trained).run_requests
    for document_id in (member(trained, "train"), member(trained, "test")):
        proof = erase(trained.resources, plan_erasure(trained.resources, Subject("document", document_id)), "request 12", "op")
        assert (proof.dataset_versions, proof.models) == ((version,), ("model-old",))
    assert marks(trained, "model-old") == [(1, 1)]
    assert marks(trained, "model-other") == [(0, 0)]
    (listed,) = list_versions(trained.lakehouse, ALL)
    assert (listed["rows_count"], listed["erased_rows"]) == (rows - 2, 2)
    store = trained.resources["object_store"]
    assert json.loads(store.get(f"datasets/{version}/manifest.json"))["erased_rows"] == 2
    assert "2 rows were erased" in store.get(f"datasets/{version}/README.md").decode()
    card = store.get("reports/model-old/model_card.md").decode()
    assert card.count("1 rows of its train split and 1 rows of its dev and test split were erased") == 1
    assert "Rows trained on: 20" in card
    assert "erased" not in store.get("reports/model-other/model_card.md").decode()
    words = {row["model"]: row["erased"] for row in show_models(trained.lakehouse)}
    assert words == {"model-old": "trained on erased text (1 rows): retrain; judged by erased text (1 rows)", "model-other": ""}


def test_the_sensor_asks_for_one_retraining_per_erasure(trained):
    asked = tick(trained)
    assert len(asked.run_requests) == 1
    again = tick(trained, asked.cursor)
    assert not again.run_requests
    assert "1 erased rows was requested already" in again.skip_message
    erase(trained.resources, plan_erasure(trained.resources, Subject("document", member(trained, "train"))), "request 13", "op")
    assert len(tick(trained, asked.cursor).run_requests) == 1


def test_a_retraining_begins_with_a_data_set_without_what_was_erased_and_only_one(trained):
    before = current(trained)
    left = trained.rows("training_dataset", "document_id")
    run_asset(trained, "training_dataset")
    after = current(trained)
    assert after != before
    assert trained.rows("training_dataset", "document_id") == left
    assert "erased_rows" not in json.loads(trained.resources["object_store"].get(f"datasets/{after}/manifest.json"))
    assert {one["dataset_version"]: one["erased_rows"] for one in list_versions(trained.lakehouse, ALL)} == {before: 3, after: 0}
    assert {step.summary for step in run_asset(trained, "training_dataset").steps} == {"nothing new"}
    listed = list_erasures(trained.resources["object_store"])
    assert [(one["reason"], one["models"], one["dataset_versions"]) for one in listed] == [
        (reason, ["model-old"], [before]) for reason in ("request 12", "request 12", "request 13")
    ]
    assert len({one["subject"] for one in listed}) == 3

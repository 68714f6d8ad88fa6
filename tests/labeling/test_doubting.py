"""Label issues on the graph: found on demand, asked again, and settled by the next answer."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from assets.answers import DOCUMENT_ID_FIELD
from assets.label_studio import title_of
from assets.labeling.doubting import cannot_judge
from assets.labeling.given_answers import Answer
from assets.project import Project
from services.queries import trace_document
from tests.quick_compute import QuickCompute
from tests.tiny_base import write_tiny_base

GOOD = ["Wonderful lamp, lovely light", "I love this great phone", "这部手机很好用，我很喜欢", "屏幕漂亮，非常满意"]
BAD = ["Awful cable, broke at once", "Terrible phone, a waste of money", "太差了，用一天就坏，失望", "质量很糟糕，要退货"]
DOUBTED = "Wonderful lamp with lovely light, I love it"


def record(number, label, text=None, annotator="Ann"):
    words = (GOOD if label == "positive" else BAD)[number % 4]
    votes = [{"annotator": name, "label": label} for name in (annotator, "李雷")]
    return {"id": f"r{number}", "text": text or f"{words}, order {number} of {number * 7 % 41}", "ratings": votes}


def configure(platform, project_of, source, training=None, **labeling):
    settings = {"min_human_votes": 2, "rules": {"enabled": []}, "embeddings": True, "min_agreement": -1} | labeling
    project = project_of([source], labeling=settings, training=training or {}).model_dump(mode="json")
    project["task"] = {"labels": ["negative", "positive"]}
    platform.configure(Project.model_validate(project))
    platform.resources["compute"] = QuickCompute(platform.environment.home / "work")


@dataclass
class Shop:
    """161 documents, one of them with a label that is wrong, as `refresh` left them.

    Attributes:
        source: Where they come from.
        home: Where they are.
        consensus: What was said of the consensus; the project had asked for `crowdlab`.
    """

    source: dict
    home: Path
    consensus: str


@pytest.fixture(scope="module")
def shop(shared_platform, shared_files_source, project_of):
    """Made once; the tests go on from copies."""
    records = [record(number, ("positive", "negative")[number // 4 % 2]) for number in range(160)]
    source = shared_files_source("shop", [*records, record(900, "negative", DOUBTED)])
    configure(shared_platform, project_of, source, queue_mix={"label_issue": 1.0}, consensus="crowdlab")
    assert shared_platform.run("refresh").failed_steps == {}
    assert shared_platform.rows("labeling_queue", "strategy") == []
    said = metadata_of(shared_platform, "labeled_documents")["consensus"].value
    shared_platform.lakehouse.close()
    return Shop(source, shared_platform.environment.home, said)


@pytest.fixture
def copied(platform, shop, project_of):
    """Configures a platform with a copy of the shop; returns the wrongly labelled document."""

    def make(**settings):
        shutil.copytree(shop.home, platform.environment.home)
        configure(platform, project_of, shop.source, **{"queue_mix": {"label_issue": 1.0}} | settings)
        ((document_id,),) = platform.rows("clean_documents WHERE external_id = 'r900'", "document_id")
        return document_id

    return make


@pytest.mark.parametrize(
    ("labeling", "said"),
    [
        ({"embeddings": False}, "set labeling.embeddings to true"),
        ({}, "expected 100 confident labels with embeddings, 10 of each label, found 1, 0"),
    ],
)
def test_who_cannot_be_judged_is_told_what_is_missing(platform, files_source, project_of, labeling, said):
    configure(platform, project_of, files_source("shop", [record(1, "positive")]), **labeling)
    assert platform.run("refresh").succeeded
    assert platform.run("issues").succeeded
    assert platform.rows("label_issues", "kind") == []
    assert said in metadata_of(platform, "label_issues")["issues"].value


def test_a_doubted_label_is_asked_again_until_somebody_answers(platform, copied):
    document_id = copied()
    assert platform.run("issues").failed_steps == {}
    issues = platform.rows("label_issues", "document_id", "kind", "given_label", "suggested_label")
    assert (document_id, "model_disagrees", "negative", "positive") in issues
    assert (document_id, "label_issue", "label_issue") in platform.rows("labeling_queue", "document_id", "strategy", "reason")
    assert len(platform.rows("label_predictions", "document_id")) == 161
    trace = trace_document(platform.lakehouse, document_id)
    assert [row["given_label"] for row in trace["label_issues"]] == ["negative"]

    assert document_id not in platform.desk.answered_by("Ann")
    platform.desk.keep([Answer(document_id, "Ann", "positive"), Answer(document_id, "李雷", "positive")], "test")
    assert document_id in platform.desk.answered_by("Ann")
    assert platform.run("refresh").failed_steps == {}
    assert platform.rows(f"labeled_documents WHERE document_id = '{document_id}'", "label") == [("positive",)]
    assert document_id not in [key for (key,) in platform.rows("labeling_queue", "document_id")]
    assert platform.run("issues").failed_steps == {}
    assert document_id not in [key for (key,) in platform.rows("label_issues", "document_id")]


def test_on_a_labeling_server_a_fresh_task_takes_the_place_of_the_answered_one(platform, copied, labeling_server):
    document_id = copied()
    server = platform.resources["labeling_server"] = labeling_server
    server.titles.append(title_of(platform.project))
    server.add_tasks(1, [{"data": {"text": DOUBTED, DOCUMENT_ID_FIELD: document_id, "source": "shop", "control": "label"}}])
    server.annotate(1, "negative")
    assert platform.run("refresh").failed_steps == {}
    assert ("amy@example.com",) in platform.rows("annotations", "annotator_id")
    assert list(server.found) == [1]
    assert platform.run("issues").failed_steps == {}
    about = [task for task in server.found.values() if task["data"][DOCUMENT_ID_FIELD] == document_id]
    assert [(task["data"].get("asked_for"), task["annotations"], "predictions" in task) for task in about] == [
        ("label_issue negative", [], False)
    ]
    assert 1 not in server.found
    assert platform.run("issues").failed_steps == {}
    assert len([task for task in server.found.values() if task["data"][DOCUMENT_ID_FIELD] == document_id]) == 1


def metadata_of(platform, asset):
    return platform.instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization.metadata


def test_a_confirmed_label_is_not_asked_a_third_time_and_the_model_then_decides_too(platform, shop, copied):
    document_id = copied(consensus="crowdlab")
    assert shop.consensus.startswith("auto, since crowdlab expected a document with two votes and a word of the model, found none")
    assert platform.run("issues").failed_steps == {}
    platform.desk.keep([Answer(document_id, "王五", "negative")], "test")
    for job in ("refresh", "issues"):
        assert platform.run(job).failed_steps == {}
    assert document_id in [key for (key,) in platform.rows("label_issues", "document_id")]
    assert document_id not in [key for (key,) in platform.rows("labeling_queue", "document_id")]
    assert metadata_of(platform, "labeled_documents")["consensus"].value == "crowdlab"


def words_of(*texts):
    return sorted({word for text in texts for word in re.findall(r"[a-z]+|[,.]|[\u4e00-\u9fff]", text.lower())})


def test_fine_tuned_models_are_asked_besides_where_the_project_says_so(platform, copied, tmp_path):
    base = write_tiny_base(tmp_path / "base", words_of(*GOOD, *BAD, DOUBTED))
    training = {"base_model": str(base), "learning_rate": 0.01, "epochs": 4, "batch_tokens": 256, "dropout": 0.0}
    document_id = copied(issue_models="fine_tuned", training=training)
    assert platform.run("issues").failed_steps == {}
    assert (document_id, "model_disagrees", "positive") in platform.rows("label_issues", "document_id", "kind", "suggested_label")
    assert not list((platform.resources["compute"].folder / "folds").iterdir())


PEOPLE, PLACES = ["Anna Smith", "Bob Jones", "Maria Lopez", "John Miller"], ["Leeds", "Paris", "Boston", "Madrid"]


def spans_record(number, *, is_wrong=False):
    person, place = PEOPLE[number % 4], PLACES[number // 4 % 4]
    text = f"{person} moved to {place} with {number} boxes."
    start = text.index(place)
    spans = [[0, len(person), "PERSON"], [start, start + len(place), "PERSON" if is_wrong else "PLACE"]]
    return {"id": f"r{number}", "text": text, "spans": spans}


def test_spans_are_doubted_by_models_that_were_fine_tuned_without_them(platform, tmp_path, write_jsonl, project_of):
    write_jsonl(tmp_path / "drop" / "one.jsonl", [spans_record(number, is_wrong=number == 77) for number in range(110)])
    source = {"kind": "files", "name": "news", "path": f"{tmp_path}/drop/*.jsonl", "fields": {"spans": "spans", "annotator": "wang"}}
    content = project_of([source]).model_dump(mode="json")
    content["task"] = {"kind": "token_classification", "labels": ["PERSON", "PLACE"]}
    content["labeling"] |= {"min_human_votes": 1, "min_agreement": 0, "queue_mix": {"label_issue": 1.0}}
    content["cleaning"] |= {"near_duplicate_similarity": 1.0}
    base = write_tiny_base(tmp_path / "base", words_of(*PEOPLE, *PLACES, "moved to with boxes."))
    content["training"] |= {"base_model": str(base), "learning_rate": 0.01, "epochs": 4, "batch_tokens": 256, "dropout": 0.0}
    assert "set labeling.issue_models to fine_tuned" in cannot_judge(Project.model_validate(content))
    content["labeling"] |= {"issue_models": "fine_tuned"}
    platform.configure(Project.model_validate(content))
    assert platform.run("refresh").failed_steps == {}
    assert platform.run("issues").failed_steps == {}
    ((document_id,),) = platform.rows("clean_documents WHERE external_id = 'r77'", "document_id")
    assert document_id in [key for (key,) in platform.rows("label_issues WHERE suggested_label LIKE '%PLACE%'", "document_id")]
    assert document_id in [key for (key,) in platform.rows("labeling_queue", "document_id")]

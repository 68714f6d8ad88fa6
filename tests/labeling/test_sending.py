"""What reaches a labeling server, on the real graph, with a server that remembers. The real one is in `test_label_studio_server.py`."""

from dataclasses import replace

import dagster as dg
import pytest

from assets.label_studio import TITLE_CHARS, title_of

RECORDS = [
    {"id": "1", "text": "The lamp stands on the desk beside the window.", "ratings": []},
    {"id": "2", "text": "这台灯放在窗边的桌子上。", "ratings": [{"annotator": "bo", "label": "positive"}]},
]


@pytest.fixture
def lamps(platform, files_source, project_of):
    project = project_of([files_source("lamps", RECORDS)], labeling={"min_human_votes": 2, "rules": {"enabled": []}, "guideline": "好。"})
    platform.configure(project)
    return platform


def refresh(platform):
    outcome = platform.run("refresh")
    assert outcome.failed_steps == {}
    return {step.asset: step.summary for step in outcome.steps}


def test_every_document_is_asked_once_and_answers_become_votes(lamps, files_source, labeling_server):
    server = lamps.resources["labeling_server"] = labeling_server
    assert refresh(lamps)["labeling_tasks"] == "2 in, 2 out, 0 rejected, 0 skipped"
    suggestions = {task["data"]["text"]: len(task.get("predictions", [])) for task in server.found.values()}
    assert suggestions == {RECORDS[0]["text"]: 0, RECORDS[1]["text"]: 1}
    assert set(refresh(lamps).values()) == {"nothing new"}
    (number,) = [number for number, task in server.found.items() if task["data"]["text"] == RECORDS[0]["text"]]
    server.annotate(number, "neutral")
    files_source("lamps", [{**RECORDS[1], "text": "这台灯坏了，不能再用了。"}], file="two.jsonl")
    refresh(lamps)
    assert ("amy@example.com", "neutral", 2.0) in lamps.rows("annotations", "annotator_id", "label", "seconds")
    assert sorted(task["data"]["text"] for task in server.found.values()) == [RECORDS[0]["text"], "这台灯坏了，不能再用了。"]


def test_a_server_that_comes_later_gets_the_queue_and_one_that_has_it_is_left_alone(lamps, labeling_server):
    assert refresh(lamps)["labeling_tasks"] == "2 in, 0 out, 0 rejected, 2 skipped"
    lamps.resources["labeling_server"] = labeling_server
    assert refresh(lamps)["labeling_tasks"] == "2 in, 2 out, 0 rejected, 0 skipped"
    moved = lamps.resources["labeling_server"] = replace(labeling_server, url="http://127.0.0.1:2")
    assert set(refresh(lamps).values()) == {"nothing new"}
    assert len(moved.found) == 2


def test_long_names_of_projects_stay_apart(lamps):
    names = ["a" * 40, "a" * 41, "a" * 60 + "x", "a" * 60 + "y"]
    titles = [title_of(lamps.project.model_copy(update={"name": name})) for name in names]
    assert len(set(titles)) == 4
    assert max(map(len, titles)) <= TITLE_CHARS
    assert titles[0] == "textmill: " + "a" * 40


def test_a_server_that_refuses_the_webhook_is_sent_the_tasks_all_the_same(lamps, labeling_server):
    lamps.resources["labeling_server"] = replace(labeling_server, refusal="No webhook to http://10.0.0.1/annotations: refused")
    refresh(lamps)
    assert labeling_server.found
    event = lamps.instance.get_latest_materialization_event(dg.AssetKey("labeling_tasks"))
    assert event.asset_materialization.metadata["webhook"].value == "No webhook to http://10.0.0.1/annotations: refused"

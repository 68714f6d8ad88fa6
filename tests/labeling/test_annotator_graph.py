"""The ledger of annotators in the graph: it decides labels, and labels that were owed to a bad annotator are decided anew."""

import pytest

from assets.project import Project
from dagster_project.queries import trace_document

TEXTS = [
    ("Wonderful lamp, I love how bright it is", "negative"),
    ("这台灯很亮，我很喜欢", "negative"),
    ("The cable broke after a day, terrible", "positive"),
    ("包装破了，非常失望", "positive"),
]


def record(number, votes):
    text, wrong = TEXTS[number % len(TEXTS)]
    right = "positive" if wrong == "negative" else "negative"
    given = [{"annotator": name, "label": right if answer == "right" else wrong} for name, answer in votes.items()]
    return {"id": f"r{number}", "text": f"{text}, {number} of {number + 7} times", "ratings": given}


@pytest.fixture
def contested(platform, files_source, project_of):
    """Two documents on which Ann stands against Mallory, so that the label that comes first in the task is taken."""
    records = [record(number, {"Ann": "right", "Mallory": "wrong"}) for number in range(2)]
    platform.configure(project_of([files_source("shop", records)], labeling={"min_human_votes": 1, "rules": {"enabled": []}}))
    assert platform.run("refresh").succeeded
    return platform


def labels_of(platform):
    return dict(platform.rows("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "label"))


def test_what_is_learnt_later_decides_earlier_documents_anew(contested, files_source):
    assert labels_of(contested) == {"r0": "negative", "r1": "negative"}
    votes = {"Ann": "right", "李雷": "right", "Mallory": "wrong"}
    files_source("shop", [record(number, votes) for number in range(2, 40)], "two.jsonl")
    outcome = contested.run("refresh")
    assert outcome.failed_steps == {}
    assert outcome.failed_checks == ["labeled_documents: annotators__nobody_votes_suspiciously (WARN)"]
    assert labels_of(contested) == {f"r{number}": ("positive", "negative")[number % 4 // 2] for number in range(40)}
    (step,) = [step for step in outcome.steps if step.asset == "labeled_documents"]
    assert step.summary == "40 in, 40 out, 0 rejected, 0 skipped"
    assert contested.rows("annotators", "annotator_id", "votes_count") == [("Ann", 40), ("Mallory", 40), ("李雷", 38)]
    assert contested.rows("annotators WHERE suspicion IS NOT NULL", "annotator_id", "suspicion") == [("Mallory", "at_odds")]


def test_a_document_tells_its_earlier_label_and_who_its_voters_are(contested, files_source):
    files_source(
        "shop", [record(number, dict.fromkeys(("Ann", "李雷"), "right") | {"Mallory": "wrong"}) for number in range(2, 30)], "two.jsonl"
    )
    assert contested.run("refresh").failed_steps == {}
    ((document_id,),) = contested.rows("clean_documents WHERE external_id = 'r0'", "document_id")
    trace = trace_document(contested.lakehouse, document_id)
    assert [row["label"] for row in trace["labeled_documents"]] == ["positive"]
    assert [row["label"] for row in trace["earlier_labels"]] == ["negative"]
    assert [row["annotator_id"] for row in trace["annotators"]] == ["Ann", "Mallory"]
    known = {row["increment_id"] for row in trace["increments"]}
    assert {row["increment_id"] for row in trace["earlier_labels"]} <= known


def test_the_ledger_is_part_of_the_increment_that_it_decided(contested):
    (increment,) = contested.lakehouse.increments("labeled_documents")
    assert {name for (name,) in contested.rows("annotators", "annotator_id")} >= {"Ann", "Mallory"}
    assert increment.counts.rows_unaccounted == 0


def test_tasks_with_lists_as_answers_have_no_ledger(platform, files_source, project_of):
    records = [{"id": "1", "text": "A lamp for the desk and the wall.", "ratings": [{"annotator": "Ann", "labels": ["light"]}]}]
    project = project_of([files_source("shop", records)]).model_dump(mode="json")
    project["task"] = {"kind": "multi_label_classification", "labels": ["light", "木头"]}
    platform.configure(Project.model_validate(project))
    assert platform.run("refresh").failed_steps == {}
    assert platform.rows("annotators", "annotator_id") == []

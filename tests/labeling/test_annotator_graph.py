"""The ledger of annotators in the graph: it decides labels, and labels that were owed to a bad annotator are decided anew."""

import pytest

from assets.labeling.sheets import QUEUE_SQL
from assets.project import Project
from services.queries import trace_document
from tests.copies import copied

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


@pytest.fixture(scope="module")
def prepared(shared_platform, shared_files_source, project_of):
    """Two documents on which Ann stands against Mallory, so that the label that comes first in the task is taken."""
    shop = shared_files_source("shop", [record(number, {"Ann": "right", "Mallory": "wrong"}) for number in range(2)])
    shared_platform.configure(project_of([shop], labeling={"min_human_votes": 1, "rules": {"enabled": []}}))
    assert shared_platform.run("refresh").succeeded
    return shared_platform


@pytest.fixture
def contested(platform, prepared):
    """A copy of that platform."""
    with copied(prepared, platform):
        yield platform


def labels_of(platform):
    return dict(platform.rows("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "label"))


def test_what_is_learnt_later_decides_earlier_documents_anew(contested, shared_files_source):
    assert labels_of(contested) == {"r0": "negative", "r1": "negative"}
    votes = {"Ann": "right", "李雷": "right", "Mallory": "wrong"}
    shared_files_source("shop", [record(number, votes) for number in range(2, 40)], "two.jsonl")
    outcome = contested.run("refresh")
    assert outcome.failed_steps == {}
    assert outcome.failed_checks == ["labeled_documents: annotators__nobody_votes_suspiciously (WARN)"]
    assert labels_of(contested) == {f"r{number}": ("positive", "negative")[number % 4 // 2] for number in range(40)}
    (step,) = [step for step in outcome.steps if step.asset == "labeled_documents"]
    assert step.summary == "40 in, 40 out, 0 rejected, 0 skipped"
    assert contested.rows("annotators", "annotator_id", "votes_count") == [("Ann", 40), ("Mallory", 40), ("李雷", 38)]
    assert contested.rows("annotators WHERE suspicion IS NOT NULL", "annotator_id", "suspicion") == [("Mallory", "at_odds")]


def test_a_document_tells_its_earlier_label_and_who_its_voters_are(contested, shared_files_source):
    shared_files_source(
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


def test_tasks_with_lists_as_answers_have_a_ledger_of_their_own(platform, files_source, project_of):
    votes = [{"annotator": "Ann", "labels": ["light"], "seconds": 4.0}, {"annotator": "李雷", "labels": ["light", "木头"]}]
    records = [{"id": "1", "text": "A lamp for the desk and the wall.", "ratings": votes}]
    project = project_of([files_source("shop", records)]).model_dump(mode="json")
    project["task"] = {"kind": "multi_label_classification", "labels": ["light", "木头"]}
    platform.configure(Project.model_validate(project))
    assert platform.run("refresh").failed_steps == {}
    rows = platform.rows("annotators", "annotator_id", "commonest_label", "round(agreement_ratio, 3)", "median_seconds IS NOT NULL")
    assert rows == [("Ann", '["light"]', 0.667, True), ("李雷", '["light","木头"]', 0.667, False)]


GOLD = {"annotators": ["专家"], "min_answers": 4, "min_accuracy": 0.7, "share": 0.25}


def configure_gold(platform, files_source, project_of, bo, **settings):
    """Six documents that the expert answered, and one that Bo did not see yet; Bo's answers are right or wrong."""
    records = [record(number, {"专家": "right", "Bo": bo}) for number in range(6)] + [record(6, {"Ann": "right"})]
    labeling = {"min_human_votes": 3, "rules": {"enabled": []}, "gold": GOLD | settings}
    platform.configure(project_of([files_source("shop", records)], labeling=labeling))


def test_known_answers_are_labels_and_are_asked_again_as_gold_questions(platform, files_source, project_of):
    configure_gold(platform, files_source, project_of, "right")
    assert platform.run("refresh").succeeded
    confident = platform.rows("labeled_documents JOIN clean_documents USING (document_id) WHERE is_confident", "external_id", "confidence")
    assert confident == [(f"r{number}", 1.0) for number in range(6)]
    assert platform.rows("labeling_queue", "strategy", "reason") == [("uncertainty", "too_few_votes")]
    files_source("shop", [record(number, {"Ann": "right"}) for number in range(7, 10)], "two.jsonl")
    assert platform.run("refresh").succeeded
    strategies = [strategy for (strategy,) in platform.rows("labeling_queue", "strategy")]
    assert strategies.count("gold") == 1
    assert platform.rows("annotators WHERE gold_count > 0", "annotator_id", "gold_count", "gold_ratio") == [("Bo", 6, 1.0)]


def test_labels_are_refused_when_too_few_gold_questions_are_answered_rightly(platform, files_source, project_of):
    configure_gold(platform, files_source, project_of, "wrong")
    outcome = platform.run("refresh")
    assert "labeled_documents: annotators_pass_gold (ERROR)" in outcome.failed_checks
    assert platform.rows("labeled_documents", "label") == []
    configure_gold(platform, files_source, project_of, "wrong", min_accuracy=0.0)
    assert platform.run("refresh").succeeded
    assert len(platform.rows("labeled_documents", "label")) == 7


def test_few_answers_to_gold_questions_are_not_judged(platform, files_source, project_of):
    configure_gold(platform, files_source, project_of, "wrong", min_answers=7)
    assert platform.run("refresh").succeeded


def test_a_sheet_does_not_tell_the_answer_of_a_gold_question(platform, files_source, project_of):
    configure_gold(platform, files_source, project_of, "right", share=0.5)
    assert platform.run("refresh").succeeded
    queue = platform.lakehouse.read(QUEUE_SQL)
    is_gold = queue["document_id"].isin([key for (key,) in platform.rows("labeling_queue WHERE strategy = 'gold'", "document_id")])
    assert queue[is_gold]["suggestion"].isna().tolist() == [True]
    assert queue[~is_gold]["suggestion"].notna().tolist() == [True]

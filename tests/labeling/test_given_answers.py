"""What people answered, checked and written as votes."""

import json

import pandas as pd
import pytest

from assets.labeling.given_answers import Answer, AnswersRefusedError, UnknownDocumentError, second_answers, votes_by_source
from assets.project import Task

ONE = Task(labels=("坏", "good"))
RATED = Task(labels=("坏", "good"), rating={"minimum": -4, "maximum": 4, "thresholds": {"坏": -3, "good": 0}})
SEVERAL = Task(kind="multi_label_classification", labels=("价格", "quality"))
SPANS = Task(kind="token_classification", labels=("LOC", "人"))
TEXTS = {"d1": "这台灯很亮", "d3": "-5 stars"}
KNOWN = pd.DataFrame([(name, "shop", text) for name, text in TEXTS.items()], columns=["document_id", "source", "text"])


@pytest.mark.parametrize(
    ("task", "answer", "vote"),
    [
        (ONE, Answer("d1", "ann", "good"), {"label": "good"}),
        (SEVERAL, Answer("d1", "ann", "[]"), {"labels": []}),
        (SPANS, Answer("d1", "ann", '[{"start":0,"end":2,"label":"人"}]'), {"spans": [{"start": 0, "end": 2, "label": "人"}]}),
        (RATED, Answer("d1", "ann", None, rating=-3.0), {"value": -3.0}),
        (RATED, Answer("d1", "ann", "good", seconds=2.5, guideline="0a1b2c3d"), {"label": "good", "seconds": 2.5, "guideline": "0a1b2c3d"}),
    ],
)
def test_answers_become_votes_on_the_revision_that_was_shown(task, answer, vote):
    (source, lines), *none = votes_by_source([answer], KNOWN, task, "a.jsonl").items()
    assert (source, none) == ("shop", [])
    assert json.loads(lines) == {"textmill_document_id": "d1", "text": TEXTS["d1"], "votes": [{"annotator": "ann", **vote}]}


def test_votes_of_several_people_on_one_document_are_one_record():
    answers = [Answer("d1", "ann", "good"), Answer("d3", "ann", "坏"), Answer("d1", "bo", "坏")]
    (lines,) = votes_by_source(answers, KNOWN, ONE, "a.csv").values()
    assert [len(json.loads(line)["votes"]) for line in lines.split("\n") if line] == [2, 1]


def test_no_answers_are_no_files():
    assert votes_by_source([], KNOWN, ONE, "a.csv") == {}


@pytest.mark.parametrize(
    ("task", "answer", "message"),
    [
        (ONE, Answer("d9", "ann", "good", "line 7"), "line 7: expected the id of a clean document that you may see, found 'd9'"),
        (ONE, Answer("d1", "ann", "great", "line 2"), r"line 2: expected labels out of \['坏', 'good'\], found \['great'\]"),
        (SPANS, Answer("d1", "ann", '[{"start":3,"end":9,"label":"人"}]', "line 2"), "line 2: expected a span .* within 5 characters"),
        (
            ONE,
            Answer("d1", "ann", None, "line 2", rating=1),
            "line 2: expected an answer of the task, which has no rating scale, found the",
        ),
        (RATED, Answer("d1", "ann", None, "line 2", rating=5), "line 2: expected a rating from -3 to 4, found 5"),
        (RATED, Answer("d1", "ann", None, "line 2", rating=-3.5), "line 2: expected a rating from -3 to 4, found -3.5"),
    ],
)
def test_answers_must_be_the_tasks_about_clean_documents_and_within_them(task, answer, message):
    with pytest.raises(AnswersRefusedError, match="(?s)a.csv: nothing was taken.*" + message) as refused:
        votes_by_source([answer, Answer("d3", "ann", "good", "line 9")], KNOWN, task, "a.csv")
    assert isinstance(refused.value, UnknownDocumentError) == (answer.document_id == "d9")


def test_a_second_answer_of_somebody_to_a_document_is_told():
    answers = [Answer("d1", "ann", "good", "line 1"), Answer("d1", "bo", "坏", "line 2"), Answer("d1", "ann", "坏", "line 3")]
    assert second_answers(answers) == ["line 3: expected one answer of ann to a document, found another at line 1"]

"""In which forms people answer, task by task."""

import pytest

from assets.labeling.given_answers import Answer, AnswersRefusedError
from assets.project import Task
from services.label_forms import GivenAnswers, forms_of, read_answers

ONE = Task(labels=("坏", "good"))
RATED = Task(labels=("坏", "good"), rating={"minimum": -4, "maximum": 4, "thresholds": {"坏": -4, "good": 0}})
SEVERAL = Task(kind="multi_label_classification", labels=("价格", "quality"))
SPANS = Task(kind="token_classification", labels=("LOC", "人"))
QUESTION = Task(kind="question_answering")
RELATION = Task(kind="relation_extraction", labels=("works_for", "none"))


def read(task, *answers, guideline=None):
    given = GivenAnswers.model_validate({"answers": [{"document_id": f"d{n}", **one} for n, one in enumerate(answers)]})
    return read_answers(given.model_copy(update={"guideline": guideline}), "ann", task, "here")


@pytest.mark.parametrize(
    ("task", "given", "answer"),
    [
        (ONE, {"label": "坏"}, "坏"),
        (RATED, {"label": "good"}, "good"),
        (RELATION, {"label": "none"}, "none"),
        (SEVERAL, {"labels": ["quality", "价格"]}, '["价格","quality"]'),
        (SEVERAL, {"labels": []}, "[]"),
        (SPANS, {"spans": [{"end": 3, "start": 1, "label": "人"}]}, '[{"start":1,"end":3,"label":"人"}]'),
        (SPANS, {"spans": []}, "[]"),
        (QUESTION, {"spans": [{"start": 0, "end": 2, "label": "answer"}]}, '[{"start":0,"end":2,"label":"answer"}]'),
    ],
)
def test_each_task_has_its_form(task, given, answer):
    assert read(task, given) == [Answer("d0", "ann", answer, "answers.0")]
    assert set(given) <= set(forms_of(task))


def test_how_an_answer_came_about_goes_with_it():
    (rated,) = read(RATED, {"rating": -2, "seconds": 3}, guideline="0a1b2c3d")
    assert rated == Answer("d0", "ann", None, "answers.0", rating=-2.0, seconds=3.0, guideline="0a1b2c3d")


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (ONE, {}, "expected label, found none"),
        (ONE, {"rating": 3}, "expected label, found rating"),
        (RATED, {"rating": 3, "label": "good"}, "expected label or rating, found label and rating"),
        (SEVERAL, {"label": "quality"}, "expected labels, found label"),
        (SPANS, {"labels": ["人"]}, "expected spans, found labels"),
        (ONE, {"label": "great"}, r"expected labels out of \['坏', 'good'\], found \['great'\]"),
        (SEVERAL, {"labels": ["quality", "quality"]}, "expected a JSON list of distinct labels"),
        (SPANS, {"spans": [{"start": 2, "end": 2, "label": "人"}]}, "expected a span with 0 <= start < end, found 2 to 2"),
    ],
)
def test_other_forms_and_labels_are_refused_with_their_place(task, given, message):
    good = {"labels": []} if task is SEVERAL else {"spans": []} if task is SPANS else {"label": "good"}
    with pytest.raises(AnswersRefusedError, match=f"here: nothing was taken; correct these and try again:\nanswers.1: {message}"):
        read(task, good, given)


def test_two_answers_to_one_document_are_refused():
    with pytest.raises(AnswersRefusedError, match=r"answers\.1: expected one answer of ann to a document, found another at answers\.0"):
        read(ONE, {"document_id": "d", "label": "good"}, {"document_id": "d", "label": "good"})

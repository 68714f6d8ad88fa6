"""Label Studio's dialect: what it is told, and what its answers mean."""

from xml.etree import ElementTree

import pytest

from assets.label_studio import control_of, instruction_of, label_config, to_task, votes_of
from assets.project import Task

CLASSES = Task(labels=("负面", "so-so & <odd>", "正面"))
TOPICS = Task(kind="multi_label_classification", labels=("sport", "政治"))
ENTITIES = Task(kind="token_classification", labels=("PERSON", "地点"))
QUESTIONS = Task(kind="question_answering")
TEXT = "😀😀小明住在北京。"


def row(**changes):
    facts = {
        "document_id": "d1",
        "source": "shop",
        "language": "zh",
        "text": TEXT,
        "suggestion": None,
        "suggested_by": None,
        "confidence": 0.7,
    }
    return facts | changes


def annotated(task, *annotations):
    """The task as the server would send it back."""
    sent = to_task(row(), task, "g1")
    facts = {"annotator": "amy", "updated_at": "2026-01-01T00:00:00Z", "was_cancelled": False, "lead_time": 2.5}
    return {"id": 7, **sent, "annotations": [facts | {"id": number} | each for number, each in enumerate(annotations, start=1)]}


def choices(control, *chosen):
    return [{"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": list(chosen)}}]


def span(start, end, label, said):
    return {
        "from_name": "spans",
        "to_name": "text",
        "type": "labels",
        "value": {"start": start, "end": end, "labels": [label], "text": said},
    }


@pytest.mark.parametrize(("task", "control"), [(CLASSES, "Choices"), (TOPICS, "Choices"), (ENTITIES, "Labels"), (QUESTIONS, "Labels")])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_offers_every_label_in_the_tasks_order(task, control, language):
    view = ElementTree.fromstring(label_config(task, language))  # our own words
    offered = view.find(control)
    assert [option.get("value") for option in offered] == list(task.labels)
    assert (offered.get("name"), offered.get("toName"), view.find("Text").get("value")) == (control_of(task), "text", "$text")
    assert any("一" <= character <= "鿿" for character in view.find("Header").get("value")) == (language == "zh")


def test_one_label_must_be_chosen_and_any_number_need_not():
    assert 'choice="single" required="true"' in label_config(CLASSES, "en")
    assert 'choice="multiple" required="false"' in label_config(TOPICS, "en")


def test_a_guideline_is_text_and_no_markup():
    assert instruction_of("Be <b>kind</b>.\n\n第一行\n第二行\n\n\n") == "<p>Be &lt;b&gt;kind&lt;/b&gt;.</p><p>第一行<br>第二行</p>"
    assert instruction_of("") == ""


def test_a_suggestion_comes_back_as_the_same_answer():
    for task, answer, expected in [
        (CLASSES, "正面", {"label": "正面"}),
        (TOPICS, '["sport","政治"]', {"labels": ["sport", "政治"]}),
        (TOPICS, "[]", {"labels": []}),
        (ENTITIES, '[{"start":2,"end":4,"label":"PERSON"}]', {"spans": [{"start": 2, "end": 4, "text": "小明", "labels": ["PERSON"]}]}),
    ]:
        (prediction,) = to_task(row(suggestion=answer, suggested_by="model-1"), task, None)["predictions"]
        assert (prediction["model_version"], prediction["score"]) == ("model-1", 0.7)
        (vote,) = votes_of(annotated(task, {"result": prediction["result"]}))
        assert {key: vote[key] for key in expected} == expected
    assert "predictions" not in to_task(row(), CLASSES, None)


def test_votes_say_who_how_long_and_under_which_guideline():
    (vote,) = votes_of(annotated(CLASSES, {"result": choices("label", "正面")}))
    assert vote == {"annotator": "amy", "seconds": 2.5, "guideline": "g1", "label": "正面"}


def test_of_several_annotations_of_one_person_the_newest_counts():
    first = {"result": choices("label", "正面"), "updated_at": "2026-01-02T00:00:00Z"}
    second = {"result": choices("label", "负面"), "updated_at": "2026-01-01T00:00:00Z"}
    other = {"result": choices("label", "负面"), "annotator": "李雷"}
    assert [(vote["annotator"], vote["label"]) for vote in votes_of(annotated(CLASSES, first, second, other))] == [
        ("amy", "正面"),
        ("李雷", "负面"),
    ]


def test_a_skipped_task_withdraws():
    (vote,) = votes_of(annotated(CLASSES, {"result": choices("label", "正面"), "was_cancelled": True}))
    assert vote["withdrawn"] is True
    assert "label" not in vote


def test_spans_are_counted_in_characters_whatever_the_browser_counted():
    in_characters, in_utf16 = span(2, 4, "PERSON", "小明"), span(8, 10, "地点", "北京")
    (vote,) = votes_of(annotated(ENTITIES, {"result": [in_characters, in_utf16]}))
    assert [(found["start"], found["end"]) for found in vote["spans"]] == [(2, 4), (6, 8)]
    assert [TEXT[found["start"] : found["end"]] for found in vote["spans"]] == ["小明", "北京"]


def test_results_of_other_controls_are_not_the_answer():
    (vote,) = votes_of(annotated(TOPICS, {"result": [*choices("labels", "sport"), *choices("mood", "good")]}))
    assert vote["labels"] == ["sport"]

"""`GET /queue`: everybody is asked what the terminal would ask them, as far as their token sees it."""

import dataclasses
from datetime import timedelta

import pytest

from services.labeling_desk import LabelingDesk
from tests.services.conftest import GUIDELINE, Api

ANNOTATOR = "test annotator"


def ids_of(rows):
    return [row["document_id"] for row in rows]


def numbers_of(platform, rows):
    """Source and number of documents, in their order."""
    known = {row[0]: row[1:] for row in platform.rows("clean_documents", "document_id", "source", "external_id")}
    return [known[document_id] for document_id in ids_of(rows)]


def test_the_questions_are_those_of_the_terminal_in_its_order(asking_api, asking):
    rows = asking_api.json("/queue", "annotator")["rows"]
    assert ids_of(rows) == list(asking.desk.questions(ANNOTATOR, 100)["document_id"])
    assert [row["position"] for row in rows] == list(range(1, 17))
    assert ids_of(rows) == [row[1] for row in asking.rows("labeling_queue", "position", "document_id")]


def test_the_task_and_the_guideline_come_with_the_questions(asking_api):
    page = asking_api.json("/queue", "annotator")
    labels = ["negative", "neutral", "positive"]
    assert page["task"] == {"kind": "text_classification", "labels": labels, "forms": ["label", "rating"], "rating": [-4.0, 4.0]}
    assert page["guideline"] == {"version": "8609cd81", "text": GUIDELINE}


def test_without_a_guideline_there_is_none(asking_api):
    backend = asking_api.backend
    labeling = backend.project.labeling.model_copy(update={"guideline": None})
    api = Api(dataclasses.replace(backend, project=backend.project.model_copy(update={"labeling": labeling})))
    assert api.json("/queue", "annotator")["guideline"] is None


def test_what_the_owner_of_the_token_answered_is_not_asked_again(asking_api, asking):
    api, (first, second, *_) = asking_api, asking_api.json("/queue", "annotator")["rows"]
    answers = [{"document_id": row["document_id"], "label": "neutral"} for row in (first, second)]
    assert api.ask("/labels", "annotator", "POST", json={"answers": answers, "guideline": "8609cd81"}).status_code == 200
    assert len(api.json("/queue", "annotator")["rows"]) == 14
    assert not {first["document_id"], second["document_id"]} & set(ids_of(api.json("/queue", "annotator")["rows"]))
    assert len(api.json("/queue", "admin")["rows"]) == 16


def test_a_token_with_the_name_of_somebody_is_asked_what_they_did_not_answer_in_the_data(asking_api, asking):
    amy, _ = asking_api.backend.store.create(" amy ", "annotator", timedelta(days=1))
    asked = numbers_of(asking, asking_api.json("/queue", amy)["rows"])
    assert sorted(asked) == sorted((source, f"n{number}") for source in ("hotel", "shop") for number in (0, 4, 5, 6, 7))


def test_gold_questions_look_like_others(asking_api, asking):
    gold = {row[0] for row in asking.rows("labeling_queue WHERE strategy = 'gold'", "document_id")}
    rows = asking_api.json("/queue", "annotator")["rows"]
    assert {tuple(row) for row in rows} == {("position", "document_id", "source", "language", "text", "suggestion")}
    assert len(gold) == 2
    assert {row["suggestion"] for row in rows if row["document_id"] in gold} == {None}
    assert {row["suggestion"] for row in rows} == {None, "negative", "positive"}


def test_pages_follow_each_other_by_position(asking_api):
    whole = asking_api.json("/queue", "annotator")["rows"]
    pages, after = [], 0
    while after is not None:
        page = asking_api.json("/queue", "annotator", params={"limit": 7, "after": after})
        pages.append(page["rows"])
        after = page["next"]
    assert [len(rows) for rows in pages] == [7, 7, 2]
    assert [row for rows in pages for row in rows] == whole


@pytest.mark.parametrize(("parameters", "source"), [({"source": "hotel"}, "hotel"), ({"language": "en"}, "shop")])
def test_filters_keep_what_is_asked_for(asking_api, parameters, source):
    whole = asking_api.json("/queue", "annotator")["rows"]
    assert asking_api.json("/queue", "annotator", params=parameters)["rows"] == [row for row in whole if row["source"] == source] != []


@pytest.mark.parametrize("parameters", [{"source": "nowhere"}, {"language": "fr"}, {"after": 16}])
def test_where_nothing_waits_nothing_is_asked(asking_api, parameters):
    page = asking_api.json("/queue", "annotator", params=parameters)
    assert (page["rows"], page["next"]) == ([], None)


def test_documents_of_other_sources_and_hidden_texts_are_not_asked(asking_api_of):
    def sources(api, token):
        return {row["source"] for row in api.json("/queue", token)["rows"]}

    api = asking_api_of()
    assert sources(api, api.token("annotator", sources=["hotel"])) == {"hotel"}
    assert api.json("/queue", api.token("annotator", sources=["hotel"]), params={"source": "shop"})["rows"] == []
    assert sources(asking_api_of(sources={"annotator": ("shop",)}), "annotator") == {"shop"}
    assert sources(asking_api_of(sources={"annotator": ()}), "annotator") == set()
    restricted = asking_api_of(restricted_sources=("shop",))
    assert (sources(restricted, "annotator"), sources(restricted, "admin")) == ({"hotel"}, {"hotel", "shop"})


def test_pseudonyms_are_for_some_roles_only(asking_api):
    def addressed(role):
        return [row["text"] for row in asking_api.json("/queue", role)["rows"] if "Write to" in row["text"]]

    assert all("Write to [EMAIL_xxxxxxxxxx] today." in text for text in addressed("annotator"))
    assert not any("xxxxxxxxxx" in text for text in addressed("admin"))
    assert list(map(len, addressed("annotator"))) == list(map(len, addressed("admin"))) != []


def test_documents_of_sources_that_left_the_project_are_not_asked(asking):
    project = asking.project.model_copy(update={"sources": asking.project.sources[:1]})
    desk = LabelingDesk(asking.lakehouse, asking.resources["object_store"], project)
    assert set(desk.questions(None, 100)["source"]) == {"shop"}


def test_a_person_who_answered_much_is_asked_the_rest(asking):
    assert list(asking.desk.questions(None, 3)["position"]) == [1, 2, 3]
    assert list(asking.desk.questions("amy", 3)["position"]) == [1, 2, 4]

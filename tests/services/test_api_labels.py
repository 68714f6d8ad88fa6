"""`POST /labels`: answers go in by the door of the terminal, all or none, and become votes once."""

import dataclasses
import json
from datetime import timedelta

import pytest

from assets.project import Task
from resources.object_store import ObjectStoreError
from tests.services.conftest import GUIDELINE, Api, backend_over, chinese, english

VERSION = "8609cd81"
FEW = [{"id": f"n{number}", "text": english(number), "ratings": [{"annotator": "bo", "label": "neutral"}]} for number in range(2)]
WENIGE = [{"id": f"n{number}", "text": chinese(number), "ratings": []} for number in range(2)]


@pytest.fixture
def id_of(asking):
    """Id of a document by source and number."""
    known = {row[:2]: row[2] for row in asking.rows("clean_documents", "source", "external_id", "document_id")}
    return lambda source, number=5: known[source, f"n{number}"]


def answer(api, *answers, token="annotator", guideline=VERSION):
    return api.ask("/labels", token, "POST", json={"answers": list(answers), "guideline": guideline})


def waiting(api):
    """Records of votes in the files that wait, by source."""
    store = api.backend.object_store
    found = [(stored.key.split("/")[1], store.get(stored.key).decode()) for stored in store.list("labels/")]
    return [(source, json.loads(line)) for source, lines in found for line in lines.splitlines()]


def test_an_answer_becomes_one_vote_of_the_tokens_owner(platform, files_source, project_of, tmp_path):
    sources = [files_source("shop", FEW), files_source("hotel", WENIGE)]
    platform.configure(project_of(sources, labeling={"min_human_votes": 1, "rules": {"enabled": []}, "guideline": GUIDELINE}))
    assert platform.run("refresh").failed_steps == {}
    api = Api(backend_over(platform, tmp_path / "access"))
    token, _ = api.backend.store.create("王伟", "annotator", timedelta(days=1))
    ids = {row[:2]: row[2] for row in platform.rows("clean_documents", "source", "external_id", "document_id")}
    given = [
        {"document_id": ids["shop", "n0"], "label": "negative", "seconds": 4.5},
        {"document_id": ids["hotel", "n1"], "rating": 3},
    ]

    def votes():
        columns = ("source", "external_id", "annotator_id", "annotations.label", "value", "seconds", "guideline")
        rows = platform.lakehouse.read(
            f"SELECT {', '.join(columns)} FROM annotations JOIN clean_documents USING (document_id, source) WHERE annotator_id <> 'bo'"
        )
        return sorted(tuple(row) for row in rows.astype(object).where(rows.notna(), None).itertuples(index=False))

    expected = [("hotel", "n1", "王伟", "positive", 3.0, None, VERSION), ("shop", "n0", "王伟", "negative", None, 4.5, VERSION)]
    for _ in range(3):
        kept = answer(api, *given, token=token)
        assert (kept.status_code, kept.json()) == (200, {"annotator": "王伟", "answers": 2})
    assert len(waiting(api)) == 2
    assert platform.run("refresh").failed_steps == {}
    assert votes() == expected
    assert not set(ids[key] for key in (("shop", "n0"), ("hotel", "n1"))) & {
        row["document_id"] for row in api.json("/queue", token)["rows"]
    }
    assert {step.summary for step in platform.run("refresh").steps} == {"nothing new"}

    assert answer(api, *given, token=token).status_code == 200
    assert answer(api, {"document_id": ids["hotel", "n1"], "label": "neutral"}, token=token).status_code == 200
    assert platform.run("refresh").failed_steps == {}
    assert votes() == [("hotel", "n1", "王伟", "neutral", None, None, VERSION), expected[1]]
    assert [found.counts.rows_unaccounted for found in platform.lakehouse.increments("raw_annotations")] == [0] * 6
    assert answer(api, given[1], token=token).status_code == 200
    assert platform.run("refresh").failed_steps == {}
    assert votes() == expected


def test_answers_wait_as_votes_on_the_text_that_was_shown(asking_api, asking, id_of):
    assert answer(asking_api, {"document_id": id_of("hotel"), "label": "positive", "seconds": 2}).status_code == 200
    vote = {"annotator": "test annotator", "label": "positive", "seconds": 2.0, "guideline": VERSION}
    record = {"textmill_document_id": id_of("hotel"), "text": chinese(5), "votes": [vote]}
    assert waiting(asking_api) == [("hotel", record)]
    assert id_of("hotel") in asking.desk.answered_by("test annotator")


def test_the_newest_answer_counts_and_the_same_one_is_kept_once(asking_api, asking, id_of):
    for label in ("positive", "positive", "negative", "negative", "positive"):
        assert answer(asking_api, {"document_id": id_of("shop"), "label": label}).json() == {"annotator": "test annotator", "answers": 1}
    assert [record["votes"][0]["label"] for _, record in waiting(asking_api)] == ["positive", "negative", "positive"]
    assert asking.desk.waiting_votes()[id_of("shop"), "test annotator"]["label"] == "positive"


def test_the_terminal_and_the_api_share_one_door(asking_api, asking, id_of):
    from assets.labeling.given_answers import Answer

    asking.desk.keep([Answer(id_of("shop"), "test annotator", "neutral", "terminal")], "terminal")
    assert id_of("shop") not in [row["document_id"] for row in asking_api.json("/queue", "annotator")["rows"]]
    assert answer(asking_api, {"document_id": id_of("shop"), "label": "neutral"}).status_code == 200
    assert len(waiting(asking_api)) == 1


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"label": "great"}, 422, "answers.1: expected labels out of ['negative', 'neutral', 'positive'], found ['great']"),
        ({"label": None}, 422, "answers.1: expected label or rating, found none"),
        ({"rating": 1}, 422, "answers.1: expected label or rating, found label and rating"),
        ({"label": None, "rating": 4.5}, 422, "answers.1: expected a rating from -4 to 4, found 4.5"),
        ({"label": None, "spans": []}, 422, "answers.1: expected label or rating, found spans"),
        ({"document_id": "nobody"}, 404, "answers.1: expected the id of a clean document that you may see, found 'nobody'"),
        ({"document_id": "\0'; --"}, 404, "answers.1: expected the id of a clean document that you may see"),
        ({"seconds": -1}, 422, "body.answers.1.seconds: Input should be greater than or equal to 0"),
        ({"rating": "3"}, 422, "body.answers.1.rating: Input should be a valid number"),
        ({"annotator": "amy"}, 422, "body.answers.1.annotator: Extra inputs are not permitted"),
    ],
)
def test_one_wrong_answer_takes_none(asking_api, id_of, change, status, message):
    good = {"document_id": id_of("shop"), "label": "neutral"}
    refused = answer(asking_api, good, {"document_id": id_of("hotel"), "label": "neutral"} | change)
    assert refused.status_code == status
    assert message in refused.json()["detail"]
    assert waiting(asking_api) == []


def test_two_answers_to_one_document_are_refused(asking_api, id_of):
    refused = answer(asking_api, *[{"document_id": id_of("shop"), "label": label} for label in ("neutral", "negative")])
    assert refused.status_code == 422
    assert "answers.1: expected one answer of test annotator to a document, found another at answers.0" in refused.json()["detail"]
    assert waiting(asking_api) == []


@pytest.mark.parametrize("given", ["00000000", None, ""])
def test_answers_by_another_guideline_are_refused(asking_api, id_of, given):
    refused = answer(asking_api, {"document_id": id_of("shop"), "label": "neutral"}, guideline=given)
    expected = f"Expected the guideline {VERSION}, found {given or 'none'}. `GET /queue` shows the one in force."
    assert (refused.status_code, refused.json()["detail"]) == (409, expected)
    assert waiting(asking_api) == []


def test_where_there_is_no_guideline_none_may_be_named(asking_api, id_of):
    backend = asking_api.backend
    labeling = backend.project.labeling.model_copy(update={"guideline": None})
    api = Api(dataclasses.replace(backend, project=backend.project.model_copy(update={"labeling": labeling})))
    refused = answer(api, {"document_id": id_of("shop"), "label": "neutral"})
    assert refused.json()["detail"].startswith(f"Expected no guideline, for there is none, found {VERSION}.")
    assert answer(api, {"document_id": id_of("shop"), "label": "neutral"}, guideline=None).status_code == 200
    assert waiting(api)[0][1]["votes"] == [{"annotator": "test annotator", "label": "neutral"}]


def test_documents_that_the_token_does_not_see_are_unknown_to_it(asking_api_of, id_of):
    api = asking_api_of(restricted_sources=("hotel",))
    hotel, shop = {"document_id": id_of("hotel"), "label": "neutral"}, {"document_id": id_of("shop"), "label": "neutral"}
    assert answer(api, hotel).status_code == 404  # its text is hidden
    token = api.token("admin", sources=["hotel"])
    assert answer(api, shop, token=token).status_code == 404
    missing = answer(api, {"document_id": "nobody", "label": "neutral"}, token=token).json()["detail"]
    assert answer(api, shop, token=token).json()["detail"] == missing.replace("nobody", id_of("shop"))
    assert waiting(api) == []
    assert [answer(api, hotel, token=token).status_code, answer(api, shop).status_code] == [200, 200]


def test_answers_about_sources_that_left_the_project_are_refused(asking_api, id_of):
    backend = asking_api.backend
    project = backend.project.model_copy(update={"sources": backend.project.sources[:1]})
    refused = answer(Api(dataclasses.replace(backend, project=project)), {"document_id": id_of("hotel"), "label": "neutral"})
    assert refused.status_code == 404


def test_spans_lie_within_the_text(asking_api, id_of):
    backend = asking_api.backend
    task = Task(kind="token_classification", labels=("时间", "place"))
    api = Api(dataclasses.replace(backend, project=backend.project.model_copy(update={"task": task})))
    outside = {"document_id": id_of("hotel"), "spans": [{"start": 20, "end": len(chinese(5)) + 1, "label": "时间"}]}
    refused = answer(api, outside)
    assert refused.status_code == 422
    assert f"answers.0: expected a span with 0 <= start < end within {len(chinese(5))} characters" in refused.json()["detail"]
    spans = [{"start": 4, "end": 6, "label": "时间"}]
    assert answer(api, {"document_id": id_of("hotel"), "spans": spans}).status_code == 200
    assert waiting(api)[0][1]["votes"][0]["spans"] == spans


@pytest.mark.parametrize("name", ["rule:lexicon", "model:champion", " anonymous:01"])
def test_a_token_named_as_no_person_is_does_not_answer(asking_api, id_of, name):
    token, _ = asking_api.backend.store.create(name, "annotator", timedelta(days=1))
    refused = answer(asking_api, {"document_id": id_of("shop"), "label": "neutral"}, token=token)
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("Expected a token with the name of a person, not beginning with rule:, model:, anonymous:")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 422),
        (b'{"answers": [{"document_id": "\\ud800", "label": "neutral"}]}', 422),
        (b'{"answers": [{"document_id": "d", "label": "neutral", "\\ud800": 1}]}', 422),
        (b'{"answers": [{"document_id": "d", "rating": 1e999}]}', 422),
        (b'{"answers": [{"document_id": "d", "rating": NaN}]}', 422),
        (b'{"answers": []}', 422),
        (b'{"answers": [' + b",".join([b'{"document_id": "d", "label": "neutral"}'] * 1001) + b"]}", 422),
        (b'{"answers": [{"document_id": "d", "rating": 1' + b"0" * 5000 + b"}]}", 400),
        (b"[" * 90_000, 400),
        (b" " * 100_001, 413),
    ],
)
def test_bodies_that_are_no_answers_are_refused(asking_api, content, status):
    headers = {"Authorization": f"Bearer {asking_api.tokens['annotator']}", "Content-Type": "application/json"}
    response = asking_api.client.post("/labels", headers=headers, content=content)
    assert response.status_code == status
    assert response.json()["detail"]


def test_answers_are_in_the_log_before_they_are_kept(asking_api, id_of):
    api = asking_api
    answer(api, {"document_id": id_of("shop"), "label": "neutral"}, {"document_id": id_of("hotel"), "label": "neutral"})
    answer(api, {"document_id": id_of("shop"), "label": "neutral"})
    answer(api, {"document_id": id_of("shop"), "label": "great"})
    entries = [(entry["name"], entry["method"], entry["path"], entry["status"]) for entry in api.backend.log.newest(10)]
    assert entries == [("test annotator", "POST", "/labels", status) for status in (422, 200, 200)]
    keys = [stored.key for stored in api.backend.object_store.list("labels/")]
    queries = [entry["query"] for entry in reversed(api.backend.log.newest(10))]
    assert queries == [f"answers=2&files={'+'.join(keys).replace('/', '%2F')}", "answers=1&files=", ""]
    assert api.backend.log.verify().problems == []


def test_nothing_is_kept_that_cannot_be_written_down(asking_api, id_of, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(asking_api.backend.log, "append", fail)
    assert answer(asking_api, {"document_id": id_of("shop"), "label": "neutral"}).status_code == 500
    assert waiting(asking_api) == []


@pytest.mark.parametrize(("error", "status"), [(ObjectStoreError("expected /secret/place"), 503), (RuntimeError("bug"), 500)])
def test_a_store_that_fails_in_between_is_written_down_and_the_rest_follows(asking_api, id_of, monkeypatch, error, status):
    api, put = asking_api, type(asking_api.backend.object_store).put
    given = [{"document_id": id_of(source), "label": "neutral"} for source in ("hotel", "shop")]

    def fail(store, key, payload):
        if key.startswith("labels/shop/"):
            raise error
        put(store, key, payload)

    with monkeypatch.context() as broken:
        broken.setattr(type(api.backend.object_store), "put", fail)
        refused = answer(api, *given)
    assert refused.status_code == status
    assert "/secret/place" not in refused.text
    assert [entry["status"] for entry in api.backend.log.newest(10)] == [status, 200]
    assert [source for source, _ in waiting(api)] == ["hotel"]
    assert answer(api, *given).status_code == 200
    assert [source for source, _ in waiting(api)] == ["hotel", "shop"]


def test_answers_count_against_the_limit_of_requests(asking_api_of, id_of):
    api = asking_api_of(requests_per_minute=2)
    given = {"document_id": id_of("shop"), "label": "neutral"}
    assert [answer(api, given).status_code for _ in range(3)] == [200, 200, 429]

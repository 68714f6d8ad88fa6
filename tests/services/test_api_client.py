"""The client for notebooks, over a real server on the loopback interface."""

import socket
import threading
from contextlib import contextmanager
from datetime import date

import numpy as np
import pandas as pd
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from services.client import DataAccessError, answer_rows, connect

MODEL = "model-" + "a" * 16


@contextmanager
def listening(app):
    """The address of the app, served by a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        listener.listen()
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def mill_of(api):
    with listening(api.app) as url:
        yield lambda role: connect(url, api.tokens.get(role, role))


def test_frames_hold_what_is_published(mill_of, served, monkeypatch):
    monkeypatch.setattr("services.client.PAGE_DOCUMENTS", 7)
    mill = mill_of("trainer")
    assert list(mill.documents()["document_id"]) == [row[0] for row in served.rows("clean_documents", "document_id")]
    assert list(mill.labels(source="hotel", label="positive")["label"].unique()) == ["positive"]
    assert set(mill.votes(limit=2).groupby("document_id").size()) == {3}
    assert list(mill.predictions()["model_id"]) == [MODEL, MODEL]
    assert list(mill.models()["model"]) == [MODEL]


@pytest.mark.parametrize(("query", "source"), [("lovely violin", "shop"), ("酒店", "hotel")])
def test_search_in_both_languages(mill_of, query, source):
    found = mill_of("viewer").search(query, limit=1)
    assert (set(found["source"]), len(found), found.attrs["total"] > 1) == ({source}, 1, True)
    assert mill_of("viewer").search(query, source="nowhere").empty
    assert mill_of("viewer").search(query, until=date(2020, 1, 1)).attrs == {"total": 0, "is_any": False}


def test_data_sets_are_fetched_checked_and_read(mill_of, served):
    mill = mill_of("trainer")
    (version,) = mill.datasets()["dataset_version"]
    frames = [mill.dataset(version, split) for split in ("train", "dev", "test")]
    assert [len(frame) for frame in frames] == list(mill.manifest(version)["splits"].values())
    assert sorted(mill.dataset()["document_id"]) == [row[0] for row in served.rows("training_dataset WHERE split = 'train'", "document_id")]


def test_a_data_set_that_lies_elsewhere_is_fetched_there_without_the_token(mill_of, api, monkeypatch):
    store, asked = api.backend.object_store, []

    async def give(request):
        asked.append((request.path_params["key"], request.headers.get("authorization")))
        return Response(store.get(request.path_params["key"]))

    mill = mill_of("trainer")
    expected = mill.dataset(split="dev")
    with listening(Starlette(routes=[Route("/{key:path}", give)])) as url:
        monkeypatch.setattr(store.inner.inner, "download_url", lambda key, *_: f"{url}/{key}")
        assert mill.dataset(split="dev").equals(expected)
    (version,) = mill.datasets()["dataset_version"]
    assert asked == [(f"datasets/{version}/dev.parquet", None)]


def test_other_bytes_than_the_manifests_are_refused(mill_of, monkeypatch):
    monkeypatch.setattr("services.endpoints.read_data_manifest", lambda *_: {"files": {"train.parquet": "0" * 64}})
    with pytest.raises(DataAccessError, match=r"Expected train.parquet of [0-9a-f]+ as its manifest says, found other bytes"):
        mill_of("trainer").dataset()


def test_no_data_set_says_what_to_do(mill_of, monkeypatch):
    monkeypatch.setattr("services.endpoints.list_versions", lambda *_: [])
    with pytest.raises(DataAccessError, match="Expected a data set version, found none"):
        mill_of("trainer").dataset()


def test_lineage_is_a_frame_per_table(mill_of, served):
    document_id = served.rows("clean_documents WHERE source = 'hotel' AND external_id = 'n1'", "document_id")[0][0]
    lineage = mill_of("viewer").lineage(document_id)
    assert list(lineage["pool_predictions"]["model_id"]) == [MODEL]
    assert len(lineage["annotations"]) == 3


def test_a_model_tells_its_data_set(mill_of):
    mill = mill_of("viewer")
    assert mill.model(MODEL)["data_set"]["version"] == mill.datasets()["dataset_version"].item()
    assert mill.model("candidate")["model"]["model_id"] == MODEL


def test_a_refusal_is_an_error_with_the_reason(mill_of):
    with pytest.raises(DataAccessError, match=r"GET /votes: 403 .*found the role viewer"):
        mill_of("viewer").votes()
    with pytest.raises(DataAccessError, match=r"GET /labels: 401 .*Expected a valid token"):
        mill_of("tm_wrong").labels()


@pytest.mark.parametrize("url", ["http://data.example", "http://10.0.0.1:8734", "ftp://data.example"])
def test_a_token_is_not_sent_in_clear(url):
    with pytest.raises(DataAccessError, match="Expected an https:// address, or one of this machine"):
        connect(url, "tm_x")


@pytest.fixture
def asking_mill_of(asking_api):
    with listening(asking_api.app) as url:
        yield lambda role: connect(url, asking_api.tokens[role])


def test_the_queue_is_a_frame_that_knows_the_task_and_is_answered(asking_mill_of, asking, monkeypatch):
    monkeypatch.setattr("services.client.PAGE_DOCUMENTS", 5)
    mill = asking_mill_of("annotator")
    queue = mill.queue()
    assert list(queue["position"]) == list(range(1, 17))
    assert list(mill.queue(limit=6)["document_id"]) == list(queue["document_id"][:6])
    assert set(mill.queue(source="hotel")["source"]) == {"hotel"}
    assert (queue.attrs["task"]["labels"], queue.attrs["guideline"]["version"]) == (["negative", "neutral", "positive"], "8609cd81")
    answers = queue.head(4).assign(label=["neutral", None, "positive", None], rating=[float("nan"), 3.5, None, None], seconds=1.5)
    assert [mill.answer(answers), mill.answer(answers)] == [3, 3]
    assert list(mill.queue()["position"]) == [4, *range(5, 17)]
    waiting = asking.desk.waiting_votes()
    votes = [waiting[document_id, "test annotator"] for document_id in queue["document_id"][:3]]
    shared = {"annotator": "test annotator", "seconds": 1.5, "guideline": "8609cd81"}
    assert votes == [shared | {"label": "neutral"}, shared | {"value": 3.5}, shared | {"label": "positive"}]


def test_an_empty_queue_is_an_empty_frame_with_its_columns(asking_mill_of):
    queue = asking_mill_of("annotator").queue(source="nowhere")
    assert (len(queue), list(queue)) == (0, ["position", "document_id", "source", "language", "text", "suggestion"])


def test_answers_that_are_refused_say_why(asking_mill_of):
    mill = asking_mill_of("annotator")
    queue = mill.queue(limit=1)
    with pytest.raises(DataAccessError, match=r"POST /labels: 422 .*expected labels out of"):
        mill.answer(queue.assign(label="great"))
    with pytest.raises(DataAccessError, match=r"POST /labels: 409 .*Expected the guideline 8609cd81, found none"):
        mill.answer(pd.DataFrame(queue[["document_id"]].assign(label="neutral").to_dict("list")))
    with pytest.raises(DataAccessError, match=r"POST /labels: 422 .*answers: List should have at least 1 item"):
        mill.answer(queue)


def test_lists_of_labels_and_spans_go_as_they_are():
    spans = [{"start": 0, "end": np.int64(2), "label": "人"}]
    frame = pd.DataFrame({"document_id": ["a", "b", "c"], "labels": [["x"], [], None], "spans": [None, None, spans], "text": "…"})
    assert list(answer_rows(frame)) == [
        {"document_id": "a", "labels": ["x"]},
        {"document_id": "b", "labels": []},
        {"document_id": "c", "spans": [{"start": 0, "end": 2, "label": "人"}]},
    ]

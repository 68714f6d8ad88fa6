"""The prediction app: it answers every kind of task, refuses what is too much or no text, and its process says when it is ready."""

import json
import socket
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from assets.project import Task
from resources.loopback import is_loopback
from services.prediction import Limits, build_app, main

POLAR = Task(labels=("负面", "正面"), positive_label="正面", negative_label="负面")
TOPICS = Task(kind="multi_label_classification", labels=("sports", "money"))
NER = Task(kind="token_classification", labels=("PERSON",))


class FakeScorer:
    """Answers without a network."""

    def __init__(self, task, label, **columns):
        self.settings = SimpleNamespace(task=task, max_tokens=128)
        self.hardware = SimpleNamespace(device="cpu")
        self.backend, self.precision = "onnx-int8", "int8"
        self.manifest = {"model_id": "model-1", "dev_macro_f1": 0.7, "files": {"secret": "x"}}
        self.columns = {"label": label, "probabilities": None, "valence": float("nan"), "span_scores": None} | columns

    def predict(self, texts):
        return pd.DataFrame([self.columns] * len(texts))


def client_of(scorer, base_url="http://127.0.0.1", **limits):
    return TestClient(build_app(scorer, Limits(**limits)), base_url=base_url, raise_server_exceptions=False)


@pytest.fixture
def client():
    return client_of(
        FakeScorer(POLAR, "正面", probabilities=np.array([0.2, 0.8]), valence=0.6), max_texts=3, max_text_chars=10, max_body_bytes=200
    )


@pytest.mark.parametrize("text", ["good", "好", "", "👍🏽"])
def test_one_label_comes_with_probabilities_and_valence(client, text):
    assert client.post("/predict", json={"texts": [text]}).json() == {
        "model_id": "model-1",
        "answers": [{"answer": "正面", "labels": ["正面"], "spans": None, "probabilities": {"负面": 0.2, "正面": 0.8}, "valence": 0.6}],
    }


def test_any_number_of_labels():
    client = client_of(FakeScorer(TOPICS, '["sports","money"]', probabilities=[0.9, 0.8]))
    (answer,) = client.post("/predict", json={"texts": ["x"]}).json()["answers"]
    assert (answer["labels"], answer["probabilities"], answer["valence"]) == (["sports", "money"], {"sports": 0.9, "money": 0.8}, None)


def test_spans_come_with_their_scores():
    client = client_of(FakeScorer(NER, '[{"start":0,"end":2,"label":"PERSON"}]', span_scores=np.array([0.9])))
    (answer,) = client.post("/predict", json={"texts": ["王伟来了"]}).json()["answers"]
    assert answer["spans"] == [{"start": 0, "end": 2, "label": "PERSON", "score": 0.9}]
    assert (answer["labels"], answer["probabilities"]) == (["PERSON"], None)


def test_health_and_facts(client):
    assert client.get("/health").json() == {"status": "ok", "model_id": "model-1"}
    facts = client.get("/model").json()
    assert facts == {
        "model_id": "model-1",
        "dev_macro_f1": 0.7,
        "kind": "text_classification",
        "labels": ["负面", "正面"],
        "device": "cpu",
        "backend": "onnx-int8",
        "precision": "int8",
        "max_tokens": 128,
        "limits": {"max_body_bytes": 200, "max_texts": 3, "max_text_chars": 10},
    }


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ({"texts": ["a"] * 4}, 413, "Expected at most 3 texts, found 4"),
        ({"texts": ["好" * 11]}, 413, "Text 0: expected at most 10 characters, found 11"),
        ({"texts": ["a", "b" * 300]}, 413, "Expected a body of at most 200 bytes, found a longer one"),
        ({"texts": ["\ud83d"]}, 422, "Text 0: expected Unicode text, found half of a surrogate pair"),
        ({"texts": []}, 422, "at least 1 item"),
        ({"texts": "secret-words"}, 422, "valid list"),
        ({"texts": ["a"], "model": "x"}, 422, "Extra inputs are not permitted"),
        ({"texts": [1]}, 422, "valid string"),
        ({}, 422, "Field required"),
        ([], 422, "valid dictionary"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(client, content, status, message):
    response = client.post("/predict", content=json.dumps(content), headers={"content-type": "application/json"})
    assert response.status_code == status
    assert message in response.text
    assert "secret-words" not in response.text


def test_a_body_without_a_length_is_counted(client):
    def parts():
        for _ in range(10):
            yield b" " * 50

    response = client.post("/predict", content=parts(), headers={"content-type": "application/json"})
    assert response.status_code == 413


def test_broken_json_and_other_content_are_refused(client):
    assert client.post("/predict", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    assert client.post("/predict", content=b'{"texts": ["a"]}', headers={"content-type": "text/plain"}).status_code == 422


def test_other_host_names_are_refused_on_the_loopback_interface():
    scorer = FakeScorer(POLAR, "正面", probabilities=[0.2, 0.8])
    assert client_of(scorer, base_url="http://evil.example").get("/health").status_code == 400
    assert client_of(scorer, base_url="http://localhost").get("/health").status_code == 200
    outside = TestClient(build_app(scorer, Limits(), "0.0.0.0"), base_url="http://models.example")
    assert outside.get("/health").status_code == 200


def test_a_failing_model_says_so_and_shows_no_text(capsys):
    class Broken(FakeScorer):
        def predict(self, texts):
            raise RuntimeError(f"cannot read {texts}")

    response = client_of(Broken(POLAR, "")).post("/predict", json={"texts": ["秘密"]})
    assert (response.status_code, response.json()) == (500, {"detail": "The model failed on this request; nothing was answered."})
    assert capsys.readouterr().err == "the model failed on 1 texts: RuntimeError\n"


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback_is_known(host, loopback):
    assert is_loopback(host) == loopback


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({}, "expected the keys of ServingJob, found"),
        ({"model_folder": "x", "prot": 1}, "expected the keys of ServingJob, found"),
        ({"model_folder": "/none"}, "ModelFolderError: Model in /none: expected manifest.json, found none"),
    ],
)
def test_a_job_that_cannot_be_served_ends_with_one_clear_line(tmp_path, capsys, job, message):
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    assert main([str(path)]) == 1
    assert message in capsys.readouterr().err


def test_the_command_line_takes_one_job(capsys):
    assert main([]) == 2
    assert "usage: python -m services.prediction JOB.json" in capsys.readouterr().err


def test_a_taken_port_is_an_error(tmp_path, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        path = tmp_path / "job.json"
        path.write_text(json.dumps({"model_folder": "x", "port": other.getsockname()[1]}))
        assert main([str(path)]) == 1
    assert "Address already in use" in capsys.readouterr().err

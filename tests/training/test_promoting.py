"""The gate on stored models: a tiny BERT is scored and tried behind the real serving app; a fault of a model or its data refuses it."""

import json
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from assets.training.jobs import ScoringJob
from assets.training.learning.artifacts import ModelSettings, write_model
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.network import Network
from assets.training.learning.objectives import objective_of
from assets.training.manifests import sha256_of_file, write_manifest
from assets.training.promoting import Bench, decide
from assets.training.score import score_file
from assets.training_settings import Promotion
from resources.compute import ChildProcessFailedError, LocalCompute
from resources.object_store import LocalObjectStore

# The tiny models were never trained: no score is asked of them, so that each test decides what is refused.
POLICY = Promotion(
    min_scores={},
    max_ece=1.0,
    max_latency_ms=30_000,
    max_overall_loss=1.0,
    max_slice_loss=1.0,
    bootstrap_samples=100,
    behaviour_cases=5,
    min_behaviour_pass_rate={"whitespace": 0.0},
)


class QuickCompute(LocalCompute):
    """Scores in this process; the serving app fails, or is the real one."""

    def __init__(self, folder, serving="fails"):
        super().__init__(folder)
        self.serving = serving

    def run(self, module, job, on_event):
        score_file(ScoringJob.model_validate(job))
        return {"labels": json.loads((Path(job["model_folder"]) / "task.json").read_text(encoding="utf-8"))["task"]["labels"]}

    @contextmanager
    def serve(self, module, job, patience_seconds=180.0):
        if self.serving == "fails":
            raise ChildProcessFailedError("Expected services.prediction to be ready, found that it was not:\n没有内存")
        with super().serve(module, job, patience_seconds) as ready:
            yield ready


@pytest.fixture
def shop(tmp_path, documents, tiny_base, task, project_of):
    """A store with two models and the data set of both."""
    return Shop(tmp_path, documents, tiny_base, task, project_of)


class Shop:
    def __init__(self, folder, documents, tiny_base, task, project_of):
        self.folder, self.tiny_base, self.task = folder, tiny_base, task
        self.store = LocalObjectStore(folder / "store")
        source = {"kind": "files", "name": "movies", "path": "/none/*.jsonl"}
        self.project = project_of([source]).model_copy(update={"promotion": POLICY})
        self.freeze("d1", documents(60, 1, "train"), documents(30, 2, "test"))
        self.first, self.second = (self.make_model(name, seed) for seed, name in enumerate(("model-a", "model-b")))

    def freeze(self, version, train, test):
        folder = self.folder / version
        folder.mkdir()
        for split, frame in (("train", train), ("test", test)):
            frame.to_parquet(folder / f"{split}.parquet", index=False)
        files = {path.name: sha256_of_file(path) for path in folder.glob("*.parquet")}
        (folder / "manifest.json").write_text(json.dumps({"files": files}))
        self.store.put_directory(f"datasets/{version}", folder)

    def make_model(self, name, seed, version="d1", task=None):
        folder, task = self.folder / name, task or self.task
        torch.manual_seed(seed)
        tokenizer, encoder, objective = load_tokenizer(self.tiny_base), load_encoder(self.tiny_base), objective_of(task)
        objective.prepare(tokenizer, encoder)
        head = objective.build_head(encoder.config.hidden_size, tokenizer, "mean")
        write_model(
            folder, Network(encoder, head, tokenizer.pad_token_id), tokenizer, ModelSettings(task=task, pooling="mean", max_tokens=32)
        )
        digest = write_manifest(folder, {"model_id": name})
        self.store.put_directory(f"models/{name}", folder)
        return {"model_id": name, "model_key": f"models/{name}", "manifest_sha256": digest, "dataset_version": version}

    def decide(self, challenger, champion=None, serving="fails", **policy):
        project = self.project.model_copy(update={"promotion": POLICY.model_copy(update=policy)})
        return decide(Bench(self.store, QuickCompute(self.folder / "work", serving), project), challenger, champion)


def test_a_challenger_is_scored_tried_behind_the_real_app_and_promoted(shop):
    found = shop.decide(shop.first, serving="real")
    assert found.decision == "promoted", found.reason
    serving = found.evidence["serving"]
    assert (serving["problem"], serving["requests"]) == ("", 60)
    assert 0 < serving["p50_ms"] <= serving["p95_ms"]
    assert found.evidence["model_bytes"] == sum(path.stat().st_size for path in (shop.folder / "model-a").iterdir())
    assert found.evidence["test_sha256"] == sha256_of_file(shop.folder / "d1" / "test.parquet")
    assert set(found.evidence["behaviours"]) == {"typos", "names", "emoji", "punctuation", "casing", "whitespace", "negation"}
    assert not [child for child in psutil.Process().children(recursive=True) if "services.prediction" in " ".join(child.cmdline())]
    assert list((shop.folder / "work").iterdir()) == []


def test_a_serving_app_that_does_not_start_refuses(shop):
    found = shop.decide(shop.first)
    assert found.decision == "refused"
    assert "Serving: the serving app failed: Expected services.prediction to be ready" in found.reason
    assert "没有内存" in found.reason


def test_a_challenger_that_learnt_from_text_that_was_erased_since_is_refused(shop):
    found = shop.decide(shop.second | {"erased_train_rows": 2}, shop.first | {"erased_train_rows": 1})
    assert found.decision == "refused"
    assert "model-b was trained on erased text (2 rows): retrain." in found.reason
    assert found.evidence["erased_rows_learnt"] == {"challenger": 2, "champion": 1}


def test_evidence_holds_nobodys_text(shop, documents):
    evidence = json.dumps(shop.decide(shop.first).evidence, ensure_ascii=False)
    assert not [text for text in documents(30, 2, "test")["text"] if text in evidence]


def test_champion_and_challenger_are_compared_on_the_challengers_test_rows(shop):
    found = shop.decide(shop.second, shop.first)
    assert found.evidence["slices"]["overall"]["rows"] == 30
    assert found.evidence["slices"]["overall"]["champion"] is not None
    assert found.evidence["leakage"]["champion"]["documents"] == 0


def test_a_champion_that_trained_on_the_test_rows_is_told_of(shop, documents):
    test = documents(30, 2, "test")
    shop.freeze("d0", pd.concat([documents(60, 1, "train"), test.head(4)]), documents(10, 3, "test"))
    old = shop.make_model("model-old", 5, "d0")
    leakage = shop.decide(shop.second, old).evidence["leakage"]["champion"]
    assert (leakage["documents"], leakage["groups"], leakage["meaning"]) == (4, 2, "an advantage that it did not earn")


def test_a_challenger_that_trained_on_the_test_rows_is_refused(shop, documents):
    test = documents(30, 2, "test")
    shop.freeze("d2", pd.concat([documents(60, 1, "train"), test.head(1)]), test)
    found = shop.decide(shop.make_model("model-leak", 5, "d2"))
    assert found.decision == "refused"
    assert "data set d2 has test rows in its train split" in found.reason


def test_a_changed_test_file_is_refused(shop, documents):
    documents(30, 9, "test").to_parquet(shop.folder / "other.parquet")
    shop.store.put_file("datasets/d1/test.parquet", shop.folder / "other.parquet")
    found = shop.decide(shop.first)
    assert found.decision == "refused"
    assert "Data set d1: expected test.parquet with SHA-256" in found.reason


@pytest.mark.parametrize("spoilt", ["challenger", "champion"])
def test_a_model_changed_in_the_store_is_refused_or_makes_the_comparison_impossible(shop, spoilt):
    changed = shop.second if spoilt == "challenger" else shop.first
    shop.store.put(f"{changed['model_key']}/task.json", b"{}")
    found = shop.decide(shop.second, shop.first)
    assert found.decision == "refused"
    assert f"found none of the {spoilt}. Model in" in found.reason
    assert "found ['task.json'] changed" in found.reason


def test_a_model_of_other_labels_is_refused_in_words(shop, task):
    other = shop.make_model("model-other", 3, task=task.model_copy(update={"labels": ("positive", "neutral", "negative")}))
    found = shop.decide(other)
    assert found.decision == "refused"
    assert "model-other was trained for the labels ['positive', 'neutral', 'negative']; the task now has" in found.reason


def test_cases_of_ones_own_are_asked_too(shop):
    path = shop.folder / "own.yaml"
    path.write_text("- {suite: 退款, text: 我要退款, answers: [negative, neutral, positive]}", encoding="utf-8")
    found = shop.decide(shop.first, behaviour_file=str(path), min_behaviour_pass_rate={"退款": 1.0})
    assert found.evidence["behaviours"]["退款"]["pass_rate"] == 1.0


def test_without_test_rows_nothing_is_promoted(shop, documents):
    shop.freeze("d3", documents(60, 1, "train"), documents(30, 2, "test").head(0))
    found = shop.decide(shop.make_model("model-c", 4, "d3"))
    assert (found.decision, found.reason) == ("refused", "Expected test rows to compare on, found none.")

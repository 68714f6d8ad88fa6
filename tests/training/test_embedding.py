"""Documents as vectors by the frozen base model: what they mean, and the asset that keeps them."""

import json

import numpy as np
import pandas as pd
import pytest

from assets.training.embed import main
from assets.training.learning.hardware import choose_hardware
from assets.training.scoring.embedder import load_embedder

TEXTS = [
    "The phone broke after a day.",
    "My phone stopped working on the second day.",
    "What a lovely garden!",
    "这部手机很好用",
    "手机非常好用",
    "花园真美",
]
RECORDS = [{"id": f"r{number}", "text": text, "ratings": [1]} for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("all-MiniLM-L6-v2", 64, choose_hardware("cpu", "fp32"))


def test_alike_texts_lie_close_together(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (6, 384)
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1.0] * 6, abs=1e-5)
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.5 > alike[0, 2]
    assert alike[3, 4] > alike[3, 5]


def test_a_vector_does_not_depend_on_what_is_embedded_beside_it(embedder):
    alone = embedder.embed(TEXTS[1:2])[0]
    assert embedder.embed([*TEXTS, "long " * 200])[1].tolist() == pytest.approx(alone.tolist(), abs=1e-5)


def test_the_name_tells_the_files_of_the_base_model(embedder):
    name, _, fingerprint = embedder.name.partition("@")
    assert name == "all-MiniLM-L6-v2"
    assert len(fingerprint) == 12


def job_of(tmp_path, **texts):
    folders = {name: tmp_path / name for name in ("texts", "vectors")}
    for folder in folders.values():
        folder.mkdir()
    for name, frame in texts.items():
        frame.to_parquet(folders["texts"] / f"{name}.parquet")
    job = {
        "base_model": "all-MiniLM-L6-v2",
        "max_tokens": 64,
        "texts_folder": str(folders["texts"]),
        "output_folder": str(folders["vectors"]),
    }
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return str(tmp_path / "job.json")


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({}, "expected Parquet files of texts"),
        ({"a": pd.DataFrame({"document_id": ["1"]})}, r"expected columns document_id and text, missing \['text'\]"),
    ],
)
def test_a_job_without_texts_ends_with_a_clear_line(tmp_path, capfd, texts, complaint):
    assert main([job_of(tmp_path, **texts)]) == 1
    assert pd.Series([capfd.readouterr().err]).str.contains(complaint).item()


def encoders(platform):
    return platform.rows("document_embeddings JOIN clean_documents USING (document_id)", "external_id", "encoder", "len(embedding)")


def test_documents_are_embedded_once_and_by_the_base_model_of_today(platform, files_source, project_of, tmp_path):
    source = files_source("shop", RECORDS[:4])
    platform.configure(project_of([source], labeling={"min_human_votes": 1}))
    outcome = platform.run("refresh")
    assert outcome.succeeded
    assert encoders(platform) == []
    platform.configure(project_of([source], labeling={"min_human_votes": 1, "embeddings": True}))
    assert platform.run("refresh").succeeded
    first = encoders(platform)
    assert [(key, size) for key, _, size in first] == [(f"r{number}", 384) for number in range(4)]
    files_source("shop", RECORDS[4:], "two.jsonl")
    assert platform.run("refresh").succeeded
    (first_increment, second) = platform.lakehouse.increments("document_embeddings")[-2:]
    assert (first_increment.counts.rows_out, second.counts.rows_out) == (4, 2)
    assert len(encoders(platform)) == 6
    assert {encoder.partition("@")[0] for _, encoder, _ in encoders(platform)} == {"all-MiniLM-L6-v2"}

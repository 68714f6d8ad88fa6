import json

import numpy as np
import pandas as pd
import pytest
import torch

from assets.project import RatingScale, Task
from assets.training.learning.encoder import load_encoder, locate_base_model
from assets.training.learning.network import Network, TokenHead
from assets.training.scoring.exporting import write_onnx
from assets.training_settings import Training
from tests.tiny_base import write_tiny_base

torch.set_num_threads(1)  # tiny products: a second thread only waits, and for long on a busy machine

GOOD = ["good", "great", "lovely", "好", "棒"]
BAD = ["bad", "awful", "poor", "坏", "差"]
PLAIN = ["the", "film", "is", "a", "table", "电", "影", "是", "桌", "子"]
LABELS = ("negative", "neutral", "positive")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Training sets the number of threads itself; see above for why it shall be one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.training.learning.hardware.cores_available", lambda: 1)
        yield


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A random two-layer BERT with a word list of its own, in the files of a real one."""
    return write_tiny_base(tmp_path_factory.mktemp("base"), [*GOOD, *BAD, *PLAIN])


@pytest.fixture(scope="session")
def tiny_onnx(tiny_base, tmp_path_factory):
    """The tiny encoder as an ONNX file; made once, since the exporter takes seconds whatever the size."""
    path = tmp_path_factory.mktemp("onnx") / "encoder-fp32.onnx"
    encoder = load_encoder(tiny_base)
    write_onnx(Network(encoder, TokenHead(encoder.config.hidden_size, 1), 0), path)
    return path


@pytest.fixture(scope="session")
def packaged_base():
    """The folder of the packaged encoder: a real BERT, for what only one that was pre-trained can learn within seconds."""
    return locate_base_model("all-MiniLM-L6-v2").folder


def make_documents(rows: int, seed: int, split: str = "train") -> pd.DataFrame:
    """English and Chinese texts whose label a few words give away."""
    random = np.random.default_rng(seed)
    records = []
    for number in range(rows):
        kind = int(random.integers(0, 3))
        words = [str(word) for word in random.choice(PLAIN, int(random.integers(2, 9)))]
        if kind != 1:
            words.insert(int(random.integers(0, len(words))), str(random.choice(GOOD if kind == 2 else BAD)))
        mean = (kind - 1) * 2.5
        ratings = sorted(float(np.clip(round(mean + noise), -4, 4)) for noise in random.normal(0, 0.8, 9))
        signs = np.sign(ratings)
        distribution = [float((signs == sign).mean()) for sign in (-1, 0, 1)]
        records.append(
            {
                "document_id": f"{split}-{number}",
                "source": "tweets" if number % 2 else "movies",
                "language": "en" if number % 3 else "zh",
                "text": " ".join(words),
                "label": LABELS[int(np.argmax(distribution))],
                "distribution": distribution,
                "confidence": max(distribution),
                "mean_rating": float(np.mean(ratings)),
                "ratings": ratings,
                "group_id": f"{split}-group-{number // 2}",
                "split": split,
            }
        )
    return pd.DataFrame(records)


@pytest.fixture(scope="session")
def documents():
    return make_documents


@pytest.fixture(scope="session")
def task():
    scale = RatingScale(minimum=-4, maximum=4, thresholds={"negative": -4, "neutral": 0, "positive": 0.5})
    return Task(labels=LABELS, positive_label="positive", negative_label="negative", rating=scale)


@pytest.fixture(scope="session")
def recipe(tiny_base):
    return Training(
        base_model=str(tiny_base),
        epochs=3,
        batch_tokens=64,
        learning_rate=5e-3,
        export="off",  # takes longer than these trainings; test_exporting.py has its own
        max_tokens=16,
        evaluations_per_epoch=2,
        patience=6,
        few_shot_below=0,
        min_steps=0,
        device="cpu",
        precision="fp32",
    )


@pytest.fixture
def training_job(tmp_path, tiny_base, task, recipe):
    """A job file over a small data set; the folder it lies in is the job's own."""
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for number, (split, rows) in enumerate([("train", 160), ("dev", 40), ("test", 40)]):
        make_documents(rows, number, split).to_parquet(dataset / f"{split}.parquet", index=False)
    job = {
        "dataset_folder": str(dataset),
        "dataset_version": "d1",
        "work_folder": str(tmp_path / "work"),
        "output_folder": str(tmp_path / "model"),
        "model_id": "m1",
        "code_version": "c1",
        "task": task.model_dump(mode="json"),
        "training": recipe.model_dump(mode="json"),
    }
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    return path

"""Data sets are frozen, described and named by their content."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from assets.project import Project
from assets.storage.datasets import DatasetWriter, hash_file

PROJECT = Project.model_validate(
    {
        "name": "reviews",
        "languages": ["en", "zh"],
        "sources": [{"kind": "files", "name": "shop", "path": "/data/*.jsonl"}],
        "task": {"labels": ["差评", "好评"]},
    }
)


def rows(texts, labels):
    count = len(texts)
    return pd.DataFrame(
        {
            "document_id": [f"d{i}" for i in range(count)],
            "source": "shop",
            "language": "zh",
            "text": texts,
            "label": labels,
            "distribution": [[0.25, 0.75]] * count,
            "confidence": 0.9,
            "mean_rating": None,
            "ratings": [[]] * count,
            "group_id": [f"g{i}" for i in range(count)],
            "split": (["train", "train", "dev", "test"] * count)[:count],
            "licence": None,
            "robots_allowed": None,
            "ai_training_allowed": True,
        }
    )


def write(folder, *frames):
    folder.mkdir()
    writer = DatasetWriter(folder, PROJECT.task)
    for frame in frames:
        writer.write(frame)
    return writer.finish()


def test_the_same_rows_give_the_same_version_however_they_are_batched(tmp_path):
    frame = rows(["很好", "不错", "差", "bad"], ["好评", "好评", "差评", "差评"])
    whole = write(tmp_path / "whole", frame)
    parts = write(tmp_path / "parts", frame.iloc[:1], frame.iloc[1:])
    assert whole.version == parts.version


def test_a_changed_label_gives_another_version(tmp_path):
    one = write(tmp_path / "one", rows(["很好"], ["好评"]))
    other = write(tmp_path / "other", rows(["很好"], ["差评"]))
    assert one.version != other.version


def test_files_manifest_and_card_describe_the_rows(tmp_path):
    dataset = write(tmp_path / "set", rows(["很好", "不错", "差", "bad"], ["好评", "好评", "差评", "差评"]))
    dataset.describe(PROJECT, ["increment-1"], 0)
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["splits"] == {"train": 2, "dev": 1, "test": 1}
    assert manifest["files"] == {name: hash_file(tmp_path / "set" / name) for name in ("train.parquet", "dev.parquet", "test.parquet")}
    assert manifest["inputs"] == ["increment-1"]
    assert pq.read_table(tmp_path / "set" / "train.parquet").column("text").to_pylist() == ["很好", "不错"]
    assert "| shop | 差评 | 0 | 1 | 1 |" in (tmp_path / "set" / "README.md").read_text(encoding="utf-8")


def test_an_empty_split_is_an_empty_file(tmp_path):
    dataset = write(tmp_path / "set", rows(["很好"], ["好评"]))
    assert pq.read_table(dataset.folder / "test.parquet").num_rows == 0


@pytest.mark.parametrize("order", [["d1", "d0"], ["d0", "d0"]])
def test_rows_out_of_order_are_refused(tmp_path, order):
    with pytest.raises(ValueError, match="Expected rows in the order of distinct document ids"):
        write(tmp_path / "set", rows(["a", "b"], ["好评", "差评"]).assign(document_id=order))


def test_lists_are_counted_label_by_label(tmp_path):
    task = {"kind": "token_classification", "labels": ["PERSON", "地点"]}
    project = Project.model_validate(PROJECT.model_dump(mode="json") | {"task": task})
    both = '[{"start":0,"end":1,"label":"PERSON"},{"start":1,"end":2,"label":"地点"},{"start":2,"end":3,"label":"地点"}]'
    folder = tmp_path / "set"
    folder.mkdir()
    writer = DatasetWriter(folder, project.task)
    writer.write(rows(["王在沪京", "上海", "none", "好"], [both, "[]", "[]", '[{"start":0,"end":1,"label":"PERSON"}]']))
    dataset = writer.finish()
    assert dataset.rows == {"train": 2, "dev": 1, "test": 1}
    assert dataset.label_counts("train") == {"PERSON": 1, "地点": 1, "(none)": 1}
    dataset.describe(project, ["increment-1"], silver_rows=3)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["labels"] == {"train": {"(none)": 1, "PERSON": 1, "地点": 1}, "dev": {"(none)": 1}, "test": {"PERSON": 1}}
    assert manifest["silver_rows"] == 3
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| shop | 地点 | 1 | 0 | 0 |" in card
    assert "**Silver labels:** 3 of 4 rows were labelled by labeling functions alone; no person looked at them." in card


def test_labels_of_people_are_not_called_silver(tmp_path):
    dataset = write(tmp_path / "set", rows(["很好"], ["好评"]))
    dataset.describe(PROJECT, [], silver_rows=0)
    assert "Silver" not in (tmp_path / "set" / "README.md").read_text(encoding="utf-8")

"""Data sets without rows that were erased: files, manifest and card agree, however often, and after a kill."""

import json

import pandas as pd
import pytest

from assets.project import Project
from assets.storage.datasets import DatasetWriter, hash_file
from assets.storage.erased_rows import without_rows

PROJECT = Project.model_validate(
    {
        "name": "reviews",
        "languages": ["en", "zh"],
        "sources": [{"kind": "files", "name": "shop", "path": "/data/*.jsonl"}],
        "task": {"labels": ["差评", "好评"]},
    }
)


@pytest.fixture
def frozen(tmp_path):
    rows = pd.DataFrame(
        {
            "document_id": list("abcd"),
            "text": ["很好", "The lamp burnt down.", "不错", "差"],
            "label": ["好评", "差评", "好评", "差评"],
            "group_id": list("abcd"),
            "split": ["train", "train", "dev", "test"],
        }
    ).assign(source="shop", language="zh", distribution=[[0.5, 0.5]] * 4, confidence=0.9, mean_rating=None, ratings=[[]] * 4)
    (tmp_path / "set").mkdir()
    writer = DatasetWriter(tmp_path / "set", PROJECT.task)
    writer.write(rows.assign(licence=None, robots_allowed=None, ai_training_allowed=True))
    writer.finish().describe(PROJECT, ["increment-1"], 0)
    return tmp_path / "set"


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_files_manifest_and_card_say_what_is_left(frozen):
    before = manifest_of(frozen)
    assert without_rows(frozen, ["b", "z"]) == 1
    manifest = manifest_of(frozen)
    assert (manifest["splits"], manifest["erased_rows"]) == ({"train": 1, "dev": 1, "test": 1}, 1)
    assert manifest["labels"] == {"train": {"好评": 1}, "dev": {"好评": 1}, "test": {"差评": 1}}
    assert manifest["files"] == {name: hash_file(frozen / name) for name in before["files"]}
    assert manifest["version"] == before["version"]
    assert pd.read_parquet(frozen / "train.parquet")["document_id"].tolist() == ["a"]
    card = (frozen / "README.md").read_text(encoding="utf-8")
    assert "1 rows were erased after this data set was frozen" in card
    assert "Left are: train 1, dev 1, test 1." in card


def test_a_second_erasure_adds_up_and_the_card_says_it_once(frozen):
    assert [without_rows(frozen, ["b"]), without_rows(frozen, ["d"])] == [1, 2]
    card = (frozen / "README.md").read_text(encoding="utf-8")
    assert card.count("rows were erased") == 1
    assert "2 rows were erased after" in card
    assert "| shop | 差评 | 1 | 0 | 1 |" in card, "what was frozen is still told"


def test_a_row_that_left_a_file_before_the_process_was_killed_is_counted(frozen):
    path = frozen / "train.parquet"
    rows = pd.read_parquet(path)
    rows[rows["document_id"] != "b"].to_parquet(path, index=False)
    assert without_rows(frozen, ["b"]) == 1

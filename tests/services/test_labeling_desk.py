"""Files of answers that wait: the newest vote counts, and each file is read once."""

import json

import pytest

from resources.object_store import LocalObjectStore
from services.labeling_desk import WaitingFiles


@pytest.fixture
def store(tmp_path):
    return LocalObjectStore(tmp_path)


def put(store, key, *votes):
    lines = [json.dumps({"textmill_document_id": "d1", "text": "灯", "votes": [vote]}, ensure_ascii=False) for vote in votes]
    store.put(f"labels/{key}.jsonl", "\n".join([*lines, ""]).encode())


def test_the_newest_vote_of_each_person_counts_and_collected_files_do_not(store):
    put(store, "shop/20260101T000000", {"annotator": "ann", "label": "old"}, {"annotator": "王伟", "label": "neutral"})
    put(store, "shop/20260102T000000", {"annotator": "ann", "label": "new"})
    put(store, "shop/20260103T000000", {"annotator": "ann", "label": "collected"})
    votes = WaitingFiles(store).votes({"labels/shop/20260103T000000.jsonl"})
    assert {person: vote["label"] for (_, person), vote in votes.items()} == {"ann": "new", "王伟": "neutral"}


def test_a_file_is_read_once_unless_it_was_changed(store, monkeypatch):
    read, get = [], store.get
    monkeypatch.setattr(store, "get", lambda key: read.append(key) or get(key))
    put(store, "shop/1", {"annotator": "ann", "label": "neutral"})
    waiting = WaitingFiles(store)
    assert [waiting.votes(()), waiting.votes(())] == [{("d1", "ann"): {"annotator": "ann", "label": "neutral"}}] * 2
    assert read == ["labels/shop/1.jsonl"]
    put(store, "shop/1", {"annotator": "bo", "label": "positive"})
    assert list(waiting.votes(())) == [("d1", "bo")]
    store.delete("labels/shop/1.jsonl")
    assert waiting.votes(()) == {}
    assert len(read) == 2

"""Search in whose order meaning has a say: ranks joined, pages, and what is missing."""

import numpy as np
import pandas as pd
import pytest

from assets.schemas import DOCUMENT_EMBEDDINGS
from assets.training_settings import Training
from resources.increments import increment
from resources.search_engine import Found, Hit
from resources.search_query import Term, words_of
from services import meaning as module
from services.meaning import Meaning, NoBaseModelError, NoEmbeddingsError, joined_ranks, load_base_model
from services.queries import find_documents


class Told:
    """A lakehouse with an embedding for some documents, which lie on a circle."""

    def __init__(self, angles):
        self.angles = angles

    def read(self, _sql, _parameters, frames):
        known = [name for name in frames["wanted"]["document_id"] if name in self.angles]
        return pd.DataFrame({"document_id": known, "embedding": [vector(self.angles[name]) for name in known]})


class Numbered:
    """An index in which everything matches, in the order of numbers."""

    def __init__(self, total):
        self.total = total

    def search(self, _query, limit, offset=0):
        return Found(self.total, [Hit(f"d{number}", -number) for number in range(offset, min(offset + limit, self.total))])


class Model:
    """Every text lies at 0."""

    loaded = 0

    def embed(self, texts):
        return np.stack([vector(0) for _ in texts])


def vector(angle):
    return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)


def load(_settings):
    Model.loaded += 1
    return Model()


def names(found):
    return [hit.document_id for hit in found.hits]


def test_ranks_are_joined_and_words_decide_between_equals():
    assert joined_ranks(["a", "b", "c"], ["c", "b", "a"])[:2] == ["a", "c"]
    assert joined_ranks(["a", "b", "c"], ["b"]) == ["b", "a", "c"]


def test_the_nearest_documents_come_first_and_those_without_an_embedding_by_their_words():
    meaning = Meaning(Told({"d2": 0.0, "d1": 2.0}), Training(), load)
    assert names(meaning.search(Numbered(3), Term("x"), "x", 10, 0)) == ["d2", "d1", "d0"]
    before = Model.loaded
    meaning.search(Numbered(3), Term("x"), "x", 10, 0)
    assert Model.loaded == before, "the model is loaded once"


def test_pages_hold_every_document_once(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 7)
    meaning = Meaning(Told({f"d{number}": number for number in range(20)}), Training(), load)
    pages = [meaning.search(Numbered(20), Term("x"), "x", 3, offset) for offset in range(0, 24, 3)]
    assert {page.total for page in pages} == {20}
    found = [name for page in pages for name in names(page)]
    assert sorted(found) == sorted(f"d{number}" for number in range(20))
    assert found[7:] == [f"d{number}" for number in range(7, 20)]


def test_without_embeddings_it_says_how_they_are_made():
    with pytest.raises(NoEmbeddingsError, match=r"Set labeling.embeddings to true and run `textmill run refresh`"):
        Meaning(Told({}), Training(), load).search(Numbered(3), Term("x"), "x", 10, 0)
    assert Meaning(Told({}), Training(), load).search(Numbered(0), Term("x"), "x", 10, 0) == Found(0, [])


def test_a_base_model_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NoBaseModelError, match="nobody/nothing"):
        load_base_model(Training(base_model="nobody/nothing"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("battery life", "battery life"),
        ('"very good" -bad label:positive date:2026', "very good"),
        ("NOT (a OR b) c", "c"),
        ("(a OR b) AND NOT c d", "a b d"),
        ("（电池 OR 屏幕） -手机", "电池 屏幕"),
        ("source:shop", ""),
    ],
)
def test_the_model_reads_the_words_that_are_wanted(query, said):
    assert words_of(query) == said


@pytest.fixture
def near(served):
    """Documents of the shop near 0 by their number, by a base model that is none."""
    rows = served.rows("clean_documents WHERE source = 'shop'", "document_id", "external_id")
    frame = pd.DataFrame({"document_id": [row[0] for row in rows], "encoder": "circle@1"})
    frame["embedding"] = [vector(int(row[1][1:]) / 10) for row in rows]
    with increment(served.lakehouse, DOCUMENT_EMBEDDINGS.name, run_id="test", code_version="c", following="journal") as step:
        step.write(DOCUMENT_EMBEDDINGS.name, frame)
        step.count(rows_in=len(frame), rows_out=len(frame))
    (staged,) = served.lakehouse.staged(DOCUMENT_EMBEDDINGS.name)
    served.lakehouse.decide(staged, approved=True)
    return Meaning(served.lakehouse, Training(base_model="circle"), load)


def test_a_search_of_the_lakehouse_is_ordered_by_words_and_meaning(served, near):
    index = served.resources["index"]
    by_words = find_documents(served.lakehouse, index, "lovely zebra", 100)
    numbers = {row.document_id: int(row.external_id[1:]) for row in by_words.rows.itertuples() if row.source == "shop"}
    found = find_documents(served.lakehouse, index, "lovely zebra", 100, meaning=near)
    assert (found.total, found.is_any) == (by_words.total, True)
    expected = joined_ranks(by_words.rows["document_id"], sorted(numbers, key=numbers.__getitem__))
    assert found.rows["document_id"].tolist() == expected
    assert set(found.rows["score"]) == set(by_words.rows["score"])
    conditions = find_documents(served.lakehouse, index, "source:shop", 100, meaning=near)
    assert conditions.total == len(find_documents(served.lakehouse, index, "source:shop", 100).rows)


def test_over_http_it_says_what_is_missing(api):
    response = api.ask("/search", "viewer", params={"q": "lovely", "by": "meaning"})
    assert response.status_code == 409
    assert "labeling.embeddings" in response.json()["detail"]

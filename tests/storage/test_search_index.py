"""The index finds Chinese and English by the same tokens."""

import pytest

from resources.search_index import IndexedDocument, SearchIndex, SearchIndexError

DOCUMENTS = [
    IndexedDocument("zh-1", "reviews", "zh", "酒店 服务 好"),
    IndexedDocument("en-1", "tweets", "en", "hotel servic good"),
    IndexedDocument("en-2", "tweets", "en", "hotel bad"),
]


@pytest.fixture
def index(tmp_path):
    index = SearchIndex(tmp_path / "index")
    index.add(DOCUMENTS)
    return index


@pytest.mark.parametrize(
    ("tokens", "source", "expected"),
    [
        (["酒店"], None, ["zh-1"]),
        (["hotel"], None, ["en-2", "en-1"]),
        (["hotel", "good"], None, ["en-1"]),
        (["hotel", "酒店"], "reviews", ["zh-1"]),
        (["hotel"], "reviews", []),
        (["酒"], None, []),
    ],
)
def test_documents_are_found_by_their_tokens(index, tokens, source, expected):
    assert [hit.document_id for hit in index.search(tokens, 10, source)] == expected


def test_adding_a_document_twice_keeps_one(index):
    index.add(DOCUMENTS[:1])
    assert index.count() == 3


def test_clearing_removes_everything(index):
    index.clear()
    assert index.count() == 0


def test_a_missing_index_says_what_to_do(tmp_path):
    with pytest.raises(SearchIndexError, match="Materialize `search_index` first"):
        SearchIndex(tmp_path / "none").search(["hotel"], 10)


def test_a_query_of_stop_words_is_refused(index):
    with pytest.raises(SearchIndexError, match="at least one word"):
        index.search([], 10)

"""What goes wrong between the platform and a search server, shown by a fake."""

import pytest
from filelock import FileLock

from resources import elasticsearch_index
from resources.elasticsearch_index import ATTEMPTS, ElasticsearchIndex
from resources.search_engine import SearchIndexError
from resources.search_query import Term
from tests.search.fake_search_server import basic, running_fake


@pytest.fixture
def fake():
    with running_fake() as (server, server.url):
        yield server


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(elasticsearch_index.time, "sleep", found.append)
    return found


@pytest.fixture
def index(fake, tmp_path, pauses):
    return ElasticsearchIndex(fake.url, "mill", FileLock(tmp_path / "lock"))


@pytest.fixture
def filled(index, documents):
    with index.writing() as writer:
        writer.add(documents)
    return index


def test_a_busy_server_is_asked_again_as_late_as_it_says(fake, filled, pauses):
    fake.troubles.extend([(429, [("retry-after", "7")]), (503, []), (502, [])])
    assert filled.count() == 6
    assert pauses == [7.0, 1.0, 2.0]


def test_a_server_that_stays_busy_is_an_error(fake, filled):
    fake.troubles.extend([(503, [])] * ATTEMPTS)
    with pytest.raises(SearchIndexError, match=r"to answer GET /_alias/mill, found 503"):
        filled.count()


def test_only_documents_that_were_refused_are_sent_again(fake, index, documents):
    fake.item_troubles.extend([None, 429, None, 503, None, None, 429, None])
    with index.writing() as writer:
        writer.add(documents)
    assert index.count() == 6
    assert len([path for _, path in fake.requests if path.endswith("_bulk")]) == 3


def test_documents_that_are_refused_again_and_again_are_an_error(fake, index, documents):
    fake.item_troubles.extend([429] * 6 * ATTEMPTS)
    with pytest.raises(SearchIndexError, match="6 more documents, found it too busy 5 times"), index.writing() as writer:
        writer.add(documents)
    assert fake.indices == {}  # what was begun is gone


def test_a_document_that_does_not_fit_says_which(fake, index, documents):
    fake.item_troubles.extend([None, 400])
    with pytest.raises(SearchIndexError, match=r"Expected document 2 to be indexed, found .*queue is full"), index.writing() as writer:
        writer.add(documents)


def test_many_documents_go_in_several_requests(fake, index, documents, monkeypatch):
    monkeypatch.setattr(elasticsearch_index, "BULK_DOCUMENTS", 4)
    with index.writing() as writer:
        writer.add(documents)
    assert len([path for _, path in fake.requests if path.endswith("_bulk")]) == 2
    assert index.count() == 6


def test_the_password_logs_in_and_shows_nowhere(fake, documents, tmp_path):
    fake.login = basic("elastic", "p@ss/wört")
    address = fake.url.replace("://", "://elastic:p%40ss%2Fw%C3%B6rt@")
    index = ElasticsearchIndex(address, "mill", FileLock(tmp_path / "lock"))
    with index.writing() as writer:
        writer.add(documents)
    assert index.count() == 6
    fake.login = basic("elastic", "another")
    with pytest.raises(SearchIndexError, match="found 401") as refused:
        index.count()
    assert "p@ss" not in str(refused.value)
    assert "p%40ss" not in str(refused.value) + repr(index)


def test_a_server_that_is_not_there_is_an_error(tmp_path, pauses):
    index = ElasticsearchIndex("http://user:secret@127.0.0.1:9", "mill", FileLock(tmp_path / "lock"))
    with pytest.raises(SearchIndexError, match=r"Expected the search server at http://127\.0\.0\.1:9, found ConnectError") as refused:
        index.search(Term("x"), 1)
    assert "secret" not in str(refused.value)
    assert len(pauses) == ATTEMPTS - 1


def test_indices_of_others_are_left_alone(fake, filled, documents):
    fake.indices["millstone-v1-1"], fake.fresh["millstone-v1-1"] = {}, {}
    with filled.writing(anew=True) as writer:
        writer.add(documents[:1])
    filled.erase()
    assert set(fake.indices) == {"millstone-v1-1"}

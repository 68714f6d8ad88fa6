"""Documents in two languages that every engine is asked for, and the engines."""

import os
import uuid
from datetime import UTC, datetime

import pytest
from filelock import FileLock

from assets.cleaning.tokens import tokenize_text
from resources.elasticsearch_index import ElasticsearchIndex
from resources.search_engine import IndexedDocument
from resources.search_index import SearchIndex
from resources.search_query import Filters, any_word, parse_query
from tests.search.fake_search_server import running_fake

TEXTS = [
    ("1", "shop", "en", ("positive",), (2024, 3, 1), "The battery life of this phone is great, it lasts all week."),
    ("2", "shop", "en", (), (2025, 3, 1), "The life of a battery is short."),
    ("3", "shop", "en", ("negative", "spam"), (2026, 1, 31), "Terrible phone! It broke after two days."),
    ("4", "酒店", "zh", ("positive",), (2026, 2, 1), "这家酒店的早餐很好，服务也周到。"),
    ("5", "酒店", "zh", ("negative",), (2026, 2, 28), "酒店离中国科学院很近，可是服务很差。"),
    ("6", "my hotel", "zh", ("neutral",), (2026, 3, 1), "电池寿命一般，手机phone屏幕不错。"),
]


def document(document_id, source, language, labels, day, text):
    tokens = " ".join(tokenize_text(text, language))
    return IndexedDocument(document_id, source, language, labels, datetime(*day, tzinfo=UTC), tokens)


@pytest.fixture
def documents():
    return [document(*row) for row in TEXTS]


@pytest.fixture(scope="session")
def search_server():
    """Address of a search server: the real one that `TEXTMILL_TEST_SEARCH_URL` names, else a fake that checks requests."""
    url = os.environ.get("TEXTMILL_TEST_SEARCH_URL")
    if url:
        yield url
        return
    with running_fake() as (_, address):
        yield address


@pytest.fixture(params=["embedded", "server"])
def engine(request, tmp_path):
    """An empty index of each engine."""
    if request.param == "embedded":
        yield SearchIndex(tmp_path / "search")
        return
    index = ElasticsearchIndex(
        request.getfixturevalue("search_server"), f"test-{uuid.uuid4().hex[:12]}", FileLock(tmp_path / "search.lock")
    )
    yield index
    index.erase()


@pytest.fixture
def ask(engine):
    """Asks as the platform asks: ids, best first."""

    def find(text, limit=10, offset=0, **filters):
        query = parse_query(text, tokenize_text)
        found = engine.search(Filters(**filters).applied_to(query), limit, offset)
        content = any_word(query)
        if not found.total and content:
            found = engine.search(Filters(**filters).applied_to(content), limit, offset)
        return [hit.document_id for hit in found.hits]

    return find

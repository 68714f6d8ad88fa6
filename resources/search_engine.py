"""What every search engine of the platform can do, and in which terms: the asset and the queries know no more of it than this.

Two engines do it: `search_index.py` in a folder, `elasticsearch_index.py` on a server. An index stores tokens and what is filtered by,
never texts: those stay in the lakehouse. It is a cache: it can be deleted and is then rebuilt from the lakehouse.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from resources.search_query import Query

SCHEMA_VERSION = 2
"""Rises when `IndexedDocument` or what engines make of it changes; an index of another version counts as none and is rebuilt."""
MAX_WINDOW = 10_000
"""Hits that can be paged through: offset and limit together."""


class SearchIndexError(Exception):
    """The index is missing, cannot be reached, or cannot do what is asked."""


@dataclass(frozen=True)
class IndexedDocument:
    """What an index needs of a document.

    Attributes:
        document_id: Its id.
        source: Name of its source.
        language: ISO 639-1 code; `und` when undetermined.
        labels: The labels of the consensus on it; none while there is no consensus.
        published_at: When it was published, or else collected; with a time zone.
        tokens: Its tokens in order, joined by spaces.
    """

    document_id: str
    source: str
    language: str
    labels: tuple[str, ...]
    published_at: datetime
    tokens: str


@dataclass(frozen=True)
class Hit:
    """A document that was found, with its BM25 score."""

    document_id: str
    score: float


@dataclass(frozen=True)
class Found:
    """Answers to a query: how many documents match, and those of the page that was asked for, best first."""

    total: int
    hits: list[Hit]


class IndexWriter(Protocol):
    """Writes to an index."""

    def add(self, documents: Iterable[IndexedDocument]) -> None:
        """Add documents; one that is there already is replaced, so that adding twice changes nothing. They are found from now on."""

    def remove(self, document_ids: Iterable[str]) -> None:
        """Remove documents; one that is not there is no error."""


class SearchEngine(Protocol):
    """An index, one writer at a time."""

    def writing(self, *, anew: bool = False) -> AbstractContextManager[IndexWriter]:
        """Write to the index, with it to oneself.

        Args:
            anew: Begin with an empty index, which takes the place of the present one when the block ends without an error. Until then,
                and if it fails, the present one answers.
        """

    def erase(self) -> None:
        """Delete the index and everything that was ever written to it."""

    def count(self) -> int:
        """How many documents it holds; 0 when there is none, or one of another schema version."""

    def size_bytes(self) -> int:
        """Bytes that it takes."""

    def search(self, query: Query, limit: int, offset: int = 0) -> Found:
        """Documents that match, best first.

        Args:
            query: What is looked for.
            limit: Most hits, 1 or more.
            offset: How many of the best are left out; at most `MAX_WINDOW` together with `limit`.

        Raises:
            SearchIndexError: Nothing was indexed yet, or the page lies behind `MAX_WINDOW`.
        """


def check_window(limit: int, offset: int) -> None:
    """Raise when a page lies behind what engines page through."""
    if offset + limit > MAX_WINDOW:
        raise SearchIndexError(
            f"Expected a page within the first {MAX_WINDOW:,} hits, found offset {offset} and limit {limit}. Ask for something narrower."
        )

"""The embedded full-text index: tantivy over pre-segmented tokens, so that Chinese and English are found the same way.

What belongs here: adding, removing, counting and finding documents by their tokens. How texts become tokens: the caller's
business, with one function for documents and queries. The index stores ids only; texts stay in the lakehouse. It is a cache:
it can be deleted and is then rebuilt from the lakehouse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    import tantivy

WRITER_HEAP_BYTES = 50_000_000


class SearchIndexError(Exception):
    """The index is missing or the query cannot be understood."""


@dataclass(frozen=True)
class Hit:
    """A document that was found, with its BM25 score."""

    document_id: str
    score: float


@dataclass(frozen=True)
class IndexedDocument:
    """What the index needs of a document; `tokens` are joined by spaces."""

    document_id: str
    source: str
    language: str
    tokens: str


class SearchIndex:
    """An index in a folder; one writer at a time, by a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, documents: Iterable[IndexedDocument]) -> None:
        """Add documents; one that is there already is replaced, so that adding twice changes nothing."""
        import tantivy  # not while definitions load

        with self._lock():
            index = self._open(create=True)
            writer = index.writer(WRITER_HEAP_BYTES, num_threads=1)
            for document in documents:
                writer.delete_documents_by_term("document_id", document.document_id)
                writer.add_document(
                    tantivy.Document(
                        document_id=[document.document_id], source=[document.source], language=[document.language], tokens=[document.tokens]
                    )
                )
            writer.commit()
            writer.wait_merging_threads()

    def clear(self) -> None:
        """Remove all documents."""
        with self._lock():
            writer = self._open(create=True).writer(WRITER_HEAP_BYTES, num_threads=1)
            writer.delete_all_documents()
            writer.commit()
            writer.wait_merging_threads()

    def count(self) -> int:
        """How many documents it holds; 0 when it was never written."""
        return int(self._open(create=True).searcher().num_docs) if self._exists() else 0

    def search(self, tokens: Sequence[str], limit: int, source: str | None = None) -> list[Hit]:
        """Documents that hold all tokens, best first; when none does, documents that hold any.

        Args:
            tokens: The query, segmented as the documents were.
            limit: Most hits.
            source: Only this source.

        Raises:
            SearchIndexError: Nothing was indexed yet, or the query has no tokens.
        """
        if not self._exists():
            raise SearchIndexError(f"Expected a search index in {self.folder}, found none. Materialize `search_index` first.")
        if not tokens:
            raise SearchIndexError("Expected a query with at least one word that is not a stop word, found none.")
        import tantivy

        index = self._open(create=False)
        return self._find(index, tokens, tantivy.Occur.Must, limit, source) or self._find(
            index, tokens, tantivy.Occur.Should, limit, source
        )

    def _find(self, index: "tantivy.Index", tokens: Sequence[str], occur: "tantivy.Occur", limit: int, source: str | None) -> list[Hit]:
        import tantivy

        words = [(occur, tantivy.Query.term_query(index.schema, "tokens", token)) for token in tokens]
        query = tantivy.Query.boolean_query(words)
        if source is not None:
            only = tantivy.Query.const_score_query(tantivy.Query.term_query(index.schema, "source", source), 0.0)
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, only)])
        searcher = index.searcher()
        return [Hit(searcher.doc(address)["document_id"][0], float(score)) for score, address in searcher.search(query, limit).hits]

    def _exists(self) -> bool:
        return (self.folder / "meta.json").exists()

    def _lock(self) -> FileLock:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder.with_suffix(".lock"))

    def _open(self, *, create: bool) -> "tantivy.Index":
        import tantivy

        if create:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        index = tantivy.Index(_schema(), str(self.folder))
        index.reload()
        return index


def _schema() -> "tantivy.Schema":
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("document_id", stored=True, tokenizer_name="raw")
    builder.add_text_field("source", tokenizer_name="raw")
    builder.add_text_field("language", tokenizer_name="raw")
    builder.add_text_field("tokens", tokenizer_name="whitespace")
    return builder.build()

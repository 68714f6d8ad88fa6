"""The embedded full-text index: tantivy over pre-segmented tokens, so that Chinese and English are found the same way.

The folder holds a pointer to the generation that answers, and its folder. Building anew fills another generation, then moves the pointer:
whoever searches meanwhile gets the old answers, then the new ones.
"""

import math
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from resources.search_engine import SCHEMA_VERSION, Found, Hit, IndexedDocument, SearchIndexError, check_window
from resources.search_query import All, Between, Either, Equals, Not, Phrase, Query, Term

if TYPE_CHECKING:
    import tantivy

WRITER_HEAP_BYTES = 50_000_000
_GONE = "gone-"


class SearchIndex:
    """An index in a folder; one writer at a time, by a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self, *, anew: bool = False) -> Iterator["_Writer"]:
        """See `SearchEngine`."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock():
            present = self._generation()
            if present is not None and not anew:
                yield _Writer(_open(present))
                return
            fresh = self.folder / f"v{SCHEMA_VERSION}-{uuid.uuid4().hex[:12]}"
            fresh.mkdir(mode=0o700)
            try:
                yield _Writer(_create(fresh))
                draft = self._pointer.with_suffix(".draft")
                draft.write_text(fresh.name, encoding="utf-8")
                draft.replace(self._pointer)
            finally:
                self._remove_all_but(self._generation())

    def erase(self) -> None:
        """See `SearchEngine`."""
        if self.folder.exists():
            with self._lock():
                shutil.rmtree(self.folder)

    def count(self) -> int:
        """See `SearchEngine`."""
        index = self._opened()
        return 0 if index is None else int(index.searcher().num_docs)

    def size_bytes(self) -> int:
        """See `SearchEngine`."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def search(self, query: Query, limit: int, offset: int = 0) -> Found:
        """See `SearchEngine`."""
        check_window(limit, offset)
        index = self._opened()
        if index is None:
            raise SearchIndexError(f"Expected a search index in {self.folder}, found none. Materialize `search_index` first.")
        searcher = index.searcher()
        found = searcher.search(_translated(index.schema, query), limit, offset=offset)
        hits = [Hit(searcher.doc(address)["document_id"][0], float(score)) for score, address in found.hits]
        return Found(int(found.count), hits)  # type: ignore[attr-defined]  # missing in the stubs

    def _opened(self) -> "tantivy.Index | None":
        """The generation that answers; looked for again where another one took its place before it was opened."""
        while True:
            name = self._named()
            present = self._generation()
            try:
                index = None if present is None else _open(present)
            except (OSError, ValueError):
                if name == self._named():
                    raise
                continue
            if index is not None or name == self._named():
                return index

    def _lock(self) -> FileLock:
        return FileLock(self.folder.with_suffix(".lock"))

    @property
    def _pointer(self) -> Path:
        return self.folder / "current"

    def _named(self) -> str:
        """What the pointer says; empty where there is none."""
        try:
            return self._pointer.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _generation(self) -> Path | None:
        """The folder of the generation that answers; None where there is none of this schema version."""
        found = self.folder / self._named()
        return found if found.name.startswith(f"v{SCHEMA_VERSION}-") and (found / "meta.json").exists() else None

    def _remove_all_but(self, present: Path | None) -> None:
        """Remove other generations, and what an earlier release left in the folder."""
        for path in self.folder.iterdir():
            if path in (present, self._pointer):
                continue
            if path.is_dir():
                # Under another name first: who opens the old one at this moment writes a lock file, and is to fail and look again.
                gone = path if path.name.startswith(_GONE) else path.rename(path.with_name(f"{_GONE}{uuid.uuid4().hex[:12]}"))
                shutil.rmtree(gone)
            else:
                path.unlink()


class _Writer:
    """See `IndexWriter`; each call is committed."""

    def __init__(self, index: "tantivy.Index") -> None:
        self._index = index

    def add(self, documents: Iterable[IndexedDocument]) -> None:
        import tantivy

        with self._committing() as writer:
            for document in documents:
                writer.delete_documents_by_term("document_id", document.document_id)
                found = tantivy.Document(
                    document_id=[document.document_id],
                    source=[document.source],
                    language=[document.language],
                    label=list(document.labels),
                    tokens=[document.tokens],
                )
                found.add_integer("published", int(document.published_at.timestamp()))
                writer.add_document(found)

    def remove(self, document_ids: Iterable[str]) -> None:
        with self._committing() as writer:
            for document_id in document_ids:
                writer.delete_documents_by_term("document_id", document_id)

    @contextmanager
    def _committing(self) -> Iterator["tantivy.IndexWriter"]:
        writer = self._index.writer(WRITER_HEAP_BYTES, num_threads=1)
        try:
            yield writer
            writer.commit()
        except BaseException:
            writer.rollback()
            raise
        finally:
            writer.wait_merging_threads()  # until then its threads write files


def _create(folder: Path) -> "tantivy.Index":
    import tantivy

    return tantivy.Index(_schema(), str(folder))


def _open(folder: Path) -> "tantivy.Index":
    import tantivy

    index = tantivy.Index.open(str(folder))
    index.reload()
    return index


def _schema() -> "tantivy.Schema":
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("document_id", stored=True, tokenizer_name="raw")
    for name in ("source", "language", "label"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("published", indexed=True, fast=True)
    builder.add_text_field("tokens", tokenizer_name="whitespace")
    return builder.build()


def _translated(schema: "tantivy.Schema", query: Query) -> "tantivy.Query":
    import tantivy

    make = tantivy.Query
    match query:
        case Term(token):
            return make.term_query(schema, "tokens", token)
        case Phrase(tokens):
            return make.phrase_query(schema, "tokens", list(tokens))
        case Equals(field, value):
            return make.const_score_query(make.term_query(schema, field, value, index_option="basic"), 0.0)
        case Between(begin, end):
            first = None if begin is None else math.ceil(begin.timestamp())
            after = None if end is None else math.ceil(end.timestamp())
            span = make.range_query(schema, "published", tantivy.FieldType.Integer, first, after, include_upper=after is None)
            return make.const_score_query(span, 0.0)
        case Not(part):
            return make.boolean_query([(tantivy.Occur.Must, _everything()), (tantivy.Occur.MustNot, _translated(schema, part))])
        case All(parts):
            wanted = [(tantivy.Occur.Must, _translated(schema, part)) for part in parts if not isinstance(part, Not)]
            unwanted = [(tantivy.Occur.MustNot, _translated(schema, part.part)) for part in parts if isinstance(part, Not)]
            return make.boolean_query([*(wanted or [(tantivy.Occur.Must, _everything())]), *unwanted])
        case Either(parts):
            return (
                make.boolean_query([(tantivy.Occur.Should, _translated(schema, part)) for part in parts]) if parts else make.empty_query()
            )


def _everything() -> "tantivy.Query":
    import tantivy

    return tantivy.Query.const_score_query(tantivy.Query.all_query(), 0.0)

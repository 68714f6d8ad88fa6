"""Search of many short documents through the platform's index, beside DuckDB's full-text search (FTS).

    python -m benchmarks.search [--documents 1000000] [--queries N] [--repeats N] [--json]

Made-up documents of 5 to 25 words, half English, half Chinese, each with a vocabulary of its own of 50,000 words whose frequencies follow
Zipf's law; seeded. Both engines index the same tokens and are asked the same questions in turn, the ten best documents that hold all of
one to three words of a document. FTS is measured where the package duckdb-extension-fts is installed (the release of duckdb), else a
plain scan for the words, and named so. It has no increments: what is beside a commit is the making of its whole index.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from benchmarks.table import Row, print_rows
from resources.lake_connection import LakehouseError, extension_file, to_arrow
from resources.search_engine import IndexedDocument
from resources.search_index import SearchIndex
from resources.search_query import All, Term

BATCH, VOCABULARY, COMMIT_DOCUMENTS, COMMITS, HITS, SEED = 20_000, 50_000, 100, 20, 10, 7
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Finder = Callable[[Sequence[str]], Sequence[str]]
"""From words to ids of documents."""
FTS_SQL = """
SELECT document_id FROM (SELECT document_id, fts_main_documents.match_bm25(document_id, $words, conjunctive := 1) AS score FROM documents)
WHERE score IS NOT NULL ORDER BY score DESC LIMIT $hits"""
SCAN_SQL = "SELECT document_id FROM documents WHERE list_has_all(string_split(tokens, ' '), string_split($words, ' ')) LIMIT $hits"
# Stemmed and without stop words already; the default pattern would drop every Chinese character.
FTS_INDEX_SQL = r"""
PRAGMA create_fts_index('documents', 'document_id', 'tokens', stemmer = 'none', stopwords = 'none', ignore = '\s+', strip_accents = 0,
                        lower = 0, overwrite = 1)"""


def make_words(language: str) -> np.ndarray:
    """A vocabulary: English words of letters, Chinese ones of two characters."""
    chosen = random.Random(SEED)
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        if language == "zh":
            found[chr(0x4E00 + chosen.randrange(3000)) + chr(0x4E00 + chosen.randrange(3000))] = None
        else:
            found["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(3, 9)))] = None
    return np.array(list(found))


def make_documents(count: int, seed: int = SEED, prefix: str = "") -> Iterator[list[IndexedDocument]]:
    """Made-up documents in batches, English and Chinese in turn."""
    generator = np.random.default_rng(seed)
    words = {language: make_words(language) for language in ("en", "zh")}
    shares = 1 / np.arange(1, VOCABULARY + 1)
    shares /= shares.sum()
    for start in range(0, count, BATCH):
        lengths = generator.integers(5, 26, min(BATCH, count - start))
        ranks = np.split(generator.choice(VOCABULARY, lengths.sum(), p=shares), np.cumsum(lengths)[:-1])
        languages = [("en", "zh")[number % 2] for number in range(len(lengths))]
        yield [
            IndexedDocument(f"{prefix}{start + number:09d}", "made_up", language, (), NOW, " ".join(words[language][rank]))
            for number, (rank, language) in enumerate(zip(ranks, languages, strict=True))
        ]


def draw_queries(documents: Sequence[IndexedDocument], count: int) -> dict[str, list[list[str]]]:
    """Per language questions of one to three words of one document each."""
    chosen = random.Random(SEED)
    queries: dict[str, list[list[str]]] = {"en": [], "zh": []}
    for language, drawn in queries.items():
        pool = [document for document in documents if document.language == language]
        for number in range(count):
            tokens = sorted(set(chosen.choice(pool).tokens.split()))
            drawn.append(chosen.sample(tokens, min(1 + number % 3, len(tokens))))
    return queries


class Peer:
    """DuckDB beside: with its full-text search where the extension is installed, else with a plain scan."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("CREATE TABLE documents (document_id VARCHAR, tokens VARCHAR)")
        try:
            self.connection.load_extension(str(extension_file("fts")))
            self.name, self._sql = "DuckDB FTS", FTS_SQL
        except LakehouseError:
            self.name, self._sql = "DuckDB scan, no FTS here", SCAN_SQL

    def add(self, documents: Sequence[IndexedDocument]) -> None:
        """Insert documents; FTS does not see them before `index`."""
        frame = pd.DataFrame({"document_id": [one.document_id for one in documents], "tokens": [one.tokens for one in documents]})
        self.connection.register("frame", to_arrow(frame))
        self.connection.execute("INSERT INTO documents SELECT * FROM frame")

    def index(self) -> None:
        """Make the full-text index anew; nothing for a scan."""
        if self._sql == FTS_SQL:
            self.connection.execute(FTS_INDEX_SQL)

    def find(self, words: Sequence[str]) -> list[str]:
        """Ids of the best documents with all words."""
        return [row[0] for row in self.connection.execute(self._sql, {"words": " ".join(words), "hits": HITS}).fetchall()]


def seconds(action: Callable[[], object]) -> float:
    """Wall time of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return float(np.quantile(values, 0.95))


def measure_search(language: str, queries: Sequence[list[str]], ours: Finder, peer: Peer, repeats: int, total: int) -> Iterator[Row]:
    """Both engines asked in turn; a round's ratio is that of its 95th percentiles. The first round, which warms caches, is not counted."""
    rounds = []
    for _ in range(repeats + 1):
        times = [(seconds(lambda words=words: ours(words)), seconds(lambda words=words: peer.find(words))) for words in queries]
        rounds.append((1000 * p95([own for own, _ in times]), 1000 * p95([other for _, other in times])))
    name = f"search {total:,} documents, {language}, p95 of {len(queries)} queries"
    counted = rounds[1:]
    yield Row.of_pairs(name, counted, "ms", f"{peer.name} (times faster)", [other / own for own, other in counted], "ratio >= 50")
    yield Row(f"the same by {peer.name}", statistics.median(other for _, other in counted), "ms")
    same = statistics.mean(len(ours(words)) == len(peer.find(words)) for words in queries)
    yield Row(f"queries with as many of at most {HITS} hits, {language}", same, "share")


def write(index: SearchIndex, documents: Sequence[IndexedDocument]) -> None:
    """One commit."""
    with index.writing() as writer:
        writer.add(documents)


def measure_commits(index: SearchIndex, peer: Peer, total: int) -> Iterator[Row]:
    """Small commits into the large index, beside making the peer's index, which knows no increments."""
    times = []
    for number in range(COMMITS + 1):
        (documents,) = make_documents(COMMIT_DOCUMENTS, SEED + 1 + number, f"more-{number}-")
        times.append(1000 * seconds(lambda documents=documents: write(index, documents)))
    rebuild = 1000 * seconds(peer.index)
    counted = times[1:]
    name = f"commit {COMMIT_DOCUMENTS} documents to {total:,}"
    ratios = [rebuild / each for each in counted]
    pairs = [(each, rebuild) for each in counted]
    yield Row.of_pairs(name, pairs, "ms", f"{peer.name} made anew (faster)", ratios, "value < 100")
    yield Row(f"{name}, the slowest of {COMMITS}", max(counted), "ms", target="value < 100")


def measure(documents: int, queries: int, repeats: int, folder: Path) -> Iterator[Row]:
    """All rows."""
    index, peer, first = SearchIndex(folder / "index"), Peer(), []
    building = 0.0
    for batch in make_documents(documents):
        first = first or batch
        building += seconds(lambda batch=batch: write(index, batch))
        peer.add(batch)
    other = seconds(peer.index)
    name = f"index {documents:,} documents, {-(-documents // BATCH)} commits"
    yield Row(name, building, "s", f"{peer.name} at once: {other:.1f} s")
    yield Row("bytes a document of the index", index.size_bytes() / documents, "bytes")
    for language, drawn in draw_queries(first, queries).items():
        ours = lambda words: [hit.document_id for hit in index.search(All(tuple(map(Term, words))), HITS).hits]  # noqa: E731
        yield from measure_search(language, drawn, ours, peer, repeats, documents)
    yield from measure_commits(index, peer, documents)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=30, help="a language")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print_rows(measure(given.documents, given.queries, given.repeats, Path(name)), as_json=given.json)


if __name__ == "__main__":
    main()

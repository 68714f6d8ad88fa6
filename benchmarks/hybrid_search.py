"""Whether embeddings make search better: BM25, embeddings of the base model, and both together, on a labelled set of queries.

    python -m benchmarks.hybrid_search [--queries 400] [--archives .textmill/archives] [--json]

The documents are the rated sentences of the demo. A query is made of one of an editorial or a product review, and relevant are the other
sentences of the same one, which the corpus names and no ranking sees. Two kinds: the whole sentence, as somebody asks who looks for more of
the kind, and its three rarest words, as somebody types. BM25 is the platform's own index and falls back from all words to any, as
`textmill search` does. Rankings are joined by reciprocal ranks (Cormack, Clarke, Buettcher, SIGIR 2009) with k = 60: of both over all
documents, which needs an index of vectors, or of BM25's first 200 alone, which does not. Measured by nDCG at 10; the interval is that of
the mean difference to BM25, by 2,000 bootstrap samples of the queries.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.cleaning.tokens import tokenize_text
from assets.training.learning.hardware import choose_hardware
from assets.training.scoring.embedder import load_embedder
from benchmarks.rated_text import PARTS
from benchmarks.table import Row, print_rows
from dagster_project.demo import open_corpus, read_rated_texts
from resources.search_engine import IndexedDocument
from resources.search_index import SearchIndex
from resources.search_query import All, Either, Term

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEPTH, HITS, SEED, RECIPROCAL = 200, 10, 7, 60
MAX_TOKENS = 128
SOURCES = ("newspaper", "products")


def read_sentences(archives: Path) -> pd.DataFrame:
    """Every rated sentence: `document_id`, `source`, `parent`, `text`, `tokens`."""
    corpus = open_corpus(archives)
    rows = [
        (f"{source}/{each.text_id}", source, f"{source}/{each.parent_id}", each.text)
        for source, part in PARTS.items()
        for each in read_rated_texts(corpus, part)
    ]
    frame = pd.DataFrame(rows, columns=["document_id", "source", "parent", "text"]).drop_duplicates("text", ignore_index=True)
    return frame.assign(tokens=[tokenize_text(text, "en") for text in frame["text"]])


def draw_queries(sentences: pd.DataFrame, source: str, count: int) -> list[int]:
    """Positions of sentences that have others of the same parent and at least five distinct words."""
    siblings = sentences.groupby("parent")["text"].transform("size")
    fits = (sentences["source"] == source) & (siblings >= 4) & sentences["tokens"].map(lambda tokens: len(set(tokens)) >= 5)
    positions = np.flatnonzero(fits)
    return sorted(np.random.default_rng(SEED).choice(positions, min(count, len(positions)), replace=False).tolist())


def by_words(index: SearchIndex, words: list[str]) -> list[str]:
    """Ids by BM25, best first: of documents with all words, or with any where there is none with all."""
    terms = tuple(map(Term, words))
    found = index.search(All(terms), DEPTH + 1)
    # The sentence that the query was made of has all its words; it is no answer.
    return [hit.document_id for hit in (found if found.total > 1 else index.search(Either(terms), DEPTH + 1)).hits]


def joined(*rankings: list[int]) -> list[int]:
    """Rankings joined by the sum of reciprocal ranks."""
    scores: Counter[int] = Counter()
    for ranking in rankings:
        scores.update({document: 1 / (RECIPROCAL + place) for place, document in enumerate(ranking, start=1)})
    return [document for document, _ in scores.most_common()]


def ndcg(ranking: list[int], relevant: set[int]) -> float:
    """Normalized discounted cumulative gain of the first ten, 0 to 1."""
    gains = sum(1 / np.log2(place + 1) for place, document in enumerate(ranking[:HITS], start=1) if document in relevant)
    best = sum(1 / np.log2(place + 1) for place in range(1, min(HITS, len(relevant)) + 1))
    return float(gains / best)


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the bootstrap means."""
    drawn = np.random.default_rng(SEED).choice(differences, (2000, len(differences))).mean(axis=1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def measure(archives: Path, queries: int, base_model: str, folder: Path) -> Iterator[Row]:
    """A row per source, kind of query and ranking."""
    sentences = read_sentences(archives)
    numbers = {document_id: number for number, document_id in enumerate(sentences["document_id"])}
    index = SearchIndex(folder / "index")
    with index.writing() as writer:
        writer.add(
            IndexedDocument(row.document_id, row.source, "en", (), NOW, " ".join(row.tokens)) for row in sentences.itertuples(index=False)
        )
    embedder = load_embedder(base_model, MAX_TOKENS, choose_hardware())
    vectors = embedder.embed(sentences["text"].tolist())
    frequency = Counter(word for tokens in sentences["tokens"] for word in set(tokens))
    of_parent = sentences.groupby("parent").indices
    for source in SOURCES:
        drawn = draw_queries(sentences, source, queries)
        for kind in ("whole sentences", "three rare words"):
            scores: dict[str, list[float]] = {"BM25": [], "embeddings": [], "both": [], "BM25's first 200, both": []}
            for number in drawn:
                words = list(dict.fromkeys(sentences["tokens"][number]))
                asked = sentences["text"][number]
                if kind == "three rare words":
                    words = sorted(words, key=lambda word: (frequency[word], word))[:3]
                    asked = " ".join(words)
                vector = vectors[number] if asked == sentences["text"][number] else embedder.embed([asked])[0]
                relevant = set(of_parent[sentences["parent"][number]].tolist()) - {number}
                cosines = vectors @ vector
                lexical = [numbers[found] for found in by_words(index, words) if numbers[found] != number]
                meaning = [found for found in np.argsort(-cosines)[: DEPTH + 1].tolist() if found != number]
                again = sorted(lexical, key=lambda found: -cosines[found])
                for name, ranking in zip(scores, (lexical, meaning, joined(lexical, meaning), joined(lexical, again)), strict=True):
                    scores[name].append(ndcg(ranking, relevant))
            base = np.array(scores["BM25"])
            for name, values in scores.items():
                found = np.array(values)
                spread = None if name == "BM25" else interval(found - base)
                difference = None if name == "BM25" else float((found - base).mean())
                yield Row(f"{source}, {kind}: {name}", float(found.mean()), "nDCG@10", "difference to BM25", difference, spread)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=400, help="of each source and kind")
    parser.add_argument("--archives", type=Path, default=Path(".textmill/archives"))
    parser.add_argument("--base-model", default="all-MiniLM-L6-v2")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print_rows(measure(given.archives, given.queries, given.base_model, Path(name)), as_json=given.json)


if __name__ == "__main__":
    main()

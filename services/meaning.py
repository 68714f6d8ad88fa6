"""An order of what was found in which meaning has a say: BM25 and the nearness of embeddings, joined by reciprocal ranks.

Only the best 200 by words are ordered anew, by the embeddings that `document_embeddings` keeps, so that no index of vectors is needed and
every search engine can do it. What it gains: `benchmarks/hybrid_search.py`. Reciprocal ranks: Cormack, Clarke, Buettcher, SIGIR 2009.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.selections import EMBEDDINGS_SQL
from assets.training_settings import Training
from resources.lakehouse import Lakehouse
from resources.search_engine import Found, Hit, SearchEngine
from resources.search_query import Query

WINDOW = 200
RECIPROCAL = 60
VECTORS_SQL = f"SELECT document_id, embedding FROM ({EMBEDDINGS_SQL}) JOIN wanted USING (document_id)"


class NoEmbeddingsError(LookupError):
    """Nothing that was found has an embedding."""


class NoBaseModelError(LookupError):
    """The project's base model cannot be found, or not be loaded safely."""


class Embeds(Protocol):
    """What makes vectors of length 1 of texts."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row per text."""


def load_base_model(settings: Training) -> Embeds:
    """The project's base model in this process.

    Raises:
        NoBaseModelError: It cannot be found, or not be loaded safely.
    """
    from assets.training.learning.encoder import BaseModelError  # loads torch: only where meaning is asked for
    from assets.training.learning.hardware import choose_hardware
    from assets.training.scoring.embedder import load_embedder

    try:
        return load_embedder(settings.base_model, settings.max_tokens, choose_hardware(settings.device, settings.precision))
    except BaseModelError as error:
        raise NoBaseModelError(str(error)) from error


class Meaning:
    """Orders documents by a question's meaning. The base model is loaded with the first question, which takes seconds, and kept."""

    def __init__(self, lakehouse: Lakehouse, settings: Training, load: Callable[[Training], Embeds] = load_base_model) -> None:
        self._lakehouse, self._settings, self._load = lakehouse, settings, load
        self._model: Embeds | None = None
        self._lock = Lock()

    def search(self, index: SearchEngine, query: Query, asked: str, limit: int, offset: int) -> Found:
        """A page of what matches a query.

        Args:
            index: What finds documents by words.
            query: What is looked for.
            asked: The same in words, for the model.
            limit: Most documents.
            offset: How many of the best are left out; behind the first 200 the order is that of words alone.

        Raises:
            NoEmbeddingsError: Documents were found, and none has an embedding by the base model.
            NoBaseModelError: The base model cannot be loaded.
            SearchIndexError: There is no index, or the page lies too far behind.
        """
        best = index.search(query, WINDOW)
        page = self.order(asked, best.hits)[offset : offset + limit]
        missing = min(offset + limit, best.total) - max(offset, WINDOW)
        return Found(best.total, page + (index.search(query, missing, max(offset, WINDOW)).hits if missing > 0 else []))

    def order(self, asked: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits anew; those without an embedding have the rank of their words alone.

        Raises:
            NoEmbeddingsError: There are hits, and none has an embedding by the base model.
        """
        if not hits:
            return []
        wanted = pd.DataFrame({"document_id": [hit.document_id for hit in hits]}, dtype="str")
        rows = self._lakehouse.read(VECTORS_SQL, {"base_model": self._settings.base_model}, frames={"wanted": wanted})
        if rows.empty:
            raise NoEmbeddingsError(
                f"Expected embeddings by {self._settings.base_model} of the documents that were found, found none. "
                "Set labeling.embeddings to true and run `textmill run refresh`."
            )
        cosines = np.stack(rows["embedding"].tolist()) @ self._embed(asked)
        nearest = rows["document_id"].iloc[np.argsort(-cosines, kind="stable")]
        by_id = {hit.document_id: hit for hit in hits}
        return [by_id[document_id] for document_id in joined_ranks(by_id, dict.fromkeys(nearest))]

    def _embed(self, asked: str) -> npt.NDArray[np.float32]:
        with self._lock:
            self._model = self._model or self._load(self._settings)
            vector: npt.NDArray[np.float32] = self._model.embed([asked])[0]
        return vector


def joined_ranks(*rankings: Iterable[str]) -> list[str]:
    """What is in some rankings, by the sum of 1 / (60 + rank), best first; of equal sums the one that the first ranking has first."""
    scores: Counter[str] = Counter()
    for ranking in rankings:
        for rank, document_id in enumerate(ranking, start=1):
            scores[document_id] += 1 / (RECIPROCAL + rank)  # type: ignore[assignment]  # a counter of fractions
    return [document_id for document_id, _ in scores.most_common()]

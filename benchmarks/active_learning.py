"""Which questions teach most: macro F1 against the number of labels, with the ratings of the demo's sentences as the oracle.

Every strategy of the labeling queue, and mixes of them, ask for labels in batches; after each the same learner (logistic regression on
embeddings of the frozen base model) is fitted and judged on sentences of other groups. The peer is drawing at random. Printed are the
labels that each needs for 95 % of what all labels of the pool give, and the curves. small-text is measured where it is installed.

    python -m benchmarks.active_learning --seeds 3
"""

import argparse
import statistics
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.labeling.diversity import spread_out
from assets.labeling.queue import rank
from assets.project import Labeling
from assets.schemas import LABELING_QUEUE
from assets.training.learning.hardware import choose_hardware
from assets.training.scoring.embedder import load_embedder
from benchmarks.rated_text import TASK, fold_of_groups, load_rated_text
from benchmarks.table import Row, print_rows

COUNTS = (50, 100, 200, 350, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_500, 6_000, 9_000)
SHARE_OF_FULL = 0.95
SEEN_AT_ONCE = 5_000
"""Documents of the pool that a strategy chooses from, as the queue does (`labeling.pool_budget`)."""
MIXES: dict[str, Mapping[str, float]] = {
    "random": {"random": 1.0},
    "uncertainty": {"uncertainty": 1.0},
    "balance": {"balance": 1.0},
    "diversity": {"diversity": 1.0},
    "uncertainty and random": {"uncertainty": 0.5, "random": 0.5},
    "default mix": Labeling().queue_mix,
    "default mix with diversity": {**Labeling().queue_mix, "diversity": 0.2},
}


class Oracle:
    """The rated sentences as a pool and a test set."""

    def __init__(self, archives: Path) -> None:
        documents = load_rated_text(archives)
        vectors = load_embedder("all-MiniLM-L6-v2", 128, choose_hardware()).embed(documents["text"].tolist())
        labels = pd.Index(TASK.labels).get_indexer(pd.Index(documents["label"]))
        is_test = fold_of_groups(documents, 5) == 0
        self.pool, self.labels = vectors[~is_test], labels[~is_test]
        self.test, self.truth = vectors[is_test], labels[is_test]

    def fit(self, known: np.ndarray) -> Any:  # noqa: ANN401  # an estimator
        """The learner, fitted on documents of the pool."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(C=4.0, max_iter=200).fit(self.pool[known], self.labels[known])

    def judge(self, learner: Any) -> float:  # noqa: ANN401
        """Macro F1 on the test set."""
        from sklearn.metrics import f1_score

        return float(f1_score(self.truth, learner.predict(self.test), average="macro"))

    def curve(self, choose: Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray], seed: int) -> list[float]:
        """Macro F1 at every count, when `choose(known, seen, count, random)` says what is asked next."""
        random = np.random.default_rng(seed)
        known = random.choice(len(self.pool), COUNTS[0], replace=False)
        scores = [self.judge(self.fit(known))]
        for count in COUNTS[1:]:
            open_ = np.setdiff1d(np.arange(len(self.pool)), known)
            seen = random.choice(open_, min(SEEN_AT_ONCE, len(open_)), replace=False)
            known = np.concatenate([known, choose(known, seen, count - len(known), random)])
            scores.append(self.judge(self.fit(known)))
        return scores

    def by_mix(self, mix: Mapping[str, float]) -> Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]:
        """Chooses as the queue does, with its own function."""

        def choose(known: np.ndarray, seen: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
            candidates = pd.DataFrame({name: None for name in LABELING_QUEUE.column_names()}, index=range(len(seen)))
            candidates = candidates.assign(document_id=seen, **self.ranks(known, seen, count, random, set(mix)))
            return rank(candidates, mix, count)["document_id"].to_numpy(dtype=np.int64)  # type: ignore[arg-type]

        return choose

    def ranks(
        self, known: np.ndarray, seen: np.ndarray, count: int, random: np.random.Generator, wanted: set[str]
    ) -> dict[str, np.ndarray]:
        """The rank of every seen document by every wanted strategy, from 1."""
        orders: dict[str, np.ndarray] = {"random": random.permutation(len(seen))}
        if wanted & {"uncertainty", "balance"}:
            probabilities = self.fit(known).predict_proba(self.pool[seen])
            ordered = np.sort(probabilities, axis=1)
            margin, said = ordered[:, -1] - ordered[:, -2], probabilities.argmax(axis=1)
            rarity = np.bincount(self.labels[known], minlength=len(TASK.labels))
            orders |= {"uncertainty": np.argsort(margin, kind="stable"), "balance": np.lexsort((margin, rarity[said]))}
        if "diversity" in wanted:
            chosen = spread_out(self.pool[seen], self.pool[known], count)
            orders["diversity"] = np.concatenate([chosen, np.setdiff1d(np.arange(len(seen)), chosen)])
        return {name: np.argsort(order) + 1 for name, order in orders.items() if name in wanted}

    def by_small_text(self, strategy: Any) -> Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]:  # noqa: ANN401
        """Chooses by a query strategy of small-text on the same learner and vectors."""

        def choose(known: np.ndarray, seen: np.ndarray, count: int, _random: np.random.Generator) -> np.ndarray:
            learner, places = self.fit(known), np.concatenate([known, seen])
            dataset = import_module("small_text").SklearnDataset(_sparse(self.pool[places]), self.labels[places])

            class Fitted:
                """What small-text asks of a classifier."""

                def predict_proba(self, some: Any) -> np.ndarray:  # noqa: ANN401
                    return np.asarray(learner.predict_proba(some.x))

            labelled, unlabelled = np.arange(len(known)), np.arange(len(known), len(places))
            found = strategy.query(Fitted(), dataset, unlabelled, labelled, self.labels[known], n=count)
            return places[np.asarray(found)]

        return choose


def _sparse(vectors: np.ndarray) -> Any:  # noqa: ANN401
    from scipy.sparse import csr_matrix

    return csr_matrix(vectors)


def labels_needed(scores: list[float], wanted: float) -> float:
    """How many labels reach a score, between the counts by a straight line; the last count where none does."""
    for place, score in enumerate(scores):
        if score >= wanted:
            if place == 0:
                return float(COUNTS[0])
            before, step = scores[place - 1], COUNTS[place] - COUNTS[place - 1]
            return COUNTS[place - 1] + step * (wanted - before) / (score - before)
    return float(COUNTS[-1])


def rows_of(oracle: Oracle, seeds: int) -> Iterator[Row]:
    """The table, and the curves."""
    full = oracle.judge(oracle.fit(np.arange(len(oracle.pool))))
    yield Row(f"macro F1 with all {len(oracle.pool)} labels of the pool", full, "")
    ways = {name: oracle.by_mix(mix) for name, mix in MIXES.items()}
    if find_spec("small_text"):
        small_text = import_module("small_text")
        ways |= {
            "small-text: breaking ties": oracle.by_small_text(small_text.BreakingTies()),
            "small-text: least confidence": oracle.by_small_text(small_text.LeastConfidence()),
        }
    else:
        yield Row("small-text is not installed here, so it is not measured", float("nan"), "")
    curves = {name: [oracle.curve(choose, seed) for seed in range(seeds)] for name, choose in ways.items()}
    needed = {name: [labels_needed(scores, SHARE_OF_FULL * full) for scores in found] for name, found in curves.items()}
    for name, found in needed.items():
        pairs = list(zip(found, needed["random"], strict=True))
        ratios = [own / peer for own, peer in pairs]
        yield Row.of_pairs(f"{name}: labels for 95 % of it", pairs, "labels", "random", ratios, "ratio <= 0.5")
    for name, found in curves.items():
        for place, count in enumerate(COUNTS):
            pairs = [(scores[place], other[place]) for scores, other in zip(found, curves["random"], strict=True)]
            yield Row.of_pairs(f"{name}: macro F1 with {count} labels", pairs, "", "random", [own / peer for own, peer in pairs])
    yield Row("labels needed at random, spread over the seeds", statistics.pstdev(needed["random"]), "labels")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--archives", type=Path, default=Path(".textmill/archives"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print_rows(rows_of(Oracle(options.archives), options.seeds), as_json=options.json)


if __name__ == "__main__":
    main()

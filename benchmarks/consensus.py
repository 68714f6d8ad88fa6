"""How well, and how fast, votes become labels: every way of aggregation on annotators with known errors, beside crowd-kit.

    python -m benchmarks.consensus [--seeds 5] [--large 10000000] [--archives FOLDER] [--json]

- Speed: Dawid and Skene on 48,000 votes (9,600 items, five votes each, 50 annotators, 5 labels), 20 rounds, in turn with crowd-kit
  (`pip install crowd-kit==1.4.2 nltk`; left out where it is not installed), and whether both give the same labels. `--large` votes are
  aggregated in a process of their own, whose peak memory is printed; 0 leaves that out.
- Simulated annotators: `easy` (right 75 to 95 times in 100), `hard` (40 to 70), `adversarial` (a fifth always gives the same label, a
  fifth mixes two labels up), `sparse` (two votes an item, three an annotator). Share of items with the right label, median of the seeds.
- Rated text: three raters drawn for each sentence; what their consensus is off the mean of all other raters of the sentence, as the root
  of the mean square in rating units and as the share of wrong labels, beside the mean and the majority label of the same three.
- Calibration: the expected calibration error (ten bins) of the confidence that the product gives a label, of the simulated annotators and
  of three and five raters drawn for each sentence; right is what most of its other raters say.
- Crowd and model: 4,000 of the sentences with three votes each of named people who are right 40 to 95 times in 100, and a model that
  learnt from the majority of those votes, out of fold (CROWDLAB).
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from assets.labeling.aggregation import Method, Votes, aggregate
from assets.labeling.consensus import confidence_of
from assets.labeling.crowdlab import combine, weigh_crowd
from assets.labeling.label_errors import Labelled, predict_out_of_fold
from assets.labeling.rating_consensus import decide_ratings, fit_ratings
from assets.labeling.votes import labels_of_ratings
from assets.training.learning.hardware import choose_hardware
from assets.training.scoring.embedder import load_embedder
from benchmarks.rated_text import TASK, load_rated_text
from benchmarks.table import Row, print_rows

LABELS = 5
CROWD_TEXTS, CROWD_ANNOTATORS = 4_000, 20
SPEED_ROUNDS = 20
TARGET_BYTES = 2 * 2**30


def simulate(setting: str, seed: int, items: int = 9_600) -> tuple[np.ndarray, Votes]:
    """True labels, and votes of annotators who err in a known way."""
    random = np.random.default_rng([seed, len(setting)])
    truth = random.integers(0, LABELS, items)
    per_item = 2 if setting == "sparse" else 5
    annotators = items * per_item // 3 if setting == "sparse" else 50
    item = np.repeat(np.arange(items), per_item)
    annotator = np.concatenate([random.permutation(annotators) for _ in range(-(-len(item) // annotators))])[: len(item)]
    low, high = {"hard": (0.4, 0.7)}.get(setting, (0.75, 0.95))
    right = random.random(len(item)) < random.uniform(low, high, annotators)[annotator]
    label = np.where(right, truth[item], (truth[item] + random.integers(1, LABELS, len(item))) % LABELS)
    if setting == "adversarial":
        label = np.where(annotator % 5 == 0, 0, label)
        label = np.where(annotator % 5 == 1, np.array([1, 0, 3, 2, 4])[label], label)
    return truth, Votes(item, annotator, label, items, annotators, LABELS)


def speed_rows(repeats: int) -> Iterator[Row]:
    """Our Dawid and Skene beside crowd-kit's, in turn."""
    _, votes = simulate("easy", 0)
    frame = pd.DataFrame({"task": votes.item, "worker": votes.annotator, "label": votes.label})
    name = f"Dawid and Skene, {len(votes.item)} votes, {LABELS} labels, {SPEED_ROUNDS} rounds"

    def ours() -> np.ndarray:
        return aggregate(votes, "dawid_skene", shrinkage=0.0, iterations=SPEED_ROUNDS, tolerance=-1.0).posterior.argmax(axis=1)

    if not find_spec("crowdkit"):
        yield Row(f"{name} (no crowd-kit here)", statistics.median(seconds_of(ours)[0] for _ in range(repeats)) * 1e3, "ms")
        return
    peer = import_module("crowdkit.aggregation").DawidSkene

    def theirs() -> np.ndarray:
        return peer(n_iter=SPEED_ROUNDS, tol=-np.inf).fit_predict(frame).sort_index().to_numpy()

    pairs, same = [], 1.0
    for _ in range(repeats):
        (own_seconds, own), (peer_seconds, found) = seconds_of(ours), seconds_of(theirs)
        pairs.append((own_seconds * 1e3, peer_seconds * 1e3))
        same = min(same, float((own == found).mean()))
    yield Row.of_pairs(name, pairs, "ms", "crowd-kit 1.4.2", [other / own for own, other in pairs], "ratio >= 3")
    yield Row("the same labels as crowd-kit", same, "share", target="1")


def seconds_of(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """How long it took, and what it gave."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def memory_row(count: int) -> Row:
    """Peak memory of a process that aggregates so many votes."""
    out = subprocess.run([sys.executable, "-m", "benchmarks.consensus", "--only-large", str(count)], capture_output=True, check=True)
    seconds, peak = (float(part) for part in out.stdout.split())
    return Row(f"peak memory, {count} votes, {SPEED_ROUNDS} rounds ({seconds:.0f} s)", peak / 2**30, "GiB", target="<= 2")


def aggregate_large(count: int) -> None:
    """Print the seconds and the peak bytes of this process."""
    random = np.random.default_rng(0)
    item = np.repeat(np.arange(count // 5, dtype=np.int32), 5)
    votes = Votes(
        item,
        random.integers(0, 1000, len(item), dtype=np.int32),
        ((item + (random.random(len(item), dtype=np.float32) < 0.2)) % LABELS).astype(np.int32),
        count // 5,
        1000,
        LABELS,
    )
    started = time.perf_counter()
    aggregate(votes, "dawid_skene", iterations=SPEED_ROUNDS, tolerance=-1.0)
    print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def simulated_rows(seeds: int) -> Iterator[Row]:
    """Share of right labels of every method beside the majority, seed by seed."""
    for setting in ("easy", "hard", "adversarial", "sparse"):
        right: dict[str, list[float]] = {method: [] for method in get_args(Method)}
        for seed in range(seeds):
            truth, votes = simulate(setting, seed)
            for method, found in right.items():
                found.append(float((aggregate(votes, method).posterior.argmax(axis=1) == truth).mean()))  # type: ignore[arg-type]
        for method, found in right.items():
            pairs = list(zip(found, right["majority"], strict=True))
            ratios = [(1 - other) / max(1 - own, 1e-9) for own, other in pairs]
            yield Row.of_pairs(f"{setting}: {method}, share right", pairs, "", "majority's errors / own", ratios)


def rated_rows(archives: Path, seeds: int) -> Iterator[Row]:
    """Errors of the consensus from three ratings, by source."""
    assert TASK.rating is not None
    scale, documents = TASK.rating, load_rated_text(archives)

    def labels(ratings: np.ndarray) -> np.ndarray:
        return labels_of_ratings(pd.Series(ratings), scale).to_numpy()  # type: ignore[arg-type]

    for source, frame in documents.groupby("source"):
        distances, errors = [], []
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            drawn = [random.permutation(np.asarray(ratings)) for ratings in frame["ratings"]]
            three, others = np.array([ratings[:3] for ratings in drawn]), np.array([ratings[3:].mean() for ratings in drawn])
            text, rating = np.repeat(np.arange(len(three)), 3), three.ravel()
            found = decide_ratings(text, rating, len(three), fit_ratings(text, rating, scale.minimum, scale.maximum)).mean
            votes = Votes(text, np.zeros_like(text), pd.Index(TASK.labels).get_indexer(labels(rating)), len(three), 1, len(TASK.labels))
            majority = np.array(TASK.labels, dtype=object)[aggregate(votes, "majority").posterior.argmax(axis=1)]
            distances.append((_distance(found, others), _distance(three.mean(axis=1), others)))
            errors.append((float((labels(found) != labels(others)).mean()), float((majority != labels(others)).mean())))
        yield _error_row(f"three raters, {source}: off the mean of the others", distances, "ratings", "mean of the three")
        yield _error_row(f"three raters, {source}: wrong labels", errors, "share", "majority of the three")


def calibration_rows(archives: Path, seeds: int) -> Iterator[Row]:
    """How far confidence is from the share that is right."""
    for setting in ("easy", "hard", "adversarial", "sparse"):
        for method in ("majority", "dawid_skene"):
            errors = []
            for seed in range(seeds):
                truth, votes = simulate(setting, seed)
                posterior = aggregate(votes, method).posterior  # type: ignore[arg-type]
                weights = posterior * np.bincount(votes.item, minlength=votes.items)[:, None]
                confidence = confidence_of(weights, None if method == "majority" else posterior)
                errors.append(calibration_error(confidence, posterior.argmax(axis=1) == truth))
            yield Row(f"{setting}: {method}, calibration error of the confidence", statistics.median(errors), "share")
    assert TASK.rating is not None
    documents = load_rated_text(archives)
    scale, labels = TASK.rating, len(TASK.labels)

    def counts(ratings: np.ndarray) -> np.ndarray:
        found = pd.Index(TASK.labels).get_indexer(pd.Index(labels_of_ratings(pd.Series(ratings), scale)))
        return np.bincount(found, minlength=labels)

    for raters in (3, 5):
        errors = []
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            drawn = [random.permutation(np.asarray(ratings)) for ratings in documents["ratings"]]
            own = np.array([counts(ratings[:raters]) for ratings in drawn], dtype=float)
            others = np.array([counts(ratings[raters:]) for ratings in drawn])
            errors.append(calibration_error(confidence_of(own, None), own.argmax(axis=1) == others.argmax(axis=1)))
        yield Row(f"rated text, {raters} raters: calibration error of the confidence", statistics.median(errors), "share")


def calibration_error(confidence: np.ndarray, is_right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error, 0 to 1."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence - is_right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def crowd_rows(archives: Path, seeds: int) -> Iterator[Row]:
    """Named people of different skill on the rated text, three to a sentence, and a model that learnt from their majority out of fold."""
    documents = load_rated_text(archives).sample(CROWD_TEXTS, random_state=0).reset_index(drop=True)
    vectors = load_embedder("all-MiniLM-L6-v2", 128, choose_hardware()).embed(documents["text"].tolist())
    truth = pd.Index(TASK.labels).get_indexer(pd.Index(documents["label"]))
    labels = len(TASK.labels)
    right: dict[str, list[float]] = {name: [] for name in ("majority", "dawid_skene", "crowdlab")}
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        skill = random.uniform(0.4, 0.95, CROWD_ANNOTATORS)
        item = np.repeat(np.arange(len(truth)), 3)
        annotator = np.concatenate([random.choice(CROWD_ANNOTATORS, 3, replace=False) for _ in truth])
        wrong = (truth[item] + random.integers(1, labels, len(item))) % labels
        given = np.where(random.random(len(item)) < skill[annotator], truth[item], wrong)
        votes = Votes(item, annotator, given, len(truth), CROWD_ANNOTATORS, labels)
        found = {method: aggregate(votes, method).posterior.argmax(axis=1) for method in ("majority", "dawid_skene")}  # type: ignore[arg-type]
        sure = np.ones(len(truth), dtype=bool)
        words = documents["text"].str.lower().str.findall(r"\w+").str.join(" ")
        known = Labelled(vectors, documents["text"], words, found["majority"], documents["group_id"], labels, sure)
        model = predict_out_of_fold(known)
        found["crowdlab"] = combine(votes, model, weigh_crowd(votes, model)).argmax(axis=1)
        for name, answer in found.items():
            right[name].append(float((answer == truth).mean()))
    for name, shares in right.items():
        pairs = list(zip(shares, right["majority"], strict=True))
        ratios = [(1 - other) / (1 - own) for own, other in pairs]
        yield Row.of_pairs(
            f"three of {CROWD_ANNOTATORS} people a sentence: {name}, share right", pairs, "", "majority's errors / own", ratios
        )


def _error_row(name: str, pairs: list[tuple[float, float]], unit: str, peer: str) -> Row:
    return Row.of_pairs(name, pairs, unit, peer, [own / other for own, other in pairs], "ratio < 1")


def _distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - wanted) ** 2)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--only-large", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--archives", type=Path, default=Path(".textmill/archives"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only_large:
        aggregate_large(options.only_large)
        return

    def rows() -> Iterator[Row]:
        yield from speed_rows(options.repeats)
        if options.large:
            yield memory_row(options.large)
        yield from simulated_rows(options.seeds)
        yield from rated_rows(options.archives, options.seeds)
        yield from calibration_rows(options.archives, options.seeds)
        yield from crowd_rows(options.archives, options.seeds)

    print_rows(rows(), as_json=options.json)


if __name__ == "__main__":
    main()

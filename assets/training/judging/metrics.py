"""Numbers about predictions, all computed from sums over rows: plain NumPy, no frames, no labels in words.

A metric that is a function of sums costs one matrix product per bootstrap: resampling groups means weighting their sums. Every function
takes any leading axes, so that one call covers all bootstrap samples. A number that is not defined (a label nobody has, a constant) is NaN
here; `evaluation.py` leaves it out and says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]

CALIBRATION_BINS = 15
WEIGHTS_AT_ONCE = 8_000_000
"""Entries of the bootstrap's weight matrix held in memory at once."""


@dataclass(frozen=True)
class Statistics:
    """Sums that all metrics are made of. What a task, or a scorer, does not have is None.

    Attributes:
        labels: (..., 3, labels) hits, predicted and true things of every label. A thing is a row where a row has one label, else one of
            its labels, spans or words.
        rows: (..., 2) rows, and rows whose whole answer is right (where things are words: words, and words that are right).
        calibration: (..., 1 + bins) decisions with a confidence, then per bin the sum of confidence - correctness.
        squared_errors: (..., labels) squared error of the probability of every label.
        valence: (..., 6) rows, x, y, x², y², xy over rows with predicted valence x and mean rating y.
        overlap: (..., 2) exact matches and summed word-overlap F1 of answers to questions.
    """

    labels: Floats
    rows: Floats
    calibration: Floats | None = None
    squared_errors: Floats | None = None
    valence: Floats | None = None
    overlap: Floats | None = None

    def weighted(self, weights: Floats) -> "Statistics":
        """Sums over the first axis: weights (samples, rows) → statistics (samples, ...)."""
        return self._map(lambda part: np.tensordot(weights, part, axes=1))

    def total(self) -> "Statistics":
        """Sums over the first axis, every row once."""
        return self._map(lambda part: part.sum(axis=0))

    def take(self, rows: npt.NDArray[np.bool_]) -> "Statistics":
        """Some rows."""
        return self._map(lambda part: part[rows])

    def by_group(self, groups: Ints) -> "Statistics":
        """Sums of the rows of each group; `groups` numbers them from 0 without gaps."""
        return self._map(lambda part: _sum_by_group(part, groups))

    def _map(self, change: Callable[[Floats], Floats]) -> "Statistics":
        def change_if_any(part: Floats | None) -> Floats | None:
            return None if part is None else change(part)

        optional = (self.calibration, self.squared_errors, self.valence, self.overlap)
        return Statistics(change(self.labels), change(self.rows), *map(change_if_any, optional))


def row_statistics(
    truth: Ints, predicted: Ints, label_count: int, probabilities: Floats | None, valence: Floats | None, ratings: Floats | None
) -> Statistics:
    """The statistics of every single row where a row has one label.

    Args:
        truth: (n,) index of the true label.
        predicted: (n,) index of the predicted label.
        label_count: Number of labels.
        probabilities: (n, labels) or None.
        valence: (n,) predicted valence or None.
        ratings: (n,) mean human rating, NaN where there is none, or None.
    """
    eye, is_right = np.eye(label_count), truth == predicted
    labels = np.stack([eye[truth] * is_right[:, None], eye[predicted], eye[truth]], axis=1)
    rows = np.stack([np.ones(len(truth)), is_right], axis=1)
    pairs = None if valence is None or ratings is None else _valence_rows(valence, ratings)
    if probabilities is None:
        return Statistics(labels, rows, valence=pairs)
    calibration = calibration_rows(np.arange(len(truth)), probabilities.max(1), probabilities.argmax(1) == truth, len(truth))
    return Statistics(labels, rows, calibration, np.square(probabilities - eye[truth]), pairs)


def multi_label_statistics(truth: Floats, predicted: Floats, probabilities: Floats | None) -> Statistics:
    """The statistics of every single row where a row has any number of labels.

    Calibration is that of every decision for or against a label: its confidence is the probability of what was decided.

    Args:
        truth: (n, labels) of 0 and 1.
        predicted: (n, labels) of 0 and 1.
        probabilities: (n, labels) of each label by itself, or None.
    """
    labels = np.stack([truth * predicted, predicted, truth], axis=1)
    rows = np.stack([np.ones(len(truth)), (truth == predicted).all(axis=1)], axis=1)
    if probabilities is None:
        return Statistics(labels, rows)
    confidence = np.where(predicted > 0, probabilities, 1 - probabilities)
    places = np.repeat(np.arange(len(truth)), truth.shape[1])
    calibration = calibration_rows(places, confidence.ravel(), (truth == predicted).ravel(), len(truth))
    return Statistics(labels, rows, calibration, np.square(probabilities - truth))


def calibration_rows(places: Ints, confidence: Floats, is_right: npt.NDArray[np.bool_], row_count: int) -> Floats:
    """Per row the number of decisions, then per bin of confidence the sum of confidence - correctness: (rows, 1 + bins).

    Args:
        places: (decisions,) row of each.
        confidence: (decisions,) 0 to 1.
        is_right: (decisions,).
        row_count: Rows, with those that have no decision.
    """
    found = np.zeros((row_count, 1 + CALIBRATION_BINS))
    found[:, 0] = np.bincount(places, minlength=row_count)
    np.add.at(found.reshape(-1), places * found.shape[1] + 1 + bins_of(confidence), confidence - is_right)
    return found


def bins_of(confidence: Floats) -> Ints:
    """Bin of every confidence: equal widths, closed above."""
    bins: Ints = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    return bins


def compute_metrics(statistics: Statistics) -> dict[str, Floats]:
    """Every metric that is one number. Shapes are the leading axes.

    `accuracy` is the share of rows whose whole answer is right (sets of labels: subset accuracy). Precision, recall and F1 come as
    `micro_` (over all things), `macro_` (mean over the labels that occur in truth or prediction) and `weighted_` (mean by true things).
    Answers to questions have `exact_match`, and their `macro_f1` is the mean over questions of the word-overlap F1, which is what SQuAD
    calls macro-averaged F1 (Rajpurkar et al., EMNLP 2016, 6.1). ECE: Naeini, Cooper, Hauskrecht, AAAI 2015, with equal-width bins.
    Brier: the sum over labels of squared errors, 0 (best) to 2; for sets of labels the mean over labels, 0 to 1.
    """
    rows = statistics.rows[..., 0]
    metrics = {"accuracy": divide(statistics.rows[..., 1], rows)} | _averages(statistics.labels)
    if statistics.overlap is not None:
        metrics["exact_match"] = divide(statistics.overlap[..., 0], rows)
        metrics["macro_f1"] = divide(statistics.overlap[..., 1], rows)
    if statistics.calibration is not None:
        decisions = statistics.calibration[..., 0]
        metrics["ece"] = divide(np.abs(statistics.calibration[..., 1:]).sum(-1), decisions)
        if statistics.squared_errors is not None:
            metrics["brier"] = divide(statistics.squared_errors.sum(-1), decisions)
    if statistics.valence is not None:
        metrics["pearson_r"] = _pearson(statistics.valence)
    return metrics


def compute_label_metrics(statistics: Statistics) -> dict[str, Floats]:
    """Precision, recall, F1 and support of every label: (..., labels)."""
    hits, predicted, true = (statistics.labels[..., number, :] for number in range(3))
    return {
        "precision": divide(hits, predicted),
        "recall": divide(hits, true),
        "f1": divide(2 * hits, predicted + true),
        "support": true,
    }


def macro_f1(truth: Ints, predicted: Ints, label_count: int) -> float:
    """Mean F1 over the labels that occur in truth or prediction, 0 to 1."""
    return float(compute_metrics(row_statistics(truth, predicted, label_count, None, None, None).total())["macro_f1"])


def confusion_matrix(truth: Ints, predicted: Ints, label_count: int) -> Floats:
    """Rows of every (true label, predicted label): (labels, labels)."""
    cells = np.bincount(truth * label_count + predicted, minlength=label_count**2)
    return cells.reshape(label_count, label_count).astype(np.float64)


def bootstrap_weights(group_count: int, samples: int, seed: int) -> list[Floats]:
    """How often each group is drawn in each bootstrap sample, in blocks (block, groups) that together hold all samples.

    Groups, not rows, are drawn with replacement, since rows of one group (sentences of one article) are not independent.
    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8.
    """
    random = np.random.default_rng(seed)
    block = max(1, WEIGHTS_AT_ONCE // max(1, group_count))
    sizes = [min(block, samples - start) for start in range(0, samples, block)]
    return [_draw(random, size, group_count) for size in sizes]


def bootstrap_metrics(groups: Statistics, weights: list[Floats]) -> dict[str, Floats]:
    """Every one-number metric on every bootstrap sample: (samples,)."""
    blocks = [compute_metrics(groups.weighted(block)) for block in weights]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def interval(samples: Floats) -> tuple[float, float]:
    """The middle 95 % of bootstrap values; NaN when more than half of them are not defined."""
    if np.isfinite(samples).mean() < 0.5:
        return float("nan"), float("nan")
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return float(low), float(high)


def two_sided_p(differences: Floats) -> float:
    """How easily chance gives a difference as far from 0, from bootstrap values of it: 0 to 1; NaN as in `interval`.

    The level at which the percentile interval just touches 0 (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 15.4), with one
    added to both counts so that it is never 0 (Davison and Hinkley, 1997, 4.2).
    """
    known = differences[np.isfinite(differences)]
    if len(known) < 0.5 * len(differences) or len(known) == 0:
        return float("nan")
    rarer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(known)))


def divide(part: Floats, whole: Floats | Ints) -> Floats:
    """`part / whole`, NaN where `whole` is 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    result: Floats = np.divide(part, whole, out=np.full(shape, np.nan), where=np.asarray(whole) > 0)
    return result


def _draw(random: np.random.Generator, samples: int, group_count: int) -> Floats:
    drawn = random.integers(0, group_count, (samples, group_count)) + np.arange(samples)[:, None] * group_count
    return np.bincount(drawn.ravel(), minlength=samples * group_count).reshape(samples, group_count).astype(np.float64)


def _sum_by_group(part: Floats, groups: Ints) -> Floats:
    counts = np.bincount(groups)
    if len(counts) == 0:
        return np.zeros((0, *part.shape[1:]))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums: Floats = np.add.reduceat(part[np.argsort(groups, kind="stable")], starts, axis=0)
    return sums


def _averages(labels: Floats) -> dict[str, Floats]:
    hits, predicted, true = (labels[..., number, :] for number in range(3))
    pairs = {"precision": (hits, predicted), "recall": (hits, true), "f1": (2 * hits, predicted + true)}
    does_occur = predicted + true > 0
    found: dict[str, Floats] = {}
    for name, (part, whole) in pairs.items():
        values = np.nan_to_num(divide(part, whole))
        found[f"micro_{name}"] = divide(part.sum(-1), whole.sum(-1))
        found[f"macro_{name}"] = divide(values.sum(-1), does_occur.sum(-1))
        found[f"weighted_{name}"] = divide((values * true).sum(-1), true.sum(-1))
    return found


def _valence_rows(valence: Floats, ratings: Floats) -> Floats:
    is_rated = np.isfinite(valence) & np.isfinite(ratings)
    x = np.where(is_rated, valence - (valence[is_rated].mean() if is_rated.any() else 0), 0.0)
    y = np.where(is_rated, ratings - (ratings[is_rated].mean() if is_rated.any() else 0), 0.0)
    return np.stack([is_rated.astype(np.float64), x, y, x * x, y * y, x * y], axis=1)


def _pearson(sums: Floats) -> Floats:
    rows, x, y, xx, yy, xy = (sums[..., number] for number in range(6))
    covariance, x_spread, y_spread = rows * xy - x * y, rows * xx - x * x, rows * yy - y * y
    is_defined = (rows > 2) & (x_spread > 1e-12 * rows * rows) & (y_spread > 1e-12 * rows * rows)
    product = np.sqrt(np.where(is_defined, x_spread * y_spread, 0.0))
    return np.clip(divide(covariance, product), -1, 1)

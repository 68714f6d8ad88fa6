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
    """Sums that all metrics are made of.

    Attributes:
        labels: (..., 3, labels) hits, predicted rows and true rows of every label.
        calibration: (..., 1 + bins) squared error, then per bin the sum of confidence - correctness; None without probabilities.
        valence: (..., 6) rows, x, y, x², y², xy over rows with predicted valence x and mean rating y; None without valence.
    """

    labels: Floats
    calibration: Floats | None
    valence: Floats | None

    def weighted(self, weights: Floats) -> "Statistics":
        """Sums over the first axis: weights (samples, rows) → statistics (samples, ...)."""
        return self._map(lambda part: np.tensordot(weights, part, axes=1))

    def total(self) -> "Statistics":
        """Sums over the first axis, every row once."""
        return self._map(lambda part: part.sum(axis=0))

    def by_group(self, groups: Ints) -> "Statistics":
        """Sums of the rows of each group; `groups` numbers them from 0 without gaps."""
        return self._map(lambda part: _sum_by_group(part, groups))

    def _map(self, change: Callable[[Floats], Floats]) -> "Statistics":
        calibration = None if self.calibration is None else change(self.calibration)
        return Statistics(change(self.labels), calibration, None if self.valence is None else change(self.valence))


def row_statistics(
    truth: Ints, predicted: Ints, label_count: int, probabilities: Floats | None, valence: Floats | None, ratings: Floats | None
) -> Statistics:
    """The statistics of every single row.

    Args:
        truth: (n,) index of the true label.
        predicted: (n,) index of the predicted label.
        label_count: Number of labels.
        probabilities: (n, labels) or None.
        valence: (n,) predicted valence or None.
        ratings: (n,) mean human rating, NaN where there is none, or None.
    """
    eye = np.eye(label_count)
    labels = np.stack([eye[truth] * (truth == predicted)[:, None], eye[predicted], eye[truth]], axis=1)
    calibration = None if probabilities is None else _calibration_rows(truth, probabilities)
    pairs = None if valence is None or ratings is None else _valence_rows(valence, ratings)
    return Statistics(labels, calibration, pairs)


def compute_metrics(statistics: Statistics) -> dict[str, Floats]:
    """Every metric that is one number: accuracy, macro and weighted F1, ECE, Brier score, Pearson r. Shapes are the leading axes.

    ECE: Naeini, Cooper, Hauskrecht, AAAI 2015, with equal-width bins of the highest probability. Brier: the sum over labels of squared
    errors, 0 (best) to 2.
    """
    hits, predicted, true = (statistics.labels[..., number, :] for number in range(3))
    rows = true.sum(-1)
    f1 = divide(2 * hits, predicted + true)
    metrics = {
        "accuracy": divide(hits.sum(-1), rows),
        "macro_f1": divide(np.nan_to_num(f1).sum(-1), np.isfinite(f1).sum(-1)),
        "weighted_f1": divide((np.nan_to_num(f1) * true).sum(-1), rows),
    }
    if statistics.calibration is not None:
        metrics["ece"] = divide(np.abs(statistics.calibration[..., 1:]).sum(-1), rows)
        metrics["brier"] = divide(statistics.calibration[..., 0], rows)
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


def divide(part: Floats, whole: Floats | Ints) -> Floats:
    """`part / whole`, NaN where `whole` is 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    result: Floats = np.divide(part, whole, out=np.full(shape, np.nan), where=np.asarray(whole) > 0)
    return result


def _draw(random: np.random.Generator, samples: int, group_count: int) -> Floats:
    drawn = random.integers(0, group_count, (samples, group_count)) + np.arange(samples)[:, None] * group_count
    return np.bincount(drawn.ravel(), minlength=samples * group_count).reshape(samples, group_count).astype(np.float64)


def _sum_by_group(part: Floats, groups: Ints) -> Floats:
    sums = np.zeros((int(groups.max(initial=-1)) + 1, *part.shape[1:]))
    np.add.at(sums, groups, part)
    return sums


def _calibration_rows(truth: Ints, probabilities: Floats) -> Floats:
    rows = np.zeros((len(truth), 1 + CALIBRATION_BINS))
    rows[:, 0] = np.square(probabilities - np.eye(probabilities.shape[1])[truth]).sum(1)
    confidence = probabilities.max(1)
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    rows[np.arange(len(truth)), 1 + bins] = confidence - (probabilities.argmax(1) == truth)
    return rows


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

"""From a few numeric ratings of a text to what the mean of many would be.

Every text has a rating that the mean of all people would give; a rater's rating lies around it with the same spread for everybody. How
those means are distributed in a source is not assumed but estimated from all its ratings (nonparametric maximum likelihood: Kiefer &
Wolfowitz, 1956; by EM on a grid: Laird, JASA 73, 1978), so that a source of extreme opinions pulls a few ratings outwards, and one of
lukewarm ones inwards. The spread is that within texts.

A text's label is that of its expected mean, its distribution what the labels of many ratings would be, and its confidence the probability
that the mean lies where that label is given.

Belongs here: arrays in, arrays out. Does not belong here: labels of one kind and another (`aggregation.py`), quorum (`consensus.py`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID_POINTS = 41
ROUNDS = 60
LEAST_SPREAD = 0.02
"""Of the scale's width: raters who always agree are still not without error."""


@dataclass(frozen=True)
class RatingModel:
    """How the texts of a source are rated.

    Attributes:
        grid: Possible means, (G,), in rating units.
        share: Share of the texts with each mean, (G,).
        spread: Standard deviation of one rating around the mean of its text, in rating units.
    """

    grid: Floats
    share: Floats
    spread: float


@dataclass(frozen=True)
class RatingConsensus:
    """What is known of each text's mean.

    Attributes:
        posterior: Probability of every mean of the grid, (texts, G).
        mean: Expected mean, (texts,), in rating units.
    """

    posterior: Floats
    mean: Floats


def fit_ratings(text: Ints, rating: Floats, minimum: float, maximum: float) -> RatingModel:
    """How the texts of one source are rated.

    Args:
        text: Which text each rating is of, (ratings,), from 0.
        rating: The ratings, (ratings,), from `minimum` to `maximum`.
        minimum: Lowest rating possible.
        maximum: Highest rating possible.

    Raises:
        ValueError: No ratings, or one outside the scale.
    """
    if not len(rating) or rating.min() < minimum or rating.max() > maximum:
        found = f"{rating.min():g} to {rating.max():g}" if len(rating) else "none"
        raise ValueError(f"expected ratings from {minimum:g} to {maximum:g}, found {found}")
    grid = np.linspace(minimum, maximum, GRID_POINTS)
    spread = max(_spread_within(text, rating), LEAST_SPREAD * (maximum - minimum))
    present = np.unique(text)
    likelihood = _likelihood(np.searchsorted(present, text), rating, len(present), grid, spread)
    share = np.full(GRID_POINTS, 1 / GRID_POINTS)
    for _ in range(ROUNDS):
        posterior = likelihood * share
        share = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    return RatingModel(grid, share, spread)


def decide_ratings(text: Ints, rating: Floats, texts: int, model: RatingModel) -> RatingConsensus:
    """What some ratings say of the means of so many texts; texts without ratings have the distribution of their source."""
    posterior = _likelihood(text, rating, texts, model.grid, model.spread) * model.share
    posterior = posterior / posterior.sum(axis=1, keepdims=True)
    return RatingConsensus(posterior, posterior @ model.grid)


@dataclass(frozen=True)
class RatedLabels:
    """What ratings say of labels that are given from some threshold on.

    Attributes:
        label: The label of the expected mean, (texts,), as its place among the thresholds.
        distribution: Share of each label among the ratings that many people would give, (texts, labels).
        confidence: Probability that the mean is one of that label, (texts,).
    """

    label: npt.NDArray[np.int64]
    distribution: Floats
    confidence: Floats


def label_ratings(found: RatingConsensus, model: RatingModel, thresholds: Floats) -> RatedLabels:
    """Labels of texts.

    Args:
        found: What is known of the texts' means.
        model: How texts of their source are rated.
        thresholds: Lowest rating of each label, (labels,), rising; lower ratings get the first label.
    """
    from scipy.special import ndtr  # not while definitions load

    upper = np.append(thresholds[1:], np.inf)
    below = ndtr((upper - model.grid[:, None]) / model.spread)
    of_grid = np.diff(below, axis=1, prepend=0.0)
    label = np.searchsorted(upper, found.mean, side="right")
    is_of_label = np.searchsorted(upper, model.grid, side="right") == label[:, None]
    confidence: Floats = (found.posterior * is_of_label).sum(axis=1)
    return RatedLabels(label, found.posterior @ of_grid, np.minimum(confidence, 1.0))


def _spread_within(text: Ints, rating: Floats) -> float:
    """Standard deviation of ratings around the mean of their text, pooled over texts with two or more; 0 where there are none."""
    counts = np.bincount(text)
    means = np.bincount(text, weights=rating) / np.maximum(counts, 1)
    freedom = np.maximum(counts - 1, 0).sum()
    return float(np.sqrt(((rating - means[text]) ** 2).sum() / freedom)) if freedom else 0.0


def _likelihood(text: Ints, rating: Floats, texts: int, grid: Floats, spread: float) -> Floats:
    """Of each text's ratings under each mean, (texts, G), up to a factor per text."""
    counts = np.bincount(text, minlength=texts)[:, None]
    means = np.bincount(text, weights=rating, minlength=texts)[:, None] / np.maximum(counts, 1)
    logs = -counts * (means - grid) ** 2 / (2 * spread**2)
    found: Floats = np.exp(logs - logs.max(axis=1, keepdims=True))
    return found

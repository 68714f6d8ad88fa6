"""From votes on labels to a probability for every label: who errs how is learnt from the votes themselves.

One algorithm, expectation maximization (Dawid & Skene, Applied Statistics 28, 1979), with three pictures of an annotator:

- `dawid_skene`: a probability for every given label under every true one;
- `one_coin`: right with one probability, else any other label (Dawid and Skene with equal errors);
- `mace`: knows the answer, or gives one out of habit without looking (Hovy et al., NAACL 2013, by EM with a Beta prior).

What is known of an annotator with few votes is little: accuracies are pulled towards the mean of all annotators, and the table of Dawid
and Skene towards even errors at the annotator's own accuracy; benchmarks/consensus.py shows what that is worth. Beside the three stand
`majority` and `weighted_majority` (each annotator weighs by agreement with the majority, "Wawa"). Ties go to the label that comes first.

Belongs here: arrays in, arrays out. Does not belong here: frames, quorum, ratings, spans (`consensus.py`, `span_consensus.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64] | npt.NDArray[np.int32]
Method = Literal["majority", "weighted_majority", "one_coin", "dawid_skene", "mace"]
AnnotatorModel = Callable[[Floats], Floats]
"""From expected counts (annotators, given label, true label) to probabilities of a given label under a true one, of the same shape."""

ITERATIONS = 100
TOLERANCE = 1e-5
ACCURACY_SHRINKAGE = 4.0
"""Votes by which an annotator's accuracy is pulled towards the mean of all."""
TABLE_SHRINKAGE = 20.0
"""Votes for every true label by which an annotator's table of errors is pulled towards what is expected of one with that accuracy."""
TINY = 1e-10


@dataclass(frozen=True)
class Votes:
    """Votes as numbers.

    Attributes:
        item: What was voted on, (votes,), 0 to items - 1.
        annotator: Who voted, (votes,), 0 to annotators - 1.
        label: The answer, (votes,), 0 to labels - 1.
        items: How many there are; some may have no vote.
        annotators: How many there are.
        labels: How many there are, at least 2.
        weight: Of each vote in a majority, and in the one that learning begins with, (votes,); None weighs all alike.
        known: The label that an item is known to have, (items,), -1 where it is not; None where none is known. It stays, and tells of those
            who voted.
    """

    item: Ints
    annotator: Ints
    label: Ints
    items: int
    annotators: int
    labels: int
    weight: Floats | None = None
    known: Ints | None = None


@dataclass(frozen=True)
class Aggregation:
    """What the votes say.

    Attributes:
        posterior: Probability of every label, (items, labels); equal for all labels where nobody voted and nothing is known.
        confusion: Probability that an annotator gives a label under a true one, (annotators, given, true); None without such a model.
        prior: Probability of every label before any vote, (labels,).
        iterations: Rounds until nothing moved any more, or the most that were allowed.
        weight: Of a vote of each annotator, (annotators,), where that is what was learnt; else None.
    """

    posterior: Floats
    confusion: Floats | None
    prior: Floats
    iterations: int
    weight: Floats | None = None

    @property
    def accuracy(self) -> Floats | None:
        """Probability that an annotator is right on a label drawn from the prior, (annotators,)."""
        return None if self.confusion is None else np.einsum("akk,k->a", self.confusion, self.prior)


def aggregate(
    votes: Votes, method: Method, *, shrinkage: float = 1.0, iterations: int = ITERATIONS, tolerance: float = TOLERANCE
) -> Aggregation:
    """Aggregate by the method of that name.

    Args:
        votes: All of them at once: annotators are learnt across items.
        method: See the module.
        shrinkage: Multiplies how far annotators are pulled to what is expected of them; 0 takes counts as they are.
        iterations: Most rounds.
        tolerance: Rounds end when no probability moves by more.

    Raises:
        ValueError: Votes are out of range.
    """
    _check(votes)
    if method == "majority":
        shares = _pinned(_shares(count_labels(votes, votes.weight)), votes)
        return Aggregation(shares, None, np.full(votes.labels, 1 / votes.labels), 0)
    if method == "weighted_majority":
        return _weighted_majority(votes)
    model: dict[str, AnnotatorModel] = {
        "dawid_skene": partial(_confusions, shrinkage=shrinkage * TABLE_SHRINKAGE),
        "one_coin": partial(_one_coins, shrinkage=shrinkage * ACCURACY_SHRINKAGE),
        "mace": _guessers(shrinkage * ACCURACY_SHRINKAGE),
    }
    return _maximize(votes, model[method], iterations, tolerance)


def _check(votes: Votes) -> None:
    for name, values, limit in (
        ("item", votes.item, votes.items),
        ("annotator", votes.annotator, votes.annotators),
        ("label", votes.label, votes.labels),
    ):
        if len(values) and not (values.min() >= 0 and values.max() < limit):
            raise ValueError(f"votes: expected every {name} from 0 to {limit - 1}, found {values.min()} to {values.max()}")


def count_labels(votes: Votes, weights: Floats | None = None) -> Floats:
    """Votes, or their weight, per item and label, (items, labels)."""
    cell = votes.item.astype(np.int64) * votes.labels + votes.label
    found = np.bincount(cell, weights=weights, minlength=votes.items * votes.labels).astype(float)
    return found.reshape(votes.items, votes.labels)


def _shares(counts: Floats) -> Floats:
    total = counts.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 0, counts / np.maximum(total, TINY), 1 / counts.shape[1])
    return shares


def _pinned(posterior: Floats, votes: Votes) -> Floats:
    """The posterior with certainty where the label is known; changes it in place."""
    if votes.known is not None:
        is_known = votes.known >= 0
        posterior[is_known] = np.eye(votes.labels)[votes.known[is_known]]
    return posterior


def _weighted_majority(votes: Votes) -> Aggregation:
    leading = _pinned(count_labels(votes, votes.weight), votes).argmax(axis=1)
    given = np.bincount(votes.annotator, minlength=votes.annotators)
    agreed = np.bincount(votes.annotator, weights=votes.label == leading[votes.item], minlength=votes.annotators)
    weight = agreed / np.maximum(given, 1)
    shares = _pinned(_shares(count_labels(votes, weight[votes.annotator])), votes)
    return Aggregation(shares, None, np.full(votes.labels, 1 / votes.labels), 0, weight)


def _maximize(votes: Votes, model: AnnotatorModel, iterations: int, tolerance: float) -> Aggregation:
    """Expectation maximization from the majority's shares.

    Both steps are products with one sparse matrix, (items, annotators * labels), that says who gave which label to what.
    """
    given = _given(votes)
    shape = (votes.annotators, votes.labels, votes.labels)
    posterior, voted = _pinned(_shares(count_labels(votes, votes.weight)), votes), np.diff(given.indptr) > 0
    turned = given.T.tocsr()
    prior, confusion, done = np.full(votes.labels, 1 / votes.labels), np.zeros(shape), 0
    while done < iterations:
        done += 1
        confusion = model((turned @ posterior).reshape(shape))
        prior = posterior[voted].mean(axis=0) if voted.any() else prior
        logs = given @ np.log(np.maximum(confusion, TINY)).reshape(-1, votes.labels) + np.log(np.maximum(prior, TINY))
        logs -= logs.max(axis=1, keepdims=True)
        found = np.exp(logs, out=logs)
        found /= found.sum(axis=1, keepdims=True)
        found = _pinned(found, votes)
        moved = float(np.abs(found - posterior)[voted].max(initial=0.0))
        posterior = found
        if moved <= tolerance:
            break
    return Aggregation(posterior, confusion, prior, done)


def _given(votes: Votes) -> "csr_array":
    from scipy.sparse import csr_array  # not while definitions load

    column = votes.annotator.astype(np.int64) * votes.labels + votes.label
    return csr_array((np.ones(len(column)), (votes.item, column)), shape=(votes.items, votes.annotators * votes.labels))


def _confusions(counts: Floats, shrinkage: float) -> Floats:
    """Counts plus `shrinkage` votes for every true label as one gives them who is right as often and errs evenly."""
    counts = counts + shrinkage * _one_coins(counts, min(shrinkage, ACCURACY_SHRINKAGE))
    confusion: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), TINY)
    return confusion


def _one_coins(counts: Floats, shrinkage: float) -> Floats:
    labels = counts.shape[1]
    accuracy = _accuracies(counts, shrinkage)[:, None, None]
    confusion: Floats = accuracy * np.eye(labels) + (1 - accuracy) / (labels - 1) * (1 - np.eye(labels))
    return confusion


def _accuracies(counts: Floats, shrinkage: float) -> Floats:
    """How often each annotator is right, pulled towards the mean of all by so many votes."""
    right, total = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
    mean = right.sum() / max(total.sum(), TINY)
    accuracy: Floats = (right + shrinkage * mean) / np.maximum(total + shrinkage, TINY)
    return accuracy


def _guessers(shrinkage: float) -> AnnotatorModel:
    """The model of MACE. What an annotator gives without looking, and how often that is, is kept from round to round."""
    state: dict[str, Floats] = {}

    def estimate(counts: Floats) -> Floats:
        annotators, labels, _ = counts.shape
        given, right = counts.sum(axis=2), np.diagonal(counts, axis1=1, axis2=2)
        if not state:
            state["knows"], state["habit"] = np.full(annotators, 0.8), np.full((annotators, labels), 1 / labels)
        knows, habit = state["knows"][:, None], state["habit"]
        copied = right * knows / np.maximum(knows + (1 - knows) * habit, TINY)
        mean = copied.sum() / max(given.sum(), TINY)
        state["knows"] = (copied.sum(axis=1) + shrinkage * mean) / np.maximum(given.sum(axis=1) + shrinkage, TINY)
        guessed = given - copied + max(shrinkage, TINY) / labels
        state["habit"] = guessed / guessed.sum(axis=1, keepdims=True)
        confusion = np.repeat(((1 - state["knows"])[:, None] * state["habit"])[:, :, None], labels, axis=2)
        confusion[:, np.arange(labels), np.arange(labels)] += state["knows"][:, None]
        return confusion

    return estimate

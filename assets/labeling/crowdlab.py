"""Consensus of annotators and a model: CROWDLAB (Goh, Tkachenko & Mueller, 2022, arXiv 2210.06812).

Each vote says its label with the probability with which votes agree with the consensus, the model says what it says, and all are averaged:
an annotator weighs by agreement with the others, the model by agreement with the majority, both measured by how much better they are than
always giving the commonest label. The model must not have learnt from the document that it speaks of.

Belongs here: arrays in, arrays out. Does not belong here: where the model's probabilities come from (`label_errors.py`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assets.labeling.aggregation import Votes, count_labels

Floats = npt.NDArray[np.float64]
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class CrowdWeights:
    """What everybody's word weighs.

    Attributes:
        annotator: Weight of a vote of each annotator, (annotators,).
        model: Weight of the model.
        likelihood: Probability that a vote gives the consensus label.
    """

    annotator: Floats
    model: float
    likelihood: float


def weigh_crowd(votes: Votes, model: Floats) -> CrowdWeights:
    """Weights learnt from the documents with several votes: by the majority first, then by the consensus that follows from those.

    Args:
        votes: All of them.
        model: Probability of every label by the model, (items, labels); NaN where it says nothing.

    Raises:
        ValueError: No document has two votes and a word of the model.
    """
    counts = count_labels(votes)
    several = np.asarray((counts.sum(axis=1) > 1) & _is_told(model))
    if not several.any():
        raise ValueError("expected a document with two votes and a word of the model, found none")
    majority = counts + np.nan_to_num(model) * 0.5  # the model decides between labels with as many votes
    weights = _weigh(votes, counts, model, several, majority.argmax(axis=1))
    return _weigh(votes, counts, model, several, combine(votes, model, weights).argmax(axis=1))


def _weigh(votes: Votes, counts: Floats, model: Floats, several: npt.NDArray[np.bool_], consensus: npt.NDArray[np.int64]) -> CrowdWeights:
    """Weights by a consensus, (items,), on the items with several votes."""
    agreed = counts[several, consensus[several]] / counts[several].sum(axis=1)
    error_of_commonest = max(1 - np.bincount(consensus[several]).max() / several.sum(), LEAST_WEIGHT)
    error_of_model = (model[several].argmax(axis=1) != consensus[several]).mean()
    better = max(1 - error_of_model / error_of_commonest, LEAST_WEIGHT)
    annotators = np.maximum(1 - (1 - _agreement_with_others(votes, counts)) / error_of_commonest, LEAST_WEIGHT)
    total = counts.sum(axis=1)
    return CrowdWeights(annotators, float(better * np.sqrt(total[total > 0].mean())), float(agreed.mean()))


def combine(votes: Votes, model: Floats, weights: CrowdWeights) -> Floats:
    """Probability of every label, (items, labels); equal for all where nobody says anything.

    Args:
        votes: On these items; annotators as they were weighed.
        model: As in `weigh_crowd`.
        weights: What everybody's word weighs.
    """
    otherwise = (1 - weights.likelihood) / (votes.labels - 1)
    of_vote = weights.annotator[votes.annotator]
    said = np.bincount(votes.item, weights=of_vote, minlength=votes.items)
    by_label = count_labels(votes, of_vote)
    sums = by_label * weights.likelihood + (said[:, None] - by_label) * otherwise + np.nan_to_num(model) * weights.model
    total = (said + _is_told(model) * weights.model)[:, None]
    posterior: Floats = np.where(total > 0, sums / np.maximum(total, np.finfo(float).tiny), 1 / votes.labels)
    return posterior


def _is_told(model: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(~np.isnan(model).any(axis=1))


def _agreement_with_others(votes: Votes, counts: Floats) -> Floats:
    """Share of the other votes on the same documents that are the annotator's, (annotators,); the mean of all for who is always alone."""
    same = counts[votes.item, votes.label] - 1
    others = counts.sum(axis=1)[votes.item] - 1
    alike, met = (np.bincount(votes.annotator, weights=each, minlength=votes.annotators) for each in (same, others))
    agreement = alike / np.maximum(met, 1)
    return np.where(met > 0, agreement, agreement[met > 0].mean())

"""From votes to one label per document, with its distribution and its confidence.

Weighted majority: each label's share is the weight of its votes. Confidence is the posterior probability that the leading label
beats the runner-up among annotators like these, under a uniform prior: with n1 and n2 weighted votes for the two,
P(p > 1/2) for p ~ Beta(n1 + 1, n2 + 1) (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.1). Ties go to the label that
comes first in the task.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.project import Labeling
from assets.schemas import LABELED_DOCUMENTS


def vote_weights(votes: pd.DataFrame, documents: pd.Index, labels: Sequence[str], weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Weight of the votes per document and label.

    Args:
        votes: One row per vote: `document_id`, `label`, `voter_kind`.
        documents: Document ids, in the order wanted.
        labels: The task's labels, in order.
        weights: Weight of one vote per voter kind; kinds not named weigh 1.

    Returns:
        Array of shape (documents, labels).
    """
    row = documents.get_indexer(pd.Index(votes["document_id"]))
    column = pd.Index(labels).get_indexer(pd.Index(votes["label"]))
    weight = votes["voter_kind"].map(lambda kind: weights.get(kind, 1.0)).to_numpy(dtype=float)
    cell = row * len(labels) + column
    counts = np.bincount(cell, weights=weight, minlength=len(documents) * len(labels)).astype(np.float64)
    return counts.reshape(len(documents), len(labels))


def lead_probability(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Posterior probability, 0.5 to 1, that the leading label beats the runner-up; input of shape (documents, labels)."""
    from scipy.special import betainc  # not while definitions load

    ordered = np.sort(weights, axis=1)
    first, second = ordered[:, -1], ordered[:, -2]
    return np.asarray(betainc(second + 1, first + 1, 0.5), dtype=float)


def decide_labels(documents: pd.DataFrame, votes: pd.DataFrame, labels: Sequence[str], settings: Labeling) -> pd.DataFrame:
    """One consensus per document.

    Args:
        documents: One row per document: `document_id` (unique), `source`, `language`.
        votes: One row per vote, columns of `annotations`; votes on other documents are not allowed.
        labels: The task's labels, in order.
        settings: Rule weight and quorum.

    Returns:
        One row per document, columns of `labeled_documents`. `is_confident` is false with a reason: `no_votes`, `too_few_votes`
        (fewer human votes than the quorum) or `low_confidence`.

    Raises:
        ValueError: A vote's label is not one of the task's.
    """
    unknown = sorted(set(votes["label"]) - set(labels))
    if unknown:
        raise ValueError(f"Expected votes for {list(labels)}, found votes for {unknown}; refuse them before the consensus.")
    index = pd.Index(documents["document_id"])
    weights = vote_weights(votes, index, labels, {"rule": settings.rules.weight})
    total = weights.sum(axis=1)
    distribution = np.where(total[:, None] > 0, weights / np.maximum(total, 1e-12)[:, None], 1 / len(labels))
    result = documents[["document_id", "source", "language"]].reset_index(drop=True).copy()
    leading = pd.Series(np.array(labels, dtype=object)[weights.argmax(axis=1)], index=result.index)
    result["label"] = leading.where(total > 0, None)
    result["distribution"] = list(distribution)
    result["confidence"] = lead_probability(weights)
    result = result.join(count_votes(votes, index).reset_index(drop=True))
    result["reason"] = reasons_to_wait(result, settings)
    result["is_confident"] = result["reason"].isna()
    return result[LABELED_DOCUMENTS.column_names()]


def count_votes(votes: pd.DataFrame, documents: pd.Index) -> pd.DataFrame:
    """One row per document: `votes_count`, `human_votes_count`, `ratings` (sorted), `mean_rating` (missing without ratings)."""
    human = votes[votes["voter_kind"] == "human"]
    rated = human[human["value"].notna()].sort_values("value").groupby("document_id")["value"]
    counts = pd.DataFrame(index=documents)
    counts["votes_count"] = votes.groupby("document_id").size().reindex(documents, fill_value=0).astype("int64")
    counts["human_votes_count"] = human.groupby("document_id").size().reindex(documents, fill_value=0).astype("int64")
    ratings = rated.agg(list).reindex(documents)
    counts["ratings"] = [found if isinstance(found, list) else [] for found in ratings]
    counts["mean_rating"] = rated.mean().reindex(documents)
    return counts


def reasons_to_wait(consensus: pd.DataFrame, settings: Labeling) -> pd.Series:
    """Why each document is not yet confident; missing where it is."""
    reason = pd.Series(None, index=consensus.index, dtype=object)
    reason[consensus["confidence"] < settings.min_confidence] = "low_confidence"
    reason[consensus["human_votes_count"] < settings.min_human_votes] = "too_few_votes"
    reason[consensus["votes_count"] == 0] = "no_votes"
    return reason

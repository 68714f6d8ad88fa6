"""From votes to one label per document, with its distribution and its confidence.

Each label's share is the weight of its votes, or its probability by what was learnt of the annotators (`annotators.py`). Confidence is
the posterior probability that the leading label beats the runner-up among annotators like these, under a uniform prior: with n1 and n2
weighted votes for the two, P(p > 1/2) for p ~ Beta(n1 + 1, n2 + 1) (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.1). With a
learnt probability the votes are split by it, and it is the most that confidence can be: however much is known of an annotator, one vote
never says more than one vote can, nor many votes more than those who gave them know. benchmarks/consensus.py shows how often a label is
right by its confidence.

Ties go to the label that comes first in the task. Ratings may be decided by how their source is rated (`rated_sources.py`). Where any
number of labels may fit, each is decided by itself, chosen when more than half of the weight chose it, and the confidence is the least of
them. Spans are decided in `span_consensus.py`; what is known beyond votes, in `gold.py`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.answers import decode_labels, decode_spans, encode_labels, encode_spans
from assets.labeling.annotators import Opinion
from assets.labeling.gold import decide_by_gold
from assets.labeling.rated_sources import RatedSources
from assets.labeling.span_consensus import SpanVote, decide_spans
from assets.project import Labeling, Task
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


def confidence_of(weights: npt.NDArray[np.float64], probabilities: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    """How sure the leading label is, 0 to 1, (documents,): by the votes, and no surer than its learnt probability.

    Args:
        weights: Weight of the votes, (documents, labels).
        probabilities: Of every label, by what was learnt of the annotators, (documents, labels); None where nothing was.
    """
    by_votes = lead_probability(weights)
    return by_votes if probabilities is None else np.minimum(by_votes, probabilities.max(axis=1))


def decide_labels(
    documents: pd.DataFrame,
    votes: pd.DataFrame,
    labels: Sequence[str],
    settings: Labeling,
    reputation: Opinion | None = None,
    rated: RatedSources | None = None,
) -> pd.DataFrame:
    """One consensus per document.

    Args:
        documents: One row per document: `document_id` (unique), `source`, `language`.
        votes: One row per vote, columns of `annotations`; votes on other documents are not allowed.
        labels: The task's labels, in order.
        settings: Weights and quorum.
        reputation: What was learnt of the annotators; None weighs all people alike.
        rated: How sources are rated, which then decides the documents with ratings; None takes the label of each rating as a vote.

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
    weights = vote_weights(votes, index, labels, settings.weights)
    total = weights.sum(axis=1)
    distribution = np.where(total[:, None] > 0, weights / np.maximum(total, 1e-12)[:, None], 1 / len(labels))
    if reputation is not None:
        distribution = np.where(total[:, None] > 0, reputation.posterior(votes, index), distribution)
        weights = distribution * total[:, None]
    confidence = confidence_of(weights, distribution if reputation is not None and reputation.is_probable else None)
    leading = pd.Series(np.array(labels, dtype=object)[weights.argmax(axis=1)])
    decided = pd.DataFrame({"label": leading.where(total > 0, None), "distribution": list(distribution)})
    decided = decided.assign(confidence=confidence)
    return _complete(documents, votes, _with_ratings(decided, index, votes, rated) if rated else decided, settings)


def decide_answers(
    documents: pd.DataFrame,
    votes: pd.DataFrame,
    task: Task,
    settings: Labeling,
    competence: Mapping[str, frozenset[str]] | None = None,
    reputation: Opinion | None = None,
    rated: RatedSources | None = None,
) -> pd.DataFrame:
    """One consensus per document, whatever the task; see `decide_labels`.

    Args:
        documents: One row per document: `document_id` (unique), `source`, `language`.
        votes: One row per vote, columns of `annotations`; votes on other documents are not allowed.
        task: The task whose answers the votes are.
        settings: Weights and quorum.
        competence: For spans: the labels that an annotator looks for, by id; who is not named looks for all.
        reputation: For one label per text: what was learnt of the annotators.
        rated: For one label per text: how sources are rated.

    Raises:
        ValueError: A vote is no answer of the task.
    """
    if task.has_lists:
        decide = _decide_spans if task.has_spans else _decide_label_sets
        weight = votes["voter_kind"].map(settings.weights).astype(float)
        decided = _complete(documents, votes, decide(documents, votes.assign(weight=weight), task, competence or {}), settings)
    else:
        decided = decide_labels(documents, votes, task.labels, settings, reputation, rated)
    return decide_by_gold(decided, votes, task, settings.gold.annotators)


def _with_ratings(decided: pd.DataFrame, documents: pd.Index, votes: pd.DataFrame, rated: RatedSources) -> pd.DataFrame:
    """Decisions, one row per document, with those of ratings by people where there are some."""
    ratings = votes[(votes["voter_kind"] == "human") & votes["value"].notna()]
    of_ratings = rated.decide(ratings).reindex(documents).reset_index(drop=True)
    return of_ratings.where(of_ratings["label"].notna(), decided).astype({"confidence": float})


def _decide_label_sets(documents: pd.DataFrame, votes: pd.DataFrame, task: Task, _competence: Mapping[str, frozenset[str]]) -> pd.DataFrame:
    """Answer, share of the voters per label, and confidence per document of a multi-label task."""
    labels, row = task.labels, pd.Index(documents["document_id"]).get_indexer(pd.Index(votes["document_id"]))
    chosen_by = {answer: np.isin(labels, decode_labels(answer, labels)) for answer in votes["label"].unique()}
    chosen = np.array([chosen_by[answer] for answer in votes["label"]], dtype=float).reshape(len(votes), len(labels))
    weight = votes["weight"].to_numpy()
    total = np.bincount(row, weights=weight, minlength=len(documents))
    behind = np.zeros((len(documents), len(labels)))
    np.add.at(behind, row, chosen * weight[:, None])
    leads = np.stack([behind, total[:, None] - behind], axis=-1)
    shares = np.where(total[:, None] > 0, behind / np.maximum(total, 1e-12)[:, None], 0.5)
    answers = [encode_labels(np.array(labels)[row_shares > 0.5].tolist(), labels) for row_shares in shares]
    confidence = lead_probability(leads.reshape(-1, 2)).reshape(shares.shape).min(axis=1)
    answer = pd.Series(answers, dtype=object).where(total > 0, None)
    return pd.DataFrame({"label": answer, "distribution": list(shares), "confidence": confidence})


def _decide_spans(documents: pd.DataFrame, votes: pd.DataFrame, task: Task, competence: Mapping[str, frozenset[str]]) -> pd.DataFrame:
    """Answer, share of the voters per span, and confidence per document of a task with spans."""
    spans_of = {answer: decode_spans(answer, task.labels) for answer in votes["label"].unique()}
    voted: dict[str, list[SpanVote]] = {document_id: [] for document_id in documents["document_id"]}
    ordered = votes.sort_values(["document_id", "annotator_id"])
    for document_id, annotator, answer, weight in ordered[["document_id", "annotator_id", "label", "weight"]].itertuples(index=False):
        voted[document_id].append(SpanVote(spans_of[answer], weight, competence.get(annotator)))
    decisions = [decide_spans(found, task) if found else None for found in voted.values()]
    leads = [decision.leads if decision else ((0.0, 0.0),) for decision in decisions]
    probability = lead_probability(np.array([lead for found in leads for lead in found]).reshape(-1, 2))
    starts = np.cumsum([0, *map(len, leads)])[:-1]
    return pd.DataFrame(
        {
            "label": pd.Series([encode_spans(decision.spans) if decision else None for decision in decisions], dtype=object),
            "distribution": [list(decision.shares) if decision else [] for decision in decisions],
            "confidence": np.minimum.reduceat(probability, starts) if len(starts) else probability,
        }
    )


def _complete(documents: pd.DataFrame, votes: pd.DataFrame, decided: pd.DataFrame, settings: Labeling) -> pd.DataFrame:
    """Decisions, one row per document and in their order, as rows of `labeled_documents`."""
    result = documents[["document_id", "source", "language"]].reset_index(drop=True).join(decided)
    result = result.join(count_votes(votes, pd.Index(documents["document_id"])).reset_index(drop=True))
    result["reason"] = reasons_to_wait(result, settings)
    result["is_confident"] = result["reason"].isna()
    return result[LABELED_DOCUMENTS.column_names()]


def distribution_error(decided: pd.DataFrame, task: Task) -> float:
    """How far the worst distribution is from being one: from adding up to 1, or its shares from lying between 0 and 1.

    A distribution with another number of shares than the answer has labels or spans counts as 1.
    """
    worst = 0.0
    for answer, shares in zip(decided["label"], decided["distribution"], strict=True):
        found = np.asarray(shares, dtype=float)
        wanted = len(task.labels)
        if task.has_spans:
            wanted = len(decode_spans(answer, task.labels)) if isinstance(answer, str) else 0
        if len(found) != wanted:
            return 1.0
        error = np.maximum(-found, found - 1).max(initial=0) if task.has_lists else abs(found.sum() - 1)
        worst = max(worst, float(error))
    return worst


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

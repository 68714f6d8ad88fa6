"""Who votes how: what all votes together say of each annotator, and what an annotator's vote then says of a document.

Raters whom a source does not identify count as one annotator, the typical rater of that source: what is learnt of them is how their crowd
errs. What is learnt is kept in `annotators`, one row each, with the increment of the labels that it decided.

Does not belong here: the algorithms (`aggregation.py`), quorum and confidence (`consensus.py`), tasks whose answers are lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.labeling.aggregation import Aggregation, Method, Votes, aggregate
from assets.labeling.gold import GOLD_SQL
from assets.labeling.rated_sources import RatedSources
from assets.project import Consensus

Floats = npt.NDArray[np.float64]

ANONYMOUS = "anonymous:"
TINY = 1e-10
TIE = 1e-9
"""Labels whose probabilities differ by less are tied."""

STANDING = ("voter", "shared_votes", "agreement_ratio", "usual_ratio", "accuracy_ratio", "confusion")
"""How an annotator stands among others: votes on documents with several votes and the share of them that is the consensus; how often the
consensus on the annotator's documents is the annotator's commonest answer; what was learnt, where it was."""

VOTER_SQL = f"CASE WHEN starts_with(annotator_id, '{ANONYMOUS}') THEN '{ANONYMOUS}' || source ELSE annotator_id END"
ALL_VOTES_SQL = f"""
SELECT document_id, {VOTER_SQL} AS voter, voter_kind, label FROM annotations
UNION ALL SELECT document_id, {VOTER_SQL}, voter_kind, label FROM rule_votes
UNION ALL SELECT document_id, {VOTER_SQL}, voter_kind, label FROM model_votes
"""
# One row per voter, in order.
VOTERS_SQL = f"SELECT DISTINCT voter, voter_kind FROM ({ALL_VOTES_SQL}) ORDER BY voter"
# One row per clean document that somebody voted on, in order, with its published label, and its known one.
VOTED_DOCUMENTS_SQL = f"""
SELECT document_id, label AS published, answer AS known
FROM (SELECT DISTINCT document_id FROM ({ALL_VOTES_SQL}))
SEMI JOIN clean_documents USING (document_id)
LEFT JOIN (SELECT document_id, label FROM labeled_documents) USING (document_id)
LEFT JOIN ({GOLD_SQL}) USING (document_id)
ORDER BY document_id
"""
# One row per vote, as numbers: places in the frames `documents` and `voters` and in the list `$labels`.
NUMBERED_VOTES_SQL = f"""
SELECT documents.item::INTEGER AS item, voters.number::INTEGER AS annotator, (list_position($labels, label) - 1)::INTEGER AS label
FROM ({ALL_VOTES_SQL}) JOIN documents USING (document_id) JOIN voters USING (voter)
WHERE list_contains($labels, label)
"""


class Opinion(Protocol):
    """What is made of the votes on some documents."""

    @property
    def is_probable(self) -> bool:
        """Whether `posterior` gives probabilities of being right, and not shares of votes."""
        ...

    def posterior(self, votes: pd.DataFrame, documents: pd.Index) -> Floats:
        """Probability of every label of every document, (documents, labels); see `Reputation.posterior`."""
        ...


@dataclass(frozen=True)
class Reputation:
    """What is known of every annotator.

    Attributes:
        method: How it was learnt.
        labels: The task's labels, in order.
        voters: One row per annotator: `voter`, `voter_kind`.
        weight: Weight of one vote of each, (annotators,); None where votes are weighed by `confusion`.
        confusion: Probability that an annotator gives a label under a true one, (annotators, given, true); None where `weight` is there.
        prior: Probability of every label before any vote, (labels,).
    """

    method: Method
    labels: tuple[str, ...]
    voters: pd.DataFrame
    weight: Floats | None
    confusion: Floats | None
    prior: Floats

    @property
    def is_probable(self) -> bool:
        """See `Opinion.is_probable`."""
        return self.confusion is not None

    def posterior(self, votes: pd.DataFrame, documents: pd.Index) -> Floats:
        """Probability of every label of every document, (documents, labels); the prior where nobody voted.

        Args:
            votes: One row per vote: `document_id`, `source`, `annotator_id`, `label`; on these documents, by these annotators.
            documents: Document ids, in the order wanted.
        """
        row = documents.get_indexer(pd.Index(votes["document_id"]))
        given = pd.Index(self.labels).get_indexer(pd.Index(votes["label"]))
        annotator = pd.Index(self.voters["voter"]).get_indexer(pd.Index(voters_of(votes)))
        logs = np.tile(np.log(np.maximum(self.prior, TINY)), (len(documents), 1))
        if self.confusion is None:
            assert self.weight is not None
            counts = np.zeros_like(logs)
            np.add.at(counts, (row, given), self.weight[annotator])
            total = counts.sum(axis=1, keepdims=True)
            shares: Floats = np.where(total > 0, counts / np.maximum(total, TINY), self.prior)
            return shares
        np.add.at(logs, row, np.log(np.maximum(self.confusion, TINY))[annotator, given])
        likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
        posterior: Floats = likelihood / likelihood.sum(axis=1, keepdims=True)
        return posterior


@dataclass(frozen=True)
class Learnt:
    """What all votes together say.

    Attributes:
        reputation: What votes are worth; None where every vote weighs what the project says (`majority`).
        standing: One row per annotator that voted: columns of `STANDING`.
        overturned: Ids of documents whose published label is no longer the one that the votes on them speak for.
        rated: How sources are rated, where ratings decide.
    """

    reputation: Opinion | None
    standing: pd.DataFrame
    overturned: pd.DataFrame
    rated: RatedSources | None = None


def voters_of(votes: pd.DataFrame) -> pd.Series:
    """Who each vote counts as: its annotator, or the crowd of its source; see `VOTER_SQL`."""
    is_anonymous = votes["annotator_id"].str.startswith(ANONYMOUS)
    return votes["annotator_id"].where(~is_anonymous, ANONYMOUS + votes["source"].astype(str))


def choose_method(wanted: Consensus, voters: pd.DataFrame) -> Method:
    """How annotators are learnt of: `auto` is Dawid and Skene where all people have names, as benchmarks/consensus.py found; else majority.

    Where ratings or a model decide too, annotators are measured by the majority.

    Args:
        wanted: As the project file has it.
        voters: One row per annotator: `voter`, `voter_kind`.
    """
    if wanted == "ratings" or wanted == "crowdlab":
        return "majority"
    if wanted != "auto":
        return wanted
    people = voters.loc[voters["voter_kind"] == "human", "voter"]
    return "dawid_skene" if len(people) and not people.str.startswith(ANONYMOUS).any() else "majority"


def learn_annotators(
    votes: pd.DataFrame,
    voters: pd.DataFrame,
    documents: pd.DataFrame,
    labels: Sequence[str],
    wanted: Consensus,
    weights: Mapping[str, float],
) -> Learnt:
    """Learn from all votes who votes how.

    Args:
        votes: One row per vote, as numbers: `item`, `annotator`, `label` (`NUMBERED_VOTES_SQL`).
        voters: One row per annotator, in the order of their numbers: `voter`, `voter_kind`.
        documents: One row per document, in the order of the items: `document_id`, `published` and `known` (labels, or missing).
        labels: The task's labels, in order.
        wanted: How to decide.
        weights: Weight of a vote by kind of voter, where votes are weighed and not learnt, and at the start of learning.
    """
    method = choose_method(wanted, voters)
    weight = voters["voter_kind"].map(weights).to_numpy(dtype=float)
    numbers = {name: votes[name].to_numpy() for name in ("item", "annotator", "label")}
    known = pd.Index(labels).get_indexer(pd.Index(documents["known"])) if documents["known"].notna().any() else None
    numbered = Votes(
        **numbers, items=len(documents), annotators=len(voters), labels=len(labels), weight=weight[numbers["annotator"]], known=known
    )
    found = aggregate(numbered, method)
    leading = found.posterior.argmax(axis=1)
    reputation = None
    if method != "majority":
        reputation = Reputation(method, tuple(labels), voters, found.weight, found.confusion, found.prior)
    standing = _standing_of(numbers, voters, labels, found, leading)
    return Learnt(reputation, standing, overturned_by(documents, labels, found.posterior))


def overturned_by(documents: pd.DataFrame, labels: Sequence[str], posterior: Floats) -> pd.DataFrame:
    """`document_id` of the documents whose published label has become less probable than another.

    Args:
        documents: One row per document: `document_id`, `published`.
        labels: The task's labels, in order.
        posterior: Probability of every label, (documents, labels).
    """
    place = pd.Index(labels).get_indexer(pd.Index(documents["published"]))
    of_published = np.where(place >= 0, posterior[np.arange(len(place)), place], 0.0)
    is_overturned = documents["published"].notna() & (posterior.max(axis=1, initial=0.0) - of_published > TIE)
    return pd.DataFrame({"document_id": documents["document_id"][is_overturned].to_numpy()})


def _standing_of(
    numbers: dict[str, npt.NDArray[np.int64]],
    voters: pd.DataFrame,
    labels: Sequence[str],
    found: Aggregation,
    leading: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """One row per annotator: columns of `STANDING`."""
    item, annotator, given = numbers["item"], numbers["annotator"], numbers["label"]
    count = len(voters)
    own = _table(annotator, given, count, len(labels))
    of_consensus = _table(annotator, leading[item], count, len(labels))
    is_shared = np.bincount(item, minlength=len(leading))[item] > 1
    shared = np.bincount(annotator[is_shared], minlength=count)
    agreed = np.bincount(annotator[is_shared], weights=(given == leading[item])[is_shared], minlength=count)
    commonest = own.argmax(axis=1)
    tables = [[]] * count if found.confusion is None else [table.T.ravel().tolist() for table in found.confusion]
    rows = pd.DataFrame(
        {
            "voter": voters["voter"].to_numpy(),
            "shared_votes": shared,
            "agreement_ratio": np.where(shared > 0, agreed / np.maximum(shared, 1), np.nan),
            "usual_ratio": of_consensus[np.arange(count), commonest] / np.maximum(own.sum(axis=1), 1),
            "accuracy_ratio": np.full(count, np.nan) if found.accuracy is None else found.accuracy,
            "confusion": pd.Series(tables, dtype=object),
        }
    )
    return pd.DataFrame(rows[own.sum(axis=1) > 0]).reset_index(drop=True)


def _table(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], height: int, width: int) -> npt.NDArray[np.int64]:
    """How often each pair occurs, (height, width)."""
    cell = rows.astype(np.int64) * width + columns
    return np.bincount(cell, minlength=height * width).reshape(height, width)

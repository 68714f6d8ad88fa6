"""Labels that annotators and a model decide together, document by document; the algorithm is in `crowdlab.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.labeling.aggregation import Votes
from assets.labeling.annotators import voters_of
from assets.labeling.crowdlab import CrowdWeights, Floats, combine, weigh_crowd

# What models say that did not learn from the document (`label_issues`), in the order of the documents.
PREDICTIONS_SQL = "SELECT document_id, probabilities FROM label_predictions ORDER BY document_id"


@dataclass(frozen=True)
class CrowdAndModel:
    """What annotators and the model say.

    Attributes:
        labels: The task's labels, in order.
        voters: Who votes: `voter`, in the order of their weights.
        weights: What everybody's word weighs.
        predictions: Probability of every label by document id.
    """

    labels: tuple[str, ...]
    voters: pd.DataFrame
    weights: CrowdWeights
    predictions: pd.Series

    @property
    def is_probable(self) -> bool:
        """See `annotators.Opinion.is_probable`."""
        return True

    def posterior(self, votes: pd.DataFrame, documents: pd.Index) -> Floats:
        """Probability of every label of every document, (documents, labels); equal for all where nobody says anything.

        Args:
            votes: One row per vote: `document_id`, `source`, `annotator_id`, `label`; on these documents, by these annotators.
            documents: Document ids, in the order wanted.
        """
        numbers = Votes(
            documents.get_indexer(pd.Index(votes["document_id"])),
            pd.Index(self.voters["voter"]).get_indexer(pd.Index(voters_of(votes))),
            pd.Index(self.labels).get_indexer(pd.Index(votes["label"])),
            len(documents),
            len(self.voters),
            len(self.labels),
        )
        return combine(numbers, said_by_model(self.predictions, documents, len(self.labels)), self.weights)


def learn_crowd_and_model(
    votes: pd.DataFrame, voters: pd.DataFrame, documents: pd.DataFrame, labels: Sequence[str], predictions: pd.DataFrame
) -> tuple[CrowdAndModel, Floats]:
    """What everybody's word weighs, and the probability of every label of every document, (documents, labels).

    Args:
        votes: One row per vote, as numbers: `item`, `annotator`, `label` (`annotators.NUMBERED_VOTES_SQL`).
        voters: One row per annotator, in the order of their numbers: `voter`, `voter_kind`.
        documents: One row per document, in the order of the items: `document_id`.
        labels: The task's labels, in order.
        predictions: One row per document that the model speaks of: `document_id`, `probabilities` (`PREDICTIONS_SQL`).

    Raises:
        ValueError: No document has two votes and a word of the model.
    """
    by_document = predictions.set_index("document_id")["probabilities"]
    model = said_by_model(by_document, pd.Index(documents["document_id"]), len(labels))
    item, annotator, label = (votes[name].to_numpy() for name in ("item", "annotator", "label"))
    numbered = Votes(item, annotator, label, len(documents), len(voters), len(labels))
    weights = weigh_crowd(numbered, model)
    return CrowdAndModel(tuple(labels), voters, weights, by_document), combine(numbered, model, weights)


def said_by_model(predictions: pd.Series, documents: pd.Index, labels: int) -> Floats:
    """What the model says of documents, (documents, labels); NaN where it says nothing, or of other labels."""
    said = np.full((len(documents), labels), np.nan)
    for place, shares in enumerate(predictions.reindex(documents)):
        if isinstance(shares, (list, np.ndarray)) and len(shares) == labels:
            said[place] = shares
    return said

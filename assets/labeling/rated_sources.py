"""Labels from numeric ratings: how each source is rated is learnt from all its ratings (`rating_consensus.py`), and decides its texts.

Does not belong here: texts whose votes are labels (`consensus.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.labeling.rating_consensus import RatingModel, decide_ratings, fit_ratings, label_ratings
from assets.project import RatingScale

# One row per rating by a person of a clean document.
RATINGS_SQL = """
SELECT a.document_id, a.source, a.value FROM annotations a SEMI JOIN clean_documents USING (document_id)
WHERE a.voter_kind = 'human' AND a.value IS NOT NULL ORDER BY a.source, a.document_id, a.annotator_id
"""


@dataclass(frozen=True)
class RatedSources:
    """How texts are rated, source by source.

    Attributes:
        models: By source; sources without ratings are not there.
        labels: The task's labels, in order.
        names: The labels of the scale, from the lowest ratings to the highest.
        thresholds: Lowest rating of each of `names`, rising.
    """

    models: Mapping[str, RatingModel]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    thresholds: npt.NDArray[np.float64]

    def decide(self, ratings: pd.DataFrame) -> pd.DataFrame:
        """Label, distribution (of the task's labels) and confidence of every document that was rated, by document id.

        Args:
            ratings: One row per rating: `document_id`, `source`, `value`.
        """
        parts = [self._decide_source(str(source), frame) for source, frame in ratings.groupby("source") if source in self.models]
        nothing = pd.DataFrame({"label": [], "distribution": [], "confidence": []}, dtype=object)
        return pd.concat(parts) if parts else nothing

    def _decide_source(self, source: str, frame: pd.DataFrame) -> pd.DataFrame:
        model = self.models[source]
        text, documents = pd.factorize(frame["document_id"])
        found = label_ratings(decide_ratings(text, frame["value"].to_numpy(dtype=float), len(documents), model), model, self.thresholds)
        distribution = np.zeros((len(documents), len(self.labels)))
        distribution[:, [self.labels.index(name) for name in self.names]] = found.distribution
        columns = {
            "label": np.array(self.names, dtype=object)[found.label],
            "distribution": list(distribution),
            "confidence": found.confidence,
        }
        return pd.DataFrame(columns, index=pd.Index(documents, name="document_id"))


def learn_sources(ratings: pd.DataFrame, scale: RatingScale, labels: Sequence[str]) -> RatedSources:
    """How the texts of every source are rated.

    Args:
        ratings: One row per rating: `document_id`, `source`, `value` (`RATINGS_SQL`).
        scale: The scale.
        labels: The task's labels, in order.
    """
    models = {
        str(source): fit_ratings(pd.factorize(frame["document_id"])[0], frame["value"].to_numpy(dtype=float), scale.minimum, scale.maximum)
        for source, frame in ratings.groupby("source")
    }
    ordered = sorted(scale.thresholds.items(), key=lambda item: item[1])
    return RatedSources(models, tuple(labels), tuple(name for name, _ in ordered), np.array([threshold for _, threshold in ordered]))


def overturned_by_ratings(documents: pd.DataFrame, decided: pd.DataFrame) -> pd.DataFrame:
    """`document_id` of documents whose published label is no longer the one of their ratings.

    Args:
        documents: One row per document: `document_id`, `published` and `known` (labels, or missing); a known label is never overturned.
        decided: What `RatedSources.decide` says of them.
    """
    label = documents["document_id"].map(decided["label"])
    is_overturned = documents["published"].notna() & documents["known"].isna() & label.notna() & (label != documents["published"])
    return pd.DataFrame({"document_id": documents["document_id"][is_overturned].to_numpy()})

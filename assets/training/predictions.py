"""What a scorer says about the test rows, in one shape for models, baselines and people.

Does not belong here: making predictions (`scoring.py`, `baselines.py`), judging them (`evaluation.py`, `promotion.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.training.metrics import Floats, Statistics, row_statistics

MAJORITY, VADER, TFIDF, HUMAN = "majority class", "VADER", "TF-IDF + logistic regression", "one human rater"
"""Names of the scorers that stand beside a model."""


class PredictionsError(ValueError):
    """Predictions do not fit the test rows."""


@dataclass(frozen=True)
class Predictions:
    """One scorer's predictions, row by row in the order of the test frame.

    Attributes:
        scorer: Its name in the report.
        labels: (n,) predicted labels; None where the scorer has nothing to say (a text without ratings has no human rater).
        probabilities: (n, labels) in the task's label order, or None.
        valence: (n,) predicted valence in any unit, or None.
    """

    scorer: str
    labels: npt.NDArray[np.object_]
    probabilities: Floats | None = None
    valence: Floats | None = None

    def take(self, rows: npt.NDArray[np.bool_]) -> "Predictions":
        """The predictions of some rows."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.scorer, self.labels[rows], probabilities, None if self.valence is None else self.valence[rows])


def predictions_of_probabilities(
    scorer: str, probabilities: Floats, labels: Sequence[str], positive_label: str | None = None, negative_label: str | None = None
) -> Predictions:
    """Predictions of a model: the likeliest label, and P(positive) - P(negative) where the task has both.

    Raises:
        PredictionsError: The probabilities have another number of columns than there are labels, or are not numbers.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise PredictionsError(f"{scorer}: expected probabilities of {len(labels)} labels, found an array of shape {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise PredictionsError(
            f"{scorer}: expected probabilities, found {int((~np.isfinite(probabilities)).any(axis=1).sum())} rows with NaN"
        )
    valence = None
    if positive_label is not None and negative_label is not None:
        valence = probabilities[:, labels.index(positive_label)] - probabilities[:, labels.index(negative_label)]
    return Predictions(scorer, np.array(labels, dtype=object)[probabilities.argmax(axis=1)], probabilities, valence)


def statistics_of(predictions: Predictions, test: pd.DataFrame, labels: Sequence[str]) -> Statistics:
    """The sums of every row that metrics are made of.

    Args:
        predictions: As many as test rows, each with a label.
        test: One row per document; read: `label`, `mean_rating`.
        labels: The task's labels.

    Raises:
        PredictionsError: The number of rows differs, or a label is outside the task.
    """
    require_rows(predictions, len(test))
    predicted = label_numbers(predictions.labels, labels, predictions.scorer)
    truth = label_numbers(test["label"].to_numpy(dtype=object), labels, "consensus")
    ratings = test["mean_rating"].to_numpy(dtype=np.float64, na_value=np.nan)
    return row_statistics(truth, predicted, len(labels), predictions.probabilities, predictions.valence, ratings)


def require_rows(predictions: Predictions, rows: int) -> None:
    """Make sure that there is one prediction per test row.

    Raises:
        PredictionsError: There are more or fewer.
    """
    if len(predictions.labels) != rows:
        raise PredictionsError(f"{predictions.scorer}: expected {rows} predictions, one per test row, found {len(predictions.labels)}")


def label_numbers(found: npt.NDArray[np.object_], labels: Sequence[str], owner: str) -> npt.NDArray[np.int64]:
    """Index of every label in the task's order.

    Raises:
        PredictionsError: A label is outside the task.
    """
    numbers = pd.Index(labels).get_indexer(pd.Index(found, dtype=object)).astype(np.int64)
    if (numbers < 0).any():
        unknown = sorted({str(label) for label in found[numbers < 0]})
        raise PredictionsError(f"{owner}: expected labels out of {list(labels)}, found {unknown}")
    return numbers

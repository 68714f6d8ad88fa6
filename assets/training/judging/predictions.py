"""What a scorer says about the test rows, in one shape for models, baselines and people.

Does not belong here: making predictions (`scorer.py`, `baselines.py`), judging them (`evaluation.py`, `promotion.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.answers import AnswerError, Span, decode_labels, decode_spans
from assets.project import Task
from assets.training.judging.metrics import Floats, Statistics, multi_label_statistics, row_statistics
from assets.training.judging.span_metrics import overlap_rows, span_confidences, span_statistics, word_statistics

MAJORITY, VADER, TFIDF, HUMAN = "majority class", "VADER", "TF-IDF + logistic regression", "one human rater"
FREQUENCIES, NO_SPANS, GAZETTEER = "label frequencies", "no spans", "gazetteer of the train split"
FIRST_SENTENCE, LIKEST_SENTENCE, WHOLE_CONTEXT = "first sentence", "sentence most like the question", "whole context"
"""Names of the scorers that stand beside a model."""

Part = TypeVar("Part")


class PredictionsError(ValueError):
    """Predictions do not fit the test rows."""


@dataclass(frozen=True)
class Predictions:
    """One scorer's predictions, row by row in the order of the test frame.

    Attributes:
        scorer: Its name in the report.
        labels: (n,) predicted answers as `assets/answers.py` writes them; None where the scorer has nothing to say (a text without ratings
            has no human rater).
        probabilities: (n, labels) in the task's label order, or None.
        valence: (n,) predicted valence in any unit, or None.
        span_scores: (n,) a list each: confidence, 0 to 1, of every span of the answer, in order; or None.
    """

    scorer: str
    labels: npt.NDArray[np.object_]
    probabilities: Floats | None = None
    valence: Floats | None = None
    span_scores: npt.NDArray[np.object_] | None = None

    def take(self, rows: npt.NDArray[np.bool_]) -> "Predictions":
        """The predictions of some rows."""
        return Predictions(
            self.scorer,
            self.labels[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.valence is None else self.valence[rows],
            None if self.span_scores is None else self.span_scores[rows],
        )


def predictions_of_frame(scorer: str, frame: pd.DataFrame, task: Task) -> Predictions:
    """Predictions as a model writes them.

    Args:
        scorer: Its name in the report.
        frame: One row per text, in the order of the test rows; read: `label` (the predicted answer), and where the task has them
            `probabilities`, `valence`, `span_scores`.
        task: The task. Spans have no probabilities; only spans have scores.

    Raises:
        PredictionsError: Answers are missing, or probabilities do not fit the labels.
    """
    if "label" not in frame or frame["label"].isna().any():
        raise PredictionsError(f"{scorer}: expected a column `label` with an answer in every row, found none or gaps")
    answers = frame["label"].to_numpy(dtype=object)
    if task.has_spans:
        return Predictions(scorer, answers, span_scores=_objects(frame, "span_scores"))
    probabilities = _matrix(scorer, _objects(frame, "probabilities"), task.labels)
    if task.valences is None or "valence" not in frame:
        return Predictions(scorer, answers, probabilities)
    valence = frame["valence"].to_numpy(dtype=np.float64, na_value=np.nan)
    return Predictions(scorer, answers, probabilities, valence if np.isfinite(valence).any() else None)


def predictions_of_probabilities(
    scorer: str, probabilities: Floats, labels: Sequence[str], positive_label: str | None = None, negative_label: str | None = None
) -> Predictions:
    """Predictions where a row has one label: the likeliest, and P(positive) - P(negative) where the task has both.

    Raises:
        PredictionsError: The probabilities have another number of columns than there are labels, or are not numbers.
    """
    _require_probabilities(scorer, probabilities, labels)
    valence = None
    if positive_label is not None and negative_label is not None:
        valence = probabilities[:, labels.index(positive_label)] - probabilities[:, labels.index(negative_label)]
    return Predictions(scorer, np.array(labels, dtype=object)[probabilities.argmax(axis=1)], probabilities, valence)


def statistics_of(predictions: Predictions, test: pd.DataFrame, task: Task) -> Statistics:
    """The sums of every row that metrics are made of, whatever the kind of task.

    Args:
        predictions: As many as test rows, each with an answer.
        test: One row per document; read: `label`; `mean_rating` where there is one; `text` for question answering.
        task: Kind and labels.

    Raises:
        PredictionsError: The number of rows differs, or an answer is none of the task.
    """
    require_rows(predictions, len(test))
    if task.has_spans:
        return _span_rows(predictions, test, task)
    if task.kind == "multi_label_classification":
        truth, predicted = (label_sets(found, task.labels, owner) for found, owner in _both(predictions, test))
        return multi_label_statistics(truth, predicted, predictions.probabilities)
    truth_numbers, numbers = (label_numbers(found, task.labels, owner) for found, owner in _both(predictions, test))
    ratings = test["mean_rating"].to_numpy(dtype=np.float64, na_value=np.nan) if "mean_rating" in test else None
    return row_statistics(truth_numbers, numbers, len(task.labels), predictions.probabilities, predictions.valence, ratings)


def word_statistics_of(predictions: Predictions, test: pd.DataFrame, task: Task) -> Statistics:
    """The sums of every row over its words; labels are the tags of words (`span_metrics.word_tags`).

    Args:
        predictions: As many as test rows, each with an answer of spans.
        test: One row per document; read: `text`, `label`.
        task: Labels.

    Raises:
        PredictionsError: As in `statistics_of`.
    """
    truth, predicted = span_pairs(predictions, test, task)
    return word_statistics(test["text"].tolist(), truth, predicted, task.labels)


def span_pairs(predictions: Predictions, test: pd.DataFrame, task: Task) -> tuple[list[tuple[Span, ...]], list[tuple[Span, ...]]]:
    """True and predicted spans of every row.

    Raises:
        PredictionsError: As in `statistics_of`.
    """
    require_rows(predictions, len(test))
    truth, predicted = (_read_spans(found, task.labels, owner) for found, owner in _both(predictions, test))
    return truth, predicted


def decisions_of(predictions: Predictions, test: pd.DataFrame, task: Task) -> tuple[Floats, npt.NDArray[np.bool_]] | None:
    """Confidence and correctness of everything that calibration is about: rows, decisions on labels, or predicted spans.

    None for a scorer without probabilities or scores.

    Raises:
        PredictionsError: As in `statistics_of`.
    """
    if task.has_spans:
        scores = _scores_of_spans(predictions)
        return None if scores is None else span_confidences(*span_pairs(predictions, test, task), scores)[1:]
    if predictions.probabilities is None:
        return None
    if task.kind == "multi_label_classification":
        truth, predicted = (label_sets(found, task.labels, owner) for found, owner in _both(predictions, test))
        confidence = np.where(predicted > 0, predictions.probabilities, 1 - predictions.probabilities)
        return confidence.ravel(), (truth == predicted).ravel()
    numbers = label_numbers(test["label"].to_numpy(dtype=object), task.labels, "consensus")
    return predictions.probabilities.max(axis=1), predictions.probabilities.argmax(axis=1) == numbers


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


def label_sets(found: npt.NDArray[np.object_], labels: Sequence[str], owner: str) -> Floats:
    """1 for every label of every answer: (n, labels) of 0 and 1.

    Raises:
        PredictionsError: An answer is no list of labels of the task.
    """
    rows = np.zeros((len(found), len(labels)))
    known: dict[object, list[int]] = {}
    for row, answer in enumerate(found):
        if answer not in known:
            known[answer] = [labels.index(label) for label in _decode(decode_labels, answer, labels, owner)]
        rows[row, known[answer]] = 1
    return rows


def _both(predictions: Predictions, test: pd.DataFrame) -> tuple[tuple[npt.NDArray[np.object_], str], ...]:
    return (test["label"].to_numpy(dtype=object), "consensus"), (predictions.labels, predictions.scorer)


def _span_rows(predictions: Predictions, test: pd.DataFrame, task: Task) -> Statistics:
    truth, predicted = span_pairs(predictions, test, task)
    scores = _scores_of_spans(predictions)
    if scores is not None and [len(row) for row in scores] != [len(spans) for spans in predicted]:
        raise PredictionsError(f"{predictions.scorer}: expected one score per predicted span, found more or fewer")
    statistics = span_statistics(truth, predicted, task.labels, scores)
    if task.kind == "question_answering":
        return replace(statistics, overlap=overlap_rows(test["text"].tolist(), truth, predicted))
    return statistics


def _scores_of_spans(predictions: Predictions) -> list[list[float]] | None:
    return None if predictions.span_scores is None else [[float(score) for score in row] for row in predictions.span_scores]


def _read_spans(found: npt.NDArray[np.object_], labels: Sequence[str], owner: str) -> list[tuple[Span, ...]]:
    known = {answer: _decode(decode_spans, answer, labels, owner) for answer in set(found)}
    return [known[answer] for answer in found]


def _decode(read: Callable[[str, Sequence[str]], tuple[Part, ...]], answer: object, labels: Sequence[str], owner: str) -> tuple[Part, ...]:
    try:
        return read(str(answer), labels)
    except AnswerError as error:
        raise PredictionsError(f"{owner}: {error}") from error


def _objects(frame: pd.DataFrame, column: str) -> npt.NDArray[np.object_] | None:
    if column not in frame or frame[column].isna().all():
        return None
    return frame[column].to_numpy(dtype=object)


def _matrix(scorer: str, rows: npt.NDArray[np.object_] | None, labels: Sequence[str]) -> Floats | None:
    if rows is None:
        return None
    if {np.size(row) for row in rows} - {len(labels)}:
        raise PredictionsError(f"{scorer}: expected probabilities of {len(labels)} labels in every row, found more or fewer")
    probabilities = np.array([np.asarray(row, dtype=np.float64) for row in rows])
    _require_probabilities(scorer, probabilities, labels)
    return probabilities


def _require_probabilities(scorer: str, probabilities: Floats, labels: Sequence[str]) -> None:
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise PredictionsError(f"{scorer}: expected probabilities of {len(labels)} labels, found an array of shape {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        gaps = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise PredictionsError(f"{scorer}: expected probabilities, found {gaps} rows with NaN")

"""Which labels are probably wrong: a model that did not learn from a document says otherwise.

Every label is predicted by models that learnt from documents of other groups only: a linear one on embeddings of the base model, one on
words and pieces of words, and a small network on the embeddings. What they say is averaged, for they err differently, and with what
fine-tuned models say, where the project asks for them (`answering.py`); benchmarks/label_errors.py shows what that is worth. Labels that
they contradict are ranked by how much they are to be doubted; how many are wrong, confident learning estimates (Northcutt, Jiang & Chuang,
JAIR 70, 2021, arXiv 1911.00068; computed by cleanlab).

Belongs here: arrays in, arrays out. Does not belong here: rows and words about issues (`label_issues.py`), annotators (`track_record.py`).
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.grouping import deal_groups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Learner = Callable[[Ints, Ints], Floats]
"""From places to learn from, and places to speak of, to probabilities (places, labels)."""

FOLDS = 5
SEED = 0
LEAST_SHARE = 0.1
MOST_TERMS = 200_000
HIDDEN = 256


@dataclass(frozen=True)
class Labelled:
    """Documents with labels, as models read them.

    Attributes:
        embeddings: Vectors of the documents, (documents, H), of length 1.
        texts: Their texts.
        tokens: Their words, segmented, joined by spaces.
        labels: Their labels, (documents,), from 0.
        groups: Documents of one group are in one fold, (documents,).
        classes: How many labels there are; each occurs.
        is_learnt_from: Whether a label is sure enough to learn from, (documents,).
    """

    embeddings: npt.NDArray[np.float32]
    texts: pd.Series
    tokens: pd.Series
    labels: Ints
    groups: pd.Series
    classes: int
    is_learnt_from: npt.NDArray[np.bool_]


def predict_out_of_fold(documents: Labelled) -> Floats:
    """Probability of every label by models that did not learn from the document's group, (documents, labels).

    Raises:
        ValueError: Some label cannot be learnt, since all its documents are in one fold.
    """
    learners = list(learners_of(documents))
    found = np.zeros((len(documents.labels), documents.classes))
    for held in folds_of(documents.groups):
        learnt = np.flatnonzero(~held & documents.is_learnt_from)
        if len(np.unique(documents.labels[learnt])) < documents.classes:
            raise ValueError("expected documents of every label in every fold, found a label with too few documents")
        asked = np.flatnonzero(held)
        found[asked] = np.mean([learner(learnt, asked) for learner in learners], axis=0)
    return found


def with_fine_tuned(others: Floats, fine_tuned: Floats | None) -> Floats:
    """What all models say, (documents, labels): fine-tuned ones, if they were asked, count twice as much as the others together."""
    return others if fine_tuned is None else (others + 2 * fine_tuned) / 3


def folds_of(groups: pd.Series) -> Iterator[npt.NDArray[np.bool_]]:
    """Masks of the documents held out: whole groups."""
    fold = deal_groups(groups, FOLDS)
    yield from (fold == number for number in range(FOLDS))


def learners_of(documents: Labelled) -> Iterator[Learner]:
    """The models whose word is averaged."""
    from sklearn.linear_model import LogisticRegression  # none of these while definitions load
    from sklearn.neural_network import MLPClassifier

    yield _learner(LogisticRegression(C=4.0, max_iter=300), documents.embeddings, documents.labels)
    terms = LogisticRegression(C=5.0, solver="saga", max_iter=30, random_state=SEED)
    yield _learner(terms, terms_of(documents), documents.labels)
    network = MLPClassifier((HIDDEN,), alpha=1e-2, early_stopping=True, max_iter=30, random_state=SEED)
    yield _learner(network, documents.embeddings * np.float32(8), documents.labels)


def _learner(estimator: Any, features: Any, labels: Ints) -> Learner:  # noqa: ANN401  # scikit-learn's; an array or a sparse matrix
    def learn(learnt: Ints, asked: Ints) -> Floats:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is meant
            probabilities: Floats = estimator.fit(features[learnt], labels[learnt]).predict_proba(features[asked])
        return probabilities

    return learn


def terms_of(documents: Labelled) -> Any:  # noqa: ANN401  # a sparse matrix
    """Words, pairs of words, and pieces of words, weighted by how rare they are, (documents, terms)."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+", max_features=MOST_TERMS)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True, max_features=MOST_TERMS)
    return hstack([words.fit_transform(documents.tokens), pieces.fit_transform(documents.texts)]).tocsr()


def estimate_errors(labels: Ints, probabilities: Floats) -> int:
    """How many labels are wrong, as confident learning estimates it; not which.

    Args:
        labels: Given labels, (documents,).
        probabilities: Out of fold, (documents, labels).
    """
    from cleanlab.count import num_label_issues

    return int(num_label_issues(labels, probabilities))


def doubt(labels: Ints, probabilities: Floats, shares: Floats) -> Floats:
    """How much each label is to be doubted, 0 to 1, (documents,): 1 less its probability over the square of its share of the votes.

    Where people were divided, a model that is divided too says nothing against their label; where they agreed, it does.

    Args:
        labels: Given labels, (documents,).
        probabilities: Out of fold, (documents, labels).
        shares: Of the votes behind each label, (documents,), above 0.
    """
    own = probabilities[np.arange(len(labels)), labels]
    found: Floats = 1 - np.minimum(own / np.maximum(shares, LEAST_SHARE) ** 2, 1)
    return found


def nearest(embeddings: npt.NDArray[np.float32], count: int, block: int = 1_000) -> tuple[Ints, Floats]:
    """The nearest other documents of every document, and their cosines, nearest first: both (documents, count).

    Args:
        embeddings: Vectors of length 1, (documents, H).
        count: How many; fewer where there are fewer documents.
        block: Documents compared with all others at a time: bounds the memory.
    """
    count = min(count, len(embeddings) - 1)
    places, cosines = np.zeros((len(embeddings), count), dtype=np.int64), np.zeros((len(embeddings), count))
    for start in range(0, len(embeddings), block):
        alike = embeddings[start : start + block] @ embeddings.T
        rows = np.arange(len(alike))
        alike[rows, start + rows] = -np.inf
        best = np.argpartition(-alike, count - 1, axis=1)[:, :count] if count else np.zeros((len(alike), 0), dtype=np.int64)
        order = np.argsort(-np.take_along_axis(alike, best, axis=1), axis=1, kind="stable")
        places[start : start + block] = np.take_along_axis(best, order, axis=1)
        cosines[start : start + block] = np.take_along_axis(alike, places[start : start + block], axis=1)
    return places, cosines

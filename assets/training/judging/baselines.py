"""What a model must beat, on the same test rows: the majority class, VADER, TF-IDF with logistic regression, one human rater.

Tasks whose answers are spans have theirs in `span_baselines.py`. Does not belong here: the fine-tuned model (`scorer.py`), metrics
(`evaluation.py`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from assets.answers import encode_labels
from assets.project import RatingScale, Task
from assets.training.judging.metrics import Floats
from assets.training.judging.predictions import (
    FREQUENCIES,
    HUMAN,
    MAJORITY,
    TFIDF,
    VADER,
    Predictions,
    label_sets,
    predictions_of_probabilities,
)
from assets.training.judging.span_baselines import compute_span_baselines

VADER_THRESHOLD = 0.05
"""Compound scores nearer to 0 count as neutral: the authors' own threshold (README of vaderSentiment)."""
MAX_FEATURES = 200_000


def compute_baselines(
    train: pd.DataFrame,
    test: pd.DataFrame,
    task: Task,
    seed: int,
    train_texts: Sequence[str] | None = None,
    test_texts: Sequence[str] | None = None,
) -> list[Predictions]:
    """Every baseline that the task and the rows allow.

    Args:
        train: One row per document that the model was trained on; read: `text`, `label`.
        test: One row per test document; read: `text`, `ratings` where the task has them.
        task: Kind and labels; VADER needs a positive and a negative label, the human rater a rating scale.
        seed: Picks the human rater of each text.
        train_texts: What TF-IDF reads instead of `text`: tokens joined by spaces, needed for Chinese.
        test_texts: The same for test.
    """
    if task.has_spans:
        return compute_span_baselines(train, test, task)
    texts = (
        train["text"].tolist() if train_texts is None else train_texts,
        test["text"].tolist() if test_texts is None else test_texts,
    )
    if task.kind == "multi_label_classification":
        return compute_multi_label_baselines(texts[0], train["label"].to_numpy(dtype=object), texts[1], task.labels, seed)
    baselines = [predict_majority(train, len(test), task.labels)]
    if task.positive_label is not None and task.negative_label is not None:
        baselines.append(predict_vader(test["text"].tolist(), task))
    if len(set(train["label"])) > 1:
        baselines.append(predict_tfidf(texts[0], train["label"].tolist(), texts[1], task, seed))
    if task.rating is not None and (test["ratings"].map(len) > 0).any():
        baselines.append(predict_human_rater(test, task.rating, seed))
    return baselines


def compute_multi_label_baselines(
    train_texts: Sequence[str],
    train_labels: "np.ndarray[tuple[int], np.dtype[np.object_]]",
    test_texts: Sequence[str],
    labels: Sequence[str],
    seed: int,
) -> list[Predictions]:
    """The frequency of every label in train, and one logistic regression over TF-IDF for every label against the rest.

    Args:
        train_texts: Texts, or tokens joined by spaces.
        train_labels: (n,) answers as `assets/answers.py` writes them.
        test_texts: As `train_texts`.
        labels: The task's labels.
        seed: Of the regression.
    """
    chosen = label_sets(train_labels, labels, "consensus")
    frequencies = np.tile(chosen.mean(axis=0), (len(test_texts), 1))
    baselines = [choose_labels(FREQUENCIES, frequencies, labels)]
    does_vary = (chosen.min(axis=0) < 1) & (chosen.max(axis=0) > 0)
    if does_vary.any():
        vectorizer = _vectorizer()
        train, test = vectorizer.fit_transform(train_texts), vectorizer.transform(test_texts)
        probabilities = frequencies.copy()
        for number in np.flatnonzero(does_vary):
            model = LogisticRegression(C=4.0, max_iter=1000, random_state=seed).fit(train, chosen[:, number])
            probabilities[:, number] = model.predict_proba(test)[:, 1]
        baselines.append(choose_labels(TFIDF, probabilities, labels))
    return baselines


def choose_labels(scorer: str, probabilities: Floats, labels: Sequence[str]) -> Predictions:
    """Every label that is likelier than not: probabilities (n, labels), each by itself."""
    answers = [encode_labels([label for label, share in zip(labels, row, strict=True) if share >= 0.5], labels) for row in probabilities]
    return Predictions(scorer, np.array(answers, dtype=object), probabilities)


def predict_majority(train: pd.DataFrame, rows: int, labels: Sequence[str]) -> Predictions:
    """The commonest label of train for every row, with the frequencies of train as probabilities. It has no valence: it is constant."""
    shares = train["label"].value_counts(normalize=True).reindex(list(labels), fill_value=0.0).to_numpy(dtype=np.float64)
    return predictions_of_probabilities(MAJORITY, np.tile(shares, (rows, 1)), labels)


def predict_vader(texts: Sequence[str], task: Task) -> Predictions:
    """The lexicon and rules of VADER (Hutto and Gilbert, ICWSM 2014). English only; its compound score is the valence.

    Scores within the threshold take the one label that is neither positive nor negative; without such a label the sign decides.

    Raises:
        ValueError: The task has no positive and negative label.
    """
    if task.positive_label is None or task.negative_label is None:
        raise ValueError("VADER: expected a task with positive_label and negative_label, found none")
    analyzer = SentimentIntensityAnalyzer()
    compound = np.array([analyzer.polarity_scores(text)["compound"] for text in texts], dtype=np.float64)
    middle = [label for label in task.labels if label not in {task.positive_label, task.negative_label}]
    labels = np.where(compound >= 0, task.positive_label, task.negative_label).astype(object)
    if len(middle) == 1:
        labels[np.abs(compound) < VADER_THRESHOLD] = middle[0]
    return Predictions(VADER, labels, None, compound)


def predict_tfidf(train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], task: Task, seed: int) -> Predictions:
    """Logistic regression over TF-IDF of single words and word pairs, trained on the consensus labels of the same train rows.

    Raises:
        ValueError: Train holds one label only.
    """
    if len(set(train_labels)) < 2:
        raise ValueError(f"{TFIDF}: expected train rows of at least 2 labels, found {sorted(set(train_labels))}")
    vectorizer = _vectorizer()
    model = LogisticRegression(C=4.0, max_iter=1000, random_state=seed)
    model.fit(vectorizer.fit_transform(train_texts), list(train_labels))
    probabilities = np.zeros((len(test_texts), len(task.labels)))
    probabilities[:, [task.labels.index(label) for label in model.classes_]] = model.predict_proba(vectorizer.transform(test_texts))
    valence = None if task.valences is None else probabilities @ np.array(task.valences)
    return replace(predictions_of_probabilities(TFIDF, probabilities, task.labels), valence=valence)


def predict_human_rater(test: pd.DataFrame, scale: RatingScale, seed: int) -> Predictions:
    """One rating of each text, drawn at random, read through the task's thresholds. It is part of the consensus that it is judged by.

    A text without ratings has label None.
    """
    picked = pick_ratings(test["ratings"], seed)
    return Predictions(HUMAN, label_ratings(picked, scale), None, picked)


def pick_ratings(ratings: pd.Series, seed: int) -> Floats:
    """One rating of each row at random, NaN where there is none: (n,)."""
    places = np.random.default_rng(seed).random(len(ratings))
    picked = [row[int(place * len(row))] if len(row) else np.nan for row, place in zip(ratings, places, strict=True)]
    return np.array(picked, dtype=np.float64)


def label_ratings(ratings: Floats, scale: RatingScale) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """The label of the highest threshold that each rating reaches; None for NaN and below every threshold."""
    ordered = sorted(scale.thresholds.items(), key=lambda item: item[1])
    labels = np.array([None, *(label for label, _ in ordered)], dtype=object)
    reached = np.searchsorted([threshold for _, threshold in ordered], ratings, side="right")
    found: np.ndarray[tuple[int], np.dtype[np.object_]] = labels[np.where(np.isnan(ratings), 0, reached)]
    return found


def correlate_with_others(test: pd.DataFrame, seed: int) -> float:
    """Pearson r of the picked rating with the mean of the text's OTHER ratings: what one person knows of what the rest will say.

    NaN when fewer than three texts have two ratings, or the ratings are constant.
    """
    picked = pick_ratings(test["ratings"], seed)
    counts = test["ratings"].map(len).to_numpy()
    sums = np.array([float(np.sum(row)) for row in test["ratings"]])
    rows = counts > 1
    if rows.sum() < 3:
        return float("nan")
    others = (sums[rows] - picked[rows]) / (counts[rows] - 1)
    if np.ptp(others) == 0 or np.ptp(picked[rows]) == 0:
        return float("nan")
    return float(np.corrcoef(picked[rows], others)[0, 1])


def describe_human_rater(test: pd.DataFrame, seed: int) -> tuple[str, ...]:
    """A sentence for the report on how well the picked rater knows the mean of the others; empty where that is not defined."""
    value = correlate_with_others(test, seed)
    return () if np.isnan(value) else (f"Against the mean of each text's other ratings only, the human rater has Pearson r {value:.3f}.",)


def _vectorizer() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True, max_features=MAX_FEATURES)

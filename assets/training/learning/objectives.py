"""What is learnt, one class per kind of task: how texts are read, what is a target, what is the loss, what do outputs say.

The training loop, checkpoints, scoring and the gate know none of this: they see tokens, outputs and answers. To add a kind of task, write
an `Objective` and name it in `objective_of`.

Belongs here: the protocol, and the objectives with one answer per text. Those with spans are in `span_objectives.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from assets.answers import HEAD_MARKERS, TAIL_MARKERS, encode_labels
from assets.project import Task
from assets.training.judging.metrics import compute_metrics
from assets.training.judging.predictions import predictions_of_frame, statistics_of
from assets.training.learning.encoding import EncodedTexts, encode_texts
from assets.training.learning.network import Head, Outputs, PairHead, Pooling, TextHead, softmax

Floats = npt.NDArray[np.float32]
Targets = Mapping[str, npt.NDArray[np.generic]]
ANSWER_COLUMNS = ["label", "probabilities", "valence", "span_scores"]
DECISION_THRESHOLD = 0.5
"""Probability from which a label of a multi-label task is chosen."""


class Objective(Protocol):
    """One kind of task."""

    task: Task

    def prepare(self, tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel) -> None:
        """Add the tokens that the task needs to both; called before training and before the weights of a trained model are read."""

    def build_head(self, hidden: int, tokenizer: PreTrainedTokenizerBase, pooling: Pooling) -> Head:
        """A head with fresh random weights."""

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
        """Texts as rows of tokens."""

    def targets(self, texts: EncodedTexts, documents: pd.DataFrame) -> Targets:
        """Arrays over rows, or over tokens where the head is per token.

        Args:
            texts: The documents' rows, as `encode` made them.
            documents: One row per document; read: `text`, `label`, `distribution`, `mean_rating`.
        """

    def loss(self, outputs: torch.Tensor, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss summed over the units that count: rows, windows or tokens."""

    def units(self, targets: Targets) -> float:
        """How many units count in these targets."""

    def answer(self, outputs: Outputs, encoded: EncodedTexts, texts: Sequence[str]) -> pd.DataFrame:
        """One row per text: `label` (the answer), `probabilities`, `valence`, `span_scores`; None or NaN where a task has none."""


class TextObjective:
    """One label per text, from the distribution of the votes; with a valence, where the task has one.

    The loss is cross-entropy against the vote distribution (Peterson et al., ICCV 2019, arXiv 1908.07086) plus the weighted squared error
    of an output of its own that predicts the valence: the mean rating scaled to -1 to 1, or the expected value of the distribution where
    a document has no rating.
    """

    def __init__(self, task: Task, valence_weight: float = 1.0) -> None:
        self.task = task
        self.valence_weight = valence_weight
        self.valences = None if task.valences is None else np.array(task.valences, dtype=np.float32)

    def prepare(self, tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel) -> None:
        """Nothing is needed."""

    def build_head(self, hidden: int, tokenizer: PreTrainedTokenizerBase, pooling: Pooling) -> Head:
        """Labels, and one output more for the valence."""
        return TextHead(hidden, len(self.task.labels) + (self.valences is not None), pooling)

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
        """One row per text; longer texts are cut."""
        return encode_texts(tokenizer, texts, max_tokens)

    def targets(self, texts: EncodedTexts, documents: pd.DataFrame) -> Targets:
        """`distribution` (rows, labels), and `valence` (rows,)."""
        distribution = stack_distributions(documents, len(self.task.labels))
        if self.valences is None:
            return {"distribution": distribution}
        rated = scale_ratings(documents["mean_rating"], self.task)
        return {"distribution": distribution, "valence": np.where(np.isnan(rated), distribution @ self.valences, rated)}

    def loss(self, outputs: torch.Tensor, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Summed over rows."""
        count = len(self.task.labels)
        total = -(targets["distribution"] * functional.log_softmax(outputs[:, :count], dim=-1)).sum()
        if self.valences is not None:
            total = total + self.valence_weight * (outputs[:, count] - targets["valence"]).square().sum()
        return total

    def units(self, targets: Targets) -> float:
        """Rows."""
        return float(len(targets["distribution"]))

    def answer(self, outputs: Outputs, encoded: EncodedTexts, texts: Sequence[str]) -> pd.DataFrame:
        """The likeliest label; the valence is cut to -1 to 1."""
        count = len(self.task.labels)
        probabilities = softmax(outputs[:, :count])
        labels = np.array(self.task.labels, dtype=object)[probabilities.argmax(1)]
        valence = np.full(len(outputs), np.nan) if self.valences is None else np.clip(outputs[:, count].astype(float), -1, 1)
        return answer_frame(labels, list(probabilities), valence)


class MultiLabelObjective(TextObjective):
    """Any number of labels per text: one yes-or-no decision per label, each against the share of voters who chose it."""

    def loss(self, outputs: torch.Tensor, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Binary cross-entropy, its mean over labels, summed over rows."""
        return functional.binary_cross_entropy_with_logits(outputs, targets["distribution"], reduction="sum") / outputs.shape[1]

    def answer(self, outputs: Outputs, encoded: EncodedTexts, texts: Sequence[str]) -> pd.DataFrame:
        """Every label whose probability reaches one half."""
        probabilities = 1 / (1 + np.exp(-outputs.astype(np.float64)))
        labels = np.array(self.task.labels, dtype=object)
        chosen = [encode_labels(labels[row >= DECISION_THRESHOLD], self.task.labels) for row in probabilities]
        return answer_frame(np.array(chosen, dtype=object), list(probabilities), np.full(len(outputs), np.nan))


class RelationObjective(TextObjective):
    """The relation of two marked entities: the label of a text, read at the two opening markers."""

    def prepare(self, tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel) -> None:
        """The four markers become tokens of their own, their embeddings start as the mean of all."""
        added = tokenizer.add_tokens([*HEAD_MARKERS, *TAIL_MARKERS], special_tokens=True)
        if added:
            weights = encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False).weight.data
            weights[-added:] = weights[:-added].mean(0)

    def build_head(self, hidden: int, tokenizer: PreTrainedTokenizerBase, pooling: Pooling) -> Head:
        """Reads the states of both opening markers."""
        vocabulary = tokenizer.get_vocab()
        return PairHead(hidden, len(self.task.labels), [vocabulary[HEAD_MARKERS[0]], vocabulary[TAIL_MARKERS[0]]])


def objective_of(task: Task, valence_weight: float = 1.0) -> Objective:
    """The objective of a task."""
    from assets.training.learning.span_objectives import ReadingObjective, SpanObjective  # which imports what is above

    if task.kind == "token_classification":
        return SpanObjective(task)
    if task.kind == "question_answering":
        return ReadingObjective(task)
    kinds = {"multi_label_classification": MultiLabelObjective, "relation_extraction": RelationObjective}
    return kinds.get(task.kind, TextObjective)(task, valence_weight)


def dev_macro_f1(objective: Objective, outputs: Outputs, encoded: EncodedTexts, documents: pd.DataFrame) -> float:
    """Macro F1, 0 to 1, of the answers that outputs give, against the documents' consensus; 0 where it is not defined."""
    answers = objective.answer(outputs, encoded, documents["text"].tolist())
    found = statistics_of(predictions_of_frame("model", answers, objective.task), documents, objective.task)
    return float(np.nan_to_num(compute_metrics(found.total())["macro_f1"]))


def answer_frame(
    labels: npt.NDArray[np.object_],
    probabilities: Sequence[object] | None,
    valence: npt.NDArray[np.float64] | None = None,
    span_scores: Sequence[object] | None = None,
) -> pd.DataFrame:
    """Answers with the columns of `ANSWER_COLUMNS`."""
    nothing: list[object] = [None] * len(labels)
    return pd.DataFrame(
        {
            "label": labels,
            "probabilities": pd.Series(nothing if probabilities is None else list(probabilities), dtype=object),
            "valence": np.full(len(labels), np.nan) if valence is None else valence,
            "span_scores": pd.Series(nothing if span_scores is None else list(span_scores), dtype=object),
        },
        columns=ANSWER_COLUMNS,
    )


def stack_distributions(documents: pd.DataFrame, labels: int) -> Floats:
    """Vote distributions as one array (documents, labels)."""
    return np.array(documents["distribution"].tolist(), dtype=np.float32).reshape(len(documents), labels)


def scale_ratings(ratings: pd.Series, task: Task) -> Floats:
    """Mean ratings scaled from the task's range to [-1, 1]; NaN where a document, or the task, has none."""
    if task.rating is None:
        return np.full(len(ratings), np.nan, dtype=np.float32)
    low, high = task.rating.minimum, task.rating.maximum
    return (2 * (ratings.to_numpy(dtype=np.float32, na_value=np.nan) - low) / (high - low) - 1).astype(np.float32)

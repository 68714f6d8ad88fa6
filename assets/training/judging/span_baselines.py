"""What a model that finds spans must beat: finding nothing, a gazetteer, and sentences picked without reading.

Does not belong here: baselines of tasks with labels (`baselines.py`), metrics (`evaluation.py`).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from assets.answers import CONTEXT_MARKER, QUESTION_MARKER, Span, decode_spans, encode_spans
from assets.project import Task
from assets.training.judging.predictions import FIRST_SENTENCE, GAZETTEER, LIKEST_SENTENCE, NO_SPANS, WHOLE_CONTEXT, Predictions
from assets.training.judging.span_metrics import answer_words, words_of

SENTENCE_END = re.compile(r"[。！？!?]+|[.]+(?=\s|$)")
Words = tuple[str, ...]


@dataclass(frozen=True)
class Gazetteer:
    """Strings that were spans in train, with the label that they most often had.

    Attributes:
        labels: Label by the words of the string.
        lengths: By first word, the numbers of words that strings have, longest first.
    """

    labels: Mapping[Words, str]
    lengths: Mapping[str, tuple[int, ...]]

    def find(self, text: str) -> list[Span]:
        """The longest known string at every place from left to right, without overlaps; whole words, Chinese by characters."""
        places = words_of(text)
        words = [text[start:end] for start, end in places]
        found, place = [], 0
        while place < len(words):
            length = self._longest_at(words[place : place + self.most_words])
            if length:
                label = self.labels[tuple(words[place : place + length])]
                found.append(Span(places[place][0], places[place + length - 1][1], label))
            place += length or 1
        return found

    @cached_property
    def most_words(self) -> int:
        """Words of the longest string."""
        return max((lengths[0] for lengths in self.lengths.values()), default=0)

    def _longest_at(self, words: Sequence[str]) -> int:
        """Length of the longest string that these words begin with; 0 for none."""
        lengths = self.lengths.get(words[0], ()) if words else ()
        return next((length for length in lengths if length <= len(words) and tuple(words[:length]) in self.labels), 0)


def compute_span_baselines(train: pd.DataFrame, test: pd.DataFrame, task: Task) -> list[Predictions]:
    """Nothing found, and what the kind of task allows.

    Args:
        train: One row per document that the model was trained on; read: `text`, `label`.
        test: One row per test document; read: `text`.
        task: Kind and labels.
    """
    texts = test["text"].tolist()
    nothing = _predict(NO_SPANS, texts, lambda _text: [])
    if task.kind == "token_classification":
        return [nothing, _predict(GAZETTEER, texts, make_gazetteer(train["text"].tolist(), train["label"].tolist(), task.labels).find)]
    label = task.labels[0]
    return [
        nothing,
        _predict(FIRST_SENTENCE, texts, lambda text: split_context(text, label)[:1]),
        _predict(LIKEST_SENTENCE, texts, lambda text: find_likest_sentence(text, label)),
        _predict(WHOLE_CONTEXT, texts, lambda text: find_context(text, label)),
    ]


def make_gazetteer(texts: Sequence[str], answers: Sequence[str], labels: Sequence[str]) -> Gazetteer:
    """Every span of the answers with its commonest label; of equally common ones the first of the task (CoNLL-2003's baseline is alike).

    Args:
        texts: Texts of train.
        answers: Their answers of spans.
        labels: The task's labels.
    """
    counts: defaultdict[Words, Counter[str]] = defaultdict(Counter)
    for text, answer in zip(texts, answers, strict=True):
        for span in decode_spans(answer, labels):
            part = text[span.start : span.end]
            counts[tuple(part[start:end] for start, end in words_of(part))][span.label] += 1
    counts.pop((), None)
    commonest = {words: max(labels, key=found.__getitem__) for words, found in counts.items()}
    lengths: defaultdict[str, set[int]] = defaultdict(set)
    for words in commonest:
        lengths[words[0]].add(len(words))
    return Gazetteer(commonest, {word: tuple(sorted(found, reverse=True)) for word, found in lengths.items()})


def find_context(text: str, label: str) -> list[Span]:
    """Everything after the context marker, without white space at its ends; empty where nothing is left."""
    marker = text.find(CONTEXT_MARKER)
    return _trim(text, 0 if marker < 0 else marker + len(CONTEXT_MARKER), len(text), label)


def split_context(text: str, label: str) -> list[Span]:
    """The sentences of the context, in order."""
    found: list[Span] = []
    for context in find_context(text, label):
        ends = [match.end() for match in SENTENCE_END.finditer(text, context.start, context.end)]
        for start, end in pairwise([context.start, *ends, context.end]):
            found += _trim(text, start, end, label)
    return found


def find_likest_sentence(text: str, label: str) -> list[Span]:
    """The sentence of the context that shares most words with the question, the first of equals; empty without a context.

    A sentence-wise form of the sliding window of Richardson, Burges, Renshaw, EMNLP 2013, which SQuAD's paper has as its baseline.
    """
    question = set(answer_words(text[: max(0, text.find(CONTEXT_MARKER))].replace(QUESTION_MARKER, " ")))
    shared = [(len(question & set(answer_words(text[span.start : span.end]))), span) for span in split_context(text, label)]
    return [max(shared, key=lambda pair: pair[0])[1]] if shared else []


def _predict(scorer: str, texts: Sequence[str], find: Callable[[str], Sequence[Span]]) -> Predictions:
    return Predictions(scorer, np.array([encode_spans(find(text)) for text in texts], dtype=object))


def _trim(text: str, start: int, end: int, label: str) -> list[Span]:
    part = text[start:end]
    left, kept = len(part) - len(part.lstrip()), part.strip()
    return [Span(start + left, start + left + len(kept), label)] if kept else []

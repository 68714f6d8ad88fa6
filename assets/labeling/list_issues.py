"""Which answers are probably wrong where an answer is a list of labels or spans: models that did not learn from the document differ.

What is doubted is one label or span; the answer is named with the worst of its own. A label that nobody gave is as doubtful as the model
is sure of it, one that was given as the model is sure that it does not fit. For a span that the model did not find it has no probability:
such a span is doubted the more the fewer of those who could have marked it did, half at least. A score is 0 to 1.

Belongs here: answers in, rows out. Does not belong here: predictions (`answering.py`), tasks with one label per text (`label_issues.py`).
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.answers import decode_labels, decode_spans
from assets.label_studio import Language
from assets.labeling.issue_words import say, sentence
from assets.project import Task

Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Difference:
    """One label or span that answer and model differ in, how much the answer is to be doubted for it, and why in words."""

    doubt: float
    words: str


def doubted_answers(documents: pd.DataFrame, answers: pd.DataFrame, task: Task, language: Language, limit: int) -> pd.DataFrame:
    """The most doubtful answers: columns of `label_issues` but `found_at`.

    Args:
        documents: One row per document: `document_id`, `source`, `label` (the answer), `distribution` (shares behind labels or spans),
            `is_confident`, `people` (votes of people), `agreed` (those of them that are the answer); answers that are not confident wait
            for votes anyway, and are not named.
        answers: One row per document, in the same order: `predicted`, `probabilities`, `span_scores`.
        task: Kind and labels.
        language: Of the explanations.
        limit: Most rows.
    """
    differ = _span_differences if task.has_spans else _label_differences
    rows = []
    for row, answer in zip(documents.to_dict("records"), answers.to_dict("records"), strict=True):
        if not row["is_confident"] or row["label"] == answer["predicted"]:
            continue
        differences = sorted(differ(row, answer, task, language), key=lambda found: -found.doubt)
        known = (
            say("people_list", language, agreed=int(row["agreed"]), voted=int(row["people"]))
            if row["people"]
            else say("no_people", language)
        )
        rows.append(
            {
                "document_id": row["document_id"],
                "source": row["source"],
                "kind": "model_disagrees",
                "annotator_id": "",
                "given_label": row["label"],
                "suggested_label": answer["predicted"],
                "score": differences[0].doubt,
                "explanation": sentence([known, *(found.words for found in differences)], language),
            }
        )
    columns = ["document_id", "source", "kind", "annotator_id", "given_label", "suggested_label", "score", "explanation"]
    return pd.DataFrame(rows, columns=columns).sort_values("score", ascending=False, kind="stable", ignore_index=True).head(limit)


def _label_differences(row: Row, answer: Row, task: Task, language: Language) -> Iterator[Difference]:
    given, predicted = (set(decode_labels(str(each), task.labels)) for each in (row["label"], answer["predicted"]))
    for label, probability in zip(task.labels, answer["probabilities"], strict=True):
        if label in given - predicted:
            yield Difference(1 - probability, say("label_unlikely", language, label=label, probability=probability))
        if label in predicted - given:
            yield Difference(probability, say("label_missing", language, label=label, probability=probability))


def _span_differences(row: Row, answer: Row, task: Task, language: Language) -> Iterator[Difference]:
    given, predicted = (decode_spans(str(each), task.labels) for each in (row["label"], answer["predicted"]))
    for span, score in zip(predicted, answer["span_scores"], strict=True):
        if span not in given:
            yield Difference(score, say("span_missing", language, label=span.label, start=span.start, end=span.end, probability=score))
    for span, share in zip(given, row["distribution"], strict=True):
        if span not in predicted:
            yield Difference(1 - share / 2, say("span_unlikely", language, label=span.label, start=span.start, end=span.end))

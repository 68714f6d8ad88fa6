"""From collected annotations to votes in the task's answers.

Ratings become labels through the task's scale, spans are found again in the cleaned text (`anchoring.py`); answers that do not fit
the task are refused with a reason. Deciding between votes belongs to `consensus.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.answers import (
    AnswerError,
    SpanOutsideTextError,
    UnknownLabelError,
    canonical_answer,
    decode_quoted_spans,
    encode_spans,
)
from assets.labeling.anchoring import FoldedText, SpanNotFoundError, anchor_span, fold_text
from assets.project import RatingScale, Task
from assets.replacements import Replacement
from assets.schemas import ANNOTATIONS, REJECTED_VOTES

SPAN_REASONS = ("span_not_found", "span_outside_text")
"""Why a vote with spans cannot be placed in the cleaned text."""


@dataclass(frozen=True)
class UsableVotes:
    """Votes that fit the task, and those that do not.

    Attributes:
        votes: Columns of `annotations`.
        rejected: Columns of `rejected_votes`; reasons `malformed_answer`, `label_outside_task`, `rating_outside_scale`,
            `rating_without_scale`, and those of `SPAN_REASONS`.
    """

    votes: pd.DataFrame
    rejected: pd.DataFrame


def labels_of_ratings(ratings: pd.Series, scale: RatingScale) -> pd.Series:
    """The label of the highest threshold that each rating reaches; missing for ratings below all or outside the scale."""
    ordered = sorted(scale.thresholds.items(), key=lambda item: item[1])
    values = ratings.to_numpy(dtype=float)
    position = np.searchsorted([threshold for _, threshold in ordered], values, side="right") - 1
    inside = (position >= 0) & (values >= scale.minimum) & (values <= scale.maximum)
    names = np.array([label for label, _ in ordered], dtype=object)[np.maximum(position, 0)]
    return pd.Series(names, index=ratings.index).where(pd.Series(inside, index=ratings.index), None)


def to_votes(
    annotations: pd.DataFrame,
    task: Task,
    texts: Mapping[str, str] | None = None,
    replacements: Mapping[str, Sequence[Replacement]] | None = None,
) -> UsableVotes:
    """Put collected annotations into the task's answers; a named label wins over a rating. Withdrawn votes stay votes without a label.

    Args:
        annotations: One row per vote, columns of `raw_annotations`.
        task: The task whose answers count.
        texts: Cleaned text by document id, for tasks with spans: of every document that is voted on.
        replacements: What cleaning replaced in those texts, by document id; documents without any may be missing.
    """
    label = annotations["label"].astype(object).where(annotations["label"].notna(), None)
    value = annotations["value"].astype(float)
    if task.has_lists:
        label, reason, detail = _read_answers(annotations, label, task, texts or {}, replacements or {})
    else:
        if task.rating is not None:
            label = label.where(label.notna(), labels_of_ratings(value, task.rating))
            label = label.where(label.notna(), None)
        reason, detail = _reasons(annotations["label"], label, value, task), _details(annotations, task)
    kept = annotations.assign(label=label, value=value, voter_kind="human")[reason.isna()]
    refused = annotations.assign(reason=reason, detail=detail)[reason.notna()]
    return UsableVotes(
        kept[ANNOTATIONS.column_names()].reset_index(drop=True), refused[REJECTED_VOTES.column_names()].reset_index(drop=True)
    )


def _read_answers(
    annotations: pd.DataFrame,
    label: pd.Series,
    task: Task,
    texts: Mapping[str, str],
    replacements: Mapping[str, Sequence[Replacement]],
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Canonical answers of a task with lists as answers; reason and detail where there is none."""
    folded: dict[str, FoldedText] = {}

    def anchor(document_id: str, answer: str) -> str:
        quoted = decode_quoted_spans(answer, task.labels)
        if document_id not in folded:
            folded[document_id] = fold_text(texts[document_id], replacements.get(document_id, ()))
        return encode_spans(anchor_span(span, folded[document_id]) for span in quoted)

    def read(_document_id: str, answer: str) -> str:
        return canonical_answer(answer, task)

    reader = anchor if task.has_spans else read
    rows = [
        _read_answer(reader, document_id, answer, value)
        for document_id, answer, value in zip(annotations["document_id"], label, annotations["value"], strict=True)
    ]
    columns = pd.DataFrame(rows, columns=["label", "reason", "detail"], index=annotations.index, dtype=object)
    return columns["label"], columns["reason"], columns["detail"]


def _read_answer(
    reader: Callable[[str, str], str], document_id: str, answer: str | None, value: float | None
) -> tuple[str | None, str | None, str | None]:
    """Answer, or reason and detail, of one vote; nothing of a withdrawn one."""
    if answer is None and (value is None or np.isnan(value)):
        return None, None, None
    if answer is None:
        return None, "rating_without_scale", f"expected an answer of the task, found the rating {value:g}"
    try:
        return reader(document_id, answer), None, None
    except UnknownLabelError as error:
        return None, "label_outside_task", str(error)
    except SpanOutsideTextError as error:
        return None, "span_outside_text", str(error)
    except SpanNotFoundError as error:
        return None, "span_not_found", str(error)
    except AnswerError as error:
        # An answer with quotes holds words of the collected text, perhaps what cleaning replaced.
        return None, "malformed_answer", "expected quoted spans, found another shape" if '"quote"' in answer else str(error)


def _reasons(named: pd.Series, label: pd.Series, value: pd.Series, task: Task) -> pd.Series:
    reason = pd.Series(None, index=label.index, dtype=object)
    reason[label.notna() & ~label.isin(task.labels)] = "label_outside_task"
    unplaced = label.isna() & value.notna() & named.isna()
    reason[unplaced] = "rating_outside_scale" if task.rating is not None else "rating_without_scale"
    return reason


def _details(annotations: pd.DataFrame, task: Task) -> pd.Series:
    scale = f"or a rating from {task.rating.minimum:g} to {task.rating.maximum:g}" if task.rating else "and no rating scale"
    answer = annotations["label"].astype(object).where(annotations["label"].notna(), annotations["value"]).astype(str)
    return "expected a label out of " + ", ".join(task.labels) + f" {scale}, found " + answer.str.slice(0, 60)

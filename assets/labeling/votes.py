"""From collected annotations to votes in the task's labels.

Ratings become labels through the task's scale; answers that do not fit the task are refused with a reason. Deciding between
votes belongs to `consensus.py`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.project import RatingScale, Task
from assets.schemas import ANNOTATIONS, REJECTED_VOTES


@dataclass(frozen=True)
class UsableVotes:
    """Votes that fit the task, and those that do not.

    Attributes:
        votes: Columns of `annotations`.
        rejected: Columns of `rejected_votes`; reasons `no_answer`, `label_outside_task`, `rating_outside_scale`, `rating_without_scale`.
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


def to_votes(annotations: pd.DataFrame, task: Task) -> UsableVotes:
    """Put collected annotations into the task's labels; a named label wins over a rating.

    Args:
        annotations: One row per vote, columns of `raw_annotations`.
        task: The task whose labels count.
    """
    label = annotations["label"].astype(object).where(annotations["label"].notna(), None)
    value = annotations["value"].astype(float)
    if task.rating is not None:
        label = label.where(label.notna(), labels_of_ratings(value, task.rating))
    reason = _reasons(annotations["label"], label, value, task)
    kept = annotations.assign(label=label, value=value, voter_kind="human")[reason.isna()]
    refused = annotations.assign(reason=reason, detail=_details(annotations, task))[reason.notna()]
    return UsableVotes(
        kept[ANNOTATIONS.column_names()].reset_index(drop=True), refused[REJECTED_VOTES.column_names()].reset_index(drop=True)
    )


def _reasons(named: pd.Series, label: pd.Series, value: pd.Series, task: Task) -> pd.Series:
    reason = pd.Series(None, index=label.index, dtype=object)
    reason[label.notna() & ~label.isin(task.labels)] = "label_outside_task"
    reason[label.isna() & value.isna()] = "no_answer"
    unplaced = label.isna() & value.notna() & named.isna()
    reason[unplaced] = "rating_outside_scale" if task.rating is not None else "rating_without_scale"
    return reason


def _details(annotations: pd.DataFrame, task: Task) -> pd.Series:
    scale = f"or a rating from {task.rating.minimum:g} to {task.rating.maximum:g}" if task.rating else "and no rating scale"
    answer = annotations["label"].astype(object).where(annotations["label"].notna(), annotations["value"]).astype(str)
    return "expected a label out of " + ", ".join(task.labels) + f" {scale}, found " + answer.str.slice(0, 60)

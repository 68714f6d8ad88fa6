"""Ratings and labels become votes; what does not fit the task is refused with a reason."""

import pandas as pd
import pytest

from assets.labeling.votes import labels_of_ratings, to_votes
from assets.project import RatingScale, Task

SCALE = RatingScale(minimum=-4, maximum=4, thresholds={"negative": -4, "neutral": 0, "positive": 0.5})
TASK = Task(labels=("negative", "neutral", "positive"), rating=SCALE)
TASK_ZH = Task(labels=("负面", "正面"))


def annotations(answers):
    """One annotation per answer: a number is a rating, a string a label."""
    return pd.DataFrame(
        {
            "vote_id": [f"v{i}" for i in range(len(answers))],
            "document_id": "d1",
            "source": "tickets",
            "external_id": "1",
            "annotator_id": [f"anonymous:{i:02d}" for i in range(len(answers))],
            "value": [answer if isinstance(answer, (int, float)) else None for answer in answers],
            "label": [answer if isinstance(answer, str) else None for answer in answers],
            "seconds": None,
            "guideline": None,
            "raw_sha256": "r",
            "collected_at": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


@pytest.mark.parametrize(
    ("rating", "label"),
    [(-4, "negative"), (-0.1, "negative"), (0, "neutral"), (0.4, "neutral"), (0.5, "positive"), (4, "positive"), (4.1, None), (-5, None)],
)
def test_a_rating_takes_the_label_of_the_highest_threshold_it_reaches(rating, label):
    (found,) = labels_of_ratings(pd.Series([float(rating)]), SCALE)
    assert (None if pd.isna(found) else found) == label


def test_every_answer_is_a_vote_or_a_refusal():
    withdrawn = None
    usable = to_votes(annotations([-3, 0, 2, 9, "positive", "great", withdrawn]), TASK)
    assert usable.votes["label"].tolist() == ["negative", "neutral", "positive", "positive", None]
    assert dict(zip(usable.rejected["vote_id"], usable.rejected["reason"], strict=True)) == {
        "v3": "rating_outside_scale",
        "v5": "label_outside_task",
    }


def test_a_refusal_says_what_was_expected_and_found():
    detail = to_votes(annotations(["great"]), TASK).rejected["detail"].item()
    assert detail == "expected a label out of negative, neutral, positive or a rating from -4 to 4, found great"


def test_chinese_labels_are_labels():
    usable = to_votes(annotations(["正面", "中性", 3]), TASK_ZH)
    assert usable.votes["label"].tolist() == ["正面"]
    assert usable.rejected["reason"].tolist() == ["label_outside_task", "rating_without_scale"]

"""Agreement is Krippendorff's alpha per source."""

import pandas as pd
import pytest

from assets.labeling.agreement import measure_agreement
from assets.project import Task

ONE_LABEL = Task(labels=("neg", "pos"))


def counts(rows):
    return pd.DataFrame(rows, columns=["source", "document_id", "label", "value", "votes"])


def test_perfect_agreement_is_one():
    found = measure_agreement(counts([("s", "a", "pos", 2.0, 3), ("s", "b", "neg", -1.0, 2)]), ONE_LABEL)
    assert [(agreement.source, agreement.score, agreement.level, agreement.documents, agreement.votes) for agreement in found] == [
        ("s", 1.0, "interval", 2, 5)
    ]


def test_labels_without_ratings_give_nominal_alpha():
    # two documents, each with one vote for either label: observed disagreement 1, expected 2/3, so alpha = 1 - 3/2
    rows = [("票", "a", "好", None, 1), ("票", "a", "坏", None, 1), ("票", "b", "好", None, 1), ("票", "b", "坏", None, 1)]
    (found,) = measure_agreement(counts(rows), ONE_LABEL)
    assert found.level == "nominal"
    assert found.score == pytest.approx(-0.5)


def test_sources_without_two_votes_or_two_answers_are_not_measured():
    rows = [("lonely", "a", "pos", 1.0, 1), ("same", "b", "pos", 1.0, 4), ("same", "c", "pos", 1.0, 4)]
    assert measure_agreement(counts(rows), ONE_LABEL) == []

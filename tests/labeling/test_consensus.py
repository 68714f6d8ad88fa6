"""Votes become one label with a distribution and a confidence."""

import numpy as np
import pandas as pd
import pytest

from assets.labeling.aggregation import Votes, aggregate
from assets.labeling.consensus import confidence_of, decide_labels, lead_probability
from assets.project import Labeling, RuleSettings

LABELS = ("negative", "neutral", "positive")
DOCUMENTS = pd.DataFrame({"document_id": ["d1"], "source": ["s"], "language": ["en"]})


def votes(human="", rule=""):
    """Votes by first letter of their label."""
    names = {label[0:3]: label for label in LABELS}
    rows = [("human", names[code]) for code in human.split()] + [("rule", names[code]) for code in rule.split()]
    frame = pd.DataFrame(rows, columns=["voter_kind", "label"])
    return frame.assign(document_id="d1", value=np.where(frame["voter_kind"] == "human", 1.0, np.nan))


def decided(frame, **settings):
    return decide_labels(DOCUMENTS, frame, LABELS, Labeling(**settings)).iloc[0]


def test_the_most_voted_label_wins():
    row = decided(votes("pos pos pos neg neu pos"))
    assert (row["label"], row["votes_count"], row["is_confident"]) == ("positive", 6, True)
    np.testing.assert_allclose(row["distribution"], [1 / 6, 1 / 6, 4 / 6])


def test_a_rule_vote_weighs_what_the_project_says():
    row = decided(votes("pos neg", "neg"), rules=RuleSettings(weight=0.5))
    assert row["label"] == "negative"
    np.testing.assert_allclose(row["distribution"], [1.5 / 2.5, 0, 1 / 2.5])


def test_a_tie_goes_to_the_label_that_comes_first_in_the_task():
    assert decided(votes("pos neu"))["label"] == "neutral"


@pytest.mark.parametrize(
    ("human", "rule", "reason"),
    [
        ("", "", "no_votes"),
        ("pos pos pos pos", "", "too_few_votes"),
        ("", "pos pos", "too_few_votes"),
        ("pos pos pos neg neg neg", "", "low_confidence"),
        ("pos pos pos pos pos", "", None),
    ],
)
def test_a_document_below_the_quorum_waits_with_a_reason(human, rule, reason):
    row = decided(votes(human, rule))
    assert row["is_confident"] == (reason is None)
    assert (None if pd.isna(row["reason"]) else row["reason"]) == reason


def test_nobody_voted_means_no_label_and_a_flat_distribution():
    row = decided(votes())
    assert pd.isna(row["label"])
    np.testing.assert_allclose(row["distribution"], [1 / 3] * 3)
    assert row["confidence"] == pytest.approx(0.5)


def test_confidence_is_the_beta_posterior_of_the_lead():
    # 9 against 6: P(p > 1/2) for Beta(10, 7), by the binomial identity sum_{k<10} C(16, k) / 2^16
    assert lead_probability(np.array([[6.0, 0.0, 9.0]])) == pytest.approx([0.7727509], abs=1e-6)


def test_ratings_are_kept_sorted_with_their_mean():
    frame = votes("pos neg")
    frame["value"] = [3.0, -1.0]
    row = decided(frame)
    assert (row["ratings"], row["mean_rating"]) == ([-1.0, 3.0], 1.0)


def test_a_vote_outside_the_task_is_an_error():
    with pytest.raises(ValueError, match=r"Expected votes for .*'neutral'.* found votes for \['great'\]"):
        decide_labels(DOCUMENTS, votes("pos").assign(label="great"), LABELS, Labeling())


def test_confidence_is_about_how_often_a_label_of_poor_annotators_is_right():
    random = np.random.default_rng(3)
    truth = random.integers(0, 5, 4_000)
    item, annotator = np.repeat(np.arange(4_000), 5), random.integers(0, 40, 20_000)
    is_right = random.random(20_000) < random.uniform(0.4, 0.7, 40)[annotator]
    label = np.where(is_right, truth[item], (truth[item] + random.integers(1, 5, 20_000)) % 5)
    posterior = aggregate(Votes(item, annotator, label, 4_000, 40, 5), "one_coin").posterior
    confidence, right = confidence_of(5 * posterior, posterior), posterior.argmax(axis=1) == truth
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.0)):
        found = (confidence >= low) & (confidence < high)
        assert found.sum() > 200
        assert confidence[found].mean() == pytest.approx(right[found].mean(), abs=0.06)
    assert confidence_of(5 * posterior, None).mean() > right.mean() + 0.05, "votes alone would say too much"

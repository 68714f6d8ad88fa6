"""Ratings decide labels by how their source is rated."""

import numpy as np
import pandas as pd
import pytest

from assets.labeling.consensus import decide_labels
from assets.labeling.rated_sources import learn_sources, overturned_by_ratings
from assets.labeling.rating_consensus import RatingConsensus, RatingModel, label_ratings
from assets.project import Labeling, Project, RatingScale

SCALE = RatingScale(minimum=-4, maximum=4, thresholds={"好": 0.5, "neutral": 0, "坏": -4})
LABELS = ("坏", "neutral", "好")


def votes_of(*rows):
    frame = pd.DataFrame(rows, columns=["document_id", "source", "value"])
    names = [f"anonymous:{number:02}" for number in frame.groupby("document_id").cumcount()]
    label = pd.cut(frame["value"], [-5, -1e-9, 0.4999, 5], labels=LABELS).astype(str)
    return frame.assign(annotator_id=names, voter_kind="human", label=label, value=frame["value"].astype(float))


def extreme(source="影评", texts=200):
    """A source where texts are clearly bad or clearly good, and raters differ by about one."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(texts):
        rows += [(f"{source}{number}", source, float(np.clip((-3, 3)[number % 2] + random.normal(), -4, 4))) for _ in range(5)]
    return rows


def test_the_label_is_that_of_the_expected_mean_and_the_distribution_that_of_many_ratings():
    grid = np.array([-1.0, 0.25, 1.0])
    found = label_ratings(
        RatingConsensus(np.array([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]]), np.array([0.65, -1.0])),
        RatingModel(grid, np.full(3, 1 / 3), 1.0),
        np.array([-4.0, 0.0, 0.5]),
    )
    assert found.label.tolist() == [2, 0]
    assert found.confidence.tolist() == pytest.approx([0.7, 1.0])
    # ratings of a text with mean -1 and spread 1: below 0 is one deviation, below 0.5 one and a half
    assert found.distribution[1].tolist() == pytest.approx([0.8413, 0.0919, 0.0668], abs=1e-4)
    assert found.distribution.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])


def test_few_ratings_are_drawn_to_what_is_usual_in_their_source():
    votes = votes_of(*extreme(), ("new", "影评", 0.4))
    rated = learn_sources(votes, SCALE, LABELS)
    decided = rated.decide(votes[votes["document_id"] == "new"])
    assert decided.loc["new", "label"] == "好"
    assert decided.loc["new", "distribution"][2] > 0.5


def test_ratings_decide_where_there_are_some_and_votes_where_there_are_none():
    rated = votes_of(*extreme(texts=20))
    named = votes_of(("plain", "影评", 1.0)).assign(value=np.nan, label="坏")
    votes = pd.concat([rated, named], ignore_index=True)
    documents = votes[["document_id", "source"]].drop_duplicates().assign(language="zh")
    sources = learn_sources(rated, SCALE, LABELS)
    decided = decide_labels(documents, votes, LABELS, Labeling(min_human_votes=1), None, sources).set_index("document_id")
    assert decided["label"].tolist() == ["坏", "好"] * 10 + ["坏"]
    assert decided.loc["影评0", "confidence"] > 0.95
    assert decided.loc["plain", "confidence"] == 0.75
    assert np.allclose([sum(shares) for shares in decided["distribution"]], 1)


def test_a_source_of_which_nothing_was_learnt_is_decided_by_its_votes():
    votes = votes_of(("a", "other", 2.0))
    documents = votes[["document_id", "source"]].assign(language="zh")
    sources = learn_sources(votes_of(*extreme(texts=4)), SCALE, LABELS)
    assert decide_labels(documents, votes, LABELS, Labeling(), None, sources)["confidence"].tolist() == [0.75]


def test_published_labels_that_ratings_no_longer_speak_for_are_overturned_unless_they_are_known():
    decided = pd.DataFrame({"label": ["好", "好", "好", "坏"]}, index=["same", "other", "known", "new"])
    documents = pd.DataFrame(
        [("same", "好", None), ("other", "坏", None), ("known", "坏", "坏"), ("new", None, None), ("unrated", "坏", None)],
        columns=["document_id", "published", "known"],
    )
    assert overturned_by_ratings(documents, decided)["document_id"].tolist() == ["other"]


def test_ratings_decide_the_labels_of_a_graph(platform, files_source, project_of):
    records = [
        {"id": f"r{number}", "text": f"这部电影值得看吗，第{number}次", "ratings": [(-3, 3)[number % 2], (-2, 4)[number % 2]]}
        for number in range(10)
    ]
    records.append({"id": "torn", "text": "说不清楚是好是坏的一部电影", "ratings": [-0.5, 0.9]})
    settings = {"min_human_votes": 2, "rules": {"enabled": []}, "consensus": "ratings"}
    platform.configure(project_of([files_source("shop", records)], labeling=settings))
    assert platform.run("refresh").succeeded
    labels = dict(platform.rows("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "label"))
    assert [labels[f"r{number}"] for number in range(4)] == ["negative", "positive"] * 2
    assert len(platform.rows("annotators", "annotator_id")) == 1
    assert platform.run("refresh").succeeded


def test_ratings_need_a_scale(project_of, files_source):
    project = project_of([files_source("shop", [])]).model_dump(mode="json")
    project["task"] = {"labels": ["a", "b"]}
    project["labeling"]["consensus"] = "ratings"
    with pytest.raises(ValueError, match=r"expected `task.rating` beside `ratings`, found none"):
        Project.model_validate(project)

"""What people are asked next, and in which order."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from assets.labeling.diversity import spread_out
from assets.labeling.queue import CANDIDATES_SQL, GOLD_QUESTIONS_SQL, mix_in_gold, rank, with_diversity
from assets.schemas import LABELING_QUEUE

WAITING = [  # document, cluster, confidence, votes, label, distribution
    ("a", "a", 0.50, 4, "坏", [0.5, 0.5]),
    ("b", "b", 0.50, 0, None, [0.5, 0.5]),
    ("c", "c", 0.55, 3, "good", [1 / 3, 2 / 3]),
    ("d", "c", 0.58, 3, "good", [1 / 3, 2 / 3]),
    ("e", "e", 0.75, 1, "good", [0.0, 1.0]),
    ("f", "f", 0.59, 1, "坏", [1.0, 0.0]),
]
CONFIDENT = [("x", "x", 0.99, 9, "坏", [1.0, 0.0]), ("y", "y", 0.99, 9, "坏", [1.0, 0.0]), ("z", "z", 0.99, 9, "good", [0.0, 1.0])]


OUTLIERS = {}  # scores by document
MARGINS = {}  # of the champion, by document; it says that all of them are 坏


def candidates(budget=10, waiting=WAITING, confident=CONFIDENT, margins=MARGINS, outliers=OUTLIERS):
    columns = ["document_id", "cluster_id", "confidence", "votes_count", "label", "distribution"]
    rows = pd.DataFrame([*waiting, *confident], columns=columns)
    rows = rows.assign(
        source="shop",
        language="zh",
        is_confident=[False] * len(waiting) + [True] * len(confident),
        reason=["too_few_votes"] * len(waiting) + [None] * len(confident),
    )
    with duckdb.connect() as connection:
        connection.register("labeled_documents", rows.drop(columns="cluster_id"))
        texts = rows[["document_id", "cluster_id", "source"]].assign(text="文本", external_id=rows["document_id"], revision=1)
        connection.register("clean_documents", texts)
        connection.register(
            "pool_predictions",
            pd.DataFrame(list(margins.items()), columns=["document_id", "margin"])
            .astype({"document_id": "str", "margin": "float64"})
            .assign(label="坏"),
        )
        scores = [(name, score) for name, found in outliers.items() for score in found]
        flagged = pd.DataFrame(scores, columns=["document_id", "score"]).astype({"document_id": "str", "score": "float64"})
        connection.register("text_outliers", flagged)
        return connection.execute(CANDIDATES_SQL, {"budget": budget}).df()


def ids(mix, budget=10, **tables):
    return rank(candidates(budget, **tables), mix, budget)["document_id"].tolist()


def test_uncertainty_asks_the_least_confident_first_and_contested_before_unseen():
    assert ids({"uncertainty": 1}) == ["a", "b", "c", "f", "e"]


def test_where_nobody_voted_the_champion_says_how_uncertain_a_document_is():
    unseen = [(name, name, 0.5, 0, None, [0.5, 0.5]) for name in ("甲", "乙", "丙")]
    contested = [("voted", "voted", 0.6, 2, "坏", [0.6, 0.4])]
    margins = {"甲": 0.9, "乙": 0.05, "丙": 0.4, "voted": 0.0}
    assert ids({"uncertainty": 1}, waiting=[*unseen, *contested], margins=margins) == ["乙", "voted", "丙", "甲"]


def test_what_the_champion_was_not_asked_about_comes_after_what_it_doubts():
    unseen = [(name, name, 0.5, 0, None, [0.5, 0.5]) for name in ("a", "b", "疑", "稳")]
    margins = {"疑": 0.1, "稳": 0.8}
    assert ids({"uncertainty": 1}, waiting=unseen, margins=margins) == ["疑", "稳", "a", "b"]
    assert ids({"uncertainty": 1}, waiting=unseen) == ["a", "b", "疑", "稳"]


def test_outliers_are_asked_by_the_farthest_of_their_scores_and_only_while_they_wait():
    assert ids({"outlier": 1}, outliers={"b": [7.0], "e": [6.0, 12.0], "x": [50.0]}) == ["e", "b"]
    assert ids({"outlier": 1}) == []


def vectors(**angles):
    """One row per document on a circle."""
    rows = [(name, [float(np.cos(angle)), float(np.sin(angle))]) for name, angle in angles.items()]
    frame = pd.DataFrame(rows, columns=["document_id", "embedding"])
    return frame.assign(source="shop", language="zh", text="文本", reason="no_votes", confidence=0.5, votes_count=0)


def test_diversity_asks_what_is_least_like_what_has_a_label_and_like_what_is_asked():
    pool = vectors(甲=0.0, 乙=0.1, 丙=1.5, d=3.0)
    chosen = with_diversity(candidates(), pool, vectors(x=0.02)[["embedding"]], 3)
    ranked = chosen[chosen["diversity"].notna()].sort_values("diversity")
    assert ranked["document_id"].tolist() == ["d", "丙", "乙"]
    assert chosen["document_id"].is_unique
    assert len(chosen) == 8
    queue = rank(chosen, {"diversity": 1.0}, 2)
    assert queue[["document_id", "strategy"]].to_numpy().tolist() == [["d", "diversity"], ["丙", "diversity"]]


def test_without_labels_diversity_begins_in_the_middle_and_without_vectors_it_sees_nothing():
    pool, nothing = vectors(甲=0.0, 乙=0.5, 丙=1.0), vectors()[["embedding"]]
    assert spread_out(np.array(pool["embedding"].tolist(), dtype=np.float32), np.zeros((0, 2), dtype=np.float32), 5).tolist() == [1, 0, 2]
    assert with_diversity(candidates(), vectors(), nothing, 5)["diversity"].isna().all()
    assert spread_out(np.zeros((0, 2), dtype=np.float32), np.zeros((0, 2), dtype=np.float32), 5).tolist() == []


def test_of_a_near_duplicate_cluster_only_one_is_asked():
    assert "d" not in ids({"random": 1})


def test_disagreement_asks_the_most_divided_first_and_only_what_has_two_votes():
    assert ids({"disagreement": 1}) == ["a", "c"]


def test_balance_asks_for_the_rarest_label_first():
    assert ids({"balance": 1}) == ["c", "e", "a", "f"]


def test_balance_puts_a_label_first_that_no_document_has_for_sure():
    assert ids({"balance": 1}, confident=CONFIDENT[:2])[:2] == ["c", "e"]


def test_random_repeats_and_does_not_follow_confidence():
    many = [(f"d{number:03}", f"d{number:03}", number / 1000, 2, "坏", [1.0, 0.0]) for number in range(200)]
    drawn = ids({"random": 1}, 200, waiting=many)
    assert drawn == ids({"random": 1}, 200, waiting=many)
    assert sorted(drawn) == [row[0] for row in many]
    assert len({"d000", "d001", "d002", "d003", "d004"} & set(drawn[:50])) < 5


@pytest.mark.parametrize("budget", [0, 1, 3, 5, 50])
def test_the_queue_is_as_long_as_the_budget_allows_and_numbered(budget):
    queue = rank(candidates(max(budget, 1)), {"uncertainty": 1.0, "random": 1.0}, budget)
    assert queue["position"].tolist() == list(range(1, min(budget, 5) + 1))
    assert queue["document_id"].is_unique


def test_a_mix_takes_by_shares_and_says_what_chose_each():
    many = [(f"d{number:03}", f"d{number:03}", 0.5, number, "坏", [0.5, 0.5]) for number in range(100)]
    queue = rank(candidates(40, waiting=many), {"uncertainty": 0.5, "disagreement": 0.3, "random": 0.2}, 40)
    assert queue["strategy"].value_counts().to_dict() == {"uncertainty": 20, "disagreement": 12, "random": 8}
    assert queue["strategy"].iloc[0] == "uncertainty"


def test_a_strategy_that_sees_nothing_more_leaves_its_share_to_the_others():
    queue = rank(candidates(), {"disagreement": 0.9, "uncertainty": 0.1}, 10)
    assert queue["strategy"].value_counts().to_dict() == {"disagreement": 2, "uncertainty": 3}


def test_without_candidates_the_queue_is_empty():
    assert ids({"uncertainty": 1}, waiting=[]) == []


def questions(name, count):
    rows = [(f"{name}{number:03}", "shop", "zh", "文本", 0, "random", "no_votes", 0.5, 0) for number in range(count)]
    return pd.DataFrame(rows, columns=LABELING_QUEUE.column_names())


@pytest.mark.parametrize(
    ("queue", "gold", "share", "budget", "asked"),
    [
        (100, 50, 0.05, 100, 5),
        (100, 50, 0.2, 100, 20),
        (100, 3, 0.2, 100, 3),
        (50, 50, 0.2, 100, 12),
        (0, 50, 0.2, 100, 0),
        (100, 50, 0.0, 100, 0),
        (100, 0, 0.2, 100, 0),
    ],
)
def test_gold_questions_have_their_share_of_the_queue(queue, gold, share, budget, asked):
    mixed = mix_in_gold(questions("q", queue), questions("g", gold), share, budget)
    assert (mixed["strategy"] == "gold").sum() == asked
    assert len(mixed) == min(budget, queue + asked)
    assert mixed["document_id"][mixed["strategy"] == "gold"].tolist() == [f"g{number:03}" for number in range(asked)]
    assert mixed["document_id"][mixed["strategy"] != "gold"].tolist() == [f"q{number:03}" for number in range(len(mixed) - asked)]
    assert list(mixed.columns) == LABELING_QUEUE.column_names()
    if asked:
        assert mixed["position"].tolist() == list(range(1, len(mixed) + 1))


def test_gold_questions_lie_in_stretches_of_one_length_at_places_of_their_own():
    mixed = mix_in_gold(questions("q", 200), questions("g", 10), 0.05, 200)
    places = mixed["position"][mixed["strategy"] == "gold"].to_numpy() - 1
    assert (places // 20).tolist() == list(range(10))
    assert len({place % 20 for place in places}) > 5
    assert mix_in_gold(questions("q", 200), questions("g", 10), 0.05, 200).equals(mixed)


def test_gold_questions_that_the_fewest_people_answered_come_first_and_only_the_newest_revision():
    documents = [("old", "x", 1, 1), ("new", "x", 2, 1), ("z", "z", 1, 3), ("y", "y", 1, 2), ("open", "open", 1, 0)]
    frame = pd.DataFrame(documents, columns=["document_id", "external_id", "revision", "human_votes_count"])
    frame = frame.assign(source="shop", language="zh", confidence=1.0, votes_count=1, text="文本")
    votes = [
        ("old", "专家", "好"),
        ("new", "专家", "好"),
        ("z", "专家", "好"),
        ("y", "专家", "坏"),
        ("y", "bo", "好"),
        ("open", "bo", "好"),
    ]
    with duckdb.connect() as connection:
        connection.register("labeled_documents", frame.drop(columns=["text", "external_id", "revision"]))
        connection.register("clean_documents", frame)
        connection.register("annotations", pd.DataFrame(votes, columns=["document_id", "annotator_id", "label"]))
        found = connection.execute(GOLD_QUESTIONS_SQL, {"gold": ["专家"], "budget": 10}).df()
    assert found["document_id"].tolist() == ["new", "y", "z"]
    assert set(found["reason"]) == {"gold"}

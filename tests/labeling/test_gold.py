"""Known answers: they are the label, and what others answered is measured by them."""

import numpy as np
import pandas as pd
import pytest

from assets.labeling.consensus import decide_answers
from assets.labeling.gold import decide_by_gold, known_answers, measure_gold, similarity
from assets.project import Labeling, Task

ONE = Task(labels=("坏", "good"))
SEVERAL = Task(kind="multi_label_classification", labels=("sport", "政治"))
SPANS = Task(kind="token_classification", labels=("人", "ORG"))
GOLD = ("expert", "专家")
WHO = '[{"start":0,"end":2,"label":"人"}]'
WHO_AND_WHERE = '[{"start":0,"end":2,"label":"人"},{"start":3,"end":9,"label":"ORG"}]'


def votes_of(*rows):
    frame = pd.DataFrame(rows, columns=["document_id", "annotator_id", "label"]).astype("str")
    kind = np.where(frame["annotator_id"].str.startswith("rule:"), "rule", "human")
    return frame.assign(source="shop", voter_kind=kind, value=np.nan, seconds=np.nan)


def decide(votes, task, gold=GOLD):
    documents = votes[["document_id"]].drop_duplicates().assign(source="shop", language="zh")
    return decide_answers(documents, votes, task, Labeling(gold={"annotators": gold}, min_human_votes=5)).set_index("document_id")


def test_an_answer_is_known_where_gold_annotators_agree():
    votes = votes_of(("a", "expert", "坏"), ("a", "bo", "good"), ("b", "expert", "坏"), ("b", "专家", "good"), ("c", "bo", "good"))
    assert known_answers(votes, GOLD).to_dict() == {"a": "坏"}
    assert known_answers(votes, ()).to_dict() == {}


@pytest.mark.parametrize(
    ("task", "gold", "others", "distribution"),
    [
        (ONE, "坏", "good", [1.0, 0.0]),
        (SEVERAL, '["政治"]', '["sport","政治"]', [0.0, 1.0]),
        (SEVERAL, "[]", '["sport"]', [0.0, 0.0]),
        (SPANS, WHO, "[]", [1.0]),
        (SPANS, "[]", WHO, []),
    ],
)
def test_a_known_answer_is_the_label_whatever_others_say(task, gold, others, distribution):
    votes = votes_of(("a", "expert", gold), *[("a", f"人{number}", others) for number in range(6)])
    found = decide(votes, task).loc["a"]
    assert (found["label"], list(found["distribution"]), found["confidence"]) == (gold, distribution, 1.0)
    assert found["is_confident"]
    assert found["reason"] is None
    assert (found["votes_count"], found["human_votes_count"]) == (7, 7)


def test_other_documents_are_decided_as_before():
    votes = votes_of(("a", "expert", "坏"), ("b", "bo", "good"))
    pd.testing.assert_series_equal(decide(votes, ONE).loc["b"], decide(votes[1:], ONE, ()).loc["b"])
    assert decide(votes, ONE, ()).loc["a", "reason"] == "too_few_votes"


def test_nothing_is_changed_where_nothing_is_known():
    decided = decide(votes_of(("a", "bo", "good")), ONE).reset_index()
    assert decide_by_gold(decided, votes_of(("a", "bo", "good")), ONE, GOLD) is decided


@pytest.mark.parametrize(
    ("task", "one", "other", "alike"),
    [
        (ONE, "坏", "坏", 1.0),
        (ONE, "坏", "good", 0.0),
        (SEVERAL, '["sport","政治"]', '["政治"]', 2 / 3),
        (SEVERAL, "[]", "[]", 1.0),
        (SPANS, WHO_AND_WHERE, WHO, 2 / 3),
        (SPANS, "[]", WHO, 0.0),
    ],
)
def test_lists_are_alike_by_the_parts_that_they_share(task, one, other, alike):
    assert similarity(task)(one, other) == similarity(task)(other, one) == pytest.approx(alike)


def test_only_peoples_answers_to_gold_questions_are_measured():
    votes = votes_of(
        *[("a", name, label) for name, label in [("expert", "坏"), ("bo", "坏"), ("李雷", "good"), ("rule:x", "good"), ("专家", "坏")]],
        ("b", "bo", "good"),
    )
    assert measure_gold(votes, ONE, GOLD) == (2, 1.0)
    assert measure_gold(votes, ONE, ()) == (0, 0.0)
    assert measure_gold(votes_of(("a", "expert", WHO_AND_WHERE), ("a", "bo", WHO)), SPANS, GOLD) == (1, pytest.approx(2 / 3))

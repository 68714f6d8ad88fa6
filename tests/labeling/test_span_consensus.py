"""Votes on spans and on several labels become one answer with shares and a confidence."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from assets.answers import AnswerError, Span, decode_spans, encode_labels, encode_spans
from assets.labeling.consensus import decide_answers, distribution_error
from assets.labeling.rules import competence_of_rules
from assets.labeling.span_consensus import SpanVote, decide_spans
from assets.project import Labeling, RuleSettings, Task

ENTITIES = Task(kind="token_classification", labels=("DATE", "NAME"))
QUESTION = Task(kind="question_answering", labels=("answer",))
TOPICS = Task(kind="multi_label_classification", labels=("sport", "money", "政治"))
BOB, BOBBY, DAY = Span(0, 3, "NAME"), Span(0, 5, "NAME"), Span(9, 12, "DATE")
HERE, THERE = Span(0, 4, "answer"), Span(6, 11, "answer")
DATES = frozenset({"DATE"})


def vote(*spans, weight=1.0, types=None):
    return SpanVote(spans, weight, types)


@pytest.mark.parametrize(
    ("votes", "spans", "shares"),
    [
        ([vote(BOB), vote(BOB), vote()], (BOB,), (2 / 3,)),
        ([vote(BOB), vote()], (), ()),
        ([vote(), vote()], (), ()),
        ([vote(BOB, DAY)], (BOB, DAY), (1.0, 1.0)),
        # a rule for dates says nothing about names
        ([vote(BOB), vote(types=DATES), vote(types=DATES)], (BOB,), (1.0,)),
        ([vote(DAY), vote(types=DATES, weight=0.25)], (DAY,), (0.8,)),
        ([vote(DAY, types=DATES, weight=0.25), vote()], (), ()),
        # a span outside the rule's own types does not count
        ([vote(BOB, types=DATES), vote(BOB), vote()], (), ()),
        # both have more weight behind than against; they overlap: heavier, then longer, then earlier
        ([vote(BOB, BOBBY), vote(BOB, BOBBY), vote(BOB)], (BOB,), (1.0,)),
        ([vote(BOB, BOBBY)], (BOBBY,), (1.0,)),
        ([vote(Span(0, 3, "NAME"), Span(2, 5, "NAME"))], (Span(0, 3, "NAME"),), (1.0,)),
        # boundary and type must be the same
        ([vote(BOB), vote(BOBBY), vote(Span(0, 3, "DATE"))], (), ()),
    ],
)
def test_a_span_is_kept_when_more_weight_is_behind_it_than_against_it(votes, spans, shares):
    decided = decide_spans(votes, ENTITIES)
    assert decided.spans == spans
    assert decided.shares == pytest.approx(shares)


@pytest.mark.parametrize(
    ("votes", "spans", "shares"),
    [
        ([vote(HERE), vote(HERE), vote(THERE)], (HERE,), (2 / 3,)),
        ([vote(HERE), vote(THERE)], (THERE,), (1 / 2,)),
        ([vote(), vote(), vote(HERE)], (), ()),
        ([vote(), vote(HERE)], (), ()),
        ([vote(HERE), vote(Span(0, 3, "answer")), vote(Span(0, 2, "answer"))], (HERE,), (1 / 3,)),
    ],
)
def test_a_question_has_the_answer_with_most_weight_or_none(votes, spans, shares):
    decided = decide_spans(votes, QUESTION)
    assert decided.spans == spans
    assert decided.shares == pytest.approx(shares)


def frame(*votes):
    """Votes on documents: (document, annotator, answer); rules by their name."""
    rows = [(document, name, "rule" if name.startswith("rule:") else "human", answer, np.nan) for document, name, answer in votes]
    return pd.DataFrame(rows, columns=["document_id", "annotator_id", "voter_kind", "label", "value"])


def documents(*names):
    return pd.DataFrame({"document_id": list(names), "source": "s", "language": "zh"})


def spans(*found):
    return encode_spans(found)


def decide(task, votes, *names, **settings):
    return decide_answers(documents(*names), votes, task, Labeling(**({"min_human_votes": 0} | settings)), competence_of_rules())


def test_documents_keep_their_order_and_their_votes_apart():
    votes = frame(("d2", "a", spans(BOB)), ("d1", "a", spans()), ("d2", "b", spans(BOB, DAY)))
    found = decide(ENTITIES, votes, "d2", "d3", "d1")
    assert found["document_id"].tolist() == ["d2", "d3", "d1"]
    assert found["label"].tolist()[0] == spans(BOB)
    assert pd.isna(found["label"][1])
    assert found["label"][2] == "[]"
    assert found["distribution"].tolist() == [[1.0], [], []]
    assert found["votes_count"].tolist() == [2, 0, 1]
    assert found["reason"].tolist()[1] == "no_votes"


@pytest.mark.parametrize(
    ("answers", "confidence"),
    [
        # one person alone: P(p > 1/2) for Beta(2, 1)
        ([spans(BOB)], 0.75),
        ([spans()], 0.75),
        # five in agreement, about a span or about none: 1 - 0.5 ** 6
        ([spans(BOB)] * 5, 0.984375),
        ([spans()] * 5, 0.984375),
        # one of two marked it: a tie
        ([spans(BOB), spans()], 0.5),
        # two of three: Beta(3, 2)
        ([spans(BOB, DAY), spans(BOB, DAY), spans(DAY)], 0.6875),
    ],
)
def test_confidence_is_the_least_over_everything_decided(answers, confidence):
    votes = frame(*[("d", f"a{number}", answer) for number, answer in enumerate(answers)])
    assert decide(ENTITIES, votes, "d")["confidence"][0] == pytest.approx(confidence)


def test_rules_alone_decide_by_their_weight_and_only_where_each_type_has_one():
    votes = frame(("d", "rule:dates", spans(DAY)), ("d", "rule:capitalized_names", spans()))
    sure = decide(ENTITIES, votes, "d", rules=RuleSettings(weight=1))
    assert (sure["label"][0], sure["confidence"][0], sure["is_confident"][0]) == (spans(DAY), pytest.approx(0.75), True)
    half = decide(ENTITIES, votes.head(1), "d", rules=RuleSettings(weight=1))
    assert (half["confidence"][0], half["reason"][0]) == (pytest.approx(0.5), "low_confidence")


def test_people_outvote_a_rule():
    votes = frame(("d", "a", spans()), ("d", "b", spans()), ("d", "rule:dates", spans(DAY)))
    assert decide(ENTITIES, votes, "d", rules=RuleSettings(weight=1))["label"][0] == "[]"


def test_the_order_of_the_votes_changes_nothing():
    votes = frame(*[("d", f"a{number}", answer) for number, answer in enumerate([spans(BOB), spans(BOBBY), spans(BOB), spans(DAY)])])
    one, other = decide(ENTITIES, votes, "d"), decide(ENTITIES, votes.iloc[::-1], "d")
    pd.testing.assert_frame_equal(one, other)


def test_each_label_is_chosen_by_more_than_half():
    def labels(*chosen):
        return encode_labels(chosen, TOPICS.labels)

    votes = frame(
        ("d1", "a", labels("sport", "政治")), ("d1", "b", labels("政治")), ("d1", "c", labels("money", "政治")),
        ("d2", "a", labels("sport")), ("d2", "b", labels()), ("d3", "a", labels()),
    )  # fmt: skip
    found = decide(TOPICS, votes, "d1", "d2", "d3", "d4")
    assert found["label"].tolist()[:3] == ['["政治"]', "[]", "[]"]
    assert pd.isna(found["label"][3])
    np.testing.assert_allclose(np.vstack(found["distribution"]), [[1 / 3, 1 / 3, 1], [0.5, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5]])
    # 1 of 3 against: Beta(3, 2) as above; a tie; one alone; nobody
    assert found["confidence"].tolist() == pytest.approx([0.6875, 0.5, 0.75, 0.5])


@pytest.mark.parametrize("task", [ENTITIES, QUESTION, TOPICS])
def test_no_documents_are_no_rows(task):
    assert decide(task, frame()).empty


def test_a_task_with_one_label_is_decided_as_ever():
    task = Task(labels=("差评", "好评"))
    found = decide(task, frame(("d", "a", "好评")), "d")
    assert (found["label"][0], found["distribution"][0].tolist()) == ("好评", [0.0, 1.0])


@pytest.mark.parametrize("task", [ENTITIES, TOPICS])
def test_a_vote_that_is_no_answer_is_an_error(task):
    with pytest.raises(AnswerError, match="expected a JSON list, found 'Bob'"):
        decide(task, frame(("d", "a", "Bob")), "d")


@pytest.mark.parametrize(
    ("task", "answer", "shares", "error"),
    [
        (Task(labels=("a", "b")), "a", [0.5, 0.5], 0.0),
        (Task(labels=("a", "b")), "a", [0.5, 0.25], 0.25),
        (Task(labels=("a", "b")), "a", [1.0], 1.0),
        (TOPICS, '["sport"]', [1.0, 0.0, 0.5], 0.0),
        (TOPICS, '["sport"]', [1.25, 0.0, 0.5], 0.25),
        (TOPICS, '["sport"]', [1.0], 1.0),
        (ENTITIES, spans(BOB), [0.75], 0.0),
        (ENTITIES, spans(BOB), [], 1.0),
        (ENTITIES, "[]", [], 0.0),
        (ENTITIES, None, [], 0.0),
    ],
)
def test_a_distribution_has_one_share_for_each_label_or_span(task, answer, shares, error):
    decided = pd.DataFrame({"label": [answer], "distribution": [shares]})
    assert distribution_error(decided, task) == pytest.approx(error)


def test_kept_spans_never_overlap():
    random = np.random.default_rng(7)
    for _ in range(100):
        starts = random.integers(0, 12, size=(4, 3))
        votes = [vote(*(Span(int(start), int(start + random.integers(1, 6)), "NAME") for start in row)) for row in starts]
        kept = decode_spans(spans(*decide_spans(votes[:1], ENTITIES).spans), ENTITIES.labels)
        assert all(one.end <= other.start for one, other in pairwise(kept))

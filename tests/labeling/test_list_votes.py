"""Answers that are lists become votes of the task; what does not fit is refused with its reason. People's agreement on them is measured."""

import pandas as pd
import pytest

from assets.answers import Span, encode_quoted_spans, encode_spans, quote_spans
from assets.labeling.agreement import measure_agreement
from assets.labeling.votes import to_votes
from assets.project import RatingScale, Task

ENTITIES = Task(kind="token_classification", labels=("PERSON", "地点"))
TOPICS = Task(kind="multi_label_classification", labels=("sport", "money", "政治"))
RELATION = Task(kind="relation_extraction", labels=("lives_in", "无"))
RAW = "  小明\n\n住在  上海 "
CLEAN = "小明\n住在 上海"


def annotations(*answers):
    """One annotation per answer: a number is a rating, a string an answer."""
    return pd.DataFrame(
        {
            "vote_id": [f"v{number}" for number in range(len(answers))],
            "document_id": "d1",
            "source": "tickets",
            "external_id": "1",
            "annotator_id": [f"a{number}" for number in range(len(answers))],
            "value": [answer if isinstance(answer, float) else None for answer in answers],
            "label": [answer if isinstance(answer, str) else None for answer in answers],
            "seconds": None,
            "guideline": None,
            "raw_sha256": "r",
            "collected_at": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


def quoted(*spans):
    return encode_quoted_spans(quote_spans(spans, RAW))


def test_spans_are_placed_in_the_cleaned_text():
    answers = [quoted(Span(2, 4, "PERSON"), Span(10, 12, "地点")), "[]", encode_spans([Span(0, 2, "PERSON")])]
    usable = to_votes(annotations(*answers), ENTITIES, {"d1": CLEAN})
    assert usable.rejected.empty
    assert usable.votes["label"].tolist() == [
        '[{"start":0,"end":2,"label":"PERSON"},{"start":6,"end":8,"label":"地点"}]',
        "[]",
        '[{"start":0,"end":2,"label":"PERSON"}]',
    ]


def test_every_answer_that_does_not_fit_has_its_reason():
    answers = ["PERSON", '["PERSON"]', quoted(Span(2, 4, "ORG")), 3.0, encode_spans([Span(0, 99, "PERSON")])]
    usable = to_votes(annotations(*answers, quoted(Span(2, 4, "PERSON"))), ENTITIES, {"d1": "小红住在北京"})
    assert usable.votes.empty
    assert usable.rejected[["vote_id", "reason", "detail"]].to_numpy().tolist() == [
        ["v0", "malformed_answer", "expected a JSON list, found 'PERSON'"],
        ["v1", "malformed_answer", """expected spans with start, end (whole numbers) and label, found '["PERSON"]'"""],
        ["v2", "label_outside_task", "expected labels out of ['PERSON', '地点'], found ['ORG']"],
        ["v3", "rating_without_scale", "expected an answer of the task, found the rating 3"],
        ["v4", "span_outside_text", "expected a span with 0 <= start < end within 6 characters, found 0 to 99"],
        ["v5", "span_not_found", "expected the 2 characters that it covers from 2 on in the cleaned text, found them nowhere"],
    ]


def test_no_refusal_repeats_what_a_vote_quotes():
    broken = '[{"start":0,"end":"x","label":"PERSON","quote":"13800138000","visible_before":0}]'
    usable = to_votes(annotations(broken), ENTITIES, {"d1": CLEAN})
    assert usable.rejected["detail"].tolist() == ["expected quoted spans, found another shape"]


def test_a_vote_of_which_one_span_is_lost_is_refused_whole():
    usable = to_votes(annotations(quoted(Span(2, 4, "PERSON"), Span(10, 12, "地点"))), ENTITIES, {"d1": "小明住在北京"})
    assert (len(usable.votes), usable.rejected["reason"].tolist()) == (0, ["span_not_found"])


def test_a_withdrawn_vote_stays_a_vote_without_a_label():
    for task in (ENTITIES, TOPICS):
        usable = to_votes(annotations(None), task, {"d1": CLEAN})
        assert (usable.votes["label"].tolist(), len(usable.rejected)) == ([None], 0)


def test_several_labels_are_put_in_the_order_of_the_task():
    usable = to_votes(annotations('["政治","sport"]', "[]", '["opera"]', "sport", '["sport","sport"]'), TOPICS)
    assert usable.votes["label"].tolist() == ['["sport","政治"]', "[]"]
    assert usable.rejected["reason"].tolist() == ["label_outside_task", "malformed_answer", "malformed_answer"]


def test_a_relation_is_a_plain_label():
    usable = to_votes(annotations("lives_in", "无", "works_at"), RELATION)
    assert usable.votes["label"].tolist() == ["lives_in", "无"]
    assert usable.rejected["reason"].tolist() == ["label_outside_task"]


def test_no_votes_are_fine():
    usable = to_votes(annotations(), ENTITIES, {})
    assert (len(usable.votes), len(usable.rejected)) == (0, 0)


def counts(*rows):
    return pd.DataFrame(rows, columns=["source", "document_id", "label", "votes"]).assign(value=None, month="2026-01")


def main(agreements):
    return [agreement for agreement in agreements if agreement.is_main]


def spans(*places):
    return encode_spans(Span(start, end, "PERSON") for start, end in places)


@pytest.mark.parametrize(
    ("rows", "score"),
    [
        # one document, two people, the same two spans
        ([("s", "d", spans((0, 2), (3, 5)), 2)], 1.0),
        # one of two spans shared: 2 * 1 / (2 + 2)
        ([("s", "d", spans((0, 2), (3, 5)), 1), ("s", "d", spans((0, 2), (6, 8)), 1)], 0.5),
        # three people, two agree: pairs 2*1/2, 0/2, 0/2
        ([("s", "d", spans((0, 2)), 2), ("s", "d", spans((0, 3)), 1)], 1 / 3),
        # nothing marked by one of two
        ([("s", "d", spans((0, 2)), 1), ("s", "d", "[]", 1)], 0.0),
        # documents with one vote do not count
        ([("s", "d", spans((0, 2)), 2), ("s", "e", spans((0, 9)), 1)], 1.0),
    ],
)
def test_agreement_on_spans_is_the_f1_of_people_by_people(rows, score):
    (found,) = main(measure_agreement(counts(*rows), ENTITIES))
    assert (found.level, found.documents_count) == ("spans", 1)
    assert found.score == pytest.approx(score)


@pytest.mark.parametrize(
    "rows", [[], [("s", "d", spans((0, 2)), 1)], [("s", "d", "[]", 2)], [("s", "d", spans((0, 2)), 1), ("s", "e", "[]", 1)]]
)
def test_no_two_people_or_no_span_is_no_agreement(rows):
    assert measure_agreement(counts(*rows), ENTITIES) == []


def test_agreement_on_several_labels_is_the_mean_alpha_of_each():
    # sport: one vote for and one against on both documents, alpha -0.5 as in test_agreement.py; 政治: perfect; money: nobody chose it
    rows = [("票", "a", '["sport","政治"]', 1), ("票", "a", '["政治"]', 1), ("票", "b", '["sport"]', 1), ("票", "b", "[]", 1)]
    (found,) = main(measure_agreement(counts(*rows), TOPICS))
    assert (found.level, found.documents_count, found.votes_count) == ("labels", 2, 4)
    assert found.score == pytest.approx((-0.5 + 1.0) / 2)
    assert measure_agreement(counts(*rows[:1]), TOPICS) == []


def test_a_scale_of_ratings_still_places_ratings():
    task = Task(labels=("差", "好"), rating=RatingScale(minimum=0, maximum=5, thresholds={"差": 0, "好": 3}))
    assert to_votes(annotations(4.0, "差"), task).votes["label"].tolist() == ["好", "差"]

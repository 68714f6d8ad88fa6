"""How much people agree: everybody, pairs, by label and by month."""

import numpy as np
import pandas as pd
import pytest

from assets.labeling.agreement import fleiss_kappa, measure_agreement, measure_pairs, to_rows
from assets.project import Task
from assets.schemas import ANNOTATOR_AGREEMENT

ONE_LABEL = Task(labels=("neg", "pos"))


def counts(rows):
    return pd.DataFrame(rows, columns=["source", "document_id", "label", "value", "votes"]).assign(month="2026-01")


def figures(agreements):
    return {(found.part, found.measure): round(found.score, 3) for found in agreements}


def test_perfect_agreement_is_one():
    found = measure_agreement(counts([("s", "a", "pos", 2.0, 3), ("s", "b", "neg", -1.0, 2)]), ONE_LABEL)
    assert all((each.source, each.score, each.documents_count, each.votes_count) == ("s", 1.0, 2, 5) for each in found)
    assert [(each.part, each.measure, each.level) for each in found] == [
        ("all", "krippendorff_alpha", "interval"),
        ("all", "fleiss_kappa", "nominal"),
        ("label neg", "krippendorff_alpha", "nominal"),
        ("label pos", "krippendorff_alpha", "nominal"),
    ]


def test_labels_without_ratings_give_nominal_alpha():
    # two documents, each with one vote for either label: observed disagreement 1, expected 2/3, so alpha = 1 - 3/2
    rows = [("票", "a", "好", None, 1), ("票", "a", "坏", None, 1), ("票", "b", "好", None, 1), ("票", "b", "坏", None, 1)]
    found = measure_agreement(counts(rows), Task(labels=("坏", "好")))
    assert {each.level for each in found} == {"nominal"}
    # Fleiss takes labels as drawn from all votes: agreement expected by chance is 1/2, observed 0
    assert figures(found) == {
        ("all", "krippendorff_alpha"): -0.5,
        ("all", "fleiss_kappa"): -1.0,
        ("label 坏", "krippendorff_alpha"): -0.5,
        ("label 好", "krippendorff_alpha"): -0.5,
    }


def test_ordinal_labels_forgive_neighbours_more_than_extremes():
    stars = Task(labels=("一星", "two", "three"), values={"一星": 1, "two": 2, "three": 3})
    near = [("s", "a", "一星", None, 1), ("s", "a", "two", None, 1), ("s", "b", "three", None, 2), ("s", "c", "一星", None, 2)]
    far = [(source, document, "three" if label == "two" else label, value, votes) for source, document, label, value, votes in near]
    of_near, of_far = (measure_agreement(counts(rows), stars)[0] for rows in (near, far))
    assert of_near.level == of_far.level == "ordinal"
    assert of_near.score > of_far.score


def test_fleiss_kappa_is_that_of_the_published_example():
    # Fleiss 1971 as worked through in many textbooks: ten subjects, fourteen raters, five categories, kappa 0.210
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert round(fleiss_kappa(np.array(table)), 3) == 0.210


def test_agreement_is_told_by_month_when_there_are_several():
    rows = [("s", "a", "pos", None, 2), ("s", "b", "neg", None, 2), ("s", "c", "pos", None, 1), ("s", "c", "neg", None, 1)]
    frame = counts(rows).assign(month=["2026-01", "2026-01", "2026-02", "2026-02"])
    assert figures(measure_agreement(frame, ONE_LABEL)) == {
        ("all", "krippendorff_alpha"): 0.444,
        ("all", "fleiss_kappa"): 0.333,
        ("label neg", "krippendorff_alpha"): 0.444,
        ("label pos", "krippendorff_alpha"): 0.444,
        ("month 2026-01", "krippendorff_alpha"): 1.0,
        ("month 2026-02", "krippendorff_alpha"): 0.0,
    }


def pairs(rows):
    return pd.DataFrame(rows, columns=["source", "annotator", "other", "given", "others", "votes"])


def test_cohens_kappa_is_the_mean_over_pairs_weighted_by_what_they_share():
    # Ann and Bo: 35 of 50 agree, half would by chance, kappa 0.4; Ann and 李雷 always agree
    both = [("s", "Ann", "Bo", "pos", "pos", 20), ("s", "Ann", "Bo", "pos", "neg", 5), ("s", "Ann", "Bo", "neg", "pos", 10)]
    both += [("s", "Ann", "Bo", "neg", "neg", 15), ("s", "Ann", "李雷", "pos", "pos", 13), ("s", "Ann", "李雷", "neg", "neg", 12)]
    (found,) = measure_pairs(pairs(both), ONE_LABEL)
    assert (found.source, found.measure, found.documents_count, found.votes_count) == ("s", "cohen_kappa", 50, 150)
    assert found.score == pytest.approx((0.4 * 50 + 1.0 * 25) / 75)


def test_pairs_with_little_in_common_or_one_answer_only_are_not_compared():
    rows = [("s", "Ann", "Bo", "pos", "pos", 40), ("s", "Ann", "李雷", "pos", "neg", 19)]
    assert measure_pairs(pairs(rows), ONE_LABEL) == []


def test_cohens_kappa_of_several_labels_is_the_mean_of_each():
    topics = Task(kind="multi_label_classification", labels=("sport", "政治"))
    rows = [("s", "Ann", "Bo", '["sport","政治"]', '["sport"]', 10), ("s", "Ann", "Bo", '["政治"]', '["政治"]', 10)]
    (found,) = measure_pairs(pairs(rows), topics)
    assert found.score == pytest.approx((1.0 + 0.0) / 2)
    assert measure_pairs(pairs(rows), Task(kind="token_classification", labels=("X",))) == []


def test_the_figures_are_rows_of_their_table():
    rows = to_rows(measure_agreement(counts([("s", "a", "pos", 2.0, 3), ("s", "b", "neg", -1.0, 2)]), ONE_LABEL))
    assert list(rows.columns) == ANNOTATOR_AGREEMENT.column_names()
    assert to_rows([]).empty


def test_sources_without_two_votes_or_two_answers_are_not_measured():
    rows = [("lonely", "a", "pos", 1.0, 1), ("same", "b", "pos", 1.0, 4), ("same", "c", "pos", 1.0, 4)]
    assert measure_agreement(counts(rows), ONE_LABEL) == []

"""What each labeling function does, as counted in the lakehouse."""

import duckdb
import pandas as pd
import pytest

from assets.labeling.rule_analysis import RULE_ANALYSIS_SQL, RuleAnalysis, analyse_rules, rule_table


def analyse(rule_votes, annotations, documents):
    with duckdb.connect() as connection:
        frames = {
            "rule_votes": pd.DataFrame(rule_votes, columns=["document_id", "annotator_id", "label"], dtype="str"),
            "model_votes": pd.DataFrame(columns=["document_id", "annotator_id", "label"], dtype="str"),
            "annotations": pd.DataFrame(annotations, columns=["document_id", "label"], dtype="str").assign(voter_kind="human"),
            "clean_documents": pd.DataFrame({"document_id": documents}),
        }
        for name, frame in frames.items():
            connection.register(name, frame)
        return analyse_rules(connection.execute(RULE_ANALYSIS_SQL).df())


def test_coverage_overlaps_conflicts_and_accuracy_are_counted():
    votes = [("a", "rule:x", "好"), ("b", "rule:x", "坏"), ("c", "rule:x", "好"), ("b", "rule:y", "好"), ("c", "rule:y", "好")]
    people = [("a", "好"), ("b", "好"), ("b", "好"), ("b", "坏"), ("c", "好"), ("c", "坏")]
    assert analyse(votes, people, list("abcd")) == [
        RuleAnalysis("rule:x", ("坏", "好"), 3, 0.75, 0.5, 0.25, 2, 0.5),
        RuleAnalysis("rule:y", ("好",), 2, 0.5, 0.5, 0.25, 1, 1.0),
    ]


def test_three_functions_of_which_two_agree_all_stand_in_a_conflict():
    found = analyse([("a", "rule:x", "p"), ("a", "rule:y", "p"), ("a", "rule:z", "n")], [], ["a", "b"])
    assert [(rule.overlaps, rule.conflicts, rule.accuracy) for rule in found] == [(0.5, 0.5, None)] * 3


def test_functions_without_votes_are_not_there():
    assert analyse([], [("a", "p")], ["a"]) == []


@pytest.mark.parametrize(
    ("answers", "accuracy", "row"),
    [
        (("neg", "a|b"), 0.5, "| rule:x | neg, a\\|b | 4 | 0.400 | 0.200 | 0.100 | 2 | 0.500 |"),
        (('[{"start":0,"end":1,"label":"x"}]', "[]"), None, "| rule:x | 2 different | 4 | 0.400 | 0.200 | 0.100 | 2 | – |"),
        (tuple("abcdefg"), 1.0, "| rule:x | 7 different | 4 | 0.400 | 0.200 | 0.100 | 2 | 1.000 |"),
    ],
)
def test_the_table_names_labels_and_counts_lists(answers, accuracy, row):
    assert rule_table([RuleAnalysis("rule:x", answers, 4, 0.4, 0.2, 0.1, 2, accuracy)]).splitlines()[2] == row

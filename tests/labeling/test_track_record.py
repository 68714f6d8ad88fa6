"""What is kept of each annotator, and who is named suspicious for what."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from assets.labeling.agreement import PAIRS_SQL
from assets.labeling.track_record import CONDUCT_SQL, GOLD_VOTES_SQL, keep_records, standing_among_others
from assets.project import Gold, Task
from assets.schemas import ANNOTATORS

SPANS = Task(kind="token_classification", labels=("人", "ORG"))
WHO = '[{"start":0,"end":2,"label":"人"}]'
WHERE = '[{"start":3,"end":9,"label":"ORG"}]'


def records_of(rows, gold=Gold(), words=30):  # noqa: B008
    """As the graph does it, from (document, annotator, label, seconds)."""
    votes = pd.DataFrame(rows, columns=["document_id", "annotator_id", "label", "seconds"])
    votes = votes.astype({"seconds": "float64"}).assign(source="shop", voter_kind="human")
    clean = votes[["document_id", "source"]].drop_duplicates().assign(text_words=words)
    with duckdb.connect() as connection:
        for name, table in {
            "annotations": votes,
            "rule_votes": votes.head(0),
            "model_votes": votes.head(0),
            "clean_documents": clean,
        }.items():
            connection.register(name, table)
        conduct, pairs = connection.execute(CONDUCT_SQL).df(), connection.execute(PAIRS_SQL).df()
        known = connection.execute(GOLD_VOTES_SQL, {"gold": list(gold.annotators)}).df()
    return keep_records(conduct, standing_among_others(pairs, conduct, SPANS), known, SPANS, gold).set_index("annotator_id")


def crowd(documents=30, seconds=20.0):
    """Two people who mark the same name in every other text and nothing in the rest."""
    return [(f"d{number:02}", name, (WHO, "[]")[number % 2], seconds) for number in range(documents) for name in ("Ann", "李雷")]


def test_lists_are_compared_with_those_of_others():
    rows = [*crowd(4), ("d00", "Bo", WHERE, None), ("d02", "Bo", WHO, None), ("alone", "Bo", WHO, None)]
    found = records_of(rows)
    assert list(found.reset_index().columns) == ANNOTATORS.column_names()
    assert found["votes_count"].to_dict() == {"Ann": 4, "Bo": 3, "李雷": 4}
    # Bo meets two people twice: 0, 0, 1, 1
    assert found["agreement_ratio"].to_dict() == {"Ann": pytest.approx(5 / 6), "Bo": 0.5, "李雷": pytest.approx(5 / 6)}
    assert found.loc["Bo", ["commonest_label", "commonest_ratio"]].tolist() == [WHO, pytest.approx(2 / 3)]
    assert found["accuracy_ratio"].isna().all()
    assert found["confusion"].tolist() == [[], [], []]
    assert found["suspicion"].isna().all()


def test_who_cannot_be_compared_has_no_agreement():
    assert np.isnan(records_of([("d", "Ann", WHO, None)]).loc["Ann", "agreement_ratio"])


@pytest.mark.parametrize(
    ("words", "seconds", "hasty"),
    [(30, 1.9, True), (30, 2.1, False), (3, 0.4, True), (3, 0.6, False)],
)
def test_nobody_reads_more_than_fifteen_words_a_second_or_answers_within_half_a_second(words, seconds, hasty):
    found = records_of(crowd(20, seconds), words=words)
    assert found["hasty_ratio"].tolist() == [float(hasty)] * 2
    assert found["median_seconds"].tolist() == [seconds] * 2
    assert found["suspicion"].notna().tolist() == [hasty] * 2
    assert set(found["suspicion"].dropna()) <= {"too_fast"}


def test_votes_without_a_time_say_nothing_of_speed_and_few_votes_name_nobody():
    assert records_of(crowd(20, None))["hasty_ratio"].isna().all()
    assert records_of(crowd(19, 0.1))["suspicion"].isna().all()


def test_always_the_same_is_named_only_where_others_say_something_else():
    lazy = [(f"d{number:02}", "lazy", "[]", None) for number in range(30)]
    assert records_of([*crowd(), *lazy])["suspicion"].dropna().to_dict() == {"lazy": "always_the_same"}
    empty = [(document, name, "[]", seconds) for document, name, _, seconds in crowd()]
    assert records_of([*empty, *lazy])["suspicion"].isna().all()


def test_who_fails_gold_questions_is_named_when_there_are_enough():
    gold = [(f"d{number:02}", "专家", (WHO, "[]")[number % 2], None) for number in range(20)]
    wrong = [(f"d{number:02}", "Bo", (WHERE, WHO)[number % 2], None) for number in range(20)]
    found = records_of([*crowd(), *gold, *wrong], Gold(annotators=("专家",)))
    assert found["gold_count"].to_dict() == {"Ann": 20, "Bo": 20, "专家": 0, "李雷": 20}
    assert found["gold_ratio"].dropna().to_dict() == {"Ann": 1.0, "Bo": 0.0, "李雷": 1.0}
    assert found["suspicion"].dropna().to_dict() == {"Bo": "fails_gold"}
    assert records_of([*crowd(), *gold, *wrong], Gold(annotators=("专家",), min_answers=21))["suspicion"].isna().all()

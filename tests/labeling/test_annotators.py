"""What all votes say of those who voted, and what that says of documents."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from assets.labeling.annotators import NUMBERED_VOTES_SQL, VOTED_DOCUMENTS_SQL, VOTERS_SQL, choose_method, learn_annotators, voters_of
from assets.labeling.consensus import decide_labels
from assets.project import Labeling
from assets.schemas import ANNOTATORS

LABELS = ("坏", "good")
METHODS = ("weighted_majority", "one_coin", "dawid_skene", "mace")


def votes_of(rows):
    """Votes from (document, annotator, label); rules are named `rule:…`."""
    frame = pd.DataFrame(rows, columns=["document_id", "annotator_id", "label"]).astype("str")
    kind = np.where(frame["annotator_id"].str.startswith("rule:"), "rule", "human")
    return frame.assign(source="shop", voter_kind=kind, value=np.nan)


def learn(votes, wanted="dawid_skene", published=None, rule_weight=0.25):
    """As the graph does it: through the statements, on tables of these votes."""
    with duckdb.connect() as connection:
        is_rule = votes["voter_kind"] == "rule"
        tables = {"annotations": votes[~is_rule], "rule_votes": votes[is_rule], "clean_documents": votes[["document_id"]].drop_duplicates()}
        tables["labeled_documents"] = pd.DataFrame(list((published or {}).items()), columns=["document_id", "label"], dtype="str")
        for name, table in tables.items():
            connection.register(name, table)
        voters, documents = connection.execute(VOTERS_SQL).df(), connection.execute(VOTED_DOCUMENTS_SQL).df()
        connection.register("voters", voters.assign(number=range(len(voters))))
        connection.register("documents", documents.assign(item=range(len(documents))))
        numbered = connection.execute(NUMBERED_VOTES_SQL, {"labels": list(LABELS)}).df()
    return learn_annotators(numbered, voters, documents, LABELS, wanted, rule_weight)


def crowd(documents=40, liars=1):
    """Three people of whom the last ones always say the opposite of what is true; the truth alternates."""
    rows = []
    for number in range(documents):
        truth = number % 2
        for person in range(3):
            rows.append((f"d{number:02}", f"人{person}", LABELS[truth ^ (person >= 3 - liars)]))
    return rows


@pytest.mark.parametrize("method", METHODS)
def test_a_known_liar_loses_against_nobody_else(method):
    votes = votes_of([*crowd(), ("new", "人0", "good"), ("new", "人2", "坏")])
    learnt = learn(votes, method)
    decided = decide_labels(
        pd.DataFrame({"document_id": ["new"], "source": ["shop"], "language": ["en"]}),
        votes[votes["document_id"] == "new"],
        LABELS,
        Labeling(min_human_votes=1),
        learnt.reputation,
    ).iloc[0]
    assert decided["label"] == "good"
    assert decided["distribution"][1] > 0.8
    assert sum(decided["distribution"]) == pytest.approx(1)


def test_a_vote_of_a_liar_alone_is_turned_where_a_table_of_errors_is_learnt():
    votes = votes_of([*crowd(), ("new", "人2", "坏")])
    assert learn(votes).reputation.posterior(votes.tail(1), pd.Index(["new"]))[0].round(1).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("documents", "confidence"), [(1, 0.75), (3, 0.75)])
def test_one_vote_is_never_surer_than_one_vote_can_be(documents, confidence):
    votes = votes_of([(f"d{number}", "ann", "good") for number in range(documents)])
    frame = votes[["document_id", "source"]].assign(language="en")
    decided = decide_labels(frame, votes, LABELS, Labeling(min_human_votes=1), learn(votes).reputation)
    assert (decided["confidence"] <= confidence).all()


def test_people_without_names_are_the_crowd_of_their_source():
    votes = votes_of([("a", "anonymous:00", "good"), ("a", "anonymous:01", "good"), ("b", "bo", "坏")])
    assert voters_of(votes).tolist() == ["anonymous:shop", "anonymous:shop", "bo"]
    assert learn(votes).ledger["annotator_id"].tolist() == ["anonymous:shop", "bo"]


@pytest.mark.parametrize(
    ("voters", "method"),
    [
        ([("ann", "human"), ("rule:x", "rule")], "dawid_skene"),
        ([("ann", "human"), ("anonymous:shop", "human")], "majority"),
        ([("rule:x", "rule")], "majority"),
        ([], "majority"),
    ],
)
def test_auto_learns_of_annotators_where_every_person_has_a_name(voters, method):
    frame = pd.DataFrame(voters, columns=["voter", "voter_kind"]).astype("str")
    assert choose_method("auto", frame) == method
    assert choose_method("mace", frame) == "mace"


def test_the_ledger_tells_agreement_accuracy_and_errors():
    ledger = learn(votes_of([*crowd(), ("alone", "人0", "good")])).ledger.set_index("annotator_id")
    assert list(ledger.reset_index().columns) == ANNOTATORS.column_names()
    assert ledger["votes_count"].tolist() == [41, 40, 40]
    assert ledger["agreement_ratio"].tolist() == [1.0, 1.0, 0.0]
    assert ledger.loc["人0", "accuracy_ratio"] > 0.9 > 0.2 > ledger.loc["人2", "accuracy_ratio"]
    assert ledger.loc["人2", "suspicion"] == "at_odds"
    assert ledger["suspicion"].isna().tolist() == [True, True, False]
    good_under_bad = ledger.loc["人2", "confusion"][1]  # true by true: the first two are under 坏
    assert good_under_bad > 0.9


def test_who_always_says_the_same_is_named_unless_that_is_what_there_is_to_say():
    rows = [*crowd(liars=0), *[(f"d{number:02}", "lazy", "good") for number in range(40)]]
    rows += [(f"only{number}", name, "good") for number in range(30) for name in ("fine", "also")]
    suspicion = learn(votes_of(rows), "majority").ledger.set_index("annotator_id")["suspicion"]
    assert suspicion.dropna().to_dict() == {"lazy": "always_the_same"}


def test_the_majority_has_a_ledger_without_accuracies_and_no_reputation():
    learnt = learn(votes_of(crowd()), "majority")
    assert learnt.reputation is None
    assert learnt.ledger["accuracy_ratio"].isna().all()
    assert [list(table) for table in learnt.ledger["confusion"]] == [[], [], []]


def test_labels_that_a_liar_won_are_overturned_and_others_stay():
    votes = votes_of([*crowd(), ("old", "人1", "good"), ("old", "人2", "坏")])
    published = {"old": "坏", "d00": LABELS[0], "d01": LABELS[1], "d02": "no label of the task any more"}
    assert learn(votes, published=published).overturned["document_id"].tolist() == ["d02", "old"]


def test_tied_labels_are_not_overturned():
    votes = votes_of([("a", "ann", "good"), ("a", "bo", "坏")])
    assert learn(votes, "majority", {"a": "good"}).overturned.empty


def test_a_rule_weighs_in_a_majority_what_the_project_says():
    votes = votes_of([("a", "ann", "good"), ("a", "rule:x", "坏"), ("a", "rule:y", "坏")])
    assert learn(votes, "majority", {"a": "good"}).overturned.empty
    assert learn(votes, "majority", {"a": "good"}, rule_weight=1.0).overturned["document_id"].tolist() == ["a"]


@pytest.mark.parametrize("method", ["auto", "majority", *METHODS])
def test_without_votes_nothing_is_known(method):
    learnt = learn(votes_of([]), method)
    assert learnt.ledger.empty
    assert learnt.overturned.empty

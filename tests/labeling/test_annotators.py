"""What all votes say of those who voted, and what that says of documents."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from assets.labeling.annotators import NUMBERED_VOTES_SQL, VOTED_DOCUMENTS_SQL, VOTERS_SQL, choose_method, learn_annotators, voters_of
from assets.labeling.consensus import decide_answers, decide_labels
from assets.labeling.track_record import CONDUCT_SQL, GOLD_VOTES_SQL, keep_records
from assets.project import Gold, Labeling, Task
from assets.schemas import ANNOTATORS

LABELS = ("坏", "good")
TASK = Task(labels=LABELS)
METHODS = ("weighted_majority", "one_coin", "dawid_skene", "mace")


def votes_of(rows):
    """Votes from (document, annotator, label); rules are named `rule:…`."""
    frame = pd.DataFrame(rows, columns=["document_id", "annotator_id", "label"]).astype("str")
    kind = np.where(frame["annotator_id"].str.startswith("rule:"), "rule", "human")
    return frame.assign(source="shop", voter_kind=kind, value=np.nan, seconds=np.nan)


def learn(votes, wanted="dawid_skene", published=None, rule_weight=0.25, gold=()):
    """What is learnt, and what is kept of it, as the graph does it: through the statements, on tables of these votes."""
    with duckdb.connect() as connection:
        is_rule = votes["voter_kind"] == "rule"
        documents = votes[["document_id"]].drop_duplicates().assign(text_words=30)
        tables = {"annotations": votes[~is_rule], "rule_votes": votes[is_rule], "model_votes": votes.head(0), "clean_documents": documents}
        tables["labeled_documents"] = pd.DataFrame(list((published or {}).items()), columns=["document_id", "label"], dtype="str")
        for name, table in tables.items():
            connection.register(name, table)
        voters, documents = connection.execute(VOTERS_SQL).df(), connection.execute(VOTED_DOCUMENTS_SQL, {"gold": list(gold)}).df()
        connection.register("voters", voters.assign(number=range(len(voters))))
        connection.register("documents", documents.assign(item=range(len(documents))))
        numbered = connection.execute(NUMBERED_VOTES_SQL, {"labels": list(LABELS)}).df()
        conduct, known = connection.execute(CONDUCT_SQL).df(), connection.execute(GOLD_VOTES_SQL, {"gold": list(gold)}).df()
    learnt = learn_annotators(numbered, voters, documents, LABELS, wanted, {"human": 1.0, "rule": rule_weight})
    return learnt, keep_records(conduct, learnt.standing, known, TASK, Gold(annotators=gold))


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
    learnt, _ = learn(votes, method)
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
    assert learn(votes)[0].reputation.posterior(votes.tail(1), pd.Index(["new"]))[0].round(1).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("documents", "confidence"), [(1, 0.75), (3, 0.75)])
def test_one_vote_is_never_surer_than_one_vote_can_be(documents, confidence):
    votes = votes_of([(f"d{number}", "ann", "good") for number in range(documents)])
    frame = votes[["document_id", "source"]].assign(language="en")
    decided = decide_labels(frame, votes, LABELS, Labeling(min_human_votes=1), learn(votes)[0].reputation)
    assert (decided["confidence"] <= confidence).all()


def test_people_without_names_are_the_crowd_of_their_source():
    votes = votes_of([("a", "anonymous:00", "good"), ("a", "anonymous:01", "good"), ("b", "bo", "坏")])
    assert voters_of(votes).tolist() == ["anonymous:shop", "anonymous:shop", "bo"]
    assert learn(votes)[1]["annotator_id"].tolist() == ["anonymous:shop", "bo"]


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
    ledger = learn(votes_of([*crowd(), ("alone", "人0", "good")]))[1].set_index("annotator_id")
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
    suspicion = learn(votes_of(rows), "majority")[1].set_index("annotator_id")["suspicion"]
    assert suspicion.dropna().to_dict() == {"lazy": "always_the_same"}


def test_the_majority_has_a_ledger_without_accuracies_and_no_reputation():
    learnt, ledger = learn(votes_of(crowd()), "majority")
    assert learnt.reputation is None
    assert ledger["accuracy_ratio"].isna().all()
    assert [list(table) for table in ledger["confusion"]] == [[], [], []]


def test_labels_that_a_liar_won_are_overturned_and_others_stay():
    votes = votes_of([*crowd(), ("old", "人1", "good"), ("old", "人2", "坏")])
    published = {"old": "坏", "d00": LABELS[0], "d01": LABELS[1], "d02": "no label of the task any more"}
    assert learn(votes, published=published)[0].overturned["document_id"].tolist() == ["d02", "old"]


def test_tied_labels_are_not_overturned():
    votes = votes_of([("a", "ann", "good"), ("a", "bo", "坏")])
    assert learn(votes, "majority", {"a": "good"})[0].overturned.empty


def test_a_rule_weighs_in_a_majority_what_the_project_says():
    votes = votes_of([("a", "ann", "good"), ("a", "rule:x", "坏"), ("a", "rule:y", "坏")])
    assert learn(votes, "majority", {"a": "good"})[0].overturned.empty
    assert learn(votes, "majority", {"a": "good"}, rule_weight=1.0)[0].overturned["document_id"].tolist() == ["a"]


@pytest.mark.parametrize("method", ["auto", "majority", *METHODS])
def test_without_votes_nothing_is_known(method):
    learnt, ledger = learn(votes_of([]), method)
    assert ledger.empty
    assert learnt.overturned.empty


def liars_majority():
    """Two of three people always say the opposite of what is true, and an expert answered the first ten documents."""
    expert = [(f"d{number:02}", "专家", LABELS[number % 2]) for number in range(10)]
    return votes_of([*crowd(liars=2), *expert])


@pytest.mark.parametrize("method", ["one_coin", "dawid_skene"])
def test_known_answers_decide_who_is_right_against_a_majority(method):
    votes = liars_majority()
    without, _ = learn(votes, method)
    learnt, ledger = learn(votes, method, gold=("专家",))
    lying = ledger.set_index("annotator_id")["accuracy_ratio"]
    assert lying["人0"] > 0.9 > 0.2 > lying["人2"]
    new = votes_of([("new", "人0", "good"), ("new", "人1", "坏")])
    assert learnt.reputation.posterior(new, pd.Index(["new"]))[0, 1] > 0.9
    assert without.reputation.posterior(new, pd.Index(["new"]))[0, 1] < 0.5


@pytest.mark.parametrize("method", ["majority", *METHODS])
def test_a_known_answer_is_never_overturned(method):
    votes = liars_majority()
    documents = votes[["document_id"]].drop_duplicates().assign(source="shop", language="zh")
    learnt, _ = learn(votes, method, gold=("专家",))
    decided = decide_answers(documents, votes, TASK, Labeling(gold={"annotators": ("专家",)}), reputation=learnt.reputation)
    known = decided[decided["document_id"] < "d10"]
    assert known["label"].tolist() == [LABELS[number % 2] for number in range(10)]
    assert known["is_confident"].all()
    published = dict(zip(decided["document_id"], decided["label"], strict=True))
    overturned = learn(votes, method, published=published, gold=("专家",))[0].overturned
    assert not set(overturned["document_id"]) & set(known["document_id"])


def test_answers_to_gold_questions_are_counted_and_those_of_gold_annotators_are_not():
    _, ledger = learn(liars_majority(), gold=("专家",))
    rows = ledger.set_index("annotator_id")
    assert rows["gold_count"].to_dict() == {"专家": 0, "人0": 10, "人1": 10, "人2": 10}
    assert rows["gold_ratio"].dropna().to_dict() == {"人0": 1.0, "人1": 0.0, "人2": 0.0}

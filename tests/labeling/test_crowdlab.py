"""Annotators and a model decide together; the reference is the implementation of the paper's authors."""

import numpy as np
import pandas as pd
import pytest
from cleanlab.multiannotator import get_label_quality_multiannotator

from assets.labeling.aggregation import Votes
from assets.labeling.crowd_and_model import learn_crowd_and_model, said_by_model
from assets.labeling.crowdlab import combine, weigh_crowd


def crowd(seed, items=300, annotators=12, labels=3):
    """Annotators of different skill who each label a third, and a model that leans to the truth: votes and probabilities."""
    random = np.random.default_rng(seed)
    truth, skill = random.integers(0, labels, items), random.uniform(0.5, 0.95, annotators)
    given = np.full((items, annotators), np.nan)
    for annotator in range(annotators):
        asked = random.random(items) < 0.3
        guess = random.integers(0, labels, asked.sum())
        given[asked, annotator] = np.where(random.random(asked.sum()) < skill[annotator], truth[asked], guess)
    alone = np.isnan(given).all(axis=1)
    given[alone, 0] = truth[alone]
    model = random.dirichlet(np.ones(labels), items)
    model[np.arange(items), truth] += 1
    return truth, given, model / model.sum(axis=1, keepdims=True)


def votes_of(given, labels=3):
    item, annotator = np.nonzero(~np.isnan(given))
    return Votes(item, annotator, given[item, annotator].astype(int), *given.shape, labels)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_and_probabilities_are_those_of_the_reference(seed):
    _, given, model = crowd(seed)
    reference = get_label_quality_multiannotator(pd.DataFrame(given), model, verbose=False, return_weights=True)
    weights = weigh_crowd(votes_of(given), model)
    posterior = combine(votes_of(given), model, weights)
    assert weights.model == pytest.approx(reference["model_weight"])
    assert weights.annotator == pytest.approx(reference["annotator_weight"])
    quality = reference["label_quality"]
    assert posterior[np.arange(300), quality["consensus_label"]] == pytest.approx(quality["consensus_quality_score"].to_numpy())


def test_it_is_right_more_often_than_the_majority():
    truth, given, model = crowd(3)
    votes = votes_of(given)
    majority = np.stack([(given == label).sum(axis=1) for label in range(3)], axis=1).argmax(axis=1)
    found = combine(votes, model, weigh_crowd(votes, model)).argmax(axis=1)
    assert (found == truth).mean() > (majority == truth).mean() + 0.03


def test_where_the_model_says_nothing_people_decide_and_where_nobody_does_nothing_is_known():
    _, given, model = crowd(0)
    given[:2] = np.nan
    given[0, :3] = 2
    model[:2] = np.nan
    posterior = combine(votes_of(given), model, weigh_crowd(votes_of(given), model))
    assert posterior[0].argmax() == 2
    assert posterior[1].tolist() == pytest.approx([1 / 3] * 3)
    assert posterior.sum(axis=1) == pytest.approx(np.ones(300))


def test_without_documents_with_two_votes_and_a_word_of_the_model_nothing_can_be_weighed():
    votes = Votes(np.array([0, 1]), np.array([0, 1]), np.array([0, 1]), 2, 2, 2)
    with pytest.raises(ValueError, match="expected a document with two votes and a word of the model, found none"):
        weigh_crowd(votes, np.full((2, 2), 0.5))


def test_documents_that_the_model_speaks_of_are_decided_with_it():
    truth, given, model = crowd(0)
    numbers = votes_of(given)
    documents = pd.DataFrame({"document_id": [f"文{number:03}" for number in range(300)]})
    voters = pd.DataFrame({"voter": [f"人{number:02}" for number in range(12)], "voter_kind": "human"})
    votes = pd.DataFrame({"item": numbers.item, "annotator": numbers.annotator, "label": numbers.label})
    predictions = documents.iloc[:200].assign(probabilities=list(model[:200]))
    opinion, posterior = learn_crowd_and_model(votes, voters, documents, ("a", "b", "c"), predictions)
    named = pd.DataFrame(
        {
            "document_id": documents["document_id"].to_numpy()[numbers.item],
            "annotator_id": voters["voter"].to_numpy()[numbers.annotator],
            "source": "shop",
            "label": np.array(["a", "b", "c"])[numbers.label],
        }
    )
    some = pd.Index(["文250", "文003"])
    found = opinion.posterior(named[named["document_id"].isin(some)], some)
    assert found == pytest.approx(posterior[[250, 3]])
    assert (posterior[:200].argmax(axis=1) == truth[:200]).mean() > (posterior[200:].argmax(axis=1) == truth[200:]).mean()


def test_predictions_for_other_labels_say_nothing():
    predictions = pd.Series({"a": [0.5, 0.5], "b": [0.2, 0.3, 0.5]})
    assert np.isnan(said_by_model(predictions, pd.Index(["a", "b", "new"]), 3)).all(axis=1).tolist() == [True, False, True]

from typing import get_args

import numpy as np
import pytest

from assets.labeling.aggregation import Method, Votes, aggregate

METHODS = get_args(Method)
MODELS = ("one_coin", "dawid_skene", "mace")


def votes_of(rows, labels=2):
    """From a list of {annotator: label}, one per item."""
    found = [(item, annotator, label) for item, row in enumerate(rows) for annotator, label in row.items()]
    item, annotator, label = (np.array(column, dtype=np.int64) for column in zip(*found, strict=True)) if found else [np.zeros(0, int)] * 3
    return Votes(item, annotator, label, len(rows), int(annotator.max(initial=-1)) + 1, labels)


def simulate(accuracies, items=600, labels=3, seed=0):
    """Everybody votes on everything; wrong labels are drawn evenly."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, labels, items)
    right = random.random((items, len(accuracies))) < np.array(accuracies)
    wrong = (truth[:, None] + random.integers(1, labels, right.shape)) % labels
    return truth, votes_of([dict(enumerate(row)) for row in np.where(right, truth[:, None], wrong).tolist()], labels)


def share_right(found, truth):
    return float((found.posterior.argmax(axis=1) == truth).mean())


@pytest.mark.parametrize("method", METHODS)
def test_what_all_say_is_the_label(method):
    found = aggregate(votes_of([{0: 1, 1: 1, 2: 1}, {0: 0, 1: 0, 2: 0}, {0: 1, 1: 1}]), method)
    assert found.posterior.argmax(axis=1).tolist() == [1, 0, 1]
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(3))
    assert found.posterior.max(axis=1).min() > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_ties_go_to_the_first_label_and_items_without_votes_are_open(method):
    found = aggregate(votes_of([{0: 1, 1: 0}, {0: 0, 1: 1}, {}]), method)
    assert found.posterior.argmax(axis=1).tolist() == [0, 0, 0]
    assert found.posterior[2] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("method", METHODS)
def test_no_votes_at_all_are_no_error(method):
    found = aggregate(votes_of([{}, {}], labels=3), method)
    assert found.posterior == pytest.approx(np.full((2, 3), 1 / 3))


@pytest.mark.parametrize("method", METHODS)
def test_the_same_votes_give_the_same_bits(method):
    _, votes = simulate([0.9, 0.6, 0.4])
    assert np.array_equal(aggregate(votes, method).posterior, aggregate(votes, method).posterior)


@pytest.mark.parametrize("method", METHODS)
def test_votes_out_of_range_are_an_error(method):
    with pytest.raises(ValueError, match="votes: expected every label from 0 to 1, found 0 to 2"):
        aggregate(Votes(np.array([0, 0]), np.array([0, 1]), np.array([0, 2]), 1, 2, 2), method)


@pytest.mark.parametrize("method", MODELS)
def test_one_who_knows_outweighs_several_who_guess(method):
    truth, votes = simulate([0.97, 0.4, 0.4, 0.4])
    assert share_right(aggregate(votes, method), truth) > share_right(aggregate(votes, "majority"), truth) + 0.15


def test_weighted_majority_listens_to_those_who_agree_with_the_others():
    truth, votes = simulate([0.9, 0.85, 0.35, 0.35, 0.35])
    assert share_right(aggregate(votes, "weighted_majority"), truth) > share_right(aggregate(votes, "majority"), truth) + 0.02


@pytest.mark.parametrize("method", MODELS)
def test_accuracies_of_annotators_are_found(method):
    accuracies = [0.95, 0.8, 0.7, 0.5, 0.9]
    _, votes = simulate(accuracies, items=3000)
    assert aggregate(votes, method, shrinkage=0.0).accuracy == pytest.approx(accuracies, abs=0.04)


def test_dawid_and_skene_turn_the_votes_of_one_who_mixes_labels_up():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 400)
    rows = [{0: int(t), 1: int(t) if random.random() < 0.8 else int(1 - t), 2: int(1 - t)} for t in truth]
    found = aggregate(votes_of(rows), "dawid_skene")
    assert share_right(found, truth) > 0.99
    assert found.confusion[2].argmax(axis=0).tolist() == [1, 0]


def test_mace_finds_who_always_gives_the_same_label():
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 500)
    rows = [{0: int(t), 1: int(t) if random.random() < 0.9 else 0, 2: 2, 3: 2} for t in truth]
    found = aggregate(votes_of(rows, 3), "mace")
    assert share_right(found, truth) > 0.97
    assert found.confusion[2, 2].min() > 0.9  # label 2, whatever is true


def slow_dawid_skene(votes, iterations):
    """The paper's formulas, vote by vote."""
    posterior = np.zeros((votes.items, votes.labels))
    for item, label in zip(votes.item, votes.label, strict=True):
        posterior[item, label] += 1
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(iterations):
        confusion = np.zeros((votes.annotators, votes.labels, votes.labels))
        for item, annotator, label in zip(votes.item, votes.annotator, votes.label, strict=True):
            confusion[annotator, label] += posterior[item]
        confusion /= confusion.sum(axis=1, keepdims=True)
        likelihood = np.tile(posterior.mean(axis=0), (votes.items, 1))
        for item, annotator, label in zip(votes.item, votes.annotator, votes.label, strict=True):
            likelihood[item] *= confusion[annotator, label]
        posterior = likelihood / likelihood.sum(axis=1, keepdims=True)
    return posterior


def test_without_shrinkage_it_is_what_the_paper_says():
    _, votes = simulate([0.9, 0.7, 0.6, 0.5], items=80)
    found = aggregate(votes, "dawid_skene", shrinkage=0.0, iterations=7, tolerance=0.0)
    assert found.posterior == pytest.approx(slow_dawid_skene(votes, 7), abs=1e-6)
    assert found.iterations == 7


def test_an_annotator_with_few_votes_is_taken_for_the_mean_of_all():
    _, votes = simulate([0.9, 0.9, 0.9], items=300)
    one_more = Votes(np.append(votes.item, 0), np.append(votes.annotator, 3), np.append(votes.label, 2), 300, 4, 3)
    accuracy = aggregate(one_more, "one_coin", shrinkage=2.0).accuracy
    assert accuracy[3] == pytest.approx(0.9, abs=0.1)


def test_rounds_end_when_nothing_moves():
    _, votes = simulate([0.9, 0.9, 0.9])
    assert aggregate(votes, "dawid_skene").iterations < 100

import numpy as np
import pytest

from assets.labeling.rating_consensus import decide_ratings, fit_ratings


def rate(means, raters, spread=1.0, seed=0):
    """Rounded ratings from -4 to 4 around the means, as (text, rating)."""
    random = np.random.default_rng(seed)
    ratings = np.clip(np.rint(means[:, None] + random.normal(0, spread, (len(means), raters))), -4, 4)
    return np.repeat(np.arange(len(means)), raters), ratings.ravel()


@pytest.fixture
def extreme():
    return np.random.default_rng(1).choice([-3.0, 3.0], 2000) + np.random.default_rng(2).normal(0, 0.3, 2000)


@pytest.fixture
def lukewarm():
    return np.random.default_rng(1).normal(0.3, 0.4, 2000)


@pytest.mark.parametrize("name", ["extreme", "lukewarm"])
def test_it_is_nearer_to_the_true_mean_than_the_mean_of_three_ratings(request, name):
    truth = request.getfixturevalue(name)
    text, rating = rate(truth, 3)
    found = decide_ratings(text, rating, len(truth), fit_ratings(text, rating, -4, 4))
    plain = np.bincount(text, weights=rating) / 3
    assert np.mean((found.mean - truth) ** 2) < 0.7 * np.mean((plain - truth) ** 2)


def test_a_source_of_extreme_opinions_pulls_outwards_and_one_of_lukewarm_ones_inwards(extreme, lukewarm):
    rating, text = np.array([2.0, 2.0]), np.array([0, 0])
    out, inwards = (decide_ratings(text, rating, 1, fit_ratings(*rate(means, 3), -4, 4)).mean[0] for means in (extreme, lukewarm))
    assert inwards < 1.7
    assert out > 2.3


def test_many_ratings_decide_by_themselves(lukewarm):
    model = fit_ratings(*rate(lukewarm, 3), -4, 4)
    found = decide_ratings(np.zeros(200, dtype=np.int64), np.full(200, 1.0), 1, model)
    assert found.mean[0] == pytest.approx(1.0, abs=0.1)


def test_the_spread_of_raters_is_found(extreme):
    assert fit_ratings(*rate(np.clip(extreme, -2, 2), 5, spread=0.8), -4, 4).spread == pytest.approx(0.85, abs=0.1)


def test_texts_without_ratings_have_the_distribution_of_their_source(lukewarm):
    model = fit_ratings(*rate(lukewarm, 3), -4, 4)
    found = decide_ratings(np.zeros(0, dtype=np.int64), np.zeros(0), 2, model)
    assert found.posterior == pytest.approx(np.tile(model.share, (2, 1)))


def test_probabilities_add_up_and_stay_numbers(extreme):
    text, rating = rate(extreme, 50)
    found = decide_ratings(text, rating, len(extreme), fit_ratings(text, rating, -4, 4))
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(len(extreme)))


@pytest.mark.parametrize("ratings", [[2.0], [2.0, 2.0], [2.0, 2.0, 2.0]])
def test_raters_who_always_agree_are_believed_but_not_blindly(ratings):
    text = np.zeros(len(ratings), dtype=np.int64)
    model = fit_ratings(text, np.array(ratings), -4, 4)
    assert decide_ratings(text, np.array(ratings), 1, model).mean[0] == pytest.approx(2.0, abs=0.05)
    assert model.spread > 0


@pytest.mark.parametrize(("ratings", "found"), [([], "none"), ([5.0, 1.0], "1 to 5"), ([-4.5], "-4.5 to -4.5")])
def test_no_ratings_or_one_outside_the_scale_are_an_error(ratings, found):
    with pytest.raises(ValueError, match=f"expected ratings from -4 to 4, found {found}"):
        fit_ratings(np.zeros(len(ratings), dtype=np.int64), np.array(ratings), -4, 4)

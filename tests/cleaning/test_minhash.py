import numpy as np
import pytest

from assets.cleaning.minhash import BANDS, ROWS, minhash_bands


def random_hashes(generator, sets, members):
    return generator.integers(0, 2**64, (sets, members), dtype=np.uint64)


def found_share(similarity, members, pairs=2000):
    """Share of the pairs of sets with about a Jaccard similarity that share a band, and the similarity that they have exactly."""
    generator = np.random.default_rng(5)
    left, right = random_hashes(generator, pairs, members), random_hashes(generator, pairs, members)
    shared = round(2 * members * similarity / (1 + similarity))
    right[:, :shared] = left[:, :shared]
    counts = np.full(pairs, members)
    is_found = (minhash_bands(left.ravel(), counts) == minhash_bands(right.ravel(), counts)).any(axis=1)
    return float(is_found.mean()), shared / (2 * members - shared)


@pytest.mark.parametrize("members", [10, 130])
@pytest.mark.parametrize("similarity", [0.0, 0.3, 0.6, 0.7, 0.8, 0.9])
def test_pairs_are_found_as_often_as_independent_permutations_would(similarity, members):
    found, exact = found_share(similarity, members)
    assert found == pytest.approx(1 - (1 - exact**ROWS) ** BANDS, abs=0.03)


def test_order_and_repetition_of_members_change_nothing_and_sets_do_not_touch_each_other():
    first, second = random_hashes(np.random.default_rng(6), 2, 20)
    doubled = np.concatenate((first[::-1], first[:3]))
    bands = minhash_bands(np.concatenate((first, second, doubled)), np.array([20, 20, 23]))
    assert bands.shape == (3, BANDS)
    assert bands[0].tolist() == bands[2].tolist()
    assert not set(bands[0].tolist()) & set(bands[1].tolist())


def test_a_set_of_one_member_has_bands_that_differ():
    bands = minhash_bands(np.array([0], dtype=np.uint64), np.array([1]))
    assert len(set(bands[0].tolist())) == BANDS

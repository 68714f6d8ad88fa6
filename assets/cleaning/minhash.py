"""MinHash signatures of sets of hashes, and their bands: what of a text is kept to find similar ones later.

Making sets of a text does not belong here (see `shingles.py`), nor does comparing them (see `duplicates.py`).

MinHash: Broder 1997, "On the resemblance and containment of documents". The permutations are products with odd numbers modulo 2^32
(Dietzfelbinger et al. 1997, "A reliable randomized algorithm for the closest-pair problem") of hashes that are mixed well already. The
whole set is looked at, whatever its size: sparse variants lose a fifth of the near duplicates. 12 bands of 4 rows find a pair of
Jaccard similarity s with probability 1 - (1 - s^4)^12: 0.998 at 0.8, 0.96 at 0.7, 0.81 at 0.6 and 0.09 at 0.3; what they find is then
verified. Longer bands, of which more are needed to find as much, would leave fewer to verify, but that is the smaller part of the work.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from assets.cleaning.word_hashes import Hashes, Positions, mix, odd_numbers

BANDS = 12
ROWS = 4
_HALF = np.uint64(32)


def minhash_bands(hashes: Hashes, counts: Positions) -> Hashes:
    """Bands of sets.

    Args:
        hashes: The members of all sets in one flat array, set by set; a member may occur twice.
        counts: How many of them each set has, at least one.

    Returns:
        A (sets, bands) array; the band's number is part of its hash, so that equal rows of different bands do not collide.
    """
    signatures = _signatures(hashes, counts)
    state = np.empty((BANDS, len(counts)), dtype=np.uint64)
    state[:] = np.arange(1, BANDS + 1, dtype=np.uint64)[:, None]
    for row, factor in enumerate(_row_factors()):
        state += signatures[row::ROWS] * factor
    return np.ascontiguousarray(mix(state).T)


def _signatures(hashes: Hashes, counts: Positions) -> npt.NDArray[np.uint32]:
    """A (permutations, sets) array: the least value that each permutation gives to a member of each set."""
    halves = (hashes >> _HALF).astype(np.uint32)
    begins = np.cumsum(counts) - counts
    signatures = np.empty((BANDS * ROWS, len(counts)), dtype=np.uint32)
    permuted = np.empty_like(halves)
    for factor, found in zip(_factors(), signatures, strict=True):
        np.multiply(halves, factor, out=permuted)
        np.minimum.reduceat(permuted, begins, out=found)
    return signatures


@cache
def _factors() -> npt.NDArray[np.uint32]:
    """One odd number per permutation."""
    return (odd_numbers(BANDS * ROWS, seed=42) >> _HALF).astype(np.uint32) | np.uint32(1)


@cache
def _row_factors() -> Hashes:
    """One odd number per row of a band: a multilinear hash (Lemire and Kaser 2014, "Strongly universal string hashing is fast")."""
    return odd_numbers(ROWS, seed=43)

"""Which of many lists of hashes share one with a given set: the look-up behind `Step.lookup_overlapping`, on arrays in place of rows."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]
SPARE_BITS = 4
"""The sieve has some 16 places for each hash, so that about one in sixteen of the others passes it."""


class Sieve:
    """A set of hashes that most others are told apart from by their first bits alone, which stay in the processor's cache.

    Args:
        wanted: The hashes; evenly spread over 64 bits, as hashes are.
    """

    def __init__(self, wanted: Hashes) -> None:
        self._wanted = np.sort(wanted)
        bits = max(len(self._wanted), 2).bit_length() + SPARE_BITS
        self._shift = np.uint64(64 - bits)
        self._places = np.zeros(1 << bits, dtype=np.bool_)
        self._places[self._wanted >> self._shift] = True

    def holds_any(self, lists: pa.ListArray) -> npt.NDArray[np.bool_]:
        """Whether each list (of unsigned 64-bit integers; none is an empty one) shares a value with the set."""
        values: Hashes = lists.flatten().to_numpy()
        ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
        likely = np.flatnonzero(self._places[values >> self._shift])
        nearest = np.searchsorted(self._wanted, values[likely])  # one that passed the sieve is seldom above all of them
        found = likely[self._wanted[np.minimum(nearest, len(self._wanted) - 1)] == values[likely]]
        holds = np.zeros(len(lists), dtype=np.bool_)
        holds[np.searchsorted(ends, found, side="right")] = True
        return holds

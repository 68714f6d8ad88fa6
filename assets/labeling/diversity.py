"""Documents that are unlike each other, and unlike those that have labels: greedy k-center.

One after the other the document that lies farthest from everything chosen so far (Gonzalez, Theoretical Computer Science 38, 1985; for
active learning Sener & Savarese, ICLR 2018, arXiv 1708.00489). Arrays in, arrays out.
"""

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def spread_out(pool: Vectors, labelled: Vectors, count: int, block: int = 1_000) -> npt.NDArray[np.int64]:
    """Places of the documents to ask about, most useful first.

    Memory grows with the pool, never with its square.

    Args:
        pool: Vectors of length 1 of the documents to choose from, (documents, H).
        labelled: Vectors of documents that have labels, (labelled, H); without any, the document nearest to the middle comes first.
        count: Most documents.
        block: Labelled documents compared at a time.
    """
    if not len(pool) or count <= 0:
        return np.zeros(0, dtype=np.int64)
    nearest = np.full(len(pool), -np.inf, dtype=np.float32)
    for start in range(0, len(labelled), block):
        nearest = np.maximum(nearest, (pool @ labelled[start : start + block].T).max(axis=1))
    chosen: list[int] = []
    while len(chosen) < min(count, len(pool)):
        place = int(nearest.argmin()) if chosen or len(labelled) else int((pool @ pool.mean(axis=0)).argmax())
        chosen.append(place)
        nearest = np.maximum(nearest, pool @ pool[place])
        nearest[chosen] = np.inf
    return np.array(chosen, dtype=np.int64)

"""Which documents belong together: what is learnt from one must not be judged on another of the same group.

A group is a connected component of documents that share a source document (`parent_id`, within a source) or a near-duplicate cluster.
"""

import numpy as np
import pandas as pd


def deal_groups(groups: pd.Series, folds: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The fold of every row, (rows,), from 0: whole groups, dealt in turn from the largest."""
    numbers = pd.factorize(groups)[0]
    order = np.argsort(-np.bincount(numbers), kind="stable")
    fold_of_group = np.empty(len(order), dtype=np.int64)
    fold_of_group[order] = np.arange(len(order)) % folds
    return np.asarray(fold_of_group[numbers])


def group_documents(documents: pd.DataFrame) -> pd.Series:
    """Group id per document: the smallest `source/parent_id` among the documents connected to it."""
    from scipy.sparse import coo_matrix  # not while definitions load
    from scipy.sparse.csgraph import connected_components

    parent = documents["source"].astype(str) + "/" + documents["parent_id"].astype(str)
    parents, clusters = pd.factorize(parent)[0], pd.factorize(documents["cluster_id"])[0]
    nodes = int(parents.max(initial=-1)) + 1 + int(clusters.max(initial=-1)) + 1
    if nodes == 0:
        return pd.Series([], dtype=object)
    edges = coo_matrix((np.ones(len(documents), dtype=bool), (parents, clusters + parents.max() + 1)), shape=(nodes, nodes))
    component = pd.Series(connected_components(edges, directed=False)[1][parents], index=documents.index)
    return parent.groupby(component).transform("min")

"""Leakage-free splits: documents of one group never span two splits.

What a group is, `assets/grouping.py` says. The split is drawn by a hash of the group's id, so it depends on nothing but the data and the
salt.
"""

import hashlib

import numpy as np
import pandas as pd

from assets.grouping import group_documents
from assets.project import Storage


def assign_splits(documents: pd.DataFrame, settings: Storage) -> pd.DataFrame:
    """Draw a split for every document.

    Args:
        documents: One row per document: `document_id` (unique), `source`, `parent_id`, `cluster_id`.
        settings: Shares and salt.

    Returns:
        One row per document, ordered by id: `document_id`, `group_id` (the smallest parent key of the group), `split`.
    """
    ordered = documents.sort_values("document_id", ignore_index=True)
    group = group_documents(ordered)
    draw = group.drop_duplicates().map(lambda group_id: draw_share(f"{settings.split_salt}\0{group_id}"))
    split = np.select([draw < settings.test_share, draw < settings.test_share + settings.dev_share], ["test", "dev"], default="train")
    split_of_group = dict(zip(group.drop_duplicates(), split, strict=True))
    return pd.DataFrame({"document_id": ordered["document_id"], "group_id": group, "split": group.map(split_of_group)})


def draw_share(text: str) -> float:
    """A number in [0, 1) that is a fixed hash of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def count_leaks(documents: pd.DataFrame, column: str) -> int:
    """How many values of a column occur in more than one split."""
    return int(documents.drop_duplicates([column, "split"])[column].duplicated().sum())

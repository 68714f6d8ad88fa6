"""Drawing a share of the train split, the same for everybody, smaller shares within larger ones."""

import hashlib

import pandas as pd


def draw_share(documents: pd.DataFrame, share: float) -> pd.DataFrame:
    """Documents whose group falls within the share.

    The hash of the group's id decides, so that a share does not depend on the order of rows or on what else is in the split, and every
    smaller share is contained in it. Groups stay whole: the rows drawn are about the share, not exactly.

    Args:
        documents: One row per document; read: `group_id`.
        share: Above 0, at most 1.

    Raises:
        ValueError: The share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"training.share: expected a number above 0 and at most 1, or `all`, found {share}")
    if share == 1:
        return documents.reset_index(drop=True)
    places = {group: _place(group) for group in documents["group_id"].unique()}
    return documents[documents["group_id"].map(places) < share].reset_index(drop=True)


def draw_rows(documents: pd.DataFrame, share: float) -> pd.DataFrame:
    """Documents whose group falls within the share, each under its own index; see `draw_share`."""
    numbered = pd.DataFrame({"group_id": documents["group_id"], "number": range(len(documents))})
    return documents.iloc[draw_share(numbered, share)["number"].to_numpy()]


def _place(group: str) -> float:
    """A number in [0, 1) that only the group's id decides."""
    digest = hashlib.sha256(f"train-share {group}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56

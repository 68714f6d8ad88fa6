"""Splits are drawn per group, stable, and leak nothing."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.grouping import group_documents
from assets.project import Storage
from assets.storage.splits import assign_splits, count_leaks, draw_share

SETTINGS = Storage(dev_share=0.2, test_share=0.3)


def documents(rows):
    return pd.DataFrame(rows, columns=["document_id", "source", "parent_id", "cluster_id"])


def test_documents_of_one_article_or_one_cluster_are_one_group():
    frame = documents([("a", "news", "1", "a"), ("b", "news", "1", "b"), ("c", "blog", "9", "b"), ("d", "blog", "1", "d")])
    assert group_documents(frame).tolist() == ["blog/9", "blog/9", "blog/9", "blog/1"]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_no_group_and_no_cluster_spans_two_splits(pairs):
    frame = documents([(f"d{i:03}", "s", f"p{parent}", f"c{cluster}") for i, (parent, cluster) in enumerate(pairs)])
    assigned = frame.merge(assign_splits(frame, SETTINGS), on="document_id")
    assert len(assigned) == len(frame)
    assert count_leaks(assigned, "group_id") == count_leaks(assigned, "cluster_id") == count_leaks(assigned, "parent_id") == 0


def test_the_order_of_the_rows_does_not_matter():
    frame = documents([(f"d{i:04}", "源", f"p{i // 2}", f"d{i:04}") for i in range(500)])
    shuffled = frame.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(assign_splits(frame, SETTINGS), assign_splits(shuffled, SETTINGS))


def test_shares_are_near_what_was_asked_for():
    frame = documents([(f"d{i:05}", "s", f"p{i}", f"d{i:05}") for i in range(5000)])
    shares = assign_splits(frame, SETTINGS)["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.3, abs=0.02)
    assert shares["dev"] == pytest.approx(0.2, abs=0.02)


def test_another_salt_draws_other_splits():
    frame = documents([(f"d{i:04}", "s", f"p{i}", f"d{i:04}") for i in range(200)])
    other = SETTINGS.model_copy(update={"split_salt": "other"})
    assert assign_splits(frame, SETTINGS)["split"].tolist() != assign_splits(frame, other)["split"].tolist()


def test_a_leak_is_counted():
    frame = pd.DataFrame({"group_id": ["g", "g", "h"], "split": ["train", "test", "test"]})
    assert count_leaks(frame, "group_id") == 1


def test_the_draw_is_a_fixed_number():
    assert draw_share("textmill") == draw_share("textmill")
    assert 0 <= draw_share("磨坊") < 1

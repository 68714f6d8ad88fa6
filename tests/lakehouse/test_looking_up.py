"""Looking up rows that are published, or written by the same step: by keys, within increments, by hashes that lists share."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from assets.schemas import Column, Table
from resources.increments import increment
from resources.sieve import Sieve

KEY, TEXT = Column("key", "VARCHAR", "Key."), Column("text", "VARCHAR", "Text.", nullable=True)
HASHES = Column("hashes", "UBIGINT[]", "Hashes.", nullable=True)
NOTES = Table("notes", "notes", "One row per note.", (KEY, TEXT, HASHES), ("key",))
LARGEST = 2**64 - 1


def rows(**hashes):
    arrays = [None if each is None else np.array(each, dtype=np.uint64) for each in hashes.values()]
    return pd.DataFrame({"key": list(hashes), "text": [f"text {key}" for key in hashes], "hashes": arrays})


@pytest.fixture
def notes(chain_of):
    """Two approved increments of notes, one that waits for its verdict."""
    chain = chain_of(NOTES)
    for batch in (rows(a=[1, LARGEST], b=[], 三=None), rows(d=[2, 3], e=[4])):
        chain.put("notes", batch)
        chain.decide("notes")
    return chain


def step_of(chain):
    return increment(chain.lakehouse, "notes", run_id="a look", code_version="1")


def test_rows_are_found_by_key_in_increments_and_in_what_the_step_wrote(notes):
    ids = [each.increment_id for each in notes.lakehouse.increments("notes")]
    with step_of(notes) as step:
        step.write("notes", rows(f=[9]))
        found = step.lookup("notes", pd.DataFrame({"key": ["a", "d", "f", "x"]}), ["increment_id", "key"])
        assert sorted(found.itertuples(index=False, name=None)) == sorted([(ids[0], "a"), (ids[1], "d"), (step.increment_id, "f")])
        assert sorted(step.lookup("notes", found)["text"]) == ["text a", "text d", "text f"]
        elsewhere = found.assign(increment_id=ids[1])
        assert step.lookup("notes", elsewhere).columns.tolist() == ["key", "text", "hashes"]
        assert step.lookup("notes", elsewhere)["key"].tolist() == ["d"]
        assert step.lookup_staged("notes", found)["key"].tolist() == ["f"]


SHARED = [
    ([1], ["a"]),
    ([LARGEST, 3], ["a", "d"]),
    ([4, 4, 9], ["e", "f"]),
    ([0, 5, 2**63], []),
    ([], []),
    ([1, 2, 3, 4, 9], ["a", "d", "e", "f"]),
]


def test_rows_are_found_by_a_hash_that_their_list_shares(notes):
    with step_of(notes) as step:
        step.write("notes", rows(f=[9, 4], g=[], h=None))
        for wanted, keys in SHARED:
            found = step.lookup_overlapping("notes", "hashes", np.array(wanted, dtype=np.uint64))
            assert found.columns.tolist() == ["increment_id", "key"]
            assert sorted(found["key"]) == keys


def test_what_was_not_approved_is_not_found(notes):
    notes.put("notes", rows(i=[1]))
    with step_of(notes) as step:
        assert step.lookup_overlapping("notes", "hashes", np.array([1], dtype=np.uint64))["key"].tolist() == ["a"]


def test_a_sieve_says_what_sets_say():
    random = np.random.default_rng(5)
    wanted = random.integers(0, 2**64, 3000, dtype=np.uint64)
    others = random.integers(0, 2**64, 20000, dtype=np.uint64)
    pool = np.concatenate([others, wanted[:200], wanted[:200] + np.uint64(1)])
    lists = [random.choice(pool, size).tolist() if size else None for size in random.integers(0, 9, 5000)]
    expected = [bool(set(each or ()) & set(wanted.tolist())) for each in lists]
    assert 0 < sum(expected) < len(lists)
    column = pa.array(lists, type=pa.list_(pa.uint64()))
    assert Sieve(wanted).holds_any(column).tolist() == expected
    assert Sieve(wanted).holds_any(column[1000:]).tolist() == expected[1000:]
    assert not Sieve(wanted[:0]).holds_any(column).any()

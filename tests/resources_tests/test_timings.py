"""Reads and writes are counted by place and operation: times in buckets, failures, attempts; nothing is lost when counts cannot be kept."""

import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from resources.object_store import LocalObjectStore, ObjectNotFoundError, ObjectStoreError
from resources.timed_object_store import TimedObjectStore
from resources.timings import BUCKETS, Timings


def test_buckets_are_ten_a_decade_and_end_with_all_the_rest():
    assert (BUCKETS[0], BUCKETS[10], BUCKETS[-2], BUCKETS[-1]) == (0.0001, 0.001, 1000, math.inf)
    assert all(1.25 < after / before < 1.27 for before, after in itertools.pairwise(BUCKETS[:-1]))


@pytest.mark.parametrize(
    ("seconds", "end"), [(0.0, "0.0001"), (0.0001, "0.0001"), (0.00011, "0.0001259"), (1.0, "1"), (1000.0, "1000"), (1000.1, "inf")]
)
def test_a_time_is_counted_in_the_first_bucket_that_is_not_shorter(seconds, end):
    timings = Timings()
    timings.count("lakehouse", "read", seconds)
    (timing,) = timings.read().values()
    assert (json.loads(timing.to_json()), timing.seconds) == ({end: 1}, seconds)


def test_failures_are_counted_and_answers_are_not_failures():
    timings = Timings()
    for error in (ValueError, KeyError):
        with pytest.raises(error), timings.observe("object_store", "read", (KeyError,)):
            raise error
    with timings.observe("object_store", "read"):
        pass
    timing = timings.read()["object_store", "read"]
    assert (timing.calls, timing.errors, timing.histogram.total()) == (3, 1, 3)


def test_what_was_taken_is_counted_again_when_it_could_not_be_kept():
    timings = Timings()
    timings.count("lakehouse", "read", 0.5)
    with pytest.raises(ValueError, match="no room"), timings.taken() as taken:  # noqa: PT012  # counting goes on meanwhile
        timings.count("lakehouse", "read", 0.5)
        timings.count_retry("lakehouse", "read")
        assert taken["lakehouse", "read"].calls == 1
        raise ValueError("no room")
    timing = timings.read()["lakehouse", "read"]
    assert (timing.calls, timing.retries, timing.seconds, dict(timing.histogram)) == (2, 1, 1.0, {0.5012: 2})
    with timings.taken() as taken:
        assert taken["lakehouse", "read"].calls == 2
    assert timings.read() == {}


def test_a_copy_that_was_read_does_not_go_on_counting():
    timings = Timings()
    timings.count("lakehouse", "read", 0.5)
    copy = timings.read()["lakehouse", "read"]
    timings.count("lakehouse", "read", 0.5)
    assert (copy.calls, copy.histogram.total()) == (1, 1)


def test_threads_lose_no_count():
    timings = Timings()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: timings.count("lakehouse", "read", number / 1000), range(2000)))
    timing = timings.read()["lakehouse", "read"]
    assert (timing.calls, timing.histogram.total()) == (2000, 2000)


@pytest.mark.parametrize("payload", [b"some bytes", "一些文字".encode()])
def test_an_object_store_is_counted_and_answers_as_the_one_beneath(tmp_path, payload):
    timings, inner = Timings(), LocalObjectStore(tmp_path / "objects")
    store = TimedObjectStore(inner, timings)
    store.put("raw/a", payload)
    (tmp_path / "file").write_bytes(payload)
    store.put_file("raw/b", tmp_path / "file")
    store.get_file("raw/a", tmp_path / "copy")
    assert (store.get("raw/b"), (tmp_path / "copy").read_bytes(), store.exists("raw/c")) == (payload, payload, False)
    assert [found.key for found in store.list("raw/")] == ["raw/a", "raw/b"]
    assert store.url("raw/a") == inner.url("raw/a")
    store.check()
    store.delete("raw/a")
    with pytest.raises(ObjectNotFoundError):
        store.get("raw/a")
    with pytest.raises(ObjectStoreError, match="expected a key"):
        store.get("../a")
    counted = {operation: (timing.calls, timing.errors) for (_, operation), timing in timings.read().items()}
    assert counted == {"write": (2, 0), "read": (4, 1), "look": (1, 0), "delete": (1, 0)}

"""Votes that come in several flushes of one increment, and in several increments."""

import dataclasses
import hashlib
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from assets.collection.gathering import parse, write_votes
from assets.collection.reading import RawObject
from assets.collection.records import to_raw_documents
from resources.increments import increment
from resources.ledger import set_state

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TEXTS = {"1": "The parcel arrived on Tuesday.", "甲": "这家酒店的服务很好。"}


def record_file(name, value):
    line = {"id": name, "text": TEXTS[name], "votes": [{"annotator": "wang", "value": value}]}
    payload = json.dumps(line, ensure_ascii=False).encode()
    return RawObject(payload, hashlib.sha256(payload).hexdigest(), f"file:///{name}/{value}", "application/x-ndjson")


@pytest.fixture
def lakehouse(platform, project_of):
    source = {"kind": "files", "name": "shop", "path": "/drop/*", "fields": {"votes": "votes"}}
    platform.configure(project_of([source]))
    return platform.lakehouse


@contextmanager
def approved_step(lakehouse, asset, upstream=()):
    """A step whose increment passes its audit."""
    with increment(lakehouse, asset, run_id="run", code_version="1", partition="shop", upstream=upstream) as step:
        yield step

    def approve():
        with lakehouse.transaction() as connection:
            set_state(connection, [step.increment_id], "approved")

    lakehouse.retry(approve)


@pytest.fixture
def source(lakehouse, platform):
    """The source, whose two documents are collected."""
    (source,) = platform.project.sources
    parsed = parse([record_file(name, 0) for name in TEXTS], source)
    with approved_step(lakehouse, "raw_documents") as step:
        known = step.lookup("raw_documents", parsed.documents[["external_id"]])
        step.write("raw_documents", to_raw_documents(parsed.documents, source="shop", known=known, now=NOW).rows)
        step.count(rows_in=2, rows_out=2)
    return source


def vote(lakehouse, store, source, flushes, now=NOW):
    """One increment of votes, written in several flushes."""
    settled = set()
    with approved_step(lakehouse, "raw_annotations", ["raw_documents"]) as step:
        for objects in flushes:
            for found in objects:
                store.put_content(found.payload)
            write_votes(step, pd.DataFrame([vars(found) for found in objects]).drop(columns="payload"), store, source, now, settled)
    return step


def test_a_second_answer_is_refused_however_far_from_the_first(lakehouse, source, platform):
    step = vote(
        lakehouse,
        platform.resources["object_store"],
        source,
        [[record_file("甲", 3), record_file("1", 1)], [record_file("甲", -3)], [record_file("甲", 3)]],
    )
    assert platform.rows("raw_annotations", "external_id", "value") == [("1", 1.0), ("甲", 3.0)]
    assert platform.rows("rejected_annotations", "reason", "uri") == [("second_vote", "file:///甲/-3")]
    assert step.written["raw_annotations"] == 2
    assert (step.counts.rows_in, step.counts.rows_out, step.counts.rows_rejected, step.counts.rows_skipped) == (4, 2, 1, 1)


def test_a_known_answer_that_is_the_newest_stays_however_far_the_older_one_is(lakehouse, source, platform):
    store = platform.resources["object_store"]
    vote(lakehouse, store, source, [[record_file("甲", 3), record_file("1", 2)]])
    later = [[record_file("甲", 3), record_file("1", 2), record_file("1", 4)], [record_file("甲", -3)]]
    step = vote(lakehouse, store, source, later, NOW + timedelta(days=1))
    assert platform.rows("raw_annotations", "external_id", "value") == [("1", 2.0), ("甲", 3.0)]
    assert platform.rows("rejected_annotations", "reason", "uri") == [("second_vote", "file:///1/4"), ("second_vote", "file:///甲/-3")]
    assert (step.counts.rows_in, step.counts.rows_out, step.counts.rows_rejected, step.counts.rows_skipped) == (4, 0, 2, 2)


def test_a_later_answer_in_another_increment_takes_the_place_of_the_first(lakehouse, source, platform):
    vote(lakehouse, platform.resources["object_store"], source, [[record_file("甲", 3)]])
    vote(lakehouse, platform.resources["object_store"], source, [[record_file("甲", -3)]], NOW + timedelta(days=1))
    assert platform.rows("raw_annotations", "external_id", "value") == [("甲", -3.0)]
    assert platform.rows("rejected_annotations", "reason") == []


def test_an_answer_that_is_handed_in_again_is_heard_and_one_that_is_exported_again_is_not(lakehouse, source, platform):
    store = platform.resources["object_store"]
    vote(lakehouse, store, source, [[record_file("甲", 3), record_file("1", 2)]])
    later = NOW + timedelta(days=1)
    by_hand = dataclasses.replace(record_file("甲", 3), uri=store.url("labels/shop/again.jsonl"), role="annotations")
    vote(lakehouse, store, source, [[by_hand, record_file("1", 2)]], later)
    assert platform.rows("raw_annotations", "external_id", "value", "collected_at") == [("1", 2.0, NOW), ("甲", 3.0, later)]

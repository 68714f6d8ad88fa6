"""The bucket channel yields new and changed objects of either object store."""

import gzip

import boto3
import pytest
from moto import mock_aws

from resources.channels.bucket import BucketChannel
from resources.channels.fetched import FetchFailure, SourceError
from resources.object_store import LocalObjectStore, ObjectNotFoundError
from resources.s3_object_store import S3ObjectStore


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path, monkeypatch):
    if request.param == "local":
        (tmp_path / "store").mkdir()
        yield LocalObjectStore(tmp_path / "store")
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="texts")
        yield S3ObjectStore("texts", "movies", client)


def collect(channel, cursor):
    outcomes = list(channel.fetch(dict(cursor)))
    cursor.update({item.cursor_key: item.cursor_value for item in outcomes if not isinstance(item, FetchFailure)})
    return outcomes


def test_new_and_changed_objects_come_once(store):
    store.put("a.jsonl", b"{}\n")
    store.put("中.csv", "text\n你好\n".encode("gb18030"))
    channel, cursor = BucketChannel("s3://texts/movies", store=store), {}
    assert [(item.uri, item.media_type) for item in collect(channel, cursor)] == [
        (store.url("a.jsonl"), "application/x-ndjson"),
        (store.url("中.csv"), "text/csv"),
    ]
    assert collect(channel, cursor) == []
    store.put("a.jsonl", b'{"text": "new"}\n')
    assert [item.payload for item in collect(channel, cursor)] == [b'{"text": "new"}\n']


def test_objects_that_cannot_be_used_are_failures_of_their_own(store):
    store.put("empty.txt", b"")
    store.put("good.txt", b"good")
    store.put("large.txt", b"x" * 11)
    store.put("what", b"x")
    outcomes = collect(BucketChannel("s3://texts/movies", max_object_bytes=10, store=store), {})
    assert [getattr(item, "reason", "fetched") for item in outcomes] == ["empty_object", "fetched", "object_too_large", "unknown_format"]


def test_an_object_that_disappears_is_a_failure(store, monkeypatch):
    store.put("a.txt", b"a")

    def gone(key):
        raise ObjectNotFoundError("expected an object, found none")

    monkeypatch.setattr(store, "get", gone)
    (failure,) = BucketChannel("s3://texts/movies", store=store).fetch({})
    assert failure == FetchFailure(
        store.url("a.txt"), "unreadable_object", "expected a readable object, found: expected an object, found none"
    )


def test_a_missing_folder_is_an_error_of_the_source(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read file:///.*nowhere: expected a folder at"):
        list(BucketChannel(f"{tmp_path.as_uri()}/nowhere").fetch({}))


def test_a_missing_bucket_is_an_error_of_the_source(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws(), pytest.raises(SourceError, match="expected a readable bucket s3://nowhere"):
        list(BucketChannel("s3://nowhere/x").fetch({}))


def test_compressed_objects_are_opened(store):
    store.put("a.jsonl.gz", gzip.compress(b"{}\n"))
    store.put("b.csv.gz", b"no gzip")
    good, bad = collect(BucketChannel("s3://texts/movies", store=store), {})
    assert (good.payload, good.media_type, bad.reason) == (b"{}\n", "application/x-ndjson", "broken_compression")

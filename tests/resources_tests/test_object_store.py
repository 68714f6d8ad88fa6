"""Both object stores keep the same contract."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import httpx2
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from resources.object_store import (
    CorruptObjectError,
    LocalObjectStore,
    ObjectNotFoundError,
    ObjectStoreError,
    ServerEncryption,
    content_key,
    open_object_store,
    validate_key,
)
from resources.s3_object_store import S3ObjectStore, open_s3_object_store


@pytest.fixture
def s3_client(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="texts")
        yield client


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalObjectStore(tmp_path / "store")
    return S3ObjectStore("texts", "some/prefix", request.getfixturevalue("s3_client"))


@pytest.mark.parametrize("payload", [b"", b"text", "中文".encode("gbk"), b"\x00" * 100_000], ids=["empty", "ascii", "gbk", "zeros"])
def test_an_object_reads_back_as_it_was_written(store, payload):
    store.put("raw/a", payload)
    assert store.get("raw/a") == payload
    assert store.exists("raw/a")


def test_writing_again_replaces_the_object(store):
    store.put("a", b"one")
    store.put("a", b"two")
    assert store.get("a") == b"two"


def test_a_new_object_does_not_replace_one_that_is_there(store):
    assert store.put_new("folder/a", b"one")
    assert not store.put_new("folder/a", "另一个".encode())
    assert store.get("folder/a") == b"one"
    assert [found.key for found in store.list()] == ["folder/a"]


def test_of_many_writers_of_a_new_object_one_wins(store):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.put_new("a", bytes([number]) * 1000), range(8)))
    assert won.count(True) == 1
    assert store.get("a") == bytes([won.index(True)]) * 1000


def test_a_deleted_object_is_gone_and_deleting_again_changes_nothing(store):
    store.put("folder/a", b"x")
    store.put("folder/b", b"y")
    for _ in range(2):
        store.delete("folder/a")
    assert [found.key for found in store.list()] == ["folder/b"]


def test_a_missing_object_is_an_error_that_names_its_address(store, tmp_path):
    store.put("folder/a", b"x")
    assert not store.exists("folder/b")
    with pytest.raises(ObjectNotFoundError, match=r"expected an object at .*folder/b, found none"):
        store.get("folder/b")
    with pytest.raises(ObjectNotFoundError, match=r"expected an object at .*folder/b, found none"):
        store.get_file("folder/b", tmp_path / "b")


def test_a_listing_is_ordered_and_holds_the_prefix_only(store):
    for key in ("b/2", "b/1", "a", "bc"):
        store.put(key, key.encode())
    assert [stored.key for stored in store.list()] == ["a", "b/1", "b/2", "bc"]
    assert [stored.key for stored in store.list("b/")] == ["b/1", "b/2"]
    assert [stored.key for stored in store.list("b")] == ["b/1", "b/2", "bc"]
    assert [stored.key for stored in store.list("nothing/")] == []
    assert [(stored.size_bytes, stored.modified_at.tzinfo is None) for stored in store.list("bc")] == [(2, False)]


def test_a_fingerprint_changes_with_the_content_only(store):
    store.put("a", b"one")
    store.put("b", b"one")
    before = {stored.key: stored.fingerprint for stored in store.list()}
    store.put("a", b"other")
    after = {stored.key: stored.fingerprint for stored in store.list()}
    assert after["b"] == before["b"]
    assert after["a"] != before["a"]


def test_a_folder_goes_in_and_comes_out_whole(store, tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "中.txt").write_text("中")
    assert store.put_directory("models/1", source) == 2
    store.put("models/10/other", b"x")
    assert store.get_directory("models/1", tmp_path / "target") == 2
    found = {file.relative_to(tmp_path / "target").as_posix(): file.read_text() for file in (tmp_path / "target").rglob("*.txt")}
    assert found == {"a.txt": "a", "deep/中.txt": "中"}


def test_a_missing_folder_or_prefix_is_an_error(store, tmp_path):
    with pytest.raises(ObjectStoreError, match="expected a folder to store under 'x', found none at"):
        store.put_directory("x", tmp_path / "missing")
    with pytest.raises(ObjectNotFoundError, match=r"expected objects under .*/x/, found none"):
        store.get_directory("x", tmp_path)


def test_content_is_stored_once_under_its_hash(store):
    sha256 = store.put_content("新闻".encode())
    first = next(store.list("raw/"))
    assert store.put_content("新闻".encode()) == sha256 == hashlib.sha256("新闻".encode()).hexdigest()
    assert [first] == list(store.list("raw/"))
    assert first.key == f"raw/{sha256[:2]}/{sha256}"
    assert store.get_content(sha256).decode() == "新闻"


def test_corrupt_content_is_refused(store):
    sha256 = store.put_content(b"right")
    store.put(content_key(sha256), b"wrong")
    with pytest.raises(CorruptObjectError, match=f"is corrupt: expected sha256 {sha256}, found .*; restore it from a backup"):
        store.get_content(sha256)


@pytest.mark.parametrize("sha256", ["", "abc", "A" * 64, "../" + "a" * 61])
def test_a_hash_that_is_none_is_refused(store, sha256):
    with pytest.raises(ObjectStoreError, match="expected 64 lower-case hexadecimal digits"):
        store.get_content(sha256)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "a\x00b", "a\nb", ".incoming/a", "x" * 1025]
)
def test_a_key_that_could_leave_the_store_is_refused(store, key):
    with pytest.raises(ObjectStoreError, match="expected a key such as"):
        store.put(key, b"x")
    with pytest.raises(ObjectStoreError, match="expected a key such as"):
        validate_key(key)


def test_a_listing_cannot_leave_the_store(store):
    with pytest.raises(ObjectStoreError, match="expected a key such as"):
        list(store.list("../"))


def test_a_link_out_of_the_local_store_is_refused(tmp_path):
    store = LocalObjectStore(tmp_path / "store")
    store.put("a", b"x")
    (tmp_path / "store" / "out").symlink_to(tmp_path)
    with pytest.raises(ObjectStoreError, match="found a link that leads out of it"):
        store.put("out/a", b"x")


def test_a_reader_never_sees_half_an_object(tmp_path):
    store = LocalObjectStore(tmp_path / "store")
    payloads = [bytes([number]) * 2_000_000 for number in range(2)]
    store.put("a", payloads[0])
    stop = threading.Event()

    def write():
        while not stop.is_set():
            store.put("a", payloads[1])
            store.put("a", payloads[0])

    writer = threading.Thread(target=write)
    writer.start()
    seen = [store.get("a") in payloads for _ in range(100)]
    stop.set()
    writer.join()
    assert seen == [True] * 100


def test_a_failed_write_leaves_the_old_object_and_no_temporary_file(tmp_path, monkeypatch):
    store = LocalObjectStore(tmp_path / "store")
    store.put("a", b"old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        store.put("a", b"new")
    assert store.get("a") == b"old"
    assert list((tmp_path / "store" / ".incoming").iterdir()) == []


def test_check_finds_a_missing_place(tmp_path, s3_client):
    with pytest.raises(ObjectStoreError, match=r"expected a folder at .*nowhere, found none"):
        LocalObjectStore(tmp_path / "nowhere").check()
    with pytest.raises(ObjectStoreError, match="expected a readable bucket s3://nowhere, found"):
        S3ObjectStore("nowhere", "", s3_client).check()
    LocalObjectStore(tmp_path).check()
    S3ObjectStore("texts", "", s3_client).check()


def test_a_missing_bucket_is_an_error_of_the_store_not_of_the_object(s3_client):
    with pytest.raises(ObjectStoreError, match=r"s3://nowhere/a: .*NoSuchBucket"):
        S3ObjectStore("nowhere", "", s3_client).get("a")


def test_a_silent_server_is_an_error_of_the_store(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = open_s3_object_store("texts", "", "http://127.0.0.1:1")
    store._client.meta.events.register("needs-retry.s3.GetObject", lambda **_: None)
    with pytest.raises(ObjectStoreError, match="Could not connect to the endpoint URL"):
        store.get("a")


def test_an_address_chooses_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    local = open_object_store(f"{tmp_path.as_uri()}/with%20space")
    remote = open_object_store("s3://bucket/some/prefix/", "http://127.0.0.1:9")
    assert local.url("a") == f"{tmp_path.as_uri()}/with%20space/a"
    assert remote.url("a") == "s3://bucket/some/prefix/a"


@pytest.mark.parametrize("url", ["", "/tmp/x", "http://host/x", "file://host/x", "s3://", "ftp://x"])
def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(ObjectStoreError, match="expected an address such as file:///folder or s3://bucket/prefix, found"):
        open_object_store(url)


# What is particular to S3.


@pytest.mark.parametrize(
    ("encryption", "expected"),
    [
        (None, ("AES256", None)),  # what S3 does with every object anyway
        (ServerEncryption("AES256"), ("AES256", None)),
        (ServerEncryption("aws:kms"), ("aws:kms", None)),
        (ServerEncryption("aws:kms", "alias/textmill"), ("aws:kms", "alias/textmill")),
    ],
)
def test_the_server_is_asked_to_encrypt_every_object(s3_client, tmp_path, encryption, expected):
    store = S3ObjectStore("texts", "p", s3_client, encryption)
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(os.urandom(9 << 20))
    store.put("put", b"x")
    store.put_new("new", b"x")
    store.put_file("small", tmp_path / "small")
    store.put_file("large", tmp_path / "large")
    asked = {key: s3_client.head_object(Bucket="texts", Key=f"p/{key}") for key in ("put", "new", "small", "large")}
    if encryption is None:
        assert {head.get("SSEKMSKeyId") for head in asked.values()} == {None}
    else:
        assert {(head["ServerSideEncryption"], head.get("SSEKMSKeyId")) for head in asked.values()} == {expected}


def refusing(client, *codes):
    """Answers of a server that refuses to write."""
    stubber = Stubber(client)
    for code in codes:
        stubber.add_client_error("put_object", code)
    return stubber


def test_a_server_without_conditional_writes_is_looked_at_first(s3_client):
    stubber = refusing(s3_client, "NotImplemented")
    stubber.add_response("head_object", {})
    with stubber:
        assert not S3ObjectStore("texts", "", s3_client).put_new("a", b"x")
    stubber.assert_no_pending_responses()


def test_a_write_that_met_another_is_tried_again(s3_client):
    stubber = refusing(s3_client, "ConditionalRequestConflict", "PreconditionFailed")
    with stubber:
        assert not S3ObjectStore("texts", "", s3_client).put_new("a", b"x")
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (["ConditionalRequestConflict"] * 5, r"expected to write s3://texts/a once, met another writer 5 times; try again"),
        (["AccessDenied"], r"s3://texts/a: .*AccessDenied"),
    ],
)
def test_a_new_object_that_cannot_be_written_is_an_error(s3_client, codes, message):
    with refusing(s3_client, *codes), pytest.raises(ObjectStoreError, match=message):
        S3ObjectStore("texts", "", s3_client).put_new("a", b"x")


@pytest.fixture
def server(local_servers, monkeypatch):
    """Opens a store on a real S3 server."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials that it found first
    for name, value in local_servers.variables().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)

    def make(**options):
        return open_s3_object_store("textmill", "object-store", local_servers.s3_endpoint, **options)

    return make


def test_a_real_server_keeps_the_first_of_two_writers_and_checks_what_it_gets(server, tmp_path):
    store = server()
    assert store.put_new("once", b"one")
    assert not store.put_new("once", b"two")
    assert store.get("once") == b"one"
    (tmp_path / "large").write_bytes(os.urandom(17 << 20))
    store.put_file("large", tmp_path / "large")
    store.get_file("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
    head = store._client.head_object(Bucket="textmill", Key="object-store/large", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"].endswith("-3")  # of three parts, each with one
    store._client.meta.events.register("before-send.s3.PutObject", lambda request, **_: setattr(request, "body", b"damaged"))
    with pytest.raises(ObjectStoreError, match="s3://textmill/object-store/damaged: "):
        store.put("damaged", b"payload")
    assert not store.exists("damaged")


def test_a_presigned_address_opens_one_object_for_a_while(server, local_servers):
    store = server(download_endpoint=local_servers.s3_endpoint)
    store.put("数据/a.parquet", b"rows")
    store.put("b", b"other")
    url = store.download_url("数据/a.parquet", "a.parquet", 60)
    fetched = httpx2.get(url, trust_env=False)
    assert (fetched.content, fetched.headers["Content-Disposition"]) == (b"rows", 'attachment; filename="a.parquet"')
    assert httpx2.get(url.replace("a.parquet?", "b?"), trust_env=False).status_code == 403
    assert httpx2.get(url.replace("Expires=60", "Expires=6000"), trust_env=False).status_code == 403
    assert httpx2.get(url.partition("?")[0], trust_env=False).status_code == 403
    assert server().download_url("b", "b", 60) is None

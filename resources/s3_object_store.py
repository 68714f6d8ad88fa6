"""The object store on an S3-compatible server. The protocol and the address rules are in `resources/object_store.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resources.object_store import ObjectNotFoundError, ObjectStore, ObjectStoreError, StoredObject, validate_key

CHECKSUM = {"ChecksumAlgorithm": "SHA256"}
_NOT_FOUND = ("404", "NoSuchKey", "NotFound")


class S3ObjectStore(ObjectStore):
    """Objects of one bucket whose keys start with one prefix.

    Uploads carry a SHA-256 checksum that the server verifies; downloads verify it where the server kept one.

    Args:
        bucket: Name of the bucket.
        prefix: Folder within it; empty for the whole bucket.
        client: A boto3 S3 client.
    """

    def __init__(self, bucket: str, prefix: str, client: Any) -> None:  # noqa: ANN401 (boto3 has no types)
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self._client = client

    def put(self, key: str, payload: bytes) -> None:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=payload, **CHECKSUM)

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.upload_file(str(path), self.bucket, self._key(key), ExtraArgs=CHECKSUM)

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        with self._translated(key):
            return bytes(self._client.get_object(Bucket=self.bucket, Key=self._key(key), ChecksumMode="ENABLED")["Body"].read())

    def get_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.download_file(self.bucket, self._key(key), str(path))

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        try:
            with self._translated(key):
                self._client.head_object(Bucket=self.bucket, Key=self._key(key))
        except ObjectNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """See `ObjectStore`; a bucket with versions keeps the earlier ones."""
        with self._translated(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore`."""
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(f"{prefix}x")[:-1]))
        while page := self._next_page(pages):
            for entry in page.get("Contents", []):
                key = entry["Key"].removeprefix(self.prefix)
                if not key.endswith("/"):
                    yield StoredObject(key, entry["Size"], f"{entry['Size']}:{entry['ETag'].strip(chr(34))}", entry["LastModified"])

    def url(self, key: str) -> str:
        """See `ObjectStore`."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def check(self) -> None:
        """See `ObjectStore`."""
        try:
            self._client.head_bucket(Bucket=self.bucket)
        except (ClientError, BotoCoreError) as error:
            raise ObjectStoreError(
                f"expected a readable bucket s3://{self.bucket}, found: {error}; check its name, the endpoint and the credentials"
            ) from error

    def _key(self, key: str) -> str:
        return self.prefix + validate_key(key)

    def _next_page(self, pages: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
        with self._translated(""):
            return next(pages, None)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turns the client's errors into ours."""
        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_FOUND:
                raise ObjectNotFoundError(f"expected an object at {self.url(key)}, found none") from error
            raise ObjectStoreError(f"{self.url(key)}: {error}") from error
        except (BotoCoreError, S3UploadFailedError) as error:
            raise ObjectStoreError(f"{self.url(key)}: {error}") from error


def open_s3_object_store(bucket: str, prefix: str, endpoint_url: str | None = None) -> S3ObjectStore:
    """A store whose client retries throttling and dropped connections; credentials come from the usual AWS places."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    return S3ObjectStore(bucket, prefix, boto3.client("s3", endpoint_url=endpoint_url, config=config))

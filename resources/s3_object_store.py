"""The object store on an S3-compatible server. The protocol and the address rules are in `resources/object_store.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resources.object_store import ObjectNotFoundError, ObjectStore, ObjectStoreError, ServerEncryption, StoredObject, validate_key

CHECKSUM = {"ChecksumAlgorithm": "SHA256"}
CONFLICT_TRIES = 5
"""How often a conditional write is tried that met another of the same key."""
_NOT_FOUND = ("404", "NoSuchKey", "NotFound")


class S3ObjectStore(ObjectStore):
    """Objects of one bucket whose keys start with one prefix.

    Uploads carry a SHA-256 checksum that the server verifies, files of 8 MiB and more in parts with one each; downloads verify it where the
    server kept one.

    Args:
        bucket: Name of the bucket.
        prefix: Folder within it; empty for the whole bucket.
        client: A boto3 S3 client.
        encryption: What the server encrypts new objects with; None leaves it to the bucket.
        download_client: A boto3 S3 client with the address at which those who download reach the server; None if they do not.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        client: Any,  # noqa: ANN401 (boto3 has no types)
        encryption: ServerEncryption | None = None,
        download_client: Any = None,  # noqa: ANN401
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.encryption = encryption
        self._client = client
        self._download_client = download_client
        self._options = CHECKSUM | (encryption.options() if encryption else {})

    def put(self, key: str, payload: bytes) -> None:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=payload, **self._options)

    def put_new(self, key: str, payload: bytes) -> bool:
        """See `ObjectStore`; a conditional write, and where the server has none a look before the write."""
        for _ in range(CONFLICT_TRIES):
            try:
                with self._translated(key):
                    self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=payload, IfNoneMatch="*", **self._options)
            except ObjectStoreError as error:
                code = _code_of(error)
                if code == "PreconditionFailed":
                    return False
                if code == "NotImplemented":
                    return super().put_new(key, payload)
                if code != "ConditionalRequestConflict":
                    raise
            else:
                return True
        raise ObjectStoreError(f"expected to write {self.url(key)} once, met another writer {CONFLICT_TRIES} times; try again")

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.upload_file(str(path), self.bucket, self._key(key), ExtraArgs=self._options)

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        with self._translated(key):
            return bytes(self._client.get_object(Bucket=self.bucket, Key=self._key(key), ChecksumMode="ENABLED")["Body"].read())

    def get_file(self, key: str, path: Path) -> bool:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.download_file(self.bucket, self._key(key), str(path))
        return False

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

    def download_url(self, key: str, name: str, seconds: int) -> str | None:
        """See `ObjectStore`; a presigned address."""
        if self._download_client is None:
            return None
        given = {"Bucket": self.bucket, "Key": self._key(key), "ResponseContentDisposition": f'attachment; filename="{name}"'}
        with self._translated(key):
            return str(self._download_client.generate_presigned_url("get_object", Params=given, ExpiresIn=seconds))

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


def _code_of(error: ObjectStoreError) -> str:
    """The server's name of what went wrong; empty when it did not answer."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def open_s3_object_store(
    bucket: str,
    prefix: str,
    endpoint_url: str | None = None,
    encryption: ServerEncryption | None = None,
    download_endpoint: str | None = None,
) -> S3ObjectStore:
    """A store whose client retries throttling and dropped connections; credentials come from the usual AWS places."""
    client = _open_client(endpoint_url)
    return S3ObjectStore(bucket, prefix, client, encryption, _open_client(download_endpoint) if download_endpoint else None)


def _open_client(endpoint_url: str | None) -> Any:  # noqa: ANN401
    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        signature_version="s3v4",  # presigned addresses by an older one do not know every region
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    # A session of its own: the default one keeps the credentials that a process found first.
    return boto3.Session().client("s3", endpoint_url=endpoint_url, config=config)

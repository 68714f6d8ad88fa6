"""The bucket channel: new and changed objects of an S3 bucket or of a local object store."""

from collections.abc import Iterator, Mapping

from resources.channels.fetched import (
    CursorMove,
    Fetched,
    FetchFailure,
    SourceError,
    media_type_of,
    open_compressed,
    refuse_by_size,
    refuse_unknown_format,
)
from resources.object_store import ObjectStore, ObjectStoreError, StoredObject, open_object_store


class BucketChannel:
    """Objects below one address, in order of their keys.

    An object counts as read while the fingerprint of its listing (size with ETag, or with time of change) stays the same.

    Args:
        url: `s3://bucket/prefix` or `file:///folder`.
        endpoint_url: Address of an S3-compatible server.
        format: Format of the objects; `auto` goes by their ending.
        max_object_bytes: Larger objects are refused unread.
        store: Takes the place of the store at `url`.
    """

    def __init__(
        self,
        url: str,
        endpoint_url: str | None = None,
        format: str = "auto",
        max_object_bytes: int = 64_000_000,
        store: ObjectStore | None = None,
    ) -> None:
        self.url = url
        self.endpoint_url = endpoint_url
        self.format = format
        self.max_object_bytes = max_object_bytes
        self._store = store

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """See `Channel`.

        Raises:
            SourceError: The bucket or folder is missing, or its server does not answer.
        """
        try:
            store = self._store or open_object_store(self.url, self.endpoint_url)
            store.check()
            for stored in store.list():
                uri = store.url(stored.key)
                if cursor.get(uri) != stored.fingerprint:
                    yield self._fetch_object(store, stored, uri)
        except ObjectStoreError as error:
            raise SourceError(f"cannot read {self.url}: {error}") from error

    def _fetch_object(self, store: ObjectStore, stored: StoredObject, uri: str) -> Fetched | FetchFailure:
        refused = refuse_by_size(uri, stored.size_bytes, self.max_object_bytes)
        if refused:
            return refused
        media_type = media_type_of(stored.key, self.format)
        if media_type is None:
            return refuse_unknown_format(uri)
        try:
            payload = store.get(stored.key)
        except (ObjectStoreError, OSError) as error:
            return FetchFailure(uri, "unreadable_object", f"expected a readable object, found: {error}")
        opened = open_compressed(uri, stored.key, payload, self.max_object_bytes)
        if isinstance(opened, FetchFailure):
            return opened
        return Fetched(uri, opened, media_type, None, "documents", None, None, uri, stored.fingerprint)

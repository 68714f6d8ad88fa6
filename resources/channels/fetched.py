"""What a channel yields, and the protocol of a channel. Nothing here fetches or parses."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal, Protocol

from resources.web.decompression import gunzip
from resources.web.policy import WebError

Role = Literal["documents", "annotations"]

MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "conll": "text/x-conll",
    "mbox": "application/mbox",
    "text": "text/plain",
    "html": "text/html",
}
GZIP_ENDING = ".gz"
_FORMATS_BY_ENDING = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".mbox": "mbox",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
}


class SourceError(Exception):
    """A whole source cannot be read now. What was collected before stays; other sources go on."""


@dataclass(frozen=True)
class Fetched:
    """One object that was read in full.

    Attributes:
        uri: Where the bytes came from; holds no password.
        payload: The bytes, opened if they were compressed.
        media_type: Selects the parser.
        charset: Charset declared by the transport, if any.
        role: What the bytes hold.
        parent_id: Id that the feed or listing gives to the object.
        published_at: Publication time given by the transport (UTC).
        cursor_key: What to remember once the object is stored …
        cursor_value: … and how far it was read.
        robots_allowed: The host's robots.txt permits reading it; None where there is none to ask.
        ai_training_signal: What its host says against training models on it, by a short stable name.
        authors: Names of those whom the feed or listing names as authors.
    """

    uri: str
    payload: bytes
    media_type: str
    charset: str | None
    role: Role
    parent_id: str | None
    published_at: datetime | None
    cursor_key: str
    cursor_value: str
    robots_allowed: bool | None = None
    ai_training_signal: str | None = None
    authors: tuple[str, ...] = ()


@dataclass(frozen=True)
class FetchFailure:
    """One object that could not be read. Its cursor does not move, so the next run tries it again.

    Attributes:
        uri: Where the bytes were expected; holds no password.
        reason: Short stable reason.
        detail: What was expected and what was found.
    """

    uri: str
    reason: str
    detail: str


@dataclass(frozen=True)
class CursorMove:
    """Progress without bytes: remember this, there is nothing to store."""

    cursor_key: str
    cursor_value: str


class Channel(Protocol):
    """One way on which text arrives."""

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """Yields what is new or changed, lazily: memory holds a few objects at a time.

        Args:
            cursor: Cursor values by cursor key, as yielded by earlier fetches whose objects were stored.

        Raises:
            SourceError: The source as a whole cannot be read.
        """
        ...


def media_type_of(name: str, declared_format: str) -> str | None:
    """Media type by the configured format, or by the name's ending when that is `auto`; None when neither says.

    Args:
        name: File name, path or key; `.gz` at its end does not count.
        declared_format: `auto` or a key of `MEDIA_TYPES`.
    """
    ending = PurePosixPath(name.lower().removesuffix(GZIP_ENDING)).suffix
    chosen = _FORMATS_BY_ENDING.get(ending) if declared_format == "auto" else declared_format
    return MEDIA_TYPES.get(chosen) if chosen else None


def open_compressed(uri: str, name: str, payload: bytes, max_object_bytes: int) -> bytes | FetchFailure:
    """The bytes of an object, opened where its name ends in `.gz`.

    Args:
        uri: Where it comes from.
        name: File name, path or key.
        payload: Its bytes.
        max_object_bytes: Most bytes that may come out.
    """
    if not name.lower().endswith(GZIP_ENDING):
        return payload
    try:
        opened = gunzip(payload, max_object_bytes, math.inf)
    except WebError as error:
        return FetchFailure(uri, error.reason, str(error))
    return refuse_by_size(uri, len(opened), max_object_bytes) or opened


def refuse_by_size(uri: str, size_bytes: int, max_object_bytes: int) -> FetchFailure | None:
    """The failure of an object that is empty or too large to read; None when its size is fine."""
    if size_bytes == 0:
        return FetchFailure(uri, "empty_object", "expected at least one byte, found none")
    if size_bytes > max_object_bytes:
        return FetchFailure(uri, "object_too_large", f"expected at most {max_object_bytes} bytes, found {size_bytes}; not read")
    return None


def refuse_unknown_format(uri: str) -> FetchFailure:
    """The failure of an object whose ending names no known format."""
    known = ", ".join(_FORMATS_BY_ENDING)
    found = "found none of them; set `format` of the source"
    return FetchFailure(uri, "unknown_format", f"expected an ending out of {known}, perhaps with .gz, {found}")

"""The file channel: new and changed files below a folder. Formats are read in `assets/collection/parsing.py`."""

import glob
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

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


class FilesChannel:
    """Files that match a glob, in order of their paths.

    A file counts as read while its size and time of change stay the same; when they differ its hash decides, so a file that
    was only touched, copied or restored is not read again.

    Args:
        path: The glob; `**` matches any number of folders. Hidden files match only a pattern that starts with a dot.
        format: Format of the files; `auto` goes by their ending.
        max_object_bytes: Larger files are refused unread.
    """

    def __init__(self, path: str, format: str = "auto", max_object_bytes: int = 64_000_000) -> None:
        self.path = path
        self.format = format
        self.max_object_bytes = max_object_bytes

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """See `Channel`.

        Raises:
            SourceError: The folder that the glob starts from is missing or unreadable.
        """
        self._check_folder()
        for name in sorted(glob.glob(self.path, recursive=True)):  # noqa: PTH207 (the pattern is absolute)
            file = Path(name).absolute()
            if file.is_file():
                yield from self._fetch_file(file, cursor)

    def _check_folder(self) -> None:
        folder = _fixed_part(self.path)
        if not folder.exists():
            raise SourceError(f"expected something to collect at {folder}, found nothing there; create it or correct `path` {self.path!r}")
        if not os.access(folder, os.R_OK):
            raise SourceError(f"expected to be allowed to read {folder}, found that this account is not")

    def _fetch_file(self, file: Path, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """At most one outcome for one file; none when nothing changed."""
        uri = file.as_uri()
        try:
            stamp = _stamp(file.stat())
            if cursor.get(uri, "").startswith(f"{stamp}:"):
                return
            refused = refuse_by_size(uri, file.stat().st_size, self.max_object_bytes)
            yield refused or self._read(file, uri, cursor.get(uri, ""))
        except OSError as error:
            yield FetchFailure(uri, "unreadable_object", f"expected a readable file, found: {error.strerror or error}")

    def _read(self, file: Path, uri: str, known: str) -> Fetched | FetchFailure | CursorMove:
        media_type = media_type_of(file.name, self.format)
        if media_type is None:
            return refuse_unknown_format(uri)
        with file.open("rb") as opened:
            stamp = _stamp(os.fstat(opened.fileno()))
            payload = opened.read(self.max_object_bytes + 1)
            if _stamp(os.fstat(opened.fileno())) != stamp or len(payload) != int(stamp.partition(":")[0]):
                return FetchFailure(uri, "object_still_changing", "expected a file at rest, found it being written; it is tried again")
        sha256 = hashlib.sha256(payload).hexdigest()
        fingerprint = f"{stamp}:{sha256}"
        if known.endswith(f":{sha256}"):
            return CursorMove(uri, fingerprint)
        unpacked = open_compressed(uri, file.name, payload, self.max_object_bytes)
        if isinstance(unpacked, FetchFailure):
            return unpacked
        return Fetched(uri, unpacked, media_type, None, "documents", None, None, uri, fingerprint)


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _fixed_part(pattern: str) -> Path:
    """The part of a glob before its first wildcard: a folder, or the one file that it names."""
    fixed = Path(pattern).absolute()
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    return fixed

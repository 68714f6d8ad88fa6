"""The SQL channel: rows of a query that lie beyond the last value of a cursor column, as batches of JSON lines."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from resources.channels.fetched import MEDIA_TYPES, CursorMove, Fetched, FetchFailure, SourceError


class SqlChannel:
    """A query on any database that SQLAlchemy reaches.

    Rows are streamed; each batch is one object of JSON lines. Dates become ISO 8601, decimals become numbers, bytes become
    `{"base64": …}` (which the parser refuses as text). Changing the query starts again from `cursor_start`: rows that did not
    change make no new documents.

    Args:
        url: SQLAlchemy URL. Its password and its options never appear in an error or in what is yielded.
        query: A SELECT, ordered by the cursor column, with `:cursor` for the last value seen.
        cursor_column: Column that grows with new rows.
        cursor_start: Value of `:cursor` on the first run.
        batch_rows: Rows per object.
    """

    def __init__(self, url: str, query: str, cursor_column: str, cursor_start: str | int = 0, batch_rows: int = 10_000) -> None:
        self.url = url
        self.query = query
        self.cursor_column = cursor_column
        self.cursor_start = cursor_start
        self.batch_rows = batch_rows

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """See `Channel`.

        Raises:
            SourceError: The database cannot be reached, the query fails, or its rows lack the cursor column or its order.
        """
        url = _parse_url(self.url)
        uri = url.set(query={}).render_as_string(hide_password=True)
        key = f"{uri}#{self.cursor_column}#{hashlib.sha256(self.query.encode()).hexdigest()[:16]}"
        last = decode_cursor(cursor[key]) if key in cursor else self.cursor_start
        before: Any = None
        for rows in self._batches(url, uri, last):
            before = last = self._last_value(rows, before)
            payload = "".join(json.dumps(dict(row), default=_to_json, ensure_ascii=False) + "\n" for row in rows)
            media_type = MEDIA_TYPES["jsonl"]
            yield Fetched(uri, payload.encode("utf-8", "replace"), media_type, "utf-8", "documents", None, None, key, encode_cursor(last))

    def _batches(self, url: sa.URL, uri: str, last: object) -> Iterator[Sequence[sa.RowMapping]]:
        """Batches of rows, read as they are asked for."""
        _check_sqlite_file(url)
        try:
            engine = sa.create_engine(url, poolclass=NullPool)
            with engine.connect().execution_options(stream_results=True, max_row_buffer=self.batch_rows) as connection:
                result = connection.execute(sa.text(self.query), {"cursor": last})
                self._check_columns(list(result.keys()))
                yield from result.mappings().partitions(self.batch_rows)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            # `from None`: the driver's own error may quote the address with its password.
            raise SourceError(f"cannot read {uri}: {_without_secrets(error, url)}") from None

    def _check_columns(self, found: list[str]) -> None:
        if self.cursor_column not in found:
            raise SourceError(f"expected the cursor column {self.cursor_column!r} in the query's result, found the columns {found}")

    def _last_value(self, rows: Sequence[sa.RowMapping], before: Any) -> Any:  # noqa: ANN401
        """The cursor value of the last row; `before` is that of the batch before.

        Raises:
            SourceError: A value is missing, or the rows are not ordered by it, so that rows would be skipped for ever.
        """
        values = [before] if before is not None else []
        values += [row[self.cursor_column] for row in rows]
        if None in values:
            raise SourceError(f"expected a value in the cursor column {self.cursor_column!r} of every row, found NULL")
        try:
            is_ordered = all(earlier <= later for earlier, later in pairwise(values))
        except TypeError as error:
            raise SourceError(f"expected comparable values in the cursor column {self.cursor_column!r}, found: {error}") from error
        if not is_ordered:
            raise SourceError(f"expected rows ordered by {self.cursor_column!r}, found a smaller value after a larger; add ORDER BY")
        return values[-1]


def encode_cursor(value: object) -> str:
    """A cursor value as JSON that keeps its type: `7`, `"a"`, `{"datetime": "2026-01-31T00:00:00"}`.

    Raises:
        SourceError: The value is of a type that cannot be kept.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, datetime, date, Decimal)):
        raise SourceError(f"expected a number, a text, a date or a time in the cursor column, found {type(value).__name__}")
    if isinstance(value, (int, float, str)):
        return json.dumps(value)
    kind = "datetime" if isinstance(value, datetime) else "date" if isinstance(value, date) else "decimal"
    return json.dumps({kind: str(value) if isinstance(value, Decimal) else value.isoformat()})


def decode_cursor(text: str) -> Any:  # noqa: ANN401 (any type that a cursor column may have)
    """The value that `encode_cursor` wrote."""
    value = json.loads(text)
    if not isinstance(value, dict):
        return value
    readers: dict[str, Callable[[str], Any]] = {"datetime": datetime.fromisoformat, "date": date.fromisoformat, "decimal": Decimal}
    ((kind, content),) = value.items()
    return readers[kind](content)


def _parse_url(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError:
        raise SourceError("expected a SQLAlchemy URL such as postgresql+psycopg://user@host/database, found something else") from None


def _check_sqlite_file(url: sa.URL) -> None:
    """SQLite would quietly create a database that is not there."""
    name = url.database
    if url.get_backend_name() == "sqlite" and name and name != ":memory:" and not name.startswith("file:") and not Path(name).is_file():
        raise SourceError(f"expected a SQLite database at {name}, found no such file")


def _without_secrets(error: Exception, url: sa.URL) -> str:
    message = str(getattr(error, "orig", None) or error).strip()
    secrets = [url.password, *(value for values in url.normalized_query.values() for value in values)]
    for secret in filter(None, secrets):
        message = message.replace(str(secret), "***")
    return message


def _to_json(value: object) -> object:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": b64encode(value).decode("ascii")}
    return str(value)

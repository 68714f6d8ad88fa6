"""From an object's text or bytes to records: JSON lines, JSON, CSV and Parquet. Which field means what is decided in `parsing.py`."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PARQUET_BATCH_ROWS = 10_000
# JSON may write one character beyond the Basic Multilingual Plane as two \uXXXX escapes.
MOST_ESCAPED_CHARS = 12


@dataclass(frozen=True)
class Record:
    """One record: where it is, and its fields."""

    locator: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    """One record that could not be read.

    Attributes:
        locator: Where it is.
        reason: Short stable reason.
        detail: What was expected and what was found.
    """

    locator: str
    reason: str
    detail: str


def read_json_lines(text: str, max_text_chars: int) -> Iterator[Record | Refusal]:
    """One outcome per line that is not blank.

    A line that is too long to hold a permitted text is refused before it is parsed, so it costs no memory of its own.

    Args:
        text: The whole object.
        max_text_chars: Longest text permitted; a line may have room for its escapes and another million characters.
    """
    max_line_chars = MOST_ESCAPED_CHARS * max_text_chars + 1_000_000
    for number, start, end in _lines(text):
        locator = f"line {number}"
        if end - start > max_line_chars:
            yield Refusal(locator, "record_too_long", f"expected at most {max_line_chars} characters in a line, found {end - start}")
        elif line := text[start:end].strip():
            yield _read_json_record(line, locator)


def read_json(text: str, records: str | None = None) -> Iterator[Record | Refusal]:
    """One outcome per item of a JSON list, or one for a single object.

    Args:
        text: The whole object.
        records: Dotted path of the list; None where the list is all there is.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Refusal("file", "malformed_json", f"expected JSON, found: {error}")
        return
    if records is not None:
        content = value_at(content, records)
        if not isinstance(content, list):
            yield Refusal("file", "missing_records", f"expected a list of records at {records!r}, found {type(content).__name__}")
            return
    for number, item in enumerate(content if isinstance(content, list) else [content], start=1):
        yield _as_record(item, f"item {number}")


def delimiter_of(text: str) -> str:
    """Which of comma, semicolon and tab the first line has most of."""
    return max(",;\t", key=text.partition("\n")[0].count)


def read_csv(text: str, required: Sequence[str]) -> Iterator[Record | Refusal]:
    """One outcome per row after the header. The delimiter is the one of comma, semicolon and tab that the header has most of.

    Args:
        text: The whole object.
        required: Columns that the header must name.
    """
    # The module's own limit of 131,072 characters per field is global; ours is applied to the text later.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    header = next(_rows_of(rows), None)
    if not isinstance(header, list) or not set(required) <= set(header):
        yield Refusal("row 1", "missing_column", f"expected a header with {list(required)}, found {str(header)[:200]}")
        return
    for number, row in enumerate(_rows_of(rows), start=2):
        if not isinstance(row, list):
            yield Refusal(f"row {number}", "malformed_row", f"expected fields quoted as in RFC 4180, found: {row}")
        elif len(row) == len(header):
            yield Record(f"row {number}", dict(zip(header, row, strict=True)))
        elif row:
            yield Refusal(f"row {number}", "malformed_row", f"expected {len(header)} fields, found {len(row)}")


def read_parquet(payload: bytes, wanted: Sequence[str], required: Sequence[str]) -> Iterator[Record | Refusal]:
    """One record per row, with the wanted columns only.

    Args:
        payload: The whole object.
        wanted: Columns to read, where they exist.
        required: Columns that must exist.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(payload))
        names = [name for name in wanted if name in file.schema_arrow.names]
        missing = [name for name in required if name not in names]
        if missing:
            found = file.schema_arrow.names
            yield Refusal("file", "missing_column", f"expected the columns {missing}, found {str(found)[:200]}")
            return
        number = 0
        for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=names):
            for row in batch.to_pylist():
                number += 1
                yield Record(f"row {number}", row)
    except (pa.ArrowException, OSError) as error:
        yield Refusal("file", "malformed_parquet", f"expected a Parquet file, found: {error}")


def value_at(content: Any, path: str) -> Any:  # noqa: ANN401 (JSON)
    """The value at a dotted path through objects; None where there is none."""
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _lines(text: str) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each line. Only line feeds end a line: JSON texts may hold U+2028 and its like."""
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        yield number, start, end
        start = end + 1


def _read_json_record(line: str, locator: str) -> Record | Refusal:
    try:
        return _as_record(json.loads(line), locator)
    except RecursionError:
        return Refusal(locator, "malformed_json", "expected a JSON object, found one nested too deeply")
    except ValueError as error:
        return Refusal(locator, "malformed_json", f"expected a JSON object, found: {error}")


def _as_record(item: object, locator: str) -> Record | Refusal:
    if isinstance(item, dict):
        return Record(locator, item)
    return Refusal(locator, "not_an_object", f"expected a JSON object, found {type(item).__name__}")


def _rows_of(rows: Iterator[list[str]]) -> Iterator[list[str] | csv.Error]:
    """Rows, and in place of each broken one its error; reading goes on behind it."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield error

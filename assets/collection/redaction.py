"""Stored bytes without some of their records, where the format lets records be taken out.

Lines of JSON, sentences of CoNLL and messages of a thread become blank, so that the others keep their places, which may be their ids; items
of JSON lists, rows of CSV and Parquet, and messages of a mailbox go. Pages and plain texts are not taken apart: their object goes as a
whole. Belongs here: bytes in, bytes out. What is looked for: `traces.py`.
"""

import csv
import io
import json
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from assets.collection.conll import without_sentences
from assets.collection.formats import PARQUET_BATCH_ROWS, Record, Refusal, delimiter_of
from assets.collection.mail import without_messages
from assets.collection.reading import CONLL, CSV, JSON, JSON_LINES, LABEL_STUDIO, MBOX, PARQUET, RawObject
from assets.collection.traces import Traces

TAKEN_APART = (*JSON_LINES, LABEL_STUDIO, JSON, CSV, PARQUET, MBOX, CONLL)
"""Media types whose records can be taken out."""


def without_records(raw: RawObject, traces: Traces, *, has_threads: bool = False) -> RawObject | None:
    """The object without the records that hold something; itself if none does; None if nothing is left, or its format is not taken apart.

    The result's `raw_sha256` is still that of the whole object.

    Args:
        raw: The object.
        traces: What must not be left in it.
        has_threads: A record is a thread, whose messages are taken out one by one.
    """
    if raw.media_type == PARQUET:
        return _without_parquet_rows(raw, traces)
    if raw.media_type == MBOX:
        return _changed(raw, without_messages(raw.payload, partial(_message_holds, traces)))
    text = raw.text()
    if raw.media_type in (*JSON_LINES, LABEL_STUDIO):
        lines = text.split("\n")
        kept = [_without_line(line, traces, has_threads=has_threads) for line in lines]
        if kept == lines:
            return raw
        return _changed_text(raw, "\n".join(kept)) if any(line.strip() for line in kept) else None
    if raw.media_type == JSON:
        return _without_json(raw, text, traces, has_threads=has_threads)
    if raw.media_type == CONLL:
        rest = without_sentences(text, traces.are_outcome)
        return raw if rest == text else _changed_text(raw, rest) if rest.strip() else None
    return _without_rows(raw, text, traces) if raw.media_type == CSV else None


def _message_holds(traces: Traces, outcome: Record | Refusal, text: str) -> bool:
    return traces.are_outcome(outcome) or (isinstance(outcome, Refusal) and traces.are_part_of(text))


def _without_json(raw: RawObject, text: str, traces: Traces, *, has_threads: bool) -> RawObject | None:
    """A JSON file without the items that hold something; a broken one stays unless the text is a part of it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None if traces.are_part_of(text) else raw
    rest = _without_items(content, traces, keeps_places=has_threads)
    if not rest or traces.are_in(rest):
        return None
    return raw if rest == content else _changed_text(raw, json.dumps(rest, ensure_ascii=False))


def _without_rows(raw: RawObject, text: str, traces: Traces) -> RawObject | None:
    """A CSV file without the rows that hold something."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    delimiter = delimiter_of(text)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    names, records = rows[0] if rows else [], rows[1:]
    if traces.are_part_of(delimiter.join(names)):
        return None
    kept = [row for row in records if not _row_holds(names, row, traces)]
    if len(kept) == len(records):
        return raw
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows([names, *kept])
    return _changed_text(raw, written.getvalue()) if kept else None


def _row_holds(names: list[str], row: list[str], traces: Traces) -> bool:
    is_broken = len(row) != len(names)
    fields = dict(zip(names, row, strict=False)) | {"": row[len(names) :]}
    return traces.are_in(fields) or (is_broken and traces.are_part_of("\n".join(row)))


def _without_parquet_rows(raw: RawObject, traces: Traces) -> RawObject | None:
    """A Parquet file without the rows that hold something; None if it cannot be read, since nobody can tell what is in it."""
    try:
        table = pq.read_table(io.BytesIO(raw.payload))
    except (pa.ArrowException, OSError):
        return None
    kept = [not traces.are_in(row) for batch in table.to_batches(PARQUET_BATCH_ROWS) for row in batch.to_pylist()]
    if all(kept):
        return raw
    written = io.BytesIO()
    pq.write_table(table.filter(pa.array(kept, pa.bool_())), written, compression="zstd")
    return _changed(raw, written.getvalue()) if any(kept) else None


def _changed(raw: RawObject, payload: bytes) -> RawObject | None:
    """The object with other bytes: itself if they are the same, None if there are none."""
    if payload == raw.payload:
        return raw
    return replace(raw, payload=payload) if payload.strip() else None


def _changed_text(raw: RawObject, text: str) -> RawObject:
    return replace(raw, payload=text.encode(errors="surrogatepass"), charset="utf-8")


def _without_line(line: str, traces: Traces, *, has_threads: bool) -> str:
    """A line of JSON, or nothing if it holds something; of a thread, what is left."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return "" if traces.are_part_of(line) else line
    if not traces.are_in(value):
        return line
    rest = _without_items(value, traces, keeps_places=True) if has_threads else value
    return "" if traces.are_in(rest) else json.dumps(rest, ensure_ascii=False)


def _without_items(value: object, traces: Traces, *, keeps_places: bool = False) -> object:
    """A JSON value without the list items that hold something; the innermost list of records that does is the one that gets shorter.

    Args:
        value: The value.
        traces: What must not be left in it.
        keeps_places: Leave null where an item was.
    """
    if isinstance(value, list):
        items = [
            _without_items(item, traces, keeps_places=keeps_places) if isinstance(item, list) or keeps_places else item for item in value
        ]
        return [None if traces.are_in(item) else item for item in items if keeps_places or not traces.are_in(item)]
    if isinstance(value, dict):
        return {name: _without_items(each, traces, keeps_places=keeps_places) for name, each in value.items()}
    return value

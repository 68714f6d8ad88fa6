"""Stored bytes without some of their records, where the format lets records be taken out.

Lines of JSON become blank, so that the others keep their numbers; items of JSON lists and rows of CSV go. Other formats are not taken
apart: their object goes as a whole. Belongs here: bytes in, bytes out.
"""

import csv
import io
import json
from collections.abc import Callable, Collection
from dataclasses import replace

from assets.collection.charset import decode
from assets.collection.formats import delimiter_of
from assets.collection.parsing import fold
from assets.collection.reading import JSON, JSON_LINES, LABEL_STUDIO, RawObject

Holds = Callable[[object], bool]


def holder_of(ids: Collection[str], texts: Collection[str], id_field: str | None, external_ids: Collection[str]) -> Holds:
    """Whether a JSON value holds one of some records, at any depth.

    Args:
        ids: Ids of documents, wherever they stand.
        texts: Texts, wherever they stand; white space is folded.
        id_field: Field of the source's own ids.
        external_ids: The source's own ids.
    """
    folded = {fold(text) for text in texts}

    def holds(value: object) -> bool:
        if isinstance(value, str):
            return value in ids or fold(value) in folded
        if isinstance(value, dict):
            return str(value.get(id_field)) in external_ids or any(map(holds, value.values()))
        return isinstance(value, list) and any(map(holds, value))

    return holds


def without_records(raw: RawObject, holds: Holds) -> RawObject | None:
    """The object without the records that hold something; itself if none does; None if nothing is left, or its format is not taken apart.

    The result's `raw_sha256` is still that of the whole object.
    """
    text = decode(raw.payload, raw.charset, raw.media_type).text
    if raw.media_type in (*JSON_LINES, LABEL_STUDIO):
        lines = text.split("\n")
        kept = ["" if _line_holds(line, holds) else line for line in lines]
        if kept == lines:
            return raw
        return _changed(raw, "\n".join(kept)) if any(line.strip() for line in kept) else None
    if raw.media_type == JSON:
        content = json.loads(text)
        rest = _without_items(content, holds)
        if not rest or holds(rest):
            return None
        return raw if rest == content else _changed(raw, json.dumps(rest, ensure_ascii=False))
    return _without_rows(raw, text, holds) if raw.media_type == "text/csv" else None


def _without_rows(raw: RawObject, text: str, holds: Holds) -> RawObject | None:
    """A CSV file without the rows that hold something; rows that cannot be read go, too."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    delimiter = delimiter_of(text)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    names, records = rows[0] if rows else [], rows[1:]
    kept = [row for row in records if not holds(dict(zip(names, row, strict=False)) | {"": row[len(names) :]})]
    if len(kept) == len(records):
        return raw
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows([names, *kept])
    return _changed(raw, written.getvalue()) if kept else None


def _changed(raw: RawObject, text: str) -> RawObject:
    return replace(raw, payload=text.encode(errors="surrogatepass"), charset="utf-8")


def _line_holds(line: str, holds: Holds) -> bool:
    try:
        return holds(json.loads(line))
    except (ValueError, RecursionError):
        return False


def _without_items(value: object, holds: Holds) -> object:
    """A JSON value without the list items that hold something; the innermost list of records that does is the one that gets shorter."""
    if isinstance(value, list):
        return [
            _without_items(item, holds) if isinstance(item, list) else item for item in value if isinstance(item, list) or not holds(item)
        ]
    if isinstance(value, dict):
        return {name: _without_items(each, holds) for name, each in value.items()}
    return value

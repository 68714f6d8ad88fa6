"""From raw objects to documents, votes and refusals. Bytes are read in `reading.py`, ids given in `records.py`.

The same bytes can be parsed again at any time, with other field names or limits, without fetching them again.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD
from assets.collection.authors import read_authors
from assets.collection.charset import storable_text
from assets.collection.formats import Record, Refusal
from assets.collection.marking import MarkingError, mark_text
from assets.collection.reading import TRAINING_SIGNAL, RawObject, ReadingRules, Segment, names_for, read_records
from assets.collection.vote_shapes import MalformedVoteError, VotedText, read_json_text
from assets.collection.votes import VoteColumns, VoteTarget
from assets.source_settings import FieldMapping

ORIGIN_COLUMNS = ["uri", "raw_sha256"]
RIGHTS_COLUMNS = ["robots_allowed", "ai_training_signal"]
DOCUMENT_COLUMNS = [
    "external_id", "parent_id", "text", "title", "url", "published_at", "authors", "locator", *ORIGIN_COLUMNS, *RIGHTS_COLUMNS
]  # fmt: skip
REJECTED_COLUMNS = ["locator", "reason", "detail", *ORIGIN_COLUMNS]


@dataclass(frozen=True)
class Parsed:
    """What some raw objects hold. Every frame also has the columns uri and raw_sha256 of the object.

    Attributes:
        documents: One row per document: external_id (unique within an object), parent_id, text (not blank), title, url,
            published_at (UTC or NaT), authors (a tuple of names, or of the pseudonyms of those whom the transport names, or None),
            locator, robots_allowed, ai_training_signal (of the host, else of the page).
        votes: One row per vote; the columns of `assets.collection.votes.COLUMNS`.
        rejected: One row per record that made no document: locator, reason, detail. Records = documents + rejected.
        rejected_votes: One row per vote refused, or per record of a votes file: locator, reason, detail. The record that a
            vote came with may well be a document.
    """

    documents: pd.DataFrame
    votes: pd.DataFrame
    rejected: pd.DataFrame
    rejected_votes: pd.DataFrame


@dataclass
class _Growing:
    """Rows found so far; `locators` and `occurrences` concern the present object only."""

    documents: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[tuple[str, ...]] = field(default_factory=list)
    votes: VoteColumns = field(default_factory=VoteColumns)
    locators: dict[str, str] = field(default_factory=dict)
    occurrences: dict[str, int] = field(default_factory=dict)


class _RecordError(Exception):
    """A record makes no document: its reason and detail."""


def parse_objects(
    objects: Iterable[RawObject],
    *,
    fields: FieldMapping,
    segment: Segment = "page",
    max_text_chars: int = 1_000_000,
    strips_quotes: bool = False,
) -> Parsed:
    """Parses objects of one source; never fails on what is in them.

    Of records with the same id in an object the first is kept; the others are refused as `duplicate_id`, whatever their text.
    The votes of a refused record are refused with it. Many small objects are parsed faster together than one by one.

    Args:
        objects: The objects; read one at a time.
        fields: Which field of a record holds what; not used for texts and pages.
        segment: Whether a page is one document or one per paragraph.
        max_text_chars: Longest text.
        strips_quotes: Whether what a mail quotes of others is left out.
    """
    found, rules = _Growing(), ReadingRules(fields, segment, max_text_chars, strips_quotes)
    for raw in objects:
        found.locators, found.occurrences = {}, {}
        found.votes.origin = (raw.uri, raw.raw_sha256)
        for outcome in read_records(raw, rules):
            _add(found, outcome, raw, rules)
    return Parsed(
        documents=_documents_frame(found.documents),
        votes=found.votes.frame(),
        rejected=_rejected_frame(found.rejected),
        rejected_votes=_rejected_frame(found.votes.rejected),
    )


def _add(found: _Growing, outcome: Record | Refusal, raw: RawObject, rules: ReadingRules) -> None:
    if isinstance(outcome, Record):
        adder = _add_annotations if raw.role == "annotations" else _add_document
        adder(found, outcome, raw, rules)
    else:
        refused = found.votes.rejected if raw.role == "annotations" else found.rejected
        refused.append((outcome.locator, outcome.reason, outcome.detail, raw.uri, raw.raw_sha256))


def _add_document(found: _Growing, record: Record, raw: RawObject, rules: ReadingRules) -> None:
    names, row = names_for(raw, rules), record.fields
    try:
        collected = _read_text(row.get(names.text), rules.max_text_chars)
        about = mark_text(collected, row, names)
        text = about.text or collected
        external_id = _read_id(row.get(names.external_id) if names.external_id else None) or hash_text(text)
        if external_id in found.locators:
            raise _RecordError(
                "duplicate_id", f"expected ids to be distinct, found {external_id!r:.100} at {found.locators[external_id]} too"
            )
        parent_id = _read_id(row.get(names.parent_id) if names.parent_id else None) or raw.parent_id
    except (_RecordError, MarkingError) as error:
        found.rejected.append((record.locator, *error.args, raw.uri, raw.raw_sha256))
        return
    # All questions about one text, and all relations within it, belong to one split.
    parent_id = parent_id or (external_id if text == collected else hash_text(collected))
    found.locators[external_id] = record.locator
    title, url = _read_optional(row, names.title), _read_optional(row, names.url)
    published_at = (row.get(names.published_at) if names.published_at else None) or raw.published_at
    authors = read_authors(row.get(names.authors) if names.authors else None) or tuple((raw.authors or "").split()) or None
    origin = record.locator, raw.uri, raw.raw_sha256
    rights = raw.robots_allowed, raw.ai_training_signal or row.get(TRAINING_SIGNAL)
    found.documents.append((external_id, parent_id, text, title, url, published_at, authors, *origin, *rights))
    _add_votes(found, VoteTarget(external_id=external_id), record, names, about)


def _add_votes(found: _Growing, target: VoteTarget, record: Record, names: FieldMapping, about: VotedText) -> None:
    """The votes of a record: those in its votes field, and the one that its spans are."""
    if names.votes:
        found.votes.add(target, record.fields.get(names.votes), record.locator, about)
    if not names.spans:
        return
    locator = f"{record.locator} spans"
    try:
        spans = read_json_text(record.fields.get(names.spans), "a list of spans")
    except MalformedVoteError as error:
        found.votes.refuse(locator, "malformed_vote", str(error))
        return
    if spans is not None:
        found.votes.add(target, [{"annotator": names.annotator, "spans": spans}], locator, about)


def _add_annotations(found: _Growing, record: Record, raw: RawObject, rules: ReadingRules) -> None:
    """Votes of one record of a votes file: `votes` or `ratings` for this revision of a document, or for the one with this id or text."""
    row, names = record.fields, rules.fields
    votes = next((row[name] for name in (names.votes or "votes", "votes", "ratings") if name in row), None)
    raw_id, text, document_id = row.get(names.external_id or "id"), row.get("text"), row.get(DOCUMENT_ID_FIELD)
    if isinstance(document_id, str):
        seen = VotedText(storable_text(text)) if isinstance(text, str) else VotedText()
        found.votes.add(VoteTarget(document_id=storable_text(document_id)), votes, record.locator, seen)
    elif isinstance(raw_id, (str, int)):
        found.votes.add(VoteTarget(external_id=storable_text(str(raw_id))), votes, record.locator, VotedText())
    elif isinstance(text, str):
        folded = fold(storable_text(text))
        occurrence = found.occurrences.get(folded, 0)
        found.occurrences[folded] = occurrence + 1
        target = VoteTarget(text=folded, parent_id=raw.parent_id, occurrence=occurrence)
        found.votes.add(target, votes, record.locator, VotedText(storable_text(text)))
    else:
        found.votes.refuse(record.locator, "missing_text", "expected the id or the text that the votes are about, found neither")


def fold(text: str) -> str:
    """The text with every run of white space as one space: how texts are compared between a page and its votes."""
    return " ".join(text.split())


def hash_text(text: str) -> str:
    """The id of a record that has none of its own."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_text(value: object, max_text_chars: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value.strip()):
        raise _RecordError("missing_text", "expected a text, found none")
    if not isinstance(value, str):
        raise _RecordError("text_not_a_string", f"expected a text, found {type(value).__name__}")
    if len(value) > max_text_chars:
        raise _RecordError("text_too_long", f"expected at most {max_text_chars} characters, found {len(value)}")
    return storable_text(value)


def _read_id(value: object) -> str | None:
    """An id as text; None when there is none. Numbers keep their digits: 12.0, as pandas exports write it, is 12."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return storable_text(str(value))
    raise _RecordError("malformed_id", f"expected a text or a whole number as id, found {type(value).__name__} {value!r:.60}")


def _read_optional(row: dict[str, Any], name: str | None) -> str | None:
    value = row.get(name) if name else None
    return storable_text(value) if isinstance(value, str) and value.strip() else None


def _documents_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=DOCUMENT_COLUMNS)
    times = pd.Series([_as_time_text(value) for value in frame["published_at"]], dtype="str")
    parsed = pd.to_datetime(times, utc=True, errors="coerce", format="ISO8601").astype("datetime64[us, UTC]")
    texts = {name: "str" for name in DOCUMENT_COLUMNS if name not in ("published_at", "authors", "robots_allowed")}
    return frame.assign(published_at=parsed).astype({**texts, "robots_allowed": "boolean"})


def _as_time_text(value: object) -> str | None:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value if isinstance(value, str) else None


def _rejected_frame(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=REJECTED_COLUMNS).astype("str")

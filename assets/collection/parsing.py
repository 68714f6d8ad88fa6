"""From raw bytes to documents, votes and refusals. Fetching is in `resources/channels`, ids and revisions are in `records.py`.

The same bytes can be parsed again at any time, with other field names or limits, without fetching them again.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD
from assets.collection.charset import decode, join_surrogates
from assets.collection.conll import read_conll
from assets.collection.formats import Record, Refusal, read_csv, read_json, read_json_lines, read_parquet
from assets.collection.marking import MarkingError, mark_text
from assets.collection.pages import extract_page
from assets.collection.vote_shapes import MalformedVoteError, VotedText, read_json_text
from assets.collection.votes import VoteColumns, VoteTarget
from assets.label_studio import votes_of
from assets.source_settings import FieldMapping

JSON_LINES = ("application/x-ndjson", "application/jsonl")
PARQUET = "application/vnd.apache.parquet"
CONLL = "text/x-conll"
LABEL_STUDIO = "application/vnd.label-studio.tasks+jsonl"
ORIGIN_COLUMNS = ["uri", "raw_sha256"]
DOCUMENT_COLUMNS = ["external_id", "parent_id", "text", "title", "url", "published_at", "locator", *ORIGIN_COLUMNS]
REJECTED_COLUMNS = ["locator", "reason", "detail", *ORIGIN_COLUMNS]
Segment = Literal["page", "paragraph"]


@dataclass(frozen=True)
class RawObject:
    """One object as it was fetched and stored.

    Attributes:
        payload: The bytes.
        raw_sha256: Their content hash.
        uri: Where they came from; the id of a document that is a whole file or page without `parent_id`.
        media_type: Selects the parser; an unknown one is read as plain text when it starts with `text/`, else refused.
        charset: Charset declared by the transport, if any.
        role: What the bytes hold.
        parent_id: Id that the feed or listing gives to the object.
        published_at: Publication time given by the transport (UTC), for records without one.
    """

    payload: bytes
    raw_sha256: str
    uri: str
    media_type: str
    charset: str | None = None
    role: Literal["documents", "annotations"] = "documents"
    parent_id: str | None = None
    published_at: datetime | None = None


@dataclass(frozen=True)
class Parsed:
    """What some raw objects hold. Every frame also has the columns uri and raw_sha256 of the object.

    Attributes:
        documents: One row per document: external_id (unique within an object), parent_id, text (not blank), title, url,
            published_at (UTC or NaT), locator.
        votes: One row per vote; the columns of `assets.collection.votes.COLUMNS`.
        rejected: One row per record that made no document: locator, reason, detail. Records = documents + rejected.
        rejected_votes: One row per vote refused, or per record of a votes file: locator, reason, detail. The record that a
            vote came with may well be a document.
    """

    documents: pd.DataFrame
    votes: pd.DataFrame
    rejected: pd.DataFrame
    rejected_votes: pd.DataFrame


@dataclass(frozen=True)
class _Rules:
    fields: FieldMapping
    segment: Segment
    max_text_chars: int


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
    objects: Iterable[RawObject], *, fields: FieldMapping, segment: Segment = "page", max_text_chars: int = 1_000_000
) -> Parsed:
    """Parses objects of one source; never fails on what is in them.

    Of records with the same id in an object the first is kept; the others are refused as `duplicate_id`, whatever their text.
    The votes of a refused record are refused with it. Many small objects are parsed faster together than one by one.

    Args:
        objects: The objects; read one at a time.
        fields: Which field of a record holds what; not used for texts and pages.
        segment: Whether a page is one document or one per paragraph.
        max_text_chars: Longest text.
    """
    found, rules = _Growing(), _Rules(fields, segment, max_text_chars)
    for raw in objects:
        found.locators, found.occurrences = {}, {}
        found.votes.origin = (raw.uri, raw.raw_sha256)
        for outcome in _outcomes(raw, rules):
            _add(found, outcome, raw, rules)
    return Parsed(
        documents=_documents_frame(found.documents),
        votes=found.votes.frame(),
        rejected=_rejected_frame(found.rejected),
        rejected_votes=_rejected_frame(found.votes.rejected),
    )


def _add(found: _Growing, outcome: Record | Refusal, raw: RawObject, rules: _Rules) -> None:
    if isinstance(outcome, Record):
        adder = _add_annotations if raw.role == "annotations" else _add_document
        adder(found, outcome, raw, rules)
    else:
        refused = found.votes.rejected if raw.role == "annotations" else found.rejected
        refused.append((outcome.locator, outcome.reason, outcome.detail, raw.uri, raw.raw_sha256))


def _outcomes(raw: RawObject, rules: _Rules) -> Iterator[Record | Refusal]:
    """Records by media type. Whole texts and paragraphs become records too, in the field names of the source."""
    names = rules.fields
    if raw.media_type == PARQUET:
        return read_parquet(raw.payload, names.field_names(), names.required_names())
    text = decode(raw.payload, raw.charset, raw.media_type).text
    if raw.media_type in JSON_LINES:
        return read_json_lines(text, rules.max_text_chars)
    if raw.media_type == "application/json":
        return read_json(text)
    if raw.media_type == LABEL_STUDIO:
        return map(_task_record, read_json_lines(text, rules.max_text_chars))
    if raw.media_type == "text/csv":
        return read_csv(text, names.required_names())
    if raw.media_type == CONLL:
        return read_conll(text, raw.parent_id or raw.uri, names.annotator or "conll")
    if "html" in raw.media_type:
        return _page_records(text, raw, rules.segment)
    return _plain_records(text, raw)


def _task_record(outcome: Record | Refusal) -> Record | Refusal:
    """The votes on a task of Label Studio."""
    if isinstance(outcome, Refusal):
        return outcome
    try:
        return Record(outcome.locator, {**outcome.fields["data"], "votes": list(votes_of(outcome.fields))})
    except (KeyError, TypeError, AttributeError) as error:
        return Refusal(outcome.locator, "malformed_task", f"expected a task of Label Studio, found {type(error).__name__}: {error}")


def _plain_records(text: str, raw: RawObject) -> Iterator[Record | Refusal]:
    if raw.media_type.startswith("text/"):
        yield Record("file", {"text": text, "id": raw.parent_id or raw.uri})
    else:
        expected = "expected JSON lines, JSON, CSV, Parquet, CoNLL, HTML or plain text"
        yield Refusal("file", "unknown_media_type", f"{expected}, found {raw.media_type!r}")


def _page_records(html: str, raw: RawObject, segment: Segment) -> Iterator[Record | Refusal]:
    page = extract_page(html)
    name = raw.parent_id or raw.uri
    if not page.paragraphs:
        yield Refusal("page", "no_main_text", f"expected an article in the page, found none in {len(html)} characters")
    elif segment == "page":
        yield Record("page", {"text": "\n".join(page.paragraphs), "id": name, "title": page.title, "url": raw.uri})
    else:
        for number, paragraph in enumerate(page.paragraphs, start=1):
            row = {"text": paragraph, "id": f"{name}#{number}", "title": page.title, "url": raw.uri, "parent": name}
            yield Record(f"paragraph {number}", row)


_OWN_NAMES = FieldMapping(external_id="id", text="text", parent_id="parent", title="title", url="url", votes="votes")


def _names_for(raw: RawObject, rules: _Rules) -> FieldMapping:
    """Field names: the source's for records, our own for texts, pages and sentences, which have no fields."""
    has_fields = raw.media_type in (*JSON_LINES, PARQUET, "application/json", "text/csv")
    return rules.fields if has_fields else _OWN_NAMES


def _add_document(found: _Growing, record: Record, raw: RawObject, rules: _Rules) -> None:
    names, row = _names_for(raw, rules), record.fields
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
    published_at = row.get(names.published_at) if names.published_at else None
    found.documents.append(
        (external_id, parent_id, text, title, url, published_at or raw.published_at, record.locator, raw.uri, raw.raw_sha256)
    )
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


def _add_annotations(found: _Growing, record: Record, raw: RawObject, rules: _Rules) -> None:
    """Votes of one record of a votes file: `votes` or `ratings` for this revision of a document, or for the one with this id or text."""
    row, names = record.fields, rules.fields
    votes = next((row[name] for name in (names.votes or "votes", "votes", "ratings") if name in row), None)
    raw_id, text, document_id = row.get(names.external_id or "id"), row.get("text"), row.get(DOCUMENT_ID_FIELD)
    if isinstance(document_id, str):
        seen = VotedText(join_surrogates(text)) if isinstance(text, str) else VotedText()
        found.votes.add(VoteTarget(document_id=document_id), votes, record.locator, seen)
    elif isinstance(raw_id, (str, int)):
        found.votes.add(VoteTarget(external_id=join_surrogates(str(raw_id))), votes, record.locator, VotedText())
    elif isinstance(text, str):
        folded = fold(join_surrogates(text))
        occurrence = found.occurrences.get(folded, 0)
        found.occurrences[folded] = occurrence + 1
        target = VoteTarget(text=folded, parent_id=raw.parent_id, occurrence=occurrence)
        found.votes.add(target, votes, record.locator, VotedText(join_surrogates(text)))
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
    return join_surrogates(value)


def _read_id(value: object) -> str | None:
    """An id as text; None when there is none. Numbers keep their digits: 12.0, as pandas exports write it, is 12."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return join_surrogates(str(value))
    raise _RecordError("malformed_id", f"expected a text or a whole number as id, found {type(value).__name__} {value!r:.60}")


def _read_optional(row: dict[str, Any], name: str | None) -> str | None:
    value = row.get(name) if name else None
    return join_surrogates(value) if isinstance(value, str) and value.strip() else None


def _documents_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=DOCUMENT_COLUMNS)
    times = pd.Series([_as_time_text(value) for value in frame["published_at"]], dtype="str")
    parsed = pd.to_datetime(times, utc=True, errors="coerce", format="ISO8601").astype("datetime64[us, UTC]")
    texts = {name: "str" for name in DOCUMENT_COLUMNS if name != "published_at"}
    return frame.assign(published_at=parsed).astype(texts)


def _as_time_text(value: object) -> str | None:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value if isinstance(value, str) else None


def _rejected_frame(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=REJECTED_COLUMNS).astype("str")

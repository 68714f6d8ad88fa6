"""From the bytes of an object to records, by media type. What becomes of records is decided in `parsing.py`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from assets.collection.authors import split_byline
from assets.collection.charset import decode, decode_lines
from assets.collection.conll import read_conll
from assets.collection.formats import Record, Refusal, read_csv, read_json, read_json_lines, read_parquet
from assets.collection.mail import read_mbox
from assets.collection.nesting import names_of_messages, nested_records
from assets.collection.pages import extract_page
from assets.label_studio import votes_of
from assets.source_settings import FieldMapping, Source

JSON_LINES = ("application/x-ndjson", "application/jsonl")
PARQUET = "application/vnd.apache.parquet"
CONLL = "text/x-conll"
JSON = "application/json"
CSV = "text/csv"
MBOX = "application/mbox"
TRAINING_SIGNAL = "\0ai_training_signal"
"""Field of a record made of a page: what the page itself says against training."""
LABEL_STUDIO = "application/vnd.label-studio.tasks+jsonl"
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
        robots_allowed: A robots.txt permits reading it; None where there was none to ask.
        ai_training_signal: What its host says against training models on it (`assets/rights.py`).
        authors: Pseudonyms of those whom the transport names as authors, joined by spaces, for records without any.
    """

    payload: bytes
    raw_sha256: str
    uri: str
    media_type: str
    charset: str | None = None
    role: Literal["documents", "annotations"] = "documents"
    parent_id: str | None = None
    published_at: datetime | None = None
    robots_allowed: bool | None = None
    ai_training_signal: str | None = None
    authors: str | None = None

    def text(self) -> str:
        """The bytes as one text; records in lines of their own may differ in their encoding."""
        if self.media_type in (*JSON_LINES, LABEL_STUDIO, CSV):
            return decode_lines(self.payload, self.charset, self.media_type)
        return decode(self.payload, self.charset, self.media_type).text


@dataclass(frozen=True)
class ReadingRules:
    """How the objects of a source are read.

    Attributes:
        fields: Which field of a record holds what.
        segment: Whether a page is one document or one per paragraph.
        max_text_chars: Longest text.
        strips_quotes: Whether what a mail quotes of others is left out.
    """

    fields: FieldMapping
    segment: Segment
    max_text_chars: int
    strips_quotes: bool = False


def rules_of(source: Source) -> ReadingRules:
    """How the objects of a source are read."""
    segment: Segment = source.segment if source.kind in ("feed", "site") else "page"
    strips_quotes = source.kind == "mailbox" and source.quoted_replies == "strip"
    return ReadingRules(source.fields, segment, source.max_text_chars, strips_quotes)


def read_records(raw: RawObject, rules: ReadingRules) -> Iterator[Record | Refusal]:
    """Records by media type. Whole texts, pages and mails become records too, with field names of our own (see `names_for`)."""
    if _has_fields(raw):
        records = _fielded_records(raw, rules)
        return nested_records(records, rules.fields) if raw.role == "documents" else records
    if raw.media_type == MBOX:
        return read_mbox(raw.payload, strips_quotes=rules.strips_quotes)
    text = raw.text()
    if raw.media_type == LABEL_STUDIO:
        return map(_task_record, read_json_lines(text, rules.max_text_chars))
    if raw.media_type == CONLL:
        return read_conll(text, raw.parent_id or raw.uri, rules.fields.annotator or "conll")
    if "html" in raw.media_type:
        return _page_records(text, raw, rules.segment)
    return _plain_records(text, raw)


def _fielded_records(raw: RawObject, rules: ReadingRules) -> Iterator[Record | Refusal]:
    """Records with fields that the source names."""
    names = rules.fields
    if raw.media_type == PARQUET:
        required = [name for name in names.required_names() if "." not in name]
        return read_parquet(raw.payload, names.column_names(), required)
    text = raw.text()
    if raw.media_type in JSON_LINES:
        return read_json_lines(text, rules.max_text_chars)
    if raw.media_type == JSON:
        return read_json(text, names.records if raw.role == "documents" else None)
    return read_csv(text, names.required_names())


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
        expected = "expected JSON lines, JSON, CSV, Parquet, CoNLL, mbox, HTML or plain text"
        yield Refusal("file", "unknown_media_type", f"{expected}, found {raw.media_type!r}")


def _page_records(html: str, raw: RawObject, segment: Segment) -> Iterator[Record | Refusal]:
    page = extract_page(html, raw.uri)
    name = raw.parent_id or raw.uri
    shared = {
        "title": page.title,
        "url": raw.uri,
        "authors": split_byline(page.byline),
        # A feed knows the minute, a page often only the day.
        "published_at": raw.published_at or page.published_at,
        TRAINING_SIGNAL: page.ai_training_signal,
    }
    if not page.paragraphs:
        yield Refusal("page", "no_main_text", f"expected an article in the page, found none in {len(html)} characters")
    elif segment == "page":
        yield Record("page", {"text": "\n".join(page.paragraphs), "id": name} | shared)
    else:
        for number, paragraph in enumerate(page.paragraphs, start=1):
            yield Record(f"paragraph {number}", {"text": paragraph, "id": f"{name}#{number}", "parent": name} | shared)


_OWN_NAMES = FieldMapping(
    external_id="id",
    text="text",
    parent_id="parent",
    title="title",
    url="url",
    published_at="published_at",
    authors="authors",
    votes="votes",
)


def names_for(raw: RawObject, rules: ReadingRules) -> FieldMapping:
    """Field names: the source's for records, our own for texts, pages, mails and sentences, which have no fields."""
    if not _has_fields(raw):
        return _OWN_NAMES
    return names_of_messages(rules.fields) if rules.fields.messages else rules.fields


def _has_fields(raw: RawObject) -> bool:
    return raw.media_type in (*JSON_LINES, PARQUET, JSON, CSV)

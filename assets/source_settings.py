"""What a project file says about its sources: the channels, which field is what, and how the web may be asked.

How each channel reads is in `resources/channels`, how records are parsed in `assets/collection`; `docs/collection.md` shows every kind.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from assets.rights import AiTraining
from assets.section import Section

Format = Literal["auto", "jsonl", "json", "csv", "parquet", "conll", "mbox", "text"]
WebAddress = Annotated[str, Field(pattern=r"^https?://")]


Secret = Annotated[SecretStr, BeforeValidator(lambda value: str(value).lower() if isinstance(value, (bool, int, float)) else value)]


class FieldMapping(Section):
    """Which field of a record holds what. A field that is not named is not read. `author.name` is `name` within `author`."""

    records: str | None = Field(None, description="Path of the list of records in JSON, for example `data.items`; null: the list is all.")
    messages: str | None = Field(
        None,
        description="For chats and tickets: field with the list of messages of a thread, each of which becomes a document. `external_id`, "
        "`text`, `url`, `published_at` and `authors` are then fields of a message (as `author.name` reaches into one), `parent_id` and "
        "`title` of the thread.",
    )
    external_id: str | None = Field("id", description="Field with the record's id; null takes the hash of the text.")
    text: str = Field("text", description="Field with the text.")
    parent_id: str | None = Field(None, description="Field with the id of the article, product or thread the text belongs to.")
    title: str | None = Field(None, description="Field with the title.")
    url: str | None = Field(None, description="Field with the address.")
    published_at: str | None = Field(None, description="Field with the publication time (ISO 8601).")
    authors: str | None = Field(
        None,
        description="Field with who wrote it: a mail address, a name or a handle, an object with a `name`, or a list of these. Pseudonyms "
        "take their place before any table sees them.",
    )
    votes: str | None = Field(
        None,
        description="Field with votes: a list of ratings, of labels, or of {annotator, value | label | labels | spans}; the spans of one "
        "annotator as [[start, end, label], …] or [{start, end, label | labels}, …]; {text: […], answer_start: […]} for the answers to a "
        "question; or JSON of one of these. An empty list is no vote.",
    )
    spans: str | None = Field(
        None, description="Field with the spans of one annotator, in the shapes of `votes`; here an empty list says that there are none."
    )
    annotator: str | None = Field(
        None,
        description="Name of the annotator (not of a field) of `spans` and of the tags in CoNLL files, where they do not say; "
        "null takes `anonymous:01`, for CoNLL files `conll`.",
    )
    head: str | None = Field(None, description="For relations: field with the place of the first entity, {start, end} or [start, end].")
    tail: str | None = Field(None, description="For relations: field with the place of the second entity.")
    question: str | None = Field(None, description="For question answering: field with the question; `text` then holds the answer.")

    @model_validator(mode="after")
    def entities_come_in_pairs(self) -> Self:
        """A relation has two entities, and a text is asked about or related, not both."""
        if (self.head is None) != (self.tail is None):
            raise ValueError(f"expected both `head` and `tail` or neither, found head={self.head!r} and tail={self.tail!r}")
        if self.head is not None and self.question is not None:
            raise ValueError("expected either `head` and `tail` or `question`, found all three")
        return self

    @model_validator(mode="after")
    def threads_have_ids(self) -> Self:
        """Messages of a thread belong together by its id."""
        if self.messages is not None and self.parent_id is None:
            raise ValueError("expected `parent_id`, the field with a thread's id, beside `messages`, found none")
        return self

    def field_names(self) -> list[str]:
        """Every field that is read."""
        named = (self.external_id, self.text, self.parent_id, self.title, self.url, self.published_at, self.authors)
        return [name for name in (*named, self.votes, self.spans, self.head, self.tail, self.question) if name]

    def column_names(self) -> list[str]:
        """The columns of a table in which all fields are found: for a path also the column that it begins with."""
        found = [self.messages, self.parent_id, self.title] if self.messages else self.field_names()
        return list(dict.fromkeys(part for name in found if name for part in (name, name.partition(".")[0])))

    def required_names(self) -> list[str]:
        """The fields without which no record makes a document."""
        needed = [self.messages, self.parent_id] if self.messages else [self.text, self.head, self.tail, self.question]
        return [name for name in needed if name]


class Rights(Section):
    """What may be done with the texts of a source."""

    ai_training: AiTraining = Field(
        "by_signals",
        description="Whether models may be trained on them: `allowed` and `denied` decide for the whole source; `by_signals` allows what "
        "no meta tag, header, robots.txt or ai.txt speaks against, which is all of files, mailboxes, buckets and databases.",
    )


class SourceBase(Section):
    """What every source has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="Partition key; also the `source` column.")
    fields: FieldMapping = FieldMapping()
    licence: str | None = Field(
        None, description="Licence of the texts, for the cards of data sets and models; null is said to be unknown."
    )
    rights: Rights = Rights()
    max_object_bytes: int = Field(64_000_000, gt=0, description="Objects larger than this are refused unread.")
    max_text_chars: int = Field(1_000_000, gt=0, description="Texts longer than this are refused.")


class FilesSource(SourceBase):
    """Files in a folder: JSON, CSV, Parquet, CoNLL, mbox or plain text; new and changed files only."""

    kind: Literal["files"]
    path: str = Field(description="Glob, for example `/data/drop/**/*.jsonl`.")
    format: Format = Field("auto", description="`auto` goes by the file's ending.")


class MailboxSource(SourceBase):
    """Mailboxes in mbox format, as mail programs export them: one document per message, threads by `References`."""

    kind: Literal["mailbox"]
    path: str = Field(description="Glob, for example `/data/mail/**/*.mbox`.")
    quoted_replies: Literal["keep", "strip"] = Field("keep", description="Whether what a message quotes of others stays in its text.")


class WebSource(SourceBase):
    """What every source on the web has: limits and manners of its requests."""

    allow_private_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts, written as in the addresses, that may be on this machine or in a private network; all others must have public "
        "addresses.",
    )
    requests_per_second: float = Field(2.0, gt=0, description="Most requests per second to one host; its robots.txt may ask for fewer.")
    honours_robots: bool = Field(True, description="Whether robots.txt decides what is read; turn it off for sites of your own only.")
    timeout_seconds: float = Field(20.0, gt=0, description="Longest silence of a server.")
    total_seconds: float = Field(120.0, gt=0, description="Longest time for one answer, from connecting to its last byte.")
    max_redirects: int = Field(
        5, ge=0, le=20, description="Redirects that are followed, each to an address that is checked like the first."
    )
    max_decompression_ratio: float = Field(
        200.0, ge=1, description="Most bytes that one compressed byte may become, once a megabyte has come out."
    )
    retries: int = Field(
        2, ge=0, le=10, description="Further attempts after a broken connection or a time-out, or when a server is busy or fails."
    )


class FeedSource(WebSource):
    """An RSS or Atom feed: conditional requests for the feed, then the article pages."""

    kind: Literal["feed"]
    url: WebAddress = Field(description="Address of the feed.")
    segment: Literal["page", "paragraph"] = Field("page", description="One document per article, or per paragraph of it.")


class SiteSource(WebSource):
    """Pages of a web site: those that its sitemaps list, and those that links lead to from start pages."""

    kind: Literal["site"]
    sitemaps: tuple[WebAddress, ...] = Field((), description="Addresses of sitemaps or of indexes of them, compressed or not.")
    start_urls: tuple[WebAddress, ...] = Field(
        (), description="Pages whose links are followed within their folder: `https://example.com/blog/` stays below `/blog/`."
    )
    pages: str | None = Field(
        None,
        description="Regular expression that the address of a page must contain to be collected; null collects all but the start pages.",
    )
    max_depth: int = Field(2, ge=0, description="Most links between a start page and a page.")
    max_pages: int = Field(500, gt=0, description="Most pages that are asked for in one run; new ones come first.")
    max_sitemaps: int = Field(50, gt=0, description="Most sitemaps that are asked for in one run.")
    segment: Literal["page", "paragraph"] = Field("page", description="One document per page, or per paragraph of it.")

    @model_validator(mode="after")
    def there_is_a_way_in(self) -> Self:
        """There is something to begin with, and the pattern is one."""
        if not self.sitemaps and not self.start_urls:
            raise ValueError("expected `sitemaps` or `start_urls`, found neither")
        try:
            re.compile(self.pages or "")
        except re.error as error:
            raise ValueError(f"pages: expected a regular expression, found {self.pages!r}: {error}") from error
        return self


class Pagination(Section):
    """Where an API says that there is more."""

    by: Literal["none", "page", "offset", "cursor", "next_url", "link_header"] = Field(
        "none",
        description="A page's number or offset that we count; a cursor or an address in the answer; or the header `Link` with `rel=next`.",
    )
    parameter: str | None = Field(None, description="Query parameter of the number, the offset or the cursor.")
    start: int = Field(1, ge=0, description="First number or offset.")
    next: str | None = Field(None, description="Path in the answer of the next cursor or address, for example `meta.next_cursor`.")

    @model_validator(mode="after")
    def what_is_needed_is_there(self) -> Self:
        """Every way needs its own keys."""
        if self.by in ("page", "offset", "cursor") and not self.parameter:
            raise ValueError(f"expected `parameter` for pagination by {self.by}, found none")
        if self.by in ("cursor", "next_url") and not self.next:
            raise ValueError(f"expected `next` for pagination by {self.by}, found none")
        return self


class Since(Section):
    """How an API is asked for what is new only."""

    parameter: str = Field(min_length=1, description="Query parameter that asks for records from a value on.")
    field: str = Field(min_length=1, description="Path in a record of that value: a time of change that sorts as text, or a number.")
    start: str | int | None = Field(None, description="Value of the first run; null asks without one.")


class ApiSource(WebSource):
    """Paged JSON of a REST API. Records are read by `fields`; `fields.records` is the path of their list."""

    kind: Literal["api"]
    url: WebAddress = Field(description="Address of the endpoint.")
    params: dict[str, Secret] = Field({}, description="Query parameters of every request; never shown or stored.")
    headers: dict[str, Secret] = Field(
        {},
        description="Headers for this server only, never shown or stored; keys from the environment: `{Authorization: Bearer ${NAME}}`.",
    )
    pagination: Pagination = Pagination()
    since: Since | None = Field(None, description="Asks for what is new only; null asks for everything each time.")
    max_pages: int = Field(100, gt=0, description="Most pages in one run.")
    honours_robots: bool = Field(
        False, description="Whether robots.txt decides what is read. It is written for crawlers; who offers an API wants it to be used."
    )

    @field_validator("headers")
    @classmethod
    def headers_can_be_sent(cls, given: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """No header could end its line and begin another."""
        broken = [name for name, value in given.items() if not re.fullmatch(r"[ -~]+", name + value.get_secret_value())]
        if broken:
            raise ValueError(f"expected names and values of headers in printable ASCII, found others in {broken}")
        return given


class SqlSource(SourceBase):
    """A query on any database that SQLAlchemy reaches."""

    kind: Literal["sql"]
    url: str = Field(description="SQLAlchemy URL; take passwords from the environment as `${NAME}`.")
    query: str = Field(description="A SELECT with `:cursor` where rows after the last one seen are asked for.")
    cursor_column: str = Field(description="Column that grows with new rows; the query must be ordered by it.")
    cursor_start: str | int = Field(0, description="Value of `:cursor` on the first run.")
    batch_rows: int = Field(10_000, gt=0, description="Rows per stored object.")


class BucketSource(SourceBase):
    """Objects under a prefix of an S3 bucket or of a local object store; new and changed objects only."""

    kind: Literal["bucket"]
    url: str = Field(description="`s3://bucket/prefix` or `file:///folder/prefix`.")
    endpoint_url: str | None = Field(None, description="Address of an S3-compatible server; null for Amazon's.")
    format: Format = Field("auto", description="`auto` goes by the object's ending.")


Source = Annotated[
    FilesSource | MailboxSource | FeedSource | SiteSource | ApiSource | SqlSource | BucketSource, Field(discriminator="kind")
]

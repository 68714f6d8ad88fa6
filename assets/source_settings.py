"""What a project file says about its sources: the channels, which field is what, and how the web may be asked.

How each channel reads is in `resources/channels`, how records are parsed in `assets/collection`; `docs/collection.md` shows every kind.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assets.section import Section

WebAddress = Annotated[str, Field(pattern=r"^https?://")]


class FieldMapping(Section):
    """Which field of a record holds what. A field that is not named is not read."""

    external_id: str | None = Field("id", description="Field with the record's id; null takes the hash of the text.")
    text: str = Field("text", description="Field with the text.")
    parent_id: str | None = Field(None, description="Field with the id of the article, product or thread the text belongs to.")
    title: str | None = Field(None, description="Field with the title.")
    url: str | None = Field(None, description="Field with the address.")
    published_at: str | None = Field(None, description="Field with the publication time (ISO 8601).")
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

    def field_names(self) -> list[str]:
        """Every field that is read."""
        named = (self.external_id, self.text, self.parent_id, self.title, self.url, self.published_at)
        return [name for name in (*named, self.votes, self.spans, self.head, self.tail, self.question) if name]

    def required_names(self) -> list[str]:
        """The fields without which no record makes a document."""
        return [name for name in (self.text, self.head, self.tail, self.question) if name]


class SourceBase(Section):
    """What every source has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="Partition key; also the `source` column.")
    fields: FieldMapping = FieldMapping()
    licence: str | None = Field(
        None, description="Licence of the texts, for the cards of data sets and models; null is said to be unknown."
    )
    max_object_bytes: int = Field(64_000_000, gt=0, description="Objects larger than this are refused unread.")
    max_text_chars: int = Field(1_000_000, gt=0, description="Texts longer than this are refused.")


class FilesSource(SourceBase):
    """Files in a folder: JSONL, CSV, Parquet, CoNLL or plain text; new and changed files only."""

    kind: Literal["files"]
    path: str = Field(description="Glob, for example `/data/drop/**/*.jsonl`.")
    format: Literal["auto", "jsonl", "csv", "parquet", "conll", "text"] = Field("auto", description="`auto` goes by the file's ending.")


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
    format: Literal["auto", "jsonl", "csv", "parquet", "conll", "text"] = Field("auto", description="`auto` goes by the object's ending.")


Source = Annotated[FilesSource | FeedSource | SiteSource | SqlSource | BucketSource, Field(discriminator="kind")]

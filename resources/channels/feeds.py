"""The feed channel: an RSS or Atom feed, then the pages and vote files of its new or changed entries.

Reading one address is in `resources/web`; main text and paragraphs are found in `assets/collection`.
"""

import calendar
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, TypeVar

import feedparser

from resources.channels.fetched import MEDIA_TYPES, CursorMove, Fetched, FetchFailure, Role, SourceError, refuse_by_size
from resources.web.policy import FetchPolicy, WebError
from resources.web.reader import Reply, WebReader, conditions
from resources.web.xml_documents import parse_xml

THREADS = 4
LOOK_AHEAD = 8
_HARMLESS = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class LinkedObject:
    """A page or a vote file that an entry of the feed points to."""

    url: str
    role: Role
    parent_id: str
    published_at: datetime | None
    cursor_key: str
    cursor_value: str
    authors: tuple[str, ...] = ()


class FeedChannel:
    """One feed, asked for only when it changed, and the objects behind its new or changed entries.

    An entry counts as changed when its time of update, its link or the length of an enclosure changes. The feed's own
    validators are remembered only after everything in it was read, so that a page that failed is tried again next time.

    Args:
        url: Address of the feed.
        policy: Limits and manners of its requests.
    """

    def __init__(self, url: str, policy: FetchPolicy) -> None:
        self.url = url
        self.policy = policy

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """See `Channel`. Up to eight objects are read ahead.

        Raises:
            SourceError: The feed cannot be reached, or what is there is no feed.
        """
        with WebReader(self.policy) as reader:
            reply = self._read_feed(reader, cursor)
            if reply is None:
                return
            parsed = _parse_feed(reply)
            is_complete = True
            for outcome in self._outcomes(reader, parsed, cursor):
                is_complete = is_complete and isinstance(outcome, Fetched)
                yield outcome
            if is_complete:
                yield CursorMove(_feed_key(self.url), json.dumps(reply.validators))

    def _read_feed(self, reader: WebReader, cursor: Mapping[str, str]) -> Reply | None:
        """The feed; None when it did not change."""
        known = json.loads(cursor.get(_feed_key(self.url), "{}"))
        try:
            reply = reader.get(self.url, conditions(known))
        except WebError as error:
            raise SourceError(f"cannot read the feed {self.url}: {error}") from error
        return None if reply.status == 304 else reply

    def _outcomes(self, reader: WebReader, parsed: Any, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure]:  # noqa: ANN401
        if _is_malformed(parsed):
            found = f"found: {parsed.bozo_exception}; its {len(parsed.entries)} readable entries were collected"
            yield FetchFailure(self.url, "malformed_feed", f"expected well-formed XML, {found}")
        for number, entry in enumerate(parsed.entries, start=1):
            if not _entry_id(entry) or not _is_web(entry.get("link", "")):
                found = f"found id {_entry_id(entry)[:100]!r} and link {str(entry.get('link', ''))[:100]!r}"
                yield FetchFailure(f"{self.url}#entry-{number}", "malformed_entry", f"expected an id and a web link, {found}")
        linked = (item for entry in parsed.entries for item in _linked_objects(entry))
        wanted = (item for item in linked if cursor.get(item.cursor_key) != item.cursor_value)
        yield from map_ahead(lambda item: _fetch_linked(reader, item), wanted)


def map_ahead(make: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """Results in the order of the items, made by a few threads that run at most `LOOK_AHEAD` items ahead."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="feed") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) == LOOK_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _fetch_linked(reader: WebReader, item: LinkedObject) -> Fetched | FetchFailure:
    try:
        reply = reader.get(item.url)
    except WebError as error:
        return FetchFailure(item.url, error.reason, str(error))
    refused = refuse_by_size(item.url, len(reply.body), reader.policy.max_bytes)
    media_type = MEDIA_TYPES["json"] if item.role == "annotations" else reply.media_type or MEDIA_TYPES["html"]
    return refused or Fetched(
        item.url,
        reply.body,
        media_type,
        reply.charset,
        item.role,
        item.parent_id,
        item.published_at,
        item.cursor_key,
        item.cursor_value,
        reply.robots_allowed,
        reply.ai_training_signal,
        item.authors,
    )


def _parse_feed(reply: Reply) -> Any:  # noqa: ANN401 (feedparser has no types)
    """The parsed feed. Only bytes are handed over: given a text, the parser might open it as an address or a file.

    Raises:
        SourceError: It is no feed, or one that is not safe to parse.
    """
    try:
        parse_xml(reply.body)
    except WebError as error:
        raise SourceError(f"expected a harmless feed at {reply.url}: {error}") from error
    headers = {"content-type": reply.headers.get("content-type", "application/xml"), "content-location": reply.url}
    parsed = feedparser.parse(BytesIO(reply.body), response_headers=headers)
    if not parsed.entries and (parsed.bozo or not parsed.get("version")):
        found = parsed.get("bozo_exception") or f"{reply.media_type or 'an unnamed media type'} without a feed in it"
        raise SourceError(f"expected an RSS or Atom feed at {reply.url}, found: {found}")
    return parsed


def _is_malformed(parsed: Any) -> bool:  # noqa: ANN401
    return bool(parsed.bozo) and not isinstance(parsed.get("bozo_exception"), _HARMLESS)


def _linked_objects(entry: Any) -> Iterator[LinkedObject]:  # noqa: ANN401
    """The page of an entry, then its files of votes; nothing for an entry without id or web link."""
    entry_id, link = _entry_id(entry), entry.get("link", "")
    if not entry_id or not _is_web(link):
        return
    # Asked as a plain dict: the parser's own `get` answers with `published` for a missing `updated`, and warns of it.
    moment = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    published_at = datetime.fromtimestamp(calendar.timegm(moment), UTC) if moment else None
    state = str(dict.get(entry, "updated") or dict.get(entry, "published") or "")
    yield LinkedObject(link, "documents", entry_id, published_at, f"entry:{entry_id}", json.dumps([state, link]), _authors(entry))
    for enclosure in entry.get("enclosures", []):
        href = enclosure.get("href", "")
        if enclosure.get("type") == MEDIA_TYPES["json"] and _is_web(href):
            value = json.dumps([state, href, enclosure.get("length", "")])
            yield LinkedObject(href, "annotations", entry_id, published_at, f"enclosure:{entry_id}:{href}", value)


def _authors(entry: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Who wrote an entry: the address of each author, else the name."""
    named = (author.get("email") or author.get("name") for author in entry.get("authors", []))
    return tuple(str(name) for name in named if name)


def _entry_id(entry: Any) -> str:  # noqa: ANN401
    return str(entry.get("id") or entry.get("link") or "")


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _feed_key(url: str) -> str:
    return f"feed:{url}"

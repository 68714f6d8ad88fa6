"""The site channel: the pages that sitemaps list, and those that links lead to from some start pages.

Main text is found in `assets/collection/pages.py`; sitemaps are read in `sitemaps.py`, links in `resources/web/links.py`.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from resources.channels.fetched import MEDIA_TYPES, CursorMove, Fetched, FetchFailure, SourceError, refuse_by_size
from resources.channels.sitemaps import Listed, read_sitemap
from resources.web.links import links_of
from resources.web.policy import FetchPolicy, WebError
from resources.web.reader import Reply, WebReader, conditions, origin_of, parse_url

_NO_PAGES = frozenset(
    ".7z .avi .bmp .css .csv .doc .docx .epub .exe .gif .gz .ico .iso .jpeg .jpg .js .json .mov .mp3 .mp4 .pdf .png .ppt .pptx .rar .svg"
    " .tar .tgz .wav .webm .webp .woff .woff2 .xls .xlsx .xml .zip".split()
)

Outcome = Fetched | FetchFailure | CursorMove


@dataclass(frozen=True)
class Bounds:
    """What of a site is read.

    Attributes:
        sitemaps: Addresses of sitemaps; they and what they list lie on their own hosts.
        start_urls: Pages whose links are followed, within their folder of their host.
        pages: Pattern that the address of a page must contain to be collected; None collects all but the start pages.
        max_depth: Links between a start page and the farthest page.
        max_pages: Most pages that are asked for in one run.
        max_sitemaps: Most sitemaps that are asked for in one run.
    """

    sitemaps: tuple[str, ...] = ()
    start_urls: tuple[str, ...] = ()
    pages: str | None = None
    max_depth: int = 2
    max_pages: int = 500
    max_sitemaps: int = 50


@dataclass(frozen=True)
class _Target:
    """A page to read: how many links away from a start page, within which folder its links are followed, when it changed."""

    url: str
    depth: int = 0
    section: str | None = None
    changed: str = ""

    @property
    def key(self) -> str:
        return f"page:{self.url}"


@dataclass
class _Progress:
    """What was seen in one run, and how many pages were asked for."""

    seen: set[str] = field(default_factory=set)
    asked: int = 0
    readable: int = 0
    problems: list[str] = field(default_factory=list)

    def is_new(self, url: str) -> bool:
        is_new = url not in self.seen
        self.seen.add(url)
        return is_new

    def failure(self, url: str, reason: str, detail: str) -> FetchFailure:
        self.problems.append(f"{url}: {detail}")
        return FetchFailure(url, reason, detail)


class SiteChannel:
    """The pages of one site, new ones first, then those that may have changed.

    A page that a sitemap lists as unchanged is not asked for; others are asked for by ETag or time, unless their links are needed. A page
    whose bytes are the same as before is not stored again.

    Args:
        bounds: What is read.
        policy: Limits and manners of its requests.
    """

    def __init__(self, bounds: Bounds, policy: FetchPolicy) -> None:
        self.bounds = bounds
        self.policy = policy
        self._wanted = re.compile(bounds.pages or "")

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Outcome]:
        """See `Channel`.

        Raises:
            SourceError: Nothing of the site could be read.
        """
        progress = _Progress()
        with WebReader(self.policy) as reader:
            listed: list[_Target] = []
            yield from self._read_sitemaps(reader, progress, listed)
            starts = [_Target(url, 0, _folder_of(url)) for url in self.bounds.start_urls]
            queue = deque([*starts, *sorted(listed, key=lambda target: target.key in cursor)])
            yield from self._read_pages(reader, progress, queue, cursor)
        if progress.problems and not progress.readable:
            raise SourceError(f"expected something to read, found that nothing could be: {progress.problems[0]}")

    def _read_sitemaps(self, reader: WebReader, progress: _Progress, listed: list[_Target]) -> Iterator[FetchFailure]:
        """Adds the pages of all sitemaps to `listed`; yields those that could not be read."""
        queue = deque(self.bounds.sitemaps)
        asked = 0
        while queue:
            url = queue.popleft()
            if not progress.is_new(url):
                continue
            if asked == self.bounds.max_sitemaps:
                yield _limit(url, "sitemaps", self.bounds.max_sitemaps)
                return
            asked += 1
            try:
                entries = read_sitemap(reader.get(url).body, self.policy)
                inside = list(_on_host(entries, url))
            except WebError as error:
                yield progress.failure(url, error.reason, str(error))
                continue
            progress.readable += 1
            queue.extend(entry.url for entry in inside if entry.is_sitemap)
            listed += [_Target(entry.url, changed=entry.changed) for entry in inside if not entry.is_sitemap]

    def _read_pages(self, reader: WebReader, progress: _Progress, queue: deque[_Target], cursor: Mapping[str, str]) -> Iterator[Outcome]:
        while queue:
            target = queue.popleft()
            known = json.loads(cursor.get(target.key, "{}"))
            is_unchanged = bool(target.changed) and known.get("changed") == target.changed
            if not progress.is_new(target.url) or is_unchanged or not self._is_useful(target):
                progress.readable += is_unchanged
                continue
            if progress.asked == self.bounds.max_pages:
                yield _limit(target.url, "pages", self.bounds.max_pages)
                return
            progress.asked += 1
            reply = self._ask(reader, progress, target, known)
            if isinstance(reply, FetchFailure):
                yield reply
            elif reply is not None:
                queue.extend(self._links(reply, target))
                yield from self._take(reply, target, known)

    def _is_useful(self, target: _Target) -> bool:
        """Whether a page is collected or leads to others."""
        return self._is_wanted(target) or self._is_followed(target)

    def _is_followed(self, target: _Target) -> bool:
        return target.section is not None and target.depth < self.bounds.max_depth

    def _is_wanted(self, target: _Target) -> bool:
        is_start = target.section is not None and target.depth == 0
        return bool(self._wanted.search(target.url)) and not (is_start and self.bounds.pages is None)

    def _ask(self, reader: WebReader, progress: _Progress, target: _Target, known: Mapping[str, str]) -> Reply | FetchFailure | None:
        """The page; None when it did not change, or was read under another address already."""
        try:
            reply = reader.get(target.url, {} if self._is_followed(target) else conditions(known))
            is_elsewhere = origin_of(parse_url(reply.url)) != origin_of(parse_url(target.url))
        except WebError as error:
            return progress.failure(target.url, error.reason, str(error))
        progress.readable += 1
        if reply.status == 304 or (reply.url != target.url and not progress.is_new(reply.url)):
            return None
        if is_elsewhere:
            return FetchFailure(
                target.url, "left_the_site", f"expected a page of the site, found a redirect to {parse_url(reply.url).host}"
            )
        if reply.media_type and "html" not in reply.media_type:
            return FetchFailure(target.url, "not_a_page", f"expected HTML, found {reply.media_type!r:.60}")
        return refuse_by_size(target.url, len(reply.body), self.policy.max_bytes) or reply

    def _links(self, reply: Reply, target: _Target) -> Iterator[_Target]:
        """Pages that a page links to, within the section."""
        section = target.section
        if section is not None and self._is_followed(target):
            for url in links_of(reply):
                if url.startswith(section) and PurePosixPath(parse_url(url).path).suffix.lower() not in _NO_PAGES:
                    yield _Target(url, target.depth + 1, section)

    def _take(self, reply: Reply, target: _Target, known: Mapping[str, str]) -> Iterator[Outcome]:
        if not self._is_wanted(target):
            return
        state = {
            "sha256": hashlib.sha256(reply.body).hexdigest(),
            **reply.validators,
            "changed": target.changed,
        }
        value = json.dumps(state)
        if state["sha256"] != known.get("sha256"):
            media_type = MEDIA_TYPES["html"]
            rights = reply.robots_allowed, reply.ai_training_signal
            yield Fetched(reply.url, reply.body, media_type, reply.charset, "documents", None, None, target.key, value, *rights)
        elif state != known:
            yield CursorMove(target.key, value)


def _on_host(entries: list[Listed], sitemap: str) -> Iterator[Listed]:
    """Entries on the sitemap's own host, with addresses as they are asked for; a sitemap may speak for no other host."""
    own = parse_url(sitemap).host
    for entry in entries:
        try:
            target = parse_url(entry.url)
        except WebError:
            continue
        if target.host == own:
            yield Listed(str(target), entry.changed, entry.is_sitemap)


def _folder_of(url: str) -> str:
    """Everything up to the last slash of an address's path: where its links are followed."""
    return re.sub(r"[^/]*$", "", str(parse_url(url).copy_with(query=None)))


def _limit(url: str, what: str, most: int) -> FetchFailure:
    return FetchFailure(url, "limit_reached", f"expected at most {most} {what} in one run, found more; the next run reads new ones first")

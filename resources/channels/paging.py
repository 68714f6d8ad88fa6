"""Where the next page of an API is: by number, by offset, by a cursor in the answer, by an address in it, or by the header `Link`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from resources.web.reader import Reply

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_NEXT = re.compile(r"""(?:^|;)\s*rel\s*=\s*"?[^";]*\bnext\b""", re.IGNORECASE)

Style = Literal["none", "page", "offset", "cursor", "next_url", "link_header"]


@dataclass(frozen=True)
class Paging:
    """How an API hands out its records in pages.

    Attributes:
        style: Where the next page is found.
        parameter: Query parameter of the page's number, of the offset or of the cursor.
        start: First number or offset.
        next: Path in the answer of the next cursor or address: `meta.next_cursor`.
    """

    style: Style = "none"
    parameter: str = ""
    start: int = 1
    next: str = ""

    def first(self) -> dict[str, str]:
        """Query parameters of the first page."""
        return {self.parameter: str(self.start)} if self.style in ("page", "offset") else {}

    def following(self, here: Mapping[str, str], reply: Reply, content: Any, record_count: int) -> "Step | None":  # noqa: ANN401
        """The step to the next page; None at the end.

        Args:
            here: Query parameters that led to this page.
            reply: The answer.
            content: Its JSON.
            record_count: Records in it.
        """
        if self.style in ("page", "offset"):
            width = 1 if self.style == "page" else record_count
            return Step({self.parameter: str(int(here[self.parameter]) + width)}) if record_count else None
        if self.style == "cursor":
            cursor = value_at(content, self.next)
            return Step({self.parameter: str(cursor)}) if cursor not in (None, "", False) else None
        urls = {"next_url": value_at(content, self.next), "link_header": next_link(reply.headers.get("link", ""))}
        url = urls.get(self.style)
        return Step({}, url) if isinstance(url, str) and url else None


@dataclass(frozen=True)
class Step:
    """How to ask for a page: query parameters beside those of the source, or a whole address instead."""

    parameters: Mapping[str, str]
    url: str | None = None


def next_link(header: str) -> str | None:
    """The target with the relation `next` in a header `Link` (RFC 8288); relative ones stay relative."""
    return next((target for target, parameters in _LINK.findall(header) if _NEXT.search(parameters)), None)


def value_at(content: Any, path: str) -> Any:  # noqa: ANN401 (JSON)
    """The value at a dotted path through objects; the whole for an empty path, None where there is none."""
    for name in path.split(".") if path else ():
        content = content.get(name) if isinstance(content, dict) else None
    return content

"""What of the data an identity may see: which rows, whose texts, and whether people have names. Nothing is read here.

Which role may call which endpoint is in `api.py`; the settings are `access` of the project file.
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from assets.project import Access
from assets.pseudonyms import PSEUDONYM
from resources.access_store import Identity

TEXT_COLUMNS = ("text", "title", "authors", "url", "uri", "replacements", "detail", "explanation")
NAMELESS = ("rule:", "model:", "anonymous:")
"""Annotators that are no people."""


@dataclass(frozen=True)
class View:
    """What one identity sees.

    Attributes:
        sources: Sources whose rows are shown; None for all.
        readable: Sources whose texts are shown and searched; None for all.
        reads_raw: Texts are shown as they were collected, personal data included.
        sees_people: Annotators and pseudonyms are shown as they are.
        key: What annotators are renamed with.
    """

    sources: frozenset[str] | None
    readable: frozenset[str] | None
    reads_raw: bool
    sees_people: bool
    key: bytes

    def shows(self, source: str) -> bool:
        """Whether rows of a source are shown."""
        return self.sources is None or source in self.sources

    def reads_whole(self, sources: Collection[str]) -> bool:
        """Whether files with unmasked rows of these sources may be handed out."""
        return self.sees_people and (self.readable is None or self.readable.issuperset(sources))

    def mask(self, row: Mapping[str, Any], source: str | None, *, is_raw: bool = False) -> dict[str, Any]:
        """A row without what is not for this identity.

        Args:
            row: The row.
            source: Its source.
            is_raw: Its text is as it was collected.
        """
        shown = dict(row)
        if (self.readable is not None and source not in self.readable) or (is_raw and not self.reads_raw):
            shown |= {column: None for column in TEXT_COLUMNS if column in row}
        return shown if self.sees_people else self._without_people(shown)

    def _without_people(self, row: dict[str, Any]) -> dict[str, Any]:
        annotator = row.get("annotator_id")
        if annotator and not annotator.startswith(NAMELESS):
            row["annotator_id"] = self._keyed(annotator)
        if "vote_id" in row:
            row["vote_id"] = None  # a hash of the annotator's name: who guesses the name could see that it is right
        if row.get("replacements"):
            row["replacements"] = None
        return row | {column: without_pseudonyms(row[column]) for column in TEXT_COLUMNS if row.get(column)}

    def _keyed(self, annotator: str) -> str:
        return "person-" + hmac.new(self.key, b"annotator:" + annotator.encode(), hashlib.sha256).hexdigest()[:12]


def without_pseudonyms(text: str) -> str:
    """A text whose pseudonyms say what kind they are, and no more; places in it stay where they are."""
    return PSEUDONYM.sub(lambda match: match[0][: match[0].rindex("_") + 1] + "x" * 10 + "]", text)


def view_of(identity: Identity, access: Access, project_sources: Collection[str], key: bytes) -> View:
    """What an identity sees: the rows of both its role and its token, and less the texts that are restricted.

    Args:
        identity: Who asks.
        access: The settings.
        project_sources: Sources of the project file. Where texts are restricted, those of sources that left the file are hidden too.
        key: What annotators are renamed with.
    """
    role = access.sources.get(identity.role)  # type: ignore[call-overload]  # a role of the store
    limits = [frozenset(names) for names in (role, identity.sources) if names is not None]
    sources = frozenset.intersection(*limits) if limits else None
    readable = sources
    if access.restricted_sources and identity.role not in access.restricted_text_roles:
        readable = (frozenset(project_sources) if sources is None else sources) - set(access.restricted_sources)
    return View(sources, readable, identity.role in access.raw_text_roles, identity.role in access.pseudonym_roles, key)


def mask_trace(trace: Mapping[str, Any], view: View) -> dict[str, Any] | None:
    """What `trace_document` found, as far as it is for this view; None when the document is not."""
    source = next((row["source"] for rows in trace.values() for row in rows if row.get("source")), None)
    if source is None or not view.shows(source):
        return None
    return {name: [view.mask(row, source, is_raw=name == "raw_documents") for row in rows] for name, rows in trace.items()}


def sign(key: bytes, *parts: object) -> str:
    """A signature over the parts of a download address."""
    return hmac.new(key, b"download:" + json.dumps(parts).encode(), hashlib.sha256).hexdigest()

"""What is looked for in stored bytes when records are erased: their ids and texts, in values that can be read and in bytes that cannot.

Does not belong here: taking records out (`redaction.py`), which objects are looked at (`services/`).
"""

import html
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from assets.collection.formats import Record, Refusal, value_at
from assets.collection.parsing import fold
from assets.collection.reading import LABEL_STUDIO, RawObject, ReadingRules, names_for, read_records

LEAST_PART_CHARS = 32
"""A shorter text ("Thank you!") is found as a value only: as a part of something that cannot be read it may be anybody's."""


@dataclass(frozen=True)
class Traces:
    """What must not be left of some records.

    Attributes:
        is_text: Whether a text is that of a record, or the id of its document.
        is_id: Whether an id is one that the source gave to a record.
        id_field: Field of the source's own ids, or a path to it; None where they are not looked for.
        parts: Folded texts, and how they are written in JSON and HTML, to look for in what cannot be read.
    """

    is_text: Callable[[str], bool]
    is_id: Callable[[str], bool]
    id_field: str | None
    parts: tuple[str, ...] = ()

    def are_in(self, value: object) -> bool:
        """Whether a JSON value holds one of the records, at any depth."""
        if isinstance(value, str):
            return self.is_text(value)
        if isinstance(value, dict):
            return self._is_named(value) or any(map(self.are_in, value.values()))
        return isinstance(value, list) and any(map(self.are_in, value))

    def are_part_of(self, text: str) -> bool:
        """Whether something that cannot be read holds one of the longer texts."""
        folded = fold(text) if self.parts else ""
        return any(part in folded for part in self.parts)

    def are_outcome(self, outcome: Record | Refusal) -> bool:
        """Whether a record, or what is told of one that could not be read, holds one of the records."""
        return self.are_in(outcome.fields) if isinstance(outcome, Record) else self.are_part_of(outcome.detail)

    def _is_named(self, record: dict[str, object]) -> bool:
        if self.id_field is None:
            return False
        found = record[self.id_field] if self.id_field in record else value_at(record, self.id_field)
        return found is not None and self.is_id(str(int(found) if isinstance(found, float) and found.is_integer() else found))


def traces_of(ids: Collection[str], texts: Collection[str], id_field: str | None, external_ids: Collection[str]) -> Traces:
    """What must not be left of some documents.

    Args:
        ids: Ids of documents, wherever they stand.
        texts: Texts, wherever they stand; white space is folded.
        id_field: Field of the source's own ids.
        external_ids: The source's own ids.
    """
    folded, known = {fold(text) for text in texts}, frozenset(ids)
    long = sorted(text for text in folded if len(text) >= LEAST_PART_CHARS)
    written = [(text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], html.escape(text)) for text in long]
    return Traces(
        is_text=lambda value: value in known or fold(value) in folded,
        is_id=frozenset(external_ids).__contains__,
        id_field=id_field,
        parts=tuple(dict.fromkeys(part for each in written for part in each)),
    )


def id_field_of(raw: RawObject, rules: ReadingRules) -> str | None:
    """Which field of an object's records holds the source's own id; tasks of the labeling server have numbers of their own instead."""
    return None if raw.media_type == LABEL_STUDIO else names_for(raw, rules).external_id or "id"


def find_places(raw: RawObject, rules: ReadingRules, traces: Traces) -> list[str] | None:
    """Where in an object the records are, as locators; None if they are in none of its records, nor in what cannot be read.

    An empty list says that a text is in a part that cannot be read.
    """
    outcomes = list(read_records(raw, rules))
    places = [outcome.locator for outcome in outcomes if traces.are_outcome(outcome)]
    is_broken = any(isinstance(outcome, Refusal) for outcome in outcomes)
    return places if places or (is_broken and traces.are_part_of(raw.text())) else None

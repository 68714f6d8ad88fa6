"""Wiring: what was erased is refused when it comes again, and its bytes are not kept.

What is refused: `resources/tombstones.py`. Taking records out of bytes: `redaction.py`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from assets.collection.parsing import Parsed
from assets.collection.reading import RawObject, rules_of
from assets.collection.redaction import without_records
from assets.collection.traces import Traces, find_places, id_field_of, traces_of
from assets.source_settings import Source
from resources.object_store import ObjectStore, content_key
from resources.tombstones import Tombstones

DETAIL = "expected a record that was not erased, found one that was; `textmill erase --list` prints when and why"


def refuse_erased(
    parsed: Parsed,
    objects: Sequence[RawObject],
    source: Source,
    tombstones: Tombstones,
    store: ObjectStore,
    find_shared: Callable[[Sequence[str]], Collection[str]],
) -> tuple[Parsed, list[RawObject]]:
    """What was parsed without erased records, which are refused, and the objects without their bytes.

    Args:
        parsed: What the objects hold.
        objects: Objects of one source, whose bytes are in the store.
        source: The source.
        tombstones: What was erased.
        store: Whole objects that held an erased record leave it; what remains of them takes their place.
        find_shared: Which of some objects, by hash, another source has too; those stay in the store.
    """
    if tombstones.is_empty:
        return parsed, list(objects)
    documents = parsed.documents
    erased = np.array(tombstones.are_erased(source.name, documents["external_id"], documents["text"], documents["authors"]), dtype=bool)
    gone = documents[erased]
    suspects = {*gone["raw_sha256"], *parsed.rejected["raw_sha256"], *parsed.rejected_votes["raw_sha256"]}
    if tombstones.has_source(source.name):
        found = [Forgotten(raw.raw_sha256, None, [], is_changed=True) for raw in objects]
    else:
        found = [
            forget(raw, gone[gone["raw_sha256"] == raw.raw_sha256], source, tombstones, store)
            for raw in objects
            if raw.raw_sha256 in suspects
        ]
    changed = {forgotten.raw_sha256: forgotten.rest for forgotten in found if forgotten.is_changed}
    if not changed:
        return parsed, list(objects)
    for sha256 in changed.keys() - set(find_shared(list(changed))):
        store.delete(content_key(sha256))
    places = {(forgotten.raw_sha256, place) for forgotten in found for place in forgotten.places}
    gone_whole = {sha256 for sha256, rest in changed.items() if rest is None}
    refused = gone[["locator", "uri", "raw_sha256"]].assign(reason="erased", detail=DETAIL)
    rejected = pd.concat([_at_places(parsed.rejected, places, gone_whole), refused[parsed.rejected.columns]])
    names = {sha256: rest.raw_sha256 if rest else "" for sha256, rest in changed.items()}
    parts = [documents[~erased], parsed.votes, rejected, _at_places(parsed.rejected_votes, places, gone_whole)]
    renamed = [part.assign(raw_sha256=part["raw_sha256"].replace(names)).reset_index(drop=True) for part in parts]
    kept = [changed.get(raw.raw_sha256, raw) for raw in objects]
    return Parsed(*renamed), [raw for raw in kept if raw is not None]


@dataclass(frozen=True)
class Forgotten:
    """What was found in an object, and what remains of it.

    Attributes:
        raw_sha256: The object's hash.
        rest: The object without the erased records; None if nothing is left.
        places: Locators of the records that were found.
        is_changed: Whether anything was found.
    """

    raw_sha256: str
    rest: RawObject | None
    places: list[str]
    is_changed: bool


def forget(raw: RawObject, gone: pd.DataFrame, source: Source, tombstones: Tombstones, store: ObjectStore) -> Forgotten:
    """Take erased records out of an object: documents that came in it, and records that made none and that a tombstone knows all the same.

    Args:
        raw: The object.
        gone: Its documents that were erased: `external_id`, `text`.
        source: Where it came from.
        tombstones: What was erased.
        store: Where its bytes lie.
    """
    rules = rules_of(source)
    known = traces_of((), gone["text"].tolist(), id_field_of(raw, rules), gone["external_id"].tolist())
    traces = replace(
        known,
        is_text=lambda value: known.is_text(value) or tombstones.has_text(value),
        is_id=lambda value: known.is_id(value) or tombstones.has_record(source.name, value),
    )
    places = find_places(raw, rules, traces)
    if places is None and gone.empty:
        return Forgotten(raw.raw_sha256, raw, [], is_changed=False)
    rest = redact(raw, traces, source, store)
    if rest is raw and len(gone):  # a record that is not found in its own format must not stay because of that
        rest = None
    return Forgotten(raw.raw_sha256, rest, places or [], is_changed=rest is not raw)


def _at_places(rejected: pd.DataFrame, places: Collection[tuple[str, str]], gone_whole: Collection[str]) -> pd.DataFrame:
    """Refusals; of those of erased records, and of objects of which nothing is left, only that they were erased is told."""
    found = zip(rejected["raw_sha256"], rejected["locator"], strict=True)
    is_erased = pd.Series([pair in places or pair[0] in gone_whole for pair in found], index=rejected.index, dtype="bool")
    return rejected.assign(reason=rejected["reason"].mask(is_erased, "erased"), detail=rejected["detail"].mask(is_erased, DETAIL))


def redact(raw: RawObject, traces: Traces, source: Source, store: ObjectStore) -> RawObject | None:
    """Take records out of a stored object: what remains is stored under its own hash; None where nothing does. The whole object stays.

    Args:
        raw: The object.
        traces: What is known of the records.
        source: Where it came from.
        store: Where its bytes lie.

    Returns:
        The object itself where it holds none of them.
    """
    rest = without_records(raw, traces, has_threads=source.fields.messages is not None and raw.role == "documents")
    return rest if rest is None or rest is raw else replace(rest, raw_sha256=store.put_content(rest.payload))

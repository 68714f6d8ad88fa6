"""Wiring: what was erased is refused when it comes again, and its bytes are not kept.

What is refused: `resources/tombstones.py`. Taking records out of bytes: `redaction.py`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from assets.collection.parsing import Parsed
from assets.collection.reading import RawObject
from assets.collection.redaction import holder_of, without_records
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
    documents = parsed.documents
    erased = np.array(tombstones.are_erased(source.name, documents["external_id"], documents["text"], documents["authors"]), dtype=bool)
    if not erased.any():
        return parsed, list(objects)
    gone = documents[erased]
    shared = find_shared(gone["raw_sha256"].unique().tolist())
    by_hash = {found.raw_sha256: found for found in objects}
    changed = {
        sha256: redact(by_hash[sha256], gone[gone["raw_sha256"] == sha256], source, store)
        for sha256 in gone["raw_sha256"].unique().tolist()
    }
    for sha256 in changed.keys() - set(shared):
        store.delete(content_key(sha256))
    refused = gone[["locator", "uri", "raw_sha256"]].assign(reason="erased", detail=DETAIL)
    names = {sha256: found.raw_sha256 if found else "" for sha256, found in changed.items()}
    parts = [documents[~erased], parsed.votes, pd.concat([parsed.rejected, refused[parsed.rejected.columns]]), parsed.rejected_votes]
    renamed = [part.assign(raw_sha256=part["raw_sha256"].replace(names)).reset_index(drop=True) for part in parts]
    kept = [changed.get(found.raw_sha256, found) for found in objects]
    return Parsed(*renamed), [found for found in kept if found is not None]


def redact(raw: RawObject, gone: pd.DataFrame, source: Source, store: ObjectStore, ids: Sequence[str] = ()) -> RawObject | None:
    """Take records out of a stored object: what remains is stored under its own hash; None where nothing does. The whole object stays.

    Args:
        raw: The object.
        gone: One row per record: `external_id`, `text`.
        source: Where it came from.
        store: Where its bytes lie.
        ids: Ids of the records' documents, for objects of votes.
    """
    holds = holder_of(ids, gone["text"].tolist(), source.fields.external_id or "id", gone["external_id"].tolist())
    rest = without_records(raw, holds)
    if rest is None or rest is raw:  # a record that is not found in its own format must not stay because of that
        return None
    return replace(rest, raw_sha256=store.put_content(rest.payload))

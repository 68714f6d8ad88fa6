"""Where the stored bytes of a source hold what is erased, beside the objects that its documents name.

A file that is fetched again, or the next page of an API, brings records again that make no new row; records that were refused never had
one. So every object of the documents' sources is read, less the pages of others. Does not belong here: what is looked for
(`assets/collection/traces.py`), removing it (`removal.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from assets.collection.gathering import load_objects
from assets.collection.reading import RawObject, rules_of
from assets.collection.redaction import TAKEN_APART
from assets.collection.traces import LEAST_PART_CHARS, Traces, find_places, id_field_of, traces_of
from assets.source_settings import Source
from resources.object_store import content_key
from resources.scrubbing import Besides

REFUSAL_TABLES = ("rejected_records", "rejected_annotations")
KEPT_OF_SOURCE = ("collection_cursors",)
"""How far a source was read: without it everything would be fetched again, only to be refused."""

OBJECTS_OF_SOURCE_SQL = f"""
SELECT * EXCLUDE (increment_id), raw_sha256 IN (
    {" UNION ".join(f"SELECT raw_sha256 FROM lake.main.{name} WHERE source = $source AND raw_sha256 <> ''" for name in REFUSAL_TABLES)}
) AS has_refusals FROM lake.main.raw_objects WHERE source = $source
QUALIFY row_number() OVER (PARTITION BY raw_sha256 ORDER BY fetched_at DESC) = 1 ORDER BY raw_sha256
"""
PLACE_COLUMNS = ["source", "raw_sha256", "locator"]

# Refusals of the records themselves and of their votes; of votes that came elsewhere; of fetches of a page that was a document.
REFUSALS_CONDITION = """
EXISTS (SELECT 1 FROM gone_places p WHERE p.source = t.source AND p.raw_sha256 = t.raw_sha256
    AND (t.locator = p.locator OR starts_with(t.locator, p.locator || ' ')))
OR EXISTS (SELECT 1 FROM gone_words w WHERE w.source = t.source AND (contains(t.locator, w.word) OR contains(t.detail, w.word)))
OR EXISTS (SELECT 1 FROM gone_records r WHERE r.source = t.source AND r.external_id = t.uri)
"""


@dataclass(frozen=True)
class Leftovers:
    """What was found.

    Attributes:
        objects: Objects that hold what is erased, columns of `raw_objects`.
        places: Where in objects the records are: `source`, `raw_sha256`, `locator`.
    """

    objects: pd.DataFrame
    places: pd.DataFrame


def find_leftovers(resources: Mapping[str, Any], documents: pd.DataFrame) -> Leftovers:
    """Look through the stored bytes of the documents' sources, as far as the project file still says how they are read.

    Args:
        resources: Project, lakehouse, object store.
        documents: `document_id`, `source`, `external_id`, `text`.
    """
    sources = {source.name: source for source in resources["project"].sources}
    objects: list[pd.DataFrame] = []
    places: list[tuple[str, str, str]] = []
    for name, gone in documents.groupby("source"):
        if name not in sources:
            continue
        rows = resources["lakehouse"].read(OBJECTS_OF_SOURCE_SQL, {"source": name})
        candidates = rows[may_hold(rows, gone)]
        found = {sha256: held for sha256, held in _search(resources, sources[str(name)], candidates, gone) if held is not None}
        objects.append(candidates[candidates["raw_sha256"].isin(found)].drop(columns="has_refusals"))
        places += [(str(name), sha256, place) for sha256, held in found.items() for place in held]
    return Leftovers(pd.concat(objects) if objects else pd.DataFrame(), pd.DataFrame(places, columns=PLACE_COLUMNS, dtype="str"))


def may_hold(rows: pd.DataFrame, documents: pd.DataFrame) -> "pd.Series[bool]":
    """Which objects are worth reading: all that hold many records, and of pages and texts those that are named like a document or refused.

    Args:
        rows: One row per object: `uri`, `parent_id`, `media_type`, `has_refusals`.
        documents: Their `external_id` is the name of a page, or that with the number of a paragraph.
    """
    names = {*documents["external_id"], *documents["external_id"].str.rpartition("#")[0]}
    named = rows["parent_id"].fillna(rows["uri"]).isin(names)
    return rows["media_type"].isin(TAKEN_APART) | named | rows["has_refusals"].fillna(value=False)


def traces_of_documents(documents: pd.DataFrame) -> Traces:
    """What must not be left of some documents of one source, before it is known how an object names its ids."""
    ids, texts, external_ids = (documents[name].tolist() for name in ("document_id", "text", "external_id"))
    return traces_of(ids, texts, None, external_ids)


def within(traces: Traces, raw: RawObject, source: Source) -> Traces:
    """What must not be left in an object."""
    return replace(traces, id_field=id_field_of(raw, rules_of(source)))


def what_else_goes(tables: Mapping[str, Any], source: str | None, documents: pd.DataFrame, places: pd.DataFrame) -> Besides:
    """The rows without a document's id that are about a whole source, or about some documents.

    Args:
        tables: Of the lakehouse, by name.
        source: The source, if it goes as a whole.
        documents: `document_id`, `source`, `external_id`, `text`.
        places: Where in objects their records are.
    """
    if source is not None:
        columns = {name: {column.name for column in table.columns} for name, table in tables.items()}
        names = [name for name, found in columns.items() if "source" in found and "document_id" not in found and name not in KEPT_OF_SOURCE]
        whole = "source IN (SELECT source FROM gone_sources)"
        return Besides(conditions=dict.fromkeys(names, whole), frames={"gone_sources": pd.DataFrame({"source": [source]})})
    own_places = "SELECT source, raw_sha256, locator FROM lake.main.raw_documents WHERE document_id IN (SELECT document_id FROM gone_ids)"
    condition = REFUSALS_CONDITION.replace("gone_places p", f"(FROM gone_places UNION {own_places}) p")
    long = documents[documents["text"].str.len() >= LEAST_PART_CHARS]
    begins = long["text"].map(lambda text: repr(text[:LEAST_PART_CHARS])[1:-1])  # as errors quote it
    words = pd.concat([documents[["source"]].assign(word=documents["document_id"]), long[["source"]].assign(word=begins)])
    frames = {"gone_places": places, "gone_words": words.drop_duplicates(), "gone_records": documents[["source", "external_id"]]}
    return Besides(conditions=dict.fromkeys(REFUSAL_TABLES, condition), frames=frames)


def _search(
    resources: Mapping[str, Any], source: Source, rows: pd.DataFrame, documents: pd.DataFrame
) -> Iterator[tuple[str, list[str] | None]]:
    """Hash of each object, and where in it the documents are: see `find_places`."""
    store, rules, traces = resources["object_store"], rules_of(source), traces_of_documents(documents)
    for row in rows.to_dict("records"):
        if store.exists(content_key(str(row["raw_sha256"]))):
            (raw,) = load_objects(pd.DataFrame([row]), store)
            yield raw.raw_sha256, find_places(raw, rules, within(traces, raw, source))

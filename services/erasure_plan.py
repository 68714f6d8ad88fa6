"""What an erasure would remove: the subject, its documents, and everything that holds or was made of them.

Does not belong here: removing it (`erasure.py`, `removal.py`), looking through stored bytes (`leftovers.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.cleaning.pii.finding import find_personal_data
from assets.collection.redaction import TAKEN_APART
from assets.pseudonyms import make_pseudonym, pseudonym_of_person
from resources.tombstones import hash_of
from services.leftovers import OBJECTS_OF_SOURCE_SQL, find_leftovers

KINDS = ("document", "author", "source")

_OF_RECORDS_SQL = """
SELECT DISTINCT document_id, source, external_id, text, raw_sha256 FROM lake.main.raw_documents WHERE (source, external_id) IN ({records})
ORDER BY document_id
"""
RECORDS_SQL = {
    "document": "SELECT source, external_id FROM lake.main.raw_documents WHERE document_id = $subject",
    "author": """
        SELECT source, external_id FROM lake.main.clean_documents
        WHERE contains(text, $subject) OR contains(coalesce(title, ''), $subject)
        UNION SELECT source, external_id FROM lake.main.raw_documents WHERE contains(authors, $subject)""",
    "source": "SELECT source, external_id FROM lake.main.raw_documents WHERE source = $subject",
}
COPIES_SQL = """
SELECT DISTINCT document_id FROM lake.main.rejected_documents
WHERE duplicate_of IN (SELECT document_id FROM wanted) AND document_id NOT IN (SELECT document_id FROM wanted) ORDER BY 1
"""
OBJECTS_SQL = """
SELECT * EXCLUDE (increment_id) FROM lake.main.raw_objects WHERE (source, raw_sha256) IN (
    SELECT source, raw_sha256 FROM lake.main.raw_documents SEMI JOIN wanted USING (document_id)
    UNION SELECT source, raw_sha256 FROM lake.main.raw_annotations SEMI JOIN wanted USING (document_id)
) QUALIFY row_number() OVER (PARTITION BY source, raw_sha256 ORDER BY fetched_at DESC) = 1 ORDER BY source, raw_sha256
"""
# Documents that stay, although the bytes that they came in go whole.
WITHOUT_BYTES_SQL = """
SELECT count(DISTINCT document_id) AS documents FROM lake.main.raw_documents SEMI JOIN whole USING (source, raw_sha256)
WHERE document_id NOT IN (SELECT document_id FROM wanted)
"""
VERSIONS_SQL = "SELECT DISTINCT dataset_version FROM lake.main.training_dataset SEMI JOIN wanted USING (document_id) ORDER BY 1"
MODELS_SQL = """
SELECT DISTINCT model_id FROM lake.main.fine_tuned_model WHERE dataset_version IN (SELECT unnest($versions::VARCHAR[])) ORDER BY 1
"""


class ErasureError(LookupError):
    """There is no such subject."""


@dataclass(frozen=True)
class Subject:
    """What somebody wants gone: a kind of `KINDS` and its name."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """Read `kind:name`.

        Raises:
            ErasureError: It is none.
        """
        kind, _, name = text.partition(":")
        if kind not in KINDS or not name:
            raise ErasureError(f"expected document:ID, author:PSEUDONYM or source:NAME, found {text!r}")
        return cls(kind, name)

    def hash(self, key: bytes) -> str:
        """Keyed hash, by which an erasure of it is recognized."""
        return hash_of(key, self.kind, self.name)


@dataclass(frozen=True)
class Plan:
    """What an erasure would remove.

    Attributes:
        subject: Whose wish it is.
        documents: One row per document and object that it came in: `document_id`, `source`, `external_id`, `text`, `raw_sha256`.
        objects: The raw objects that hold them or votes on them, columns of `raw_objects`, and `is_named`: a document or vote names it.
        copies: Ids of documents that were refused as duplicates of these, and are not among them.
        versions: Data sets that hold them.
        models: Models that had learnt from those, or were judged by them.
        places: Where in raw objects their records are, refused ones included: `source`, `raw_sha256`, `locator`.
        without_bytes: How many other documents lose their bytes, since an object that is not taken apart goes whole.
    """

    subject: Subject
    documents: pd.DataFrame
    objects: pd.DataFrame
    copies: tuple[str, ...]
    versions: tuple[str, ...]
    models: tuple[str, ...]
    places: pd.DataFrame
    without_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to erase."""
        return self.documents.empty and self.objects.empty

    @property
    def ids(self) -> pd.DataFrame:
        """One row per document: `document_id`."""
        return self.documents[["document_id"]].drop_duplicates(ignore_index=True)


def pseudonyms_of(resources: Mapping[str, Any], value: str) -> list[str]:
    """What stands in texts and as an author for somebody.

    Args:
        resources: Those of the platform.
        value: Personal data in the words of whoever asks: an address, a number, else it is taken for a name or a handle.

    Raises:
        ErasureError: It is blank.
    """
    if not value.strip():
        raise ErasureError("expected a mail address, a name, a handle or a number, found none")
    key, settings = resources["pseudonym_key"].read(), resources["project"].cleaning.pii
    found = find_personal_data(value, settings.phone_regions)
    return [make_pseudonym(key, each.kind, each.value) for each in found] or [pseudonym_of_person(key, value)]


def documents_of(resources: Mapping[str, Any], subject: Subject) -> pd.DataFrame:
    """The documents that a subject names: columns of `Plan.documents`."""
    found: pd.DataFrame = resources["lakehouse"].read(_OF_RECORDS_SQL.format(records=RECORDS_SQL[subject.kind]), {"subject": subject.name})
    return found


def plan_erasure(resources: Mapping[str, Any], subject: Subject, *, with_copies: bool = False) -> Plan:
    """What would go. `with_copies` takes the documents along that were refused as duplicates."""
    lakehouse, documents = resources["lakehouse"], documents_of(resources, subject)
    copies = lakehouse.read(COPIES_SQL, frames={"wanted": documents[["document_id"]]})
    if with_copies and len(copies):
        records = "SELECT source, external_id FROM lake.main.raw_documents SEMI JOIN wanted USING (document_id)"
        more = lakehouse.read(_OF_RECORDS_SQL.format(records=records), frames={"wanted": copies})
        documents = pd.concat([documents, more]).drop_duplicates(["document_id", "raw_sha256"], ignore_index=True)
        copies = copies.head(0)
    return complete_plan(resources, subject, documents, tuple(copies["document_id"]))


def complete_plan(resources: Mapping[str, Any], subject: Subject, documents: pd.DataFrame, copies: tuple[str, ...] = ()) -> Plan:
    """What goes with some documents: the raw objects that hold them, data sets, models."""
    lakehouse, wanted = resources["lakehouse"], {"wanted": documents[["document_id"]].drop_duplicates()}
    versions = lakehouse.read(VERSIONS_SQL, frames=wanted)["dataset_version"].tolist()
    models = lakehouse.read(MODELS_SQL, {"versions": versions})["model_id"].tolist()
    if subject.kind == "source":
        named, found = lakehouse.read(OBJECTS_OF_SOURCE_SQL, {"source": subject.name}), find_leftovers(resources, documents.head(0))
    else:
        named, found = lakehouse.read(OBJECTS_SQL, frames=wanted), find_leftovers(resources, documents)
    both = pd.concat([named.assign(is_named=True), found.objects.assign(is_named=False)])
    objects = both.drop_duplicates(["source", "raw_sha256"], ignore_index=True)
    sources = {source.name for source in resources["project"].sources}
    whole = objects[~objects["media_type"].isin(TAKEN_APART) | ~objects["source"].isin(sources)][["source", "raw_sha256"]]
    without_bytes = int(lakehouse.read(WITHOUT_BYTES_SQL, frames=wanted | {"whole": whole})["documents"].item())
    return Plan(subject, documents, objects, copies, tuple(versions), tuple(models), found.places, without_bytes)

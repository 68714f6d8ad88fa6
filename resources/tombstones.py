"""What was erased and must not come back: keyed hashes of records and texts, one object per erasure in the object store.

Tombstones lie beside the collected bytes and not in the lakehouse, so that a lakehouse restored from an older backup meets them too. They
hold no content: who does not have the key of pseudonyms cannot even try out whether something was erased. Does not belong here: erasing
(`services/erasure.py`).
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from resources.object_store import ObjectStore

PREFIX = "erased/"
LEAST_TEXT_CHARS = 32
"""Shorter texts ("Thank you!") are many people's: only the record that was erased is refused, not everybody's with that text."""


class Proof(BaseModel):
    """The record of one erasure: what went from where, without saying what it was.

    Attributes:
        erasure_id: Named by the time.
        kind: `document`, `author` or `source`.
        reason: Why, as the operator gave it.
        erased_by: The operator.
        began_at: When (UTC).
        finished_at: When nothing of it was left (UTC); missing while it goes on, or was cut short.
        documents: How many documents, revisions counted.
        objects: Hashes of raw objects whose bytes are still to go, while it goes on.
        removed: Rows or objects that went, by place.
        dataset_versions: Data sets that were rewritten without the documents.
        models: Models that had learnt from them, or were judged by them.
        without_bytes: Documents that stay, and whose bytes went with a raw object that is not taken apart: they cannot be parsed again.
        subject: Keyed hash of the subject: who has the key and the subject can tell that this is its erasure.
        sources: Keyed hashes of sources that are refused as a whole.
        records: Keyed hashes of the records that are refused.
        texts: Keyed hashes of the texts that are refused whatever record they come in.
        authors: Keyed hashes of the pseudonyms of those whose texts are refused, whatever they write.
    """

    model_config = ConfigDict(extra="forbid")

    erasure_id: str
    kind: str
    reason: str
    erased_by: str
    began_at: datetime
    finished_at: datetime | None = None
    documents: int = 0
    objects: tuple[str, ...] = ()
    removed: dict[str, int] = Field(default_factory=dict)
    dataset_versions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    without_bytes: int = 0
    subject: str = ""
    sources: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tombstones:
    """All tombstones of an installation."""

    key: bytes = field(repr=False)
    sources: frozenset[str] = frozenset()
    records: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever erased."""
        return not (self.sources or self.records or self.texts or self.authors)

    def are_erased(self, source: str, external_ids: Iterable[str], texts: Iterable[str], authors: Iterable[str | None]) -> list[bool]:
        """Which of some records of a source were erased, or are by somebody who was.

        Args:
            source: The source.
            external_ids: Their ids there.
            texts: Their texts.
            authors: Pseudonyms of those who wrote each, joined by spaces; missing where nobody is named.
        """
        if self.is_empty:
            return [False for _ in external_ids]
        if self.has_source(source):
            return [True for _ in external_ids]
        return [
            self.has_record(source, external_id) or self.has_text(text) or self._are_authors_erased(named)
            for external_id, text, named in zip(external_ids, texts, authors, strict=True)
        ]

    def has_source(self, source: str) -> bool:
        """Whether a whole source was erased."""
        return hash_of(self.key, "source", source) in self.sources

    def has_record(self, source: str, external_id: str) -> bool:
        """Whether a record of a source was erased."""
        return hash_of(self.key, "record", source, external_id) in self.records

    def has_text(self, text: str) -> bool:
        """Whether a text was erased; never one that is so short that it is anybody's."""
        return text_hash(self.key, text) in self.texts

    def _are_authors_erased(self, named: str | None) -> bool:
        names = named.split() if self.authors and isinstance(named, str) else ()
        return any(hash_of(self.key, "author", name) in self.authors for name in names)


def hash_of(key: bytes, *parts: str) -> str:
    """Keyed hash (HMAC-SHA-256, hexadecimal) of some texts."""
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def text_hash(key: bytes, text: str) -> str:
    """Keyed hash of a text; case and white space do not count. Empty for a text so short that it is anybody's."""
    folded = " ".join(text.casefold().split())
    return hash_of(key, "text", folded) if len(folded) >= LEAST_TEXT_CHARS else ""


def read_proofs(store: ObjectStore) -> list[Proof]:
    """All erasures, oldest first."""
    return [Proof.model_validate_json(store.get(found.key)) for found in store.list(PREFIX)]


def read_tombstones(store: ObjectStore, read_key: Callable[[], bytes]) -> Tombstones:
    """What the erasures refuse; the key of pseudonyms is not asked for where there is none."""
    proofs = read_proofs(store)
    return Tombstones(
        read_key() if proofs else b"",
        frozenset(found for proof in proofs for found in proof.sources),
        frozenset(found for proof in proofs for found in proof.records),
        frozenset(found for proof in proofs for found in proof.texts if found),
        frozenset(found for proof in proofs for found in proof.authors),
    )


def keep_proof(store: ObjectStore, proof: Proof) -> None:
    """Write an erasure, replacing what it said before."""
    store.put(f"{PREFIX}{proof.erasure_id}.json", proof.model_dump_json(indent=2).encode())

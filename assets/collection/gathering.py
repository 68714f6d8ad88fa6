"""One source, from its channel to rows: store the bytes, parse them, give ids, write what is new.

This is wiring that both collection assets share; what the bytes mean is in `parsing.py` and `records.py`, how they are fetched in
`resources/channels`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from assets.collection.authors import pseudonymize_authors, read_authors
from assets.collection.channels import channel_of
from assets.collection.forgetting import refuse_erased
from assets.collection.parsing import Parsed, parse_objects
from assets.collection.reading import CONLL, RawObject, rules_of
from assets.collection.receiving import FILES, received_votes
from assets.collection.records import to_raw_annotations, to_raw_documents
from assets.schemas import COLLECTION_CURSORS, RAW_ANNOTATIONS, RAW_OBJECTS, REJECTED_ANNOTATIONS, REJECTED_RECORDS
from assets.source_settings import Source
from resources.channels.fetched import CursorMove, Fetched, FetchFailure
from resources.increments import Step
from resources.labeling_server import LabelingServer
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore
from resources.tombstones import Tombstones

FLUSH_BYTES = 16_000_000
FLUSH_OBJECTS = 200
VOTE_KEY = list(RAW_ANNOTATIONS.key)

CURSORS_SQL = "SELECT cursor_key, cursor_value FROM collection_cursors WHERE source = $source"
OBJECTS_SQL = "SELECT * EXCLUDE (increment_id) FROM raw_objects WHERE source = $source ORDER BY fetched_at, uri"


@dataclass
class Gathering:
    """What was fetched from one source and not yet written."""

    step: Step
    source: Source
    store: ObjectStore
    now: datetime
    tombstones: Tombstones
    read_key: Callable[[], bytes]
    cursors: dict[str, str] = field(default_factory=dict)
    objects: list[RawObject] = field(default_factory=list)
    failures: list[FetchFailure] = field(default_factory=list)

    def take(self, item: Fetched | FetchFailure | CursorMove) -> None:
        """Store an object's bytes, or note a failure or progress; flushes when enough has come together."""
        if isinstance(item, CursorMove):
            self.cursors[item.cursor_key] = item.cursor_value
            self.step.count(rows_in=1, rows_skipped=1)
        elif isinstance(item, FetchFailure):
            self.failures.append(item)
        else:
            self.cursors[item.cursor_key] = item.cursor_value
            self.objects.append(_raw_object(item, self.store.put_content(item.payload), self.read_key))
        is_full = sum(len(found.payload) for found in self.objects) >= FLUSH_BYTES
        if is_full or len(self.objects) + len(self.failures) >= FLUSH_OBJECTS:
            self.flush()

    def flush(self) -> None:
        """Parse what was fetched and write its rows."""
        parsed = parse(self.objects, self.source)
        named = parsed.documents.assign(authors=pseudonymize_authors(parsed.documents["authors"], self.read_key))
        parsed, self.objects = refuse_erased(
            replace(parsed, documents=named), self.objects, self.source, self.tombstones, self.store, self.find_shared
        )
        known = self.step.lookup("raw_documents", parsed.documents[["external_id"]].assign(source=self.source.name))
        new = to_raw_documents(
            parsed.documents,
            source=self.source.name,
            known=known,
            now=self.now,
            licence=self.source.licence,
            ai_training=self.source.rights.ai_training,
        )
        refused = pd.concat([_refusals(parsed, self.source, self.now), _failures(self.failures, self.source, self.now)], ignore_index=True)
        self.step.write("raw_objects", _object_rows(self.objects, self.source, self.now))
        self.step.write("raw_documents", new.rows)
        self.step.write("rejected_records", refused)
        votes_only = sum(found.role == "annotations" for found in self.objects)
        records = len(parsed.documents) + len(refused) + votes_only
        self.step.count(rows_in=records, rows_out=len(new.rows), rows_skipped=new.unchanged_count + votes_only, reasons=refused["reason"])
        self.objects, self.failures = [], []

    def find_shared(self, hashes: Sequence[str]) -> list[str]:
        """Which of some objects, by hash, another source has too."""
        known = self.step.lookup("raw_objects", pd.DataFrame({"raw_sha256": hashes}))
        return known.loc[known["source"] != self.source.name, "raw_sha256"].tolist()

    def finish(self) -> None:
        """Write what is left, and how far the source was read."""
        self.flush()
        rows = [(self.source.name, key, value) for key, value in self.cursors.items()]
        self.step.write("collection_cursors", pd.DataFrame(rows, columns=COLLECTION_CURSORS.column_names()))
        counts = self.step.counts
        self.step.measure("readable_share", 1 - counts.rows_rejected / max(counts.rows_in, 1))


@dataclass(frozen=True)
class Surroundings:
    """Where collection reads and writes beside the sources themselves.

    Attributes:
        lakehouse: Holds the cursors.
        store: Holds raw bytes, and files of votes that people left there.
        server: Where people annotate.
        server_project: Title of the project there.
        tombstones: What was erased, and is refused.
        read_key: Gives the secret that authors' pseudonyms are made with.
        contact: Where operators of web sites find who is asking.
    """

    lakehouse: Lakehouse
    store: ObjectStore
    server: LabelingServer
    server_project: str
    tombstones: Tombstones
    read_key: Callable[[], bytes]
    contact: str | None = None


def gather(step: Step, around: Surroundings, source: Source, *, replay: bool) -> None:
    """Write what a source has that is new; with `replay`, parse its stored bytes again instead of fetching."""
    gathering = Gathering(step, source, around.store, datetime.now(UTC), around.tombstones, around.read_key)
    for item in stored_objects(around.lakehouse, around.store, source) if replay else fetched_objects(around, source):
        if isinstance(item, RawObject):
            gathering.objects.append(item)
            if len(gathering.objects) >= FLUSH_OBJECTS:
                gathering.flush()
        else:
            gathering.take(item)
    gathering.finish()


def fetched_objects(around: Surroundings, source: Source) -> Iterator[Fetched | FetchFailure | CursorMove]:
    """What the source's channel yields beyond the cursors of its approved increments, and what people said of its documents."""
    rows = around.lakehouse.read(CURSORS_SQL, {"source": source.name})
    cursors = dict(zip(rows["cursor_key"], rows["cursor_value"], strict=True))
    yield from received_votes(around.store, around.server, around.server_project, source.name, cursors)
    yield from channel_of(source, around.contact).fetch(cursors)


def stored_objects(lakehouse: Lakehouse, store: ObjectStore, source: Source) -> Iterator[RawObject]:
    """Everything that was ever fetched from a source, from the object store."""
    for batch in lakehouse.read_batches(OBJECTS_SQL, 1000, {"source": source.name}):
        yield from load_objects(batch, store)


def load_objects(rows: pd.DataFrame, store: ObjectStore) -> Iterator[RawObject]:
    """Objects with their bytes, one at a time.

    Args:
        rows: One row per object, columns of `raw_objects`.
        store: Where the bytes lie.
    """
    known = {each.name for each in fields(RawObject)}
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        facts: dict[str, Any] = {str(key): value for key, value in row.items() if key in known}
        yield RawObject(payload=store.get_content(facts["raw_sha256"]), **facts)


def parse(objects: Iterable[RawObject], source: Source) -> Parsed:
    """Parse objects the way the project says."""
    return parse_objects(objects, **vars(rules_of(source)))


def may_hold_votes(rows: pd.DataFrame, source: Source) -> pd.Series:
    """Which objects are worth parsing for votes: files of votes, CoNLL files, and records with a field of votes; pages have none."""
    has_votes = source.fields.votes is not None or source.fields.spans is not None
    is_record = ~rows["media_type"].isin(["text/html", "text/plain"]) & has_votes
    return (rows["role"] == "annotations") | (rows["media_type"] == CONLL) | is_record


def write_votes(
    step: Step, objects: pd.DataFrame, store: ObjectStore, source: Source, now: datetime, settled: set[tuple[str, str]]
) -> None:
    """Parse objects for votes, find their documents and write them; of an annotator's answers in one increment the first is kept.

    An object without a vote counts as one thing that was read and rightly yields no row.

    Args:
        step: Where they are written.
        objects: One row per object, the newest first: columns of `raw_objects`.
        store: Where the bytes lie.
        source: Their source.
        now: Time of collection (UTC).
        settled: Documents and annotators of whom this increment has had a vote that is known already; those of these objects are added.
    """
    parsed = parse(load_objects(objects, store), source)
    keys = [parsed.votes[[column]].dropna().drop_duplicates() for column in ("document_id", "external_id", "parent_id")]
    known = pd.concat([step.lookup("raw_documents", of_column.assign(source=source.name)) for of_column in keys])
    resolved = to_raw_annotations(parsed.votes, known.drop_duplicates("document_id"), source=source.name, now=now)
    earlier = step.lookup("raw_annotations", resolved.rows[["document_id"]])
    rows, answered = resolved.rows, keys_of(resolved.rows)
    staged = set(keys_of(step.lookup_staged("raw_annotations", rows[VOTE_KEY])))
    # Whoever hands in the same answer once more has looked again, and the queue must hear of it; a file exported anew says nothing.
    handed_in = objects.loc[objects["uri"].str.startswith(store.url(FILES)), "raw_sha256"]
    is_known = rows["vote_id"].isin(earlier["vote_id"]) & ~rows["raw_sha256"].isin(handed_in)
    is_answered = pd.Series([key in staged or key in settled for key in answered], index=rows.index, dtype=bool)
    is_second = ~is_known & (is_answered | rows.duplicated(VOTE_KEY))
    is_new = ~is_known & ~is_second
    settled.update(keys_of(rows[is_known]))
    refused = pd.concat(
        [_vote_refusals(parsed, source, now), resolved.rejected, _second_votes(rows[is_second], parsed, source, now)], ignore_index=True
    )
    step.write("raw_annotations", rows[is_new])
    step.write("rejected_annotations", refused)
    without = int((~objects["raw_sha256"].isin([*parsed.votes["raw_sha256"], *parsed.rejected_votes["raw_sha256"]])).sum())
    rows_in = len(parsed.votes) + len(parsed.rejected_votes) + without
    kept = int(is_new.sum())
    step.count(rows_in=rows_in, rows_out=kept, rows_skipped=rows_in - kept - len(refused), reasons=refused["reason"])


def keys_of(votes: pd.DataFrame) -> list[tuple[str, str]]:
    """Document and annotator of every vote."""
    return list(zip(*(votes[column] for column in VOTE_KEY), strict=True))


def _raw_object(item: Fetched, raw_sha256: str, read_key: Callable[[], bytes]) -> RawObject:
    shared = {each.name: getattr(item, each.name) for each in fields(RawObject) if each.name not in ("raw_sha256", "authors")}
    (authors,) = pseudonymize_authors([read_authors(item.authors)], read_key)
    return RawObject(raw_sha256=raw_sha256, authors=authors if isinstance(authors, str) else None, **shared)


def _object_rows(objects: list[RawObject], source: Source, now: datetime) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = [
        (source.name, found.uri, found.raw_sha256, found.media_type, found.charset, found.role, found.parent_id, found.published_at,
         found.authors, len(found.payload), now, found.robots_allowed, found.ai_training_signal)
        for found in objects
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=RAW_OBJECTS.column_names()).drop_duplicates(list(RAW_OBJECTS.key), keep="last")
    return frame.assign(
        published_at=pd.to_datetime(frame["published_at"], utc=True), robots_allowed=frame["robots_allowed"].astype("boolean")
    )


def _refusals(parsed: Parsed, source: Source, now: datetime) -> pd.DataFrame:
    return parsed.rejected.assign(source=source.name, rejected_at=now)[REJECTED_RECORDS.column_names()]


def _failures(failures: list[FetchFailure], source: Source, now: datetime) -> pd.DataFrame:
    rows = [(source.name, failure.uri, None, "", failure.reason, failure.detail, now) for failure in failures]
    return pd.DataFrame(rows, columns=REJECTED_RECORDS.column_names()).drop_duplicates("uri")


def _vote_refusals(parsed: Parsed, source: Source, now: datetime) -> pd.DataFrame:
    return parsed.rejected_votes.assign(source=source.name, rejected_at=now)[REJECTED_ANNOTATIONS.column_names()]


def _second_votes(rows: pd.DataFrame, parsed: Parsed, source: Source, now: datetime) -> pd.DataFrame:
    """Refusals for further answers of one annotator on one document."""
    uris = parsed.votes.drop_duplicates("raw_sha256").set_index("raw_sha256")["uri"]
    return pd.DataFrame(
        {
            "source": source.name,
            "uri": rows["raw_sha256"].map(uris),
            "raw_sha256": rows["raw_sha256"],
            "locator": "vote of " + rows["annotator_id"].astype(str) + " on " + rows["document_id"].astype(str),
            "reason": "second_vote",
            "detail": "expected one vote of an annotator on a document in one increment, found another",
            "rejected_at": now,
        }
    )[REJECTED_ANNOTATIONS.column_names()]

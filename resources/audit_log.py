"""The log of every access: entries are only ever added, and each is chained to the one before by a keyed hash.

An entry's digest is HMAC-SHA256 (RFC 2104) over the digest before and the entry: who cannot read the key cannot change, insert or remove
an entry in the middle without `verify` finding it (the idea of Schneier and Kelsey, "Secure audit logs to support computer forensics",
1999). The end of a chain can be cut off without a trace in the chain itself; so each machine that writes also keeps in a file of its own
how far it has seen the log. Whoever can put back older copies of both is only found by a head that was noted elsewhere: `verify` takes one.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Column, Connection, Engine, Integer, String, Table, Text, select
from sqlalchemy.exc import IntegrityError

from resources.access_database import METADATA, open_access_database
from resources.access_store import AccessKey

FIRST = "0" * 64
ATTEMPTS = 20
_ENTRIES = Table(
    "audit_entries",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("token_id", String(32)),
    Column("name", String(200)),
    Column("role", String(20)),
    Column("client", String(100), nullable=False),
    Column("method", String(20), nullable=False),
    Column("path", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
)


class AuditError(Exception):
    """The log could not be written."""


@dataclass(frozen=True)
class Access:
    """One access.

    Attributes:
        token_id: Whose token; None when there was no valid one.
        name: As the token is called.
        role: The token's role.
        client: Address that the request came from.
        method: Of HTTP.
        path: What was asked for.
        query: How it was asked for, without signatures.
        status: What was answered.
    """

    token_id: str | None
    name: str | None
    role: str | None
    client: str
    method: str
    path: str
    query: str
    status: int


@dataclass(frozen=True)
class AuditReport:
    """What a look at the whole log found.

    Attributes:
        entries: How many there are.
        head: `SEQUENCE:DIGEST` of the newest, to be noted elsewhere.
        problems: What is wrong, in words; empty when nothing is.
    """

    entries: int
    head: str
    problems: list[str] = field(default_factory=list)


class AuditLog:
    """The log. The database is opened, and brought up to date, on first use."""

    def __init__(self, url: str, key: AccessKey, head: Path) -> None:
        """Nothing happens yet.

        Args:
            url: SQLAlchemy address.
            key: What the entries are chained with.
            head: File in which this machine keeps how far it has seen the log.
        """
        self.url = url
        self._key = key
        self._head = head
        self._engine: Engine | None = None
        self._lock = FileLock(head.with_suffix(".lock"), thread_local=False)

    def append(self, access: Access, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Add an entry, for good when this returns.

        Raises:
            AuditError: Others added entries each time before this one could.
        """
        engine = self._open()
        with self._lock:
            for _ in range(ATTEMPTS):
                with suppress(IntegrityError), engine.begin() as connection:  # another machine took the number
                    row = self._chain(newest(connection), {"at": now().isoformat(), **asdict(access)})
                    connection.execute(_ENTRIES.insert().values(row))
                    break
            else:
                raise AuditError(f"Expected to add an entry to the audit log within {ATTEMPTS} tries, found it taken each time. Try again.")
            self._remember(f"{row['sequence']}:{row['digest']}")

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest entries, newest first."""
        with self._open().connect() as connection:
            rows = connection.execute(select(_ENTRIES).order_by(_ENTRIES.c.sequence.desc()).limit(limit))
            return [dict(row._mapping) for row in rows]

    def verify(self, expected: str | None = None) -> AuditReport:
        """Look for edits, deletions, insertions and a cut-off end.

        Args:
            expected: A head noted earlier, which must still be in the log.
        """
        seen = [line for line in (self._read_head(), expected) if line]
        with self._open().connect() as connection:
            check = _Check(self._key.read(), set(seen))
            for row in connection.execution_options(yield_per=1000).execute(select(_ENTRIES).order_by(_ENTRIES.c.sequence)):
                check.look_at(dict(row._mapping))
        problems = check.problems + [
            f"entry {line.partition(':')[0]}: expected it, as it was seen before with digest {line.partition(':')[2][:12]}…, found none or "
            "another; the end of the log was cut off or replaced"
            for line in dict.fromkeys(seen)
            if line not in check.found
        ]
        if check.entries and self._read_head() is None:
            problems.append(f"expected {self._head} with how far the log was seen, found none")
        return AuditReport(check.entries, f"{check.sequence}:{check.previous}", problems)

    def _chain(self, last: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> dict[str, Any]:
        row = {**entry, "sequence": last["sequence"] + 1 if last else 1, "previous": last["digest"] if last else FIRST}
        return {**row, "digest": digest_of(self._key.read(), row)}

    def _read_head(self) -> str | None:
        return self._head.read_text(encoding="ascii").strip() if self._head.exists() else None

    def _remember(self, head: str) -> None:
        """After the commit: a crash in between leaves a head that is one entry behind, which is no fault."""
        draft = self._head.with_suffix(".new")
        draft.write_text(head + "\n", encoding="ascii")
        draft.replace(self._head)

    def _open(self) -> Engine:
        if self._engine is None:
            self._head.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock:
                self._engine = open_access_database(self.url)
        return self._engine


class _Check:
    """Walks along the chain.

    Attributes:
        problems: What is wrong so far.
        found: Heads looked for that were met.
        entries: Entries seen.
    """

    def __init__(self, key: bytes, wanted: set[str]) -> None:
        self.problems: list[str] = []
        self.found: set[str] = set()
        self.entries, self.sequence, self.previous = 0, 0, FIRST
        self._key, self._wanted = key, wanted

    def look_at(self, row: Mapping[str, Any]) -> None:
        """The next entry."""
        number = row["sequence"]
        if number != self.sequence + 1:
            self.problems.append(f"entry {self.sequence + 1}: expected it before entry {number}, found none; entries were deleted")
        elif row["previous"] != self.previous:
            self.problems.append(f"entry {number}: expected it to follow the digest before it, found another; entries were replaced")
        if not hmac.compare_digest(row["digest"], digest_of(self._key, row)):
            self.problems.append(f"entry {number}: expected the digest of what it says, found another; it was edited, or the key changed")
        self.entries, self.sequence, self.previous = self.entries + 1, number, row["digest"]
        self.found |= self._wanted & {f"{number}:{row['digest']}"}


def newest(connection: Connection) -> Mapping[str, Any] | None:
    """The newest entry."""
    row = connection.execute(select(_ENTRIES).order_by(_ENTRIES.c.sequence.desc()).limit(1)).first()
    return None if row is None else dict(row._mapping)


def digest_of(key: bytes, row: Mapping[str, Any]) -> str:
    """The keyed hash of an entry and of the digest before it."""
    content = {name: row[name] for name in sorted(row) if name != "digest"}
    return hmac.new(key, json.dumps(content, ensure_ascii=False).encode(), hashlib.sha256).hexdigest()

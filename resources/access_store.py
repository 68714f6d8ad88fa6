"""Who may use the data access API: bearer tokens with roles, in a small SQL database. Tokens are kept as hashes only.

What a role may do is not decided here (`services/visibility.py`, `services/api.py`). The log of what was done: `audit_log.py`.
"""

import hashlib
import json
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Engine, Row, String, Table, Text, select, update

from resources.access_database import METADATA, open_access_database
from resources.key_file import KeyFile, KeyFileError

PREFIX = "tm_"
_TOKENS = Table(
    "access_tokens",
    METADATA,
    Column("token_id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("sources", Text),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", String(40), nullable=False),
    Column("expires_at", String(40), nullable=False),
    Column("revoked_at", String(40)),
)


class AccessStoreError(LookupError):
    """There is no such token."""


class AccessKeyError(KeyFileError):
    """There is no usable key."""


class AccessKey(KeyFile):
    """The secret that chains the audit log, signs download addresses and hides annotators' names."""

    error = AccessKeyError
    when_lost = "remove it, which ends the proof of the audit log so far; move that log away first"


@dataclass(frozen=True)
class Identity:
    """Whom a token stands for.

    Attributes:
        token_id: Public name of the token.
        name: Person or program, as whoever made the token called it.
        role: viewer, annotator, trainer, admin or metrics.
        sources: Only rows of these; None for all that the role sees.
        expires_at: From then on it opens nothing (UTC).
        revoked_at: Since when it opens nothing, if it was revoked.
        created_at: When it was made.
    """

    token_id: str
    name: str
    role: str
    sources: tuple[str, ...] | None
    expires_at: datetime
    revoked_at: datetime | None
    created_at: datetime

    def is_valid(self, now: datetime) -> bool:
        """Whether the token opens anything."""
        return self.revoked_at is None and now < self.expires_at


class AccessStore:
    """The tokens. The database is opened, and brought up to date, on first use."""

    def __init__(self, url: str) -> None:
        """Nothing happens yet.

        Args:
            url: SQLAlchemy address.
        """
        self.url = url
        self._engine: Engine | None = None

    def create(
        self, name: str, role: str, lifetime: timedelta, sources: Collection[str] | None = None, now: datetime | None = None
    ) -> tuple[str, Identity]:
        """Make a token; returns it, which nobody can do again, and whom it stands for.

        Raises:
            ValueError: The lifetime is not positive, or the name is empty.
        """
        if lifetime <= timedelta(0) or not name.strip():
            raise ValueError(f"Expected a name and a lifetime above zero, found {name!r} and {lifetime}.")
        token, at = PREFIX + secrets.token_urlsafe(32), now or datetime.now(UTC)
        row = {
            "token_id": uuid.uuid4().hex[:12],
            "name": name,
            "role": role,
            "sources": None if sources is None else json.dumps(sorted(sources)),
            "token_sha256": _digest(token),
            "created_at": at.isoformat(),
            "expires_at": (at + lifetime).isoformat(),
        }
        with self._open().begin() as connection:
            connection.execute(_TOKENS.insert().values(row))
        return token, self.get(str(row["token_id"]))

    def find(self, token: str) -> Identity | None:
        """Whom a token stands for, valid or not; None when nobody made it."""
        return self._one(_TOKENS.c.token_sha256 == _digest(token))

    def get(self, token_id: str) -> Identity:
        """Whom the token of that public name stands for.

        Raises:
            AccessStoreError: There is none.
        """
        found = self._one(_TOKENS.c.token_id == token_id)
        if found is None:
            raise AccessStoreError(f"Expected the id of a token, found {token_id!r}. `textmill token list` prints the ids.")
        return found

    def list(self) -> list[Identity]:
        """All tokens, oldest first."""
        with self._open().connect() as connection:
            return [_identity(row) for row in connection.execute(select(_TOKENS).order_by(_TOKENS.c.created_at, _TOKENS.c.token_id))]

    def revoke(self, token_id: str, now: datetime | None = None) -> Identity:
        """Close a token for ever; one that is closed stays as it is.

        Raises:
            AccessStoreError: There is none.
        """
        changed = update(_TOKENS).where(_TOKENS.c.token_id == token_id, _TOKENS.c.revoked_at.is_(None))
        with self._open().begin() as connection:
            connection.execute(changed.values(revoked_at=(now or datetime.now(UTC)).isoformat()))
        return self.get(token_id)

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None

    def _one(self, condition: object) -> Identity | None:
        with self._open().connect() as connection:
            row = connection.execute(select(_TOKENS).where(condition)).first()  # type: ignore[arg-type]  # a column's comparison
        return None if row is None else _identity(row)

    def _open(self) -> Engine:
        if self._engine is None:
            self._engine = open_access_database(self.url)
        return self._engine


def _digest(token: str) -> str:
    """What is kept of a token. It has 256 bits of chance, so that a plain hash cannot be searched."""
    return hashlib.sha256(token.encode()).hexdigest()


def _identity(row: Row[tuple[object, ...]]) -> Identity:
    found = row._mapping
    return Identity(
        token_id=found["token_id"],
        name=found["name"],
        role=found["role"],
        sources=None if found["sources"] is None else tuple(json.loads(found["sources"])),
        expires_at=datetime.fromisoformat(found["expires_at"]),
        revoked_at=None if found["revoked_at"] is None else datetime.fromisoformat(found["revoked_at"]),
        created_at=datetime.fromisoformat(found["created_at"]),
    )

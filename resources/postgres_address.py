"""Address of a Postgres database, for psycopg and for DuckDB; its password shows in no error, repr or log."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from resources.lake_connection import LakehouseError, quoted

if TYPE_CHECKING:
    import psycopg

KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
EXTRA = "expected the package psycopg, found none; install textmill[server]"


class PostgresAddressError(ValueError):
    """It is no address of a Postgres database."""


@dataclass(frozen=True)
class PostgresAddress:
    """Which database, and as whom.

    Attributes:
        url: `postgresql://user:password@host:port/database`. Without a password libpq looks into PGPASSFILE and the like.
    """

    url: URL = field(repr=False)

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def parameters(self) -> dict[str, str]:
        """Of libpq, by name."""
        url = self.url
        found = {"host": url.host, "port": url.port, "dbname": url.database, "user": url.username, "password": url.password}
        return {name: str(value) for name, value in found.items() if value is not None} | {name: str(v) for name, v in url.query.items()}

    def connect(self) -> "psycopg.Connection":
        """A connection that commits each statement.

        Raises:
            LakehouseError: The database cannot be reached, or the extra `server` is missing.
        """
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise LakehouseError(EXTRA) from error
        try:
            return psycopg.connect(**self.parameters(), **KEEPALIVE, connect_timeout=10, autocommit=True)  # type: ignore[arg-type]
        except psycopg.OperationalError as error:
            raise LakehouseError(f"Expected the database {self}, found: {self.hide(str(error))}") from None

    def hide(self, text: str) -> str:
        """A text without the password."""
        return text.replace(self.url.password, "***") if self.url.password else text

    def secret_sql(self, name: str) -> str:
        """CREATE SECRET that gives the address to DuckDB."""
        names = {"dbname": "DATABASE"}
        own = {key: value for key, value in self.parameters().items() if key not in self.url.query}
        options = ", ".join(f"{names.get(key, key.upper())} '{quoted(value)}'" for key, value in own.items())
        return f"CREATE OR REPLACE SECRET {name} (TYPE postgres, {options})"

    def options(self) -> str:
        """Options of the address beside its secret, as libpq writes them: `sslmode=require` and the like."""
        return " ".join(f"{key}={value}" for key, value in self.url.query.items())


def parse_postgres_address(url: str) -> PostgresAddress:
    """An address.

    Raises:
        PostgresAddressError: It is none; the message does not repeat it, since it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql" or not parsed.database or not parsed.host:
        raise PostgresAddressError("expected postgresql://user:password@host:port/database, found something else")
    return PostgresAddress(parsed.set(drivername="postgresql"))

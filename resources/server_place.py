"""A lakehouse on servers: its catalog in a schema of a Postgres database, its data files in an S3-compatible store.

Only spilled rows stay on this machine. In a folder instead: `EmbeddedPlace` in `lake_place.py`.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import duckdb

from resources.advisory_lock import AdvisoryLock
from resources.catalog_copy import copy_postgres_catalog, fill_postgres_catalog
from resources.lake_connection import LakehouseError, attach_catalog_file, extension_file, open_duckdb, quoted
from resources.lake_place import METADATA, DataFile, LakePlace
from resources.postgres_address import PostgresAddress
from resources.run_marks import PostgresRunMarks
from resources.s3_object_store import S3ObjectStore

if TYPE_CHECKING:
    import psycopg

RETRIES = 100
"""How often DuckLake tries a commit again that met another; four processes writing at once need more than its default of 10."""
EXTENSION = "postgres_scanner"
EXTRA = "expected the package duckdb-extension-postgres-scanner, found none; install textmill[server]"


class ServerPlace(LakePlace):
    """A schema in Postgres and a folder of a bucket.

    Args:
        folder: Folder of this machine for spilled rows.
        catalog: The database.
        schema: Schema of the catalog in it; it is made if need be.
        data: The store of the data files.
        endpoint: Address of an S3-compatible server; None is Amazon's.
    """

    def __init__(self, folder: Path, catalog: PostgresAddress, schema: str, data: S3ObjectStore, endpoint: str | None) -> None:
        self.folder = folder
        self._catalog, self._schema = catalog, schema
        self._data, self._endpoint = data, endpoint
        self._locks: list[AdvisoryLock] = []

    @property
    def data_url(self) -> str:
        """See `LakePlace`."""
        return self._data.url("")

    @property
    def catalog_tables(self) -> str:
        """See `LakePlace`."""
        return f'{METADATA}."{self._schema}"'

    def describe(self) -> str:
        """See `LakePlace`."""
        return f"{self._catalog}, schema {self._schema}"

    def prepare(self) -> None:
        """See `LakePlace`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def exists(self) -> bool:
        """See `LakePlace`."""
        with closing(self._catalog.connect()) as connection:
            found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"{self._schema}".ducklake_metadata']).fetchone()
        return bool(found and found[0])

    def attach(self, connection: duckdb.DuckDBPyConnection, *, read_only: bool) -> None:
        """See `LakePlace`."""
        options = [f"META_SECRET 'lake_catalog', METADATA_SCHEMA '{quoted(self._schema)}'", f"DATA_PATH '{quoted(self.data_url)}'"]
        options += ["READ_ONLY"] if read_only else ["ENCRYPTED", "DATA_INLINING_ROW_LIMIT 0"]

        def attach() -> None:
            connection.load_extension(str(extension_file(EXTENSION)))
            connection.execute(self._catalog.secret_sql("lake_catalog"))
            connection.execute(self._files_secret_sql())
            connection.execute(f"SET ducklake_max_retry_count = {RETRIES}")
            connection.execute(f"ATTACH 'ducklake:postgres:{quoted(self._catalog.options())}' AS lake ({', '.join(options)})")

        self._without_credentials(attach)

    def attach_copy(self, connection: duckdb.DuckDBPyConnection, catalog: Path) -> None:
        """See `LakePlace`."""

        def attach() -> None:
            connection.execute(self._files_secret_sql())
            attach_catalog_file(connection, catalog, self.data_url, "READ_ONLY")

        self._without_credentials(attach)

    def lock(self) -> AdvisoryLock:
        """See `LakePlace`."""
        self._locks.append(AdvisoryLock(self._catalog, f"lake {self._schema}"))
        return self._locks[-1]

    def files_lock(self) -> AdvisoryLock:
        """See `LakePlace`."""
        return AdvisoryLock(self._catalog, f"files {self._schema}", keeps_open=False)

    def run_marks(self) -> PostgresRunMarks:
        """See `LakePlace`."""
        return PostgresRunMarks(self._catalog, self._schema)

    def copy_catalog(self, target: Path) -> None:
        """See `LakePlace`; what a repeatable-read snapshot of the schema holds."""
        copy_postgres_catalog(self._catalog, self._schema, target)

    def is_empty(self) -> bool:
        """See `LakePlace`."""
        if not self.exists():
            return True
        with closing(self._catalog.connect()) as connection:
            found = connection.execute(f'SELECT count(*) FROM "{self._schema}".ducklake_table'.encode()).fetchone()
        return found is not None and found[0] == 0

    def put_data_file(self, path: str, local: Path) -> None:
        """See `LakePlace`."""
        self._data.put_file(path, local)

    def put_catalog(self, catalog: Path) -> None:
        """See `LakePlace`. DuckLake makes the empty tables, one transaction fills them."""
        self.prepare()
        with open_duckdb("256MB", self.folder / "spill") as connection:
            self.attach(connection, read_only=False)
            connection.execute("DETACH lake")
        fill_postgres_catalog(self._catalog, self._schema, catalog, self.data_url)

    def data_files(self) -> dict[str, DataFile]:
        """See `LakePlace`."""
        found = [file for file in self._data.list() if file.key.endswith(".parquet")]
        return {Path(file.key).name: DataFile(file.key, file.fingerprint, partial(self._bring, file.key)) for file in found}

    def vacuum(self) -> int:
        """See `LakePlace`."""
        with closing(self._catalog.connect()) as connection:
            for name in self._tables(connection):
                connection.execute(f"VACUUM FULL {name}".encode())
        return self.catalog_bytes()

    def catalog_bytes(self) -> int:
        """See `LakePlace`."""
        with closing(self._catalog.connect()) as connection:
            sizes = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS t(name)"
            found = connection.execute(sizes, [self._tables(connection)]).fetchone()
        return int(found[0] or 0) if found else 0

    def data_bytes(self) -> int:
        """See `LakePlace`."""
        return sum(file.size_bytes for file in self._data.list())

    def _tables(self, connection: "psycopg.Connection") -> list[str]:
        """Names of the catalog's tables, quoted."""
        sql = "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s"
        return [name for (name,) in connection.execute(sql, [self._schema])]

    def execute_in_catalog(self, statements: Sequence[str]) -> None:
        """See `LakePlace`."""
        with closing(self._catalog.connect()) as connection, connection.transaction():
            connection.execute("SELECT set_config('search_path', %s, true)", [f'"{self._schema}"'])
            for statement in statements:
                connection.execute(statement.encode())

    def close(self) -> None:
        """See `LakePlace`."""
        for lock in self._locks:
            lock.close()

    def _bring(self, key: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "passing.parquet"  # one at a time: whoever copies data files holds their lock
        self._data.get_file(key, path)
        return path

    def _files_secret_sql(self) -> str:
        """CREATE SECRET that gives the data files to DuckDB, with the credentials that boto3 finds now.

        Raises:
            LakehouseError: It finds none.
        """
        session = boto3.Session()
        found = session.get_credentials()
        if found is None:
            raise LakehouseError("Expected credentials for S3, found none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
        keys = found.get_frozen_credentials()
        given = {"KEY_ID": keys.access_key, "SECRET": keys.secret_key, "REGION": session.region_name or "us-east-1", "SCOPE": self.data_url}
        given |= {"SESSION_TOKEN": keys.token} if keys.token else {}
        encryption = self._data.encryption
        given |= {"KMS_KEY_ID": encryption.key_id} if encryption and encryption.key_id else {}
        options = [f"{name} '{quoted(value)}'" for name, value in given.items()]
        if self._endpoint:
            address = urlsplit(self._endpoint)
            options += [f"ENDPOINT '{quoted(address.netloc)}'", "URL_STYLE 'path'", f"USE_SSL {address.scheme == 'https'}"]
        return f"CREATE OR REPLACE SECRET lake_files (TYPE s3, {', '.join(options)})"

    def _without_credentials(self, action: Callable[[], None]) -> None:
        """Do something whose statements hold credentials, which an error might repeat."""
        try:
            action()
        except duckdb.Error as error:
            keys = boto3.Session().get_credentials()
            text = self._catalog.hide(str(error))
            for secret in (keys.secret_key, keys.token) if keys else ():
                text = text.replace(secret, "***") if secret else text
            raise LakehouseError(f"Expected a lakehouse in {self.describe()}, with data in {self.data_url}, found: {text}") from None

"""Data set versions for people who may have them whole: which there are, and addresses that open one file for a short time.

A signed address needs no token, so that a browser or `curl` can fetch the file; it names whose token asked for it, and stops working
when that token does. The bytes are sent by the API itself, or by an S3 server that people can reach: then the API answers, after the same
checks and an entry of the audit log, with an address of that server that is good for a minute.
"""

import hmac
import json
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from resources.lakehouse import Lakehouse
from resources.object_store import ObjectNotFoundError, ObjectStore
from services.queries import as_json
from services.visibility import View, sign

# `rows_out` is how many rows an increment had when it was frozen: what is missing now was erased.
VERSIONS_SQL = """
SELECT dataset_version, count(DISTINCT document_id) AS rows_count, max(rows_out) - count(DISTINCT document_id) AS erased_rows,
       list(DISTINCT source ORDER BY source) AS sources,
       strftime(min(created_at), '%Y-%m-%dT%H:%M:%SZ') AS created_at,
       dataset_version IN (SELECT dataset_version FROM training_dataset) AS is_current
FROM lake.history.training_dataset JOIN lake.main.increments USING (increment_id)
GROUP BY dataset_version ORDER BY created_at DESC, dataset_version
"""


FETCH_SECONDS = 60
"""How long a file can be fetched from the store after the API has sent somebody there; a transfer that has begun goes on."""


class DownloadError(Exception):
    """An address that opens nothing."""


@dataclass(frozen=True)
class Download:
    """What a signed address says.

    Attributes:
        version: Data set version.
        name: Name of a file of it.
        token_id: Whose token asked for it.
        expires: Seconds since 1970.
    """

    version: str
    name: str
    token_id: str
    expires: int

    def path(self, key: bytes) -> str:
        """The address, below the API's own."""
        query = {"token_id": self.token_id, "expires": self.expires, "signature": self._signature(key)}
        return f"/datasets/{self.version}/files/{self.name}?{urlencode(query)}"

    def check(self, key: bytes, signature: str, now: datetime) -> None:
        """Make sure that we signed it, and that it still holds.

        Raises:
            DownloadError: It does not.
        """
        if not hmac.compare_digest(signature.encode(), self._signature(key).encode()):
            raise DownloadError("Expected the address as it was given out, found another. Ask for a new one.")
        if now.timestamp() >= self.expires:
            raise DownloadError("Expected an address that is still good, found one that has expired. Ask for a new one.")

    def _signature(self, key: bytes) -> str:
        return sign(key, self.version, self.name, self.token_id, self.expires)


def list_versions(lakehouse: Lakehouse, view: View) -> list[dict[str, Any]]:
    """Every data set version, newest first; sources that the view does not see are not named."""
    versions = as_json(lakehouse.read(VERSIONS_SQL))
    return [{**one, "sources": [source for source in one["sources"] if view.shows(source)]} for one in versions]


def sources_of(lakehouse: Lakehouse, version: str) -> list[str]:
    """Sources whose rows a published data set version holds; empty when there is no such version."""
    sql = "SELECT DISTINCT source FROM lake.history.training_dataset WHERE dataset_version = $version ORDER BY source"
    return list(lakehouse.read(sql, {"version": version})["source"])


def read_data_manifest(store: ObjectStore, version: str) -> dict[str, Any]:
    """The manifest of a data set version that exists.

    Raises:
        ObjectNotFoundError: Its files are gone.
    """
    manifest: dict[str, Any] = json.loads(store.get(file_key(version, "manifest.json")))
    return manifest


def find_file(store: ObjectStore, version: str, name: str) -> str | None:
    """Address at the store from which a data set's file can be fetched; None where it has to be sent.

    Raises:
        ObjectNotFoundError: It is gone.
    """
    key = file_key(version, name)
    address = store.download_url(key, f"{version}-{name}", FETCH_SECONDS)
    if address is not None and not store.exists(key):
        raise ObjectNotFoundError(f"expected an object at {store.url(key)}, found none")
    return address


def file_key(version: str, name: str) -> str:
    """Where a data set's file lies in the store."""
    return f"datasets/{version}/{name}"


def bring_file(store: ObjectStore, version: str, name: str) -> Path:
    """A copy of a data set's file that whoever asked removes.

    Raises:
        ObjectNotFoundError: It is gone.
    """
    with tempfile.NamedTemporaryFile(prefix="textmill-", suffix=f"-{name}", delete=False) as file:
        path = Path(file.name)
    try:
        store.get_file(file_key(version, name), path)
    except BaseException:
        path.unlink()
        raise
    return path

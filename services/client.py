"""Published data in notebooks: `connect(url, token)` asks the data access API, and answers with pandas frames.

from services.client import connect
mill = connect("http://127.0.0.1:8734", token)
mill.search("battery life")
mill.labels(source="tickets")
train = mill.dataset(split="train")
"""

import hashlib
import io
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx2
import pandas as pd

from resources.http_client import open_client
from resources.loopback import is_loopback

PAGE_DOCUMENTS = 1000


class DataAccessError(Exception):
    """The API refused, or its answer is not what was asked for."""


class DataClient:
    """The data access API, as one token sees it."""

    def __init__(self, url: str, token: str, timeout_seconds: float = 60.0) -> None:
        """Nothing is asked yet.

        Args:
            url: Address of the API.
            token: What `textmill token create` printed.
            timeout_seconds: Longest wait for an answer.

        Raises:
            DataAccessError: The address would send the token in clear over a network.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise DataAccessError(f"Expected an https:// address, or one of this machine, found {url!r}.")
        self._client = open_client(self, url.rstrip("/"), timeout_seconds)
        self._headers = {"Authorization": f"Bearer {token}"}

    def search(self, query: str, limit: int = 10, offset: int = 0, **filters: str | date) -> pd.DataFrame:
        """Clean documents that match a query, best first; how many match in all is in `attrs["total"]` of the frame.

        Args:
            query: Words, phrases and conditions.
            limit: Most documents.
            offset: How many of the best are left out.
            filters: `source`, `label`, `language`, and days, `since` and `until`.
        """
        page = self._ask("/search", {"q": query, "limit": limit, "offset": offset, **filters})
        found = pd.DataFrame(page["rows"])
        found.attrs |= {"total": page["total"], "is_any": page["is_any"]}
        return found

    def documents(self, limit: int | None = None, **filters: str) -> pd.DataFrame:
        """Clean documents; filters are `document_id`, `source`, `language`."""
        return self._rows("documents", limit, filters)

    def labels(self, limit: int | None = None, **filters: str) -> pd.DataFrame:
        """The consensus on each document; filters are those of documents and `label`."""
        return self._rows("labels", limit, filters)

    def votes(self, limit: int | None = None, **filters: str) -> pd.DataFrame:
        """Votes of people on so many documents; filters are `document_id`, `source`, `label`."""
        return self._rows("votes", limit, filters)

    def queue(self, limit: int | None = None, **filters: str) -> pd.DataFrame:
        """What people should label next."""
        return self._rows("queue", limit, filters)

    def predictions(self, limit: int | None = None, **filters: str) -> pd.DataFrame:
        """What the champion says of documents without a confident label."""
        return self._rows("predictions", limit, filters)

    def datasets(self) -> pd.DataFrame:
        """Data set versions, newest first."""
        return pd.DataFrame(self._ask("/datasets"))

    def manifest(self, version: str) -> dict[str, Any]:
        """What is in a data set version."""
        found: dict[str, Any] = self._ask(f"/datasets/{quote(version, safe='')}")
        return found

    def dataset(self, version: str | None = None, split: Literal["train", "dev", "test"] = "train") -> pd.DataFrame:
        """The rows of a split; of the newest data set version by default.

        Raises:
            DataAccessError: There is none, or the bytes are not those of the manifest.
        """
        if version is None:
            versions = self.datasets()
            if versions.empty:
                raise DataAccessError("Expected a data set version, found none. Materialize `training_dataset` first.")
            version = str(versions["dataset_version"].iloc[0])
        (file,) = [
            one for one in self._ask(f"/datasets/{quote(version, safe='')}/downloads", method="POST") if one["name"] == f"{split}.parquet"
        ]
        payload = self._fetch(file["url"])
        if hashlib.sha256(payload).hexdigest() != file["sha256"]:
            raise DataAccessError(f"Expected {file['name']} of {version} as its manifest says, found other bytes. Fetch it again.")
        return pd.read_parquet(io.BytesIO(payload))

    def models(self) -> pd.DataFrame:
        """Models, newest first."""
        return pd.DataFrame(self._ask("/models"))

    def model(self, name: str = "champion") -> dict[str, Any]:
        """Where a model, by id or alias, comes from: recipe, data set, decisions, increments."""
        found: dict[str, Any] = self._ask(f"/lineage/{quote(name, safe='')}")
        return found

    def lineage(self, document_id: str) -> dict[str, pd.DataFrame]:
        """Where a document comes from and what it went into, table by table."""
        found: dict[str, Any] = self._ask(f"/lineage/{quote(document_id, safe='')}")
        return {name: pd.DataFrame(rows) for name, rows in found.items()}

    def _rows(self, name: str, limit: int | None, filters: dict[str, str]) -> pd.DataFrame:
        """All rows of a listing, or those of the first `limit` documents."""
        return pd.DataFrame([row for page in self._pages(f"/{name}", limit, filters) for row in page])

    def _pages(self, path: str, limit: int | None, filters: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
        left, after = limit, None
        while left is None or left > 0:
            size = PAGE_DOCUMENTS if left is None else min(left, PAGE_DOCUMENTS)
            page = self._ask(path, {**filters, "limit": size, "after": after})
            yield page["rows"]
            after, left = page["next"], None if left is None else left - size
            if after is None:
                return

    def _ask(self, path: str, parameters: dict[str, Any] | None = None, method: str = "GET") -> Any:  # noqa: ANN401  # any JSON
        return self._send(method, path, parameters).json()

    def _fetch(self, path: str) -> bytes:
        """The bytes at an address that needs no token; the API may send us to the object store for them.

        Raises:
            DataAccessError: It was refused.
        """
        response = self._client.get(path, follow_redirects=True)
        _check(response, f"GET {path.partition('?')[0]}")
        return response.content

    def _send(self, method: str, path: str, parameters: dict[str, Any] | None) -> httpx2.Response:
        """One request.

        Raises:
            DataAccessError: It was refused; the message says why.
        """
        given = None if parameters is None else {name: value for name, value in parameters.items() if value is not None}
        response = self._client.request(method, path, params=given, headers=self._headers)
        _check(response, f"{method} {path.partition('?')[0]}")
        return response


def _check(response: httpx2.Response, asked: str) -> None:
    if response.status_code >= 400:
        raise DataAccessError(f"{asked}: {response.status_code} {response.text[:500]}")


def connect(url: str, token: str, timeout_seconds: float = 60.0) -> DataClient:
    """A client of the data access API at an address."""
    return DataClient(url, token, timeout_seconds)

"""Published data in notebooks: `connect(url, token)` asks the data access API, and answers with pandas frames.

from services.client import connect
mill = connect("http://127.0.0.1:8734", token)
mill.search("battery life")
mill.labels(source="tickets")
mill.answer(mill.queue(limit=1).assign(label="negative"))
train = mill.dataset(split="train")
"""

import hashlib
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx2
import pandas as pd

from resources.http_client import open_client
from resources.loopback import is_loopback

PAGE_DOCUMENTS = 1000
QUEUE_COLUMNS = ["position", "document_id", "source", "language", "text", "suggestion"]
ANSWER_COLUMNS = ["document_id", "label", "labels", "spans", "rating", "seconds"]


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

    def search(
        self, query: str, limit: int = 10, offset: int = 0, by: Literal["words", "meaning"] = "words", **filters: str | date
    ) -> pd.DataFrame:
        """Clean documents that match a query, best first; how many match in all is in `attrs["total"]` of the frame.

        Args:
            query: Words, phrases and conditions.
            limit: Most documents.
            offset: How many of the best are left out.
            by: By what they are ordered; `meaning` needs `labeling.embeddings`, and finds by any word.
            filters: `source`, `label`, `language`, and days, `since` and `until`.
        """
        page = self._ask("/search", {"q": query, "limit": limit, "offset": offset, "by": by, **filters})
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
        """What the token's owner should label next, most useful first; filters are `source` and `language`.

        The frame's `attrs` have the `task` (kind, labels, forms of an answer, rating scale) and the `guideline` (version and text).
        """
        pages = list(self._pages("/queue", limit, filters))
        found = pd.DataFrame([row for page in pages for row in page["rows"]], columns=QUEUE_COLUMNS)
        found.attrs |= {name: pages[0][name] for name in ("task", "guideline")} if pages else {}
        return found

    def answer(self, answers: pd.DataFrame, guideline: str | None = None) -> int:
        """Hand in answers of the token's owner, all of them or none; returns how many. Safe to repeat; the newest answer counts.

        Args:
            answers: One row per document: `document_id`, one of `label`, `labels`, `spans` and `rating` as the task wants it, and `seconds`
                where they were measured. Rows without an answer, and other columns, are passed over.
            guideline: Version of the guideline that the person was shown; that of `queue()` where the frame came from there.

        Raises:
            DataAccessError: Something is wrong with one; the message says what.
        """
        shown = answers.attrs.get("guideline") or {}
        body = {"answers": list(answer_rows(answers)), "guideline": guideline or shown.get("version")}
        kept: int = self._ask("/labels", method="POST", body=body)["answers"]
        return kept

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
        return pd.DataFrame([row for page in self._pages(f"/{name}", limit, filters) for row in page["rows"]])

    def _pages(self, path: str, limit: int | None, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
        left, after = limit, None
        while left is None or left > 0:
            size = PAGE_DOCUMENTS if left is None else min(left, PAGE_DOCUMENTS)
            page = self._ask(path, {**filters, "limit": size, "after": after})
            yield page
            after, left = page["next"], None if left is None else left - size
            if after is None:
                return

    def _ask(self, path: str, parameters: dict[str, Any] | None = None, method: str = "GET", body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  # any JSON
        return self._send(method, path, parameters, body).json()

    def _fetch(self, path: str) -> bytes:
        """The bytes at an address that needs no token; the API may send us to the object store for them.

        Raises:
            DataAccessError: It was refused.
        """
        response = self._client.get(path, follow_redirects=True)
        _check(response, f"GET {path.partition('?')[0]}")
        return response.content

    def _send(self, method: str, path: str, parameters: dict[str, Any] | None, body: dict[str, Any] | None) -> httpx2.Response:
        """One request.

        Raises:
            DataAccessError: It was refused; the message says why.
        """
        given = None if parameters is None else {name: value for name, value in parameters.items() if value is not None}
        response = self._client.request(method, path, params=given, json=body, headers=self._headers)
        _check(response, f"{method} {path.partition('?')[0]}")
        return response


def answer_rows(answers: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Every row with an answer, as the API takes it."""
    columns = [name for name in ANSWER_COLUMNS if name in answers]
    rows: list[dict[str, Any]] = json.loads(answers[columns].to_json(orient="records", double_precision=15))
    for row in rows:
        given = {name: value for name, value in row.items() if value is not None}
        if given.keys() - {"document_id", "seconds"}:
            yield given


def _check(response: httpx2.Response, asked: str) -> None:
    if response.status_code >= 400:
        raise DataAccessError(f"{asked}: {response.status_code} {response.text[:500]}")


def connect(url: str, token: str, timeout_seconds: float = 60.0) -> DataClient:
    """A client of the data access API at an address."""
    return DataClient(url, token, timeout_seconds)

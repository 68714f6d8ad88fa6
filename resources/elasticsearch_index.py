"""The full-text index on a server, Elasticsearch or OpenSearch, over the part of their REST interface that both have.

An alias names the index that answers. Building anew fills another index, then one request moves the alias: whoever searches meanwhile
gets the old answers, then the new ones. Tokens come ready made, so the server cuts at spaces only.
"""

import json
import math
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2

from resources.advisory_lock import Lock
from resources.http_client import open_client, send_patiently
from resources.search_engine import MAX_WINDOW, SCHEMA_VERSION, Found, Hit, IndexedDocument, SearchIndexError, check_window
from resources.search_query import All, Between, Either, Equals, Not, Phrase, Query, Term

BULK_DOCUMENTS = 1000
ATTEMPTS = 5
PAUSE_SECONDS = 0.5
"""Before a second attempt; twice as long before each further one, if the server says no other."""
TIMEOUT_SECONDS = 60.0
TRANSIENT = (429, 502, 503, 504)
SETTINGS = {"index": {"number_of_shards": 1, "max_result_window": MAX_WINDOW}}
"""One shard: scores of several are not comparable, and a hundred million short documents fit into one."""
MAPPINGS = {
    "dynamic": "strict",
    "properties": {
        "document_id": {"type": "keyword"},
        "source": {"type": "keyword"},
        "language": {"type": "keyword"},
        "label": {"type": "keyword"},
        "published": {"type": "long"},
        "tokens": {"type": "text", "analyzer": "whitespace"},
    },
}


class ElasticsearchIndex:
    """An index on a server; one writer at a time, by a lock."""

    def __init__(self, url: str, alias: str, lock: Lock) -> None:
        """Nothing is asked yet.

        Args:
            url: Address of the server; `user:password@` in it logs in.
            alias: Name of the index: lower-case letters, digits and hyphens.
            lock: Between all that may write it.
        """
        parts = urlsplit(url)
        self._alias, self._lock = alias, lock
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._client = open_client(self, self._url, TIMEOUT_SECONDS)
        if parts.username is not None:
            self._client.auth = httpx2.BasicAuth(unquote(parts.username), unquote(parts.password or ""))

    @contextmanager
    def writing(self, *, anew: bool = False) -> Iterator["_Writer"]:
        """See `SearchEngine`."""
        with self._lock.acquire(timeout=-1):
            present = self._present()
            if present is not None and not anew:
                yield _Writer(self, present)
                return
            fresh = f"{self._prefix}{uuid.uuid4().hex[:12]}"
            self.call("PUT", f"/{fresh}", {"settings": SETTINGS, "mappings": MAPPINGS})
            try:
                yield _Writer(self, fresh)
            except BaseException:
                self.call("DELETE", f"/{fresh}")
                raise
            others = self._indices()
            moves = [{"remove": {"index": name, "alias": self._alias}} for name in self._aliased()]
            self.call("POST", "/_aliases", {"actions": [*moves, {"add": {"index": fresh, "alias": self._alias}}]})
            for name in others:
                if name != fresh:
                    self.call("DELETE", f"/{name}", missing_is_fine=True)

    def erase(self) -> None:
        """See `SearchEngine`."""
        for name in self._indices():
            self.call("DELETE", f"/{name}", missing_is_fine=True)

    def count(self) -> int:
        """See `SearchEngine`."""
        present = self._present()
        return 0 if present is None else int(self.call("GET", f"/{present}/_count")["count"])

    def size_bytes(self) -> int:
        """See `SearchEngine`."""
        present = self._present()
        return 0 if present is None else int(self.call("GET", f"/{present}/_stats/store")["_all"]["primaries"]["store"]["size_in_bytes"])

    def search(self, query: Query, limit: int, offset: int = 0) -> Found:
        """See `SearchEngine`."""
        check_window(limit, offset)
        present = self._present()
        if present is None:
            raise SearchIndexError(f"Expected a search index {self._alias} at {self._url}, found none. Materialize `search_index` first.")
        body = {
            "query": _translated(query),
            "from": offset,
            "size": limit,
            "track_total_hits": True,
            "track_scores": True,
            "_source": False,
        }
        answer = self.call(
            "POST", f"/{present}/_search", body | {"sort": [{"_score": {"order": "desc"}}, {"document_id": {"order": "asc"}}]}
        )["hits"]
        return Found(int(answer["total"]["value"]), [Hit(str(hit["_id"]), float(hit["_score"])) for hit in answer["hits"]])

    def call(self, method: str, path: str, body: object = None, *, missing_is_fine: bool = False) -> dict[str, Any]:
        """The answer to one request, which is repeated while the server is busy.

        Args:
            method: Of HTTP.
            path: Below the address.
            body: Sent as JSON; a text as it is, as lines of JSON.
            missing_is_fine: An answer of 404 is no error, but empty.

        Raises:
            SearchIndexError: The server cannot be reached, or refused.
        """
        content = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
        headers = {} if content is None else {"content-type": kind}

        def send() -> httpx2.Response:
            return self._client.request(method, path, content=content, headers=headers)

        try:
            response = send_patiently(send, ATTEMPTS, PAUSE_SECONDS, TRANSIENT)
        except httpx2.HTTPError as error:
            raise SearchIndexError(f"Expected the search server at {self._url}, found {type(error).__name__}: {error}") from error
        if response.status_code == 404 and missing_is_fine:
            return {}
        if response.status_code >= 400:
            raise SearchIndexError(
                f"Expected the search server at {self._url} to answer {method} {path}, found {response.status_code} {response.text[:300]}"
            )
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as error:
            raise SearchIndexError(f"Expected JSON of {self._url}, found {response.text[:100]!r}. Is it a search server?") from error
        return answer

    @property
    def _prefix(self) -> str:
        return f"{self._alias}-v{SCHEMA_VERSION}-"

    def _aliased(self) -> list[str]:
        """Indices that the alias names."""
        return sorted(self.call("GET", f"/_alias/{quote(self._alias)}", missing_is_fine=True))

    def _indices(self) -> list[str]:
        """Every index of any version that was made under the alias."""
        return sorted(self.call("GET", f"/{quote(self._alias)}-v*/_alias", missing_is_fine=True))

    def _present(self) -> str | None:
        """The index that answers; None where there is none of this schema version."""
        return next((name for name in self._aliased() if name.startswith(self._prefix)), None)


class _Writer:
    """See `IndexWriter`; what a call wrote is searched when it returns."""

    def __init__(self, server: ElasticsearchIndex, index: str) -> None:
        self._server, self._index = server, index

    def add(self, documents: Iterable[IndexedDocument]) -> None:
        self._send(_lines({"index": {"_id": each.document_id}}, _source(each)) for each in documents)

    def remove(self, document_ids: Iterable[str]) -> None:
        self._send(_lines({"delete": {"_id": each}}) for each in document_ids)

    def _send(self, actions: Iterable[str]) -> None:
        remaining = iter(actions)
        while batch := list(islice(remaining, BULK_DOCUMENTS)):
            self._send_batch(batch)
        self._server.call("POST", f"/{self._index}/_refresh")

    def _send_batch(self, actions: list[str]) -> None:
        """One request for several actions, and again for those that the server was too busy for."""
        for attempt in range(ATTEMPTS):
            answer = self._server.call("POST", f"/{self._index}/_bulk", "".join(actions))
            if not answer["errors"]:
                return
            results = [result for item in answer["items"] for result in item.values()]
            for result in results:
                if "error" in result and result["status"] not in TRANSIENT:
                    raise SearchIndexError(f"Expected document {result['_id']} to be indexed, found {json.dumps(result['error'])[:300]}")
            actions = [action for action, result in zip(actions, results, strict=True) if "error" in result]
            time.sleep(PAUSE_SECONDS * 2**attempt)
        raise SearchIndexError(f"Expected the search server to take {len(actions)} more documents, found it too busy {ATTEMPTS} times.")


def _lines(*contents: dict[str, Any]) -> str:
    """An action of a bulk request: a line that says what to do, and where there is one a line with the document."""
    return "".join(json.dumps(content) + "\n" for content in contents)


def _source(document: IndexedDocument) -> dict[str, Any]:
    return {
        "document_id": document.document_id,
        "source": document.source,
        "language": document.language,
        "label": list(document.labels),
        "published": int(document.published_at.timestamp()),
        "tokens": document.tokens,
    }


def _translated(query: Query) -> dict[str, Any]:
    match query:
        case Term(token):
            return {"term": {"tokens": {"value": token}}}
        case Phrase(tokens):
            return {"match_phrase": {"tokens": {"query": " ".join(tokens)}}}
        case Equals(field, value):
            return _weightless({"term": {field: {"value": value}}})
        case Between(begin, end):
            span = {} if begin is None else {"gte": math.ceil(begin.timestamp())}
            span |= {} if end is None else {"lt": math.ceil(end.timestamp())}
            return _weightless({"range": {"published": span}})
        case Not(part):
            return _weightless({"bool": {"must_not": [_translated(part)]}})
        case All(parts):
            return {"bool": {"must": [_translated(part) for part in parts]}}
        case Either(parts):
            alternatives = [_translated(part) for part in parts]
            return {"bool": {"should": alternatives, "minimum_should_match": 1}} if parts else {"match_none": {}}


def _weightless(query: dict[str, Any]) -> dict[str, Any]:
    return {"constant_score": {"filter": query, "boost": 0.0}}

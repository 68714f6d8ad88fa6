"""The API channel: paged JSON over HTTP. Each page is one object, as it came; records are found in `assets/collection`."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from resources.channels.fetched import MEDIA_TYPES, CursorMove, Fetched, FetchFailure, SourceError
from resources.channels.paging import Paging, Step, value_at
from resources.loopback import is_loopback
from resources.web.policy import FetchPolicy, WebError
from resources.web.reader import Reply, WebReader, origin_of, parse_url, shown


@dataclass(frozen=True)
class Endpoint:
    """What of an API is asked for.

    Attributes:
        url: The address.
        params: Query parameters of every request. They may hold keys: neither they nor their values appear in what is yielded.
        headers: Headers for this server only, keys among them.
        records: Path of the list of records in an answer; empty where the answer is the list.
        paging: Where the next page is.
        max_pages: Most pages in one run.
        since_parameter: Query parameter that asks for records from a value of `since_field` on; empty asks for all every time.
        since_field: Path in a record of the value that grows: a time of change or a number.
        since_start: Value of the first run; empty asks without one.
    """

    url: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    records: str = ""
    paging: Paging = field(default_factory=Paging)
    max_pages: int = 100
    since_parameter: str = ""
    since_field: str = ""
    since_start: str = ""


class ApiChannel:
    """The pages of one endpoint, one after the other.

    A page whose bytes are the same as in the run before is not stored again. How far `since_field` has come is remembered only after
    every page was read, since no order of the records is promised.

    Args:
        endpoint: What is asked for.
        policy: Limits and manners of its requests.
    """

    def __init__(self, endpoint: Endpoint, policy: FetchPolicy) -> None:
        self.endpoint = endpoint
        self.policy = policy
        self._uri = shown(endpoint.url)
        # Whatever is asked with other parameters is another thing to have read; only a hash may tell, as keys may be among them.
        question = json.dumps([endpoint.url, endpoint.records, sorted(endpoint.params)])
        self._key = f"api:{self._uri}#{hashlib.sha256(question.encode()).hexdigest()[:16]}"

    def fetch(self, cursor: Mapping[str, str]) -> Iterator[Fetched | FetchFailure | CursorMove]:
        """See `Channel`.

        Raises:
            SourceError: The first page cannot be read, or a key would travel unencrypted to another machine.
        """
        self._refuse_open_keys()
        since = json.loads(cursor.get(f"{self._key}#since", "null"))
        newest, seen, number = since, set[str](), 0
        step: Step | None = Step(self.endpoint.paging.first())
        with WebReader(self.policy) as reader:
            while step is not None:
                number += 1
                uri = f"{self._uri}#page-{number}"
                page = self._page(reader, step, since, uri, number, seen)
                if isinstance(page, FetchFailure):
                    if number == 1:
                        raise SourceError(f"cannot read {self._uri}: {page.detail}")
                    yield page
                    return
                reply, content, records = page
                newest = self._newest(records, newest)
                key, state = f"{self._key}#page-{number}", hashlib.sha256(reply.body).hexdigest()
                if records and cursor.get(key) != state:
                    rights = reply.robots_allowed, reply.ai_training_signal
                    charset = reply.charset or "utf-8"
                    yield Fetched(uri, reply.body, MEDIA_TYPES["json"], charset, "documents", None, None, key, state, *rights)
                step = self.endpoint.paging.following(step.parameters, reply, content, len(records))
        if self.endpoint.since_parameter and newest != since:
            yield CursorMove(f"{self._key}#since", json.dumps(newest))

    def _refuse_open_keys(self) -> None:
        url = parse_url(self.endpoint.url)
        if self.endpoint.headers and url.scheme != "https" and not is_loopback(url.host):
            raise SourceError(f"expected an https address for requests with keys in `headers`, found {self._uri}")

    def _page(
        self, reader: WebReader, step: Step, since: str | float | None, uri: str, number: int, seen: set[str]
    ) -> tuple[Reply, Any, list[Any]] | FetchFailure:
        """A page: its answer, its JSON and the records in that."""
        if number > self.endpoint.max_pages:
            return FetchFailure(uri, "limit_reached", f"expected at most {self.endpoint.max_pages} pages in one run, found more")
        try:
            url = self._address(step, since)
            if url in seen:
                return FetchFailure(uri, "pagination_loop", "expected the address of a page that was not read yet, found one that was")
            seen.add(url)
            reply = reader.get(url, {"Accept": "application/json"}, self.endpoint.headers)
            content = json.loads(reply.body)
        except WebError as error:
            return FetchFailure(uri, error.reason, str(error))
        except (ValueError, RecursionError) as error:
            return FetchFailure(uri, "malformed_json", f"expected JSON, found {type(error).__name__}: {str(error)[:100]}")
        records = value_at(content, self.endpoint.records)
        if not isinstance(records, list):
            found = f"found {type(records).__name__}"
            return FetchFailure(uri, "missing_records", f"expected a list of records at {self.endpoint.records or 'the top'!r}, {found}")
        return reply, content, records

    def _address(self, step: Step, since: str | float | None) -> str:
        """The address of a page. One that an answer names must lie on the same server: the keys are for that only.

        Raises:
            WebError: It lies elsewhere.
        """
        base = parse_url(self.endpoint.url)
        if step.url is not None:
            url = parse_url(step.url, base)
            if origin_of(url) != origin_of(base):
                raise WebError("foreign_next_page", f"expected the next page on {origin_of(base)}, found it on {origin_of(url)}")
            return str(url)
        begin = self.endpoint.since_start if since is None else since
        own = {self.endpoint.since_parameter: str(begin)} if self.endpoint.since_parameter and begin != "" else {}
        return str(base.copy_merge_params({**self.endpoint.params, **own, **step.parameters}))

    def _newest(self, records: list[Any], newest: str | float | None) -> str | float | None:
        """The greatest value so far; values of another type than the first do not count."""
        if not self.endpoint.since_parameter:
            return None
        for record in records:
            value = value_at(record, self.endpoint.since_field)
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                continue
            is_alike = isinstance(value, str) == isinstance(newest, str)
            newest = value if newest is None else max(newest, value) if is_alike else newest
        return newest

"""The API channel against a real HTTP server: ways of paging, keys, what is new, and answers that are not what they should be."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from resources.channels.api import ApiChannel, Endpoint
from resources.channels.fetched import CursorMove, Fetched, FetchFailure, SourceError
from resources.channels.paging import Paging, next_link, value_at
from resources.web.policy import FetchPolicy

KEY = "Bearer very-secret-7"
TEXTS = ["one", "二", "three", "四", "five"]


class Api:
    """Five records behind every way of paging, two to a page."""

    def __init__(self, site):
        self.url = f"{site.url}/items"
        self.records = [{"id": number, "text": text, "changed": f"2026-01-0{number}"} for number, text in enumerate(TEXTS, start=1)]
        self.asked = []
        site.answer = self.answer

    def answer(self, path, headers):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append((asked, headers.get("Authorization")))
        chosen = [record for record in self.records if record["changed"] >= asked.get("since", "")]
        start = int(asked.get("offset", 2 * int(asked.get("page", 1)) - 2)) if "after" not in asked else int(asked["after"])
        more = start + 2 if start + 2 < len(chosen) else None
        meta = {"next": str(more) if more else None, "url": f"/items?offset={more}" if more else None}
        link = {"Link": f'<{self.url}?offset={more}>; rel="next", <{self.url}>; rel="first"'} if more else {}
        body = json.dumps({"data": {"items": chosen[start : start + 2]}, "meta": meta}, ensure_ascii=False).encode()
        return 200, {"Content-Type": "application/json", **link}, body


@pytest.fixture
def api(site):
    return Api(site)


def channel_of(url, **options):
    policy = FetchPolicy(allow_private_hosts=("127.0.0.1",), requests_per_second=10_000, pause_seconds=0.001, honours_robots=False)
    return ApiChannel(Endpoint(**{"url": url, "records": "data.items", **options}), policy)


def collect(channel, cursor):
    outcomes = list(channel.fetch(dict(cursor)))
    cursor.update({item.cursor_key: item.cursor_value for item in outcomes if not isinstance(item, FetchFailure)})
    return outcomes


def texts(outcomes):
    pages = [json.loads(item.payload)["data"]["items"] for item in outcomes if isinstance(item, Fetched)]
    return [record["text"] for page in pages for record in page]


@pytest.mark.parametrize(
    "paging",
    [
        Paging("page", "page"),
        Paging("offset", "offset", 0),
        Paging("cursor", "after", next="meta.next"),
        Paging("next_url", next="meta.url"),
        Paging("link_header"),
    ],
    ids=lambda paging: paging.style,
)
def test_every_way_of_paging_reads_every_record_once(api, paging):
    outcomes = collect(channel_of(api.url, paging=paging), {})
    assert texts(outcomes) == TEXTS
    assert [item.uri for item in outcomes] == [f"{api.url}#page-{number}" for number in (1, 2, 3)]
    assert {item.media_type for item in outcomes} == {"application/json"}


def test_without_paging_one_page_is_read_and_stored_once(api):
    cursor = {}
    assert texts(collect(channel_of(api.url), cursor)) == TEXTS[:2]
    assert collect(channel_of(api.url), cursor) == []


def test_only_what_is_new_is_asked_for(api):
    options = {"paging": Paging("page", "page"), "since_parameter": "since", "since_field": "changed", "since_start": "2026-01-02"}
    cursor = {}
    assert texts(collect(channel_of(api.url, **options), cursor)) == TEXTS[1:]
    api.asked.clear()
    api.records.append({"id": 6, "text": "六", "changed": "2026-01-06"})
    assert texts(collect(channel_of(api.url, **options), cursor)) == ["five", "六"]
    assert api.asked[0][0] == {"page": "1", "since": "2026-01-05"}


def test_what_is_new_is_not_moved_on_when_a_page_is_missing(api):
    options = {"paging": Paging("page", "page"), "since_parameter": "since", "since_field": "changed", "max_pages": 2}
    cursor = {}
    *pages, failure = collect(channel_of(api.url, **options), cursor)
    assert (len(pages), failure.reason, failure.uri) == (2, "limit_reached", f"{api.url}#page-3")
    assert not any(key.endswith("#since") for key in cursor)


def test_numbers_grow_as_numbers_and_other_values_do_not_count(api):
    for number, value in enumerate([9, 10, None, True, "11"]):
        api.records[number]["version"] = value
    options = {"paging": Paging("page", "page"), "since_parameter": "v", "since_field": "version"}
    *_, move = collect(channel_of(api.url, **options), {})
    assert (type(move), json.loads(move.cursor_value)) == (CursorMove, 10)


def test_keys_are_sent_and_appear_nowhere(api, caplog):
    caplog.set_level("DEBUG")
    channel = channel_of(api.url, headers={"Authorization": KEY}, params={"api_key": "also-secret"}, paging=Paging("link_header"))
    seen = repr(collect(channel, {})) + repr(channel.endpoint) + caplog.text
    assert api.asked[0] == ({"api_key": "also-secret"}, KEY)
    assert ("very-secret" in seen, "also-secret" in seen) == (False, False)


def test_keys_travel_encrypted_or_not_at_all():
    with pytest.raises(SourceError, match=r"expected an https address for requests with keys in `headers`, found http://api.example/x"):
        list(channel_of("http://api.example/x", headers={"Authorization": KEY}).fetch({}))


def test_a_next_page_elsewhere_is_not_asked_for(api, site):
    def answer(path, headers):
        return 200, {"Link": '<http://evil.example/>; rel="next"'}, b'{"data": {"items": [1]}}'

    site.answer = answer
    page, failure = collect(channel_of(api.url, headers={"Authorization": KEY}, paging=Paging("link_header")), {})
    assert (page.uri, failure.reason) == (f"{api.url}#page-1", "foreign_next_page")
    assert failure.detail == f"expected the next page on {site.url}, found it on http://evil.example"


def test_a_cursor_that_leads_back_is_noticed(api, site):
    site.answer = lambda path, headers: (200, {}, b'{"data": {"items": [1]}, "next": "a"}')
    outcomes = collect(channel_of(api.url, paging=Paging("cursor", "after", next="next")), {})
    assert [getattr(item, "reason", "page") for item in outcomes] == ["page", "page", "pagination_loop"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<html>", "expected JSON, found JSONDecodeError"),
        (b"", "expected JSON, found JSONDecodeError"),
        (b"[" * 100_000, "expected JSON, found RecursionError"),
        (b"\xff\xfe\x00", "expected JSON, found UnicodeDecodeError"),
        (b'{"error": "no"}', "expected a list of records at 'data.items', found NoneType"),
        (b'{"data": {"items": {}}}', "expected a list of records at 'data.items', found dict"),
    ],
)
def test_a_first_page_of_no_use_is_an_error_of_the_source(api, site, body, detail):
    site.answer = lambda path, headers: (200, {}, body)
    with pytest.raises(SourceError, match=f"cannot read {api.url}: {detail}"):
        collect(channel_of(api.url), {})


def test_a_later_page_of_no_use_is_one_failure(api, site):
    first = api.answer
    site.answer = lambda path, headers: first(path, headers) if "page=1" in path else (500, {}, b"")
    page, failure = collect(channel_of(api.url, paging=Paging("page", "page")), {})
    assert (type(page), failure.reason) == (Fetched, "fetch_failed")


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://a/?p=2>; rel="next"', "https://a/?p=2"),
        ('<https://a/1>; rel="prev", <https://a/3>; title="x"; rel=next', "https://a/3"),
        ('</b>; rel="last next"', "/b"),
        ('<https://a/1>; rel="prev"', None),
        ('<https://a/next>; rel="first"; title="next"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_next_page_is_the_link_with_that_relation(header, target):
    assert next_link(header) == target


def test_values_are_found_by_path():
    content = {"a": {"b": [1], "c": None}}
    assert [value_at(content, path) for path in ("", "a.b", "a.c", "a.x.y", "a.b.c")] == [content, [1], None, None, None]

"""The feed channel against a real HTTP server: conditional requests, failing pages, half-broken and unreachable feeds."""

import json
import threading

import pytest

from resources.channels.feeds import FeedChannel, map_ahead
from resources.channels.fetched import CursorMove, Fetched, FetchFailure, SourceError
from resources.web.policy import FetchPolicy


def channel_of(site, **options):
    return FeedChannel(f"{site.url}/feed.xml", policy_for_tests(**options))


def policy_for_tests(**options):
    return FetchPolicy(**{"allow_private_hosts": ("127.0.0.1",), "requests_per_second": 10_000, "pause_seconds": 0.001, **options})


def collect(channel, cursor):
    outcomes = list(channel.fetch(dict(cursor)))
    cursor.update({item.cursor_key: item.cursor_value for item in outcomes if not isinstance(item, FetchFailure)})
    return outcomes


def test_pages_and_votes_come_in_the_order_of_the_feed(site):
    site.put_feed(site.item(1, enclosure=True) + site.item(2))
    site.put("/p1.html", "<p>你好</p>".encode("gbk"), "text/html; charset=gb2312")
    site.put("/v1.json", b"[]", "application/json")
    site.put("/p2.html", b"<p>two</p>")
    first, votes, second, move = collect(channel_of(site), {})
    assert (first.payload, first.charset, first.media_type, first.role) == ("<p>你好</p>".encode("gbk"), "gb2312", "text/html", "documents")
    assert (first.uri, first.parent_id, first.published_at.isoformat()) == (f"{site.url}/p1.html", "a1", "2026-01-02T03:04:05+00:00")
    assert (votes.payload, votes.role, votes.parent_id, votes.media_type) == (b"[]", "annotations", "a1", "application/json")
    assert (second.payload, second.parent_id) == (b"<p>two</p>", "a2")
    assert isinstance(move, CursorMove)


def test_an_unchanged_feed_costs_one_conditional_request(site):
    site.put_feed(site.item(1))
    site.put("/p1.html", b"<p>one</p>")
    cursor = {}
    collect(channel_of(site), cursor)
    site.requests.clear()
    assert collect(channel_of(site), cursor) == []
    assert [(path, headers.get("If-None-Match")) for path, headers in site.requests] == [("/feed.xml", '"1"')]


def test_a_feed_without_etag_is_asked_by_time(site):
    site.put_feed("")
    site.pages["/feed.xml"][1].pop("ETag")
    site.pages["/feed.xml"][1]["Last-Modified"] = "Fri, 02 Jan 2026 03:04:05 GMT"
    cursor = {}
    collect(channel_of(site), cursor)
    collect(channel_of(site), cursor)
    assert [headers.get("If-Modified-Since") for _, headers in site.requests] == [None, "Fri, 02 Jan 2026 03:04:05 GMT"]


def test_only_new_and_changed_entries_are_read_again(site):
    for number in (1, 2, 3):
        site.put(f"/p{number}.html", b"<p>text</p>")
    site.put_feed(site.item(1) + site.item(2))
    cursor = {}
    collect(channel_of(site), cursor)
    site.requests.clear()
    site.put_feed(site.item(1) + site.item(2, date="Sat, 03 Jan 2026 00:00:00 GMT") + site.item(3), etag='"2"')
    collect(channel_of(site), cursor)
    assert sorted(site.paths()) == ["/feed.xml", "/p2.html", "/p3.html"]


def test_a_failing_page_is_one_failure_and_is_not_hidden_by_the_feeds_etag(site):
    site.put_feed(site.item(1) + site.item(2))
    site.put("/p2.html", b"<p>two</p>")
    cursor = {}
    failure, fetched = collect(channel_of(site), cursor)
    assert failure == FetchFailure(f"{site.url}/p1.html", "fetch_failed", f"expected status 200 from {site.url}/p1.html, found 404")
    assert fetched.parent_id == "a2"
    site.put("/p1.html", b"<p>one</p>")
    again = collect(channel_of(site), cursor)
    assert [getattr(item, "parent_id", "move") for item in again] == ["a1", "move"]


def test_a_page_that_fails_for_a_moment_is_tried_three_times(site):
    site.put_feed(site.item(1))
    site.put("/p1.html", b"<p>one</p>")
    site.failures["/p1.html"] = 2
    assert [type(item) for item in collect(channel_of(site), {})] == [Fetched, CursorMove]
    assert site.paths().count("/p1.html") == 3


@pytest.mark.parametrize(("body", "reason"), [(b"", "empty_object"), (b"x" * 1001, "object_too_large")])
def test_a_page_of_no_use_is_one_failure(site, body, reason):
    site.put_feed(site.item(1))
    site.put("/p1.html", body)
    (failure,) = collect(channel_of(site, max_bytes=1000), {})
    assert failure.reason == reason


def test_a_half_broken_feed_gives_what_can_be_read_and_one_failure(site):
    site.put_feed(site.item(1), tail="<item><title>cut & off")
    site.put("/p1.html", b"<p>one</p>")
    cursor = {}
    failure, cut_off, fetched = collect(channel_of(site), cursor)
    assert (failure.uri, failure.reason) == (f"{site.url}/feed.xml", "malformed_feed")
    assert (cut_off.uri, cut_off.reason) == (f"{site.url}/feed.xml#entry-2", "malformed_entry")
    assert fetched.parent_id == "a1"
    assert not any(key.startswith("feed:") for key in cursor)


def test_an_entry_without_a_web_link_is_one_failure(site):
    site.put_feed('<item><guid isPermaLink="false">a9</guid><link>ftp://host/x</link></item>' + site.item(1))
    site.put("/p1.html", b"<p>one</p>")
    failure, fetched = collect(channel_of(site), {})
    assert (failure.reason, failure.detail) == (
        "malformed_entry",
        "expected an id and a web link, found id 'a9' and link 'ftp://host/x'",
    )
    assert fetched.parent_id == "a1"


def test_a_wrong_content_type_of_the_feed_is_harmless(site):
    site.put_feed(site.item(1))
    site.pages["/feed.xml"][1]["Content-Type"] = "text/plain"
    site.put("/p1.html", b"<p>one</p>")
    assert [type(item) for item in collect(channel_of(site), {})] == [Fetched, CursorMove]


def test_an_atom_feed_works_too(site):
    entry = f'<entry><id>tag:1</id><link href="{site.url}/p1.html"/><updated>2026-01-02T03:04:05Z</updated></entry>'
    site.put("/feed.xml", f'<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>{entry}</feed>'.encode(), "application/atom+xml")
    site.put("/p1.html", b"<p>one</p>")
    fetched, _ = collect(channel_of(site), {})
    assert (fetched.parent_id, fetched.published_at.isoformat()) == ("tag:1", "2026-01-02T03:04:05+00:00")


@pytest.mark.parametrize("body", [b"<html><body>no feed</body></html>", b"", b"\xff\xfe\x00 noise", b'{"a": 1}'])
def test_something_else_than_a_feed_is_an_error_of_the_source(site, body):
    site.put("/feed.xml", body)
    with pytest.raises(SourceError, match=r"expected an RSS or Atom feed at http://127.0.0.1"):
        list(channel_of(site).fetch({}))


def test_a_feed_that_keeps_failing_is_an_error_of_the_source(site):
    site.failures["/feed.xml"] = 9
    with pytest.raises(SourceError, match=r"cannot read the feed .*: expected status 200 from .*, found 503"):
        list(channel_of(site).fetch({}))
    assert len(site.requests) == 3


def test_an_unreachable_feed_is_an_error_of_the_source():
    with pytest.raises(SourceError, match=r"cannot read the feed http://127.0.0.1:1/feed.xml: expected an answer from .*ConnectError"):
        list(FeedChannel("http://127.0.0.1:1/feed.xml", policy_for_tests()).fetch({}))


def test_results_keep_the_order_and_reading_ahead_is_bounded():
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    results = map_ahead(lambda number: number * 2, items())
    assert next(results) == 0
    assert len(taken) <= 8
    assert list(results) == [number * 2 for number in range(1, 50)]


def test_a_fetch_that_is_given_up_stops_its_threads(site):
    for number in range(30):
        site.put(f"/p{number}.html", b"<p>text</p>")
    site.put_feed("".join(site.item(number) for number in range(30)))
    outcomes = channel_of(site).fetch({})
    next(outcomes)
    outcomes.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_cursors_are_json_that_tells_what_was_seen(site):
    site.put_feed(site.item(1))
    site.put("/p1.html", b"<p>one</p>")
    cursor = {}
    collect(channel_of(site), cursor)
    assert {key: json.loads(value) for key, value in cursor.items()} == {
        "entry:a1": ["Fri, 02 Jan 2026 03:04:05 GMT", f"{site.url}/p1.html"],
        f"feed:{site.url}/feed.xml": {"etag": '"1"', "last_modified": ""},
    }


def test_who_wrote_an_entry_comes_with_its_page(site):
    author = "<dc:creator xmlns:dc='http://purl.org/dc/elements/1.1/'>张三</dc:creator>"
    site.put_feed(site.item(1).replace("</item>", f"{author}</item>") + site.item(2))
    site.put("/p1.html", b"<p>one</p>")
    site.put("/p2.html", b"<p>two</p>")
    first, second, _ = collect(channel_of(site), {})
    assert (first.authors, second.authors) == (("张三",), ())

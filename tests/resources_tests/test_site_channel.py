"""The site channel against a real HTTP server: sitemaps, links, bounds, and what did not change."""

import gzip

import pytest

from resources.channels.fetched import CursorMove, Fetched, FetchFailure, SourceError
from resources.channels.site import Bounds, SiteChannel
from resources.channels.sitemaps import Listed, read_sitemap
from resources.web.links import links_of
from resources.web.policy import FetchPolicy, WebError
from resources.web.reader import Reply

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def channel_of(**bounds):
    policy = FetchPolicy(allow_private_hosts=("127.0.0.1",), requests_per_second=10_000, pause_seconds=0.001, max_bytes=100_000)
    return SiteChannel(Bounds(**bounds), policy)


def collect(channel, cursor):
    outcomes = list(channel.fetch(dict(cursor)))
    cursor.update({item.cursor_key: item.cursor_value for item in outcomes if not isinstance(item, FetchFailure)})
    return outcomes


def outcomes_of(channel, cursor=None):
    """Paths of what was read, and reasons of what was not."""
    words = {Fetched: lambda item: item.uri, FetchFailure: lambda item: item.reason, CursorMove: lambda item: f"seen {item.cursor_key}"}
    return [words[type(item)](item).replace("http://127.0.0.1", "") for item in collect(channel, {} if cursor is None else cursor)]


def paths(outcomes):
    return [outcome.partition("/")[2] if outcome.startswith(":") else outcome for outcome in outcomes]


def put_sitemap(site, path, urls, kind="url", **entries):
    parts = "".join(f"<{kind}><loc>{site.url}{url}</loc>{entries.get('tail', '')}</{kind}>" for url in urls)
    root = "urlset" if kind == "url" else "sitemapindex"
    site.put(path, f"<?xml version='1.0' encoding='UTF-8'?><{root} {NAMESPACE}>{parts}</{root}>".encode(), "application/xml")


def put_pages(site, **links):
    for name, targets in links.items():
        anchors = "".join(f'<a href="{target}">{target}</a>' for target in targets)
        site.put(f"/{name.replace('_', '/')}", f"<html><body>第{name}页 {anchors}</body></html>".encode())


def test_pages_of_an_index_of_sitemaps_are_read_in_order(site):
    put_sitemap(site, "/index.xml", ["/one.xml.gz", "/two.xml"], kind="sitemap")
    put_sitemap(site, "/one.xml", ["/a", "/b"])
    site.put("/one.xml.gz", gzip.compress(site.pages["/one.xml"][0]), "application/gzip")
    put_sitemap(site, "/two.xml", ["/b", "/c"])
    put_pages(site, a=[], b=["/d"], c=[])
    assert paths(outcomes_of(channel_of(sitemaps=(f"{site.url}/index.xml",)))) == ["a", "b", "c"]


def test_a_sitemap_can_be_text_and_speaks_for_its_own_host_only(site):
    site.put("/map.txt", f"{site.url}/a\nhttp://other.example/b\n{site.url}/路\n".encode(), "text/plain")
    put_pages(site, a=[])
    site.put("/%E8%B7%AF", b"<p>text</p>")
    assert paths(outcomes_of(channel_of(sitemaps=(f"{site.url}/map.txt",)))) == ["a", "%E8%B7%AF"]


def test_a_page_that_a_sitemap_calls_unchanged_is_not_asked_for(site):
    put_sitemap(site, "/map.xml", ["/a"], tail="<lastmod>2026-01-02</lastmod>")
    put_pages(site, a=[])
    cursor = {}
    channel = channel_of(sitemaps=(f"{site.url}/map.xml",))
    assert paths(outcomes_of(channel, cursor)) == ["a"]
    site.requests.clear()
    assert outcomes_of(channel, cursor) == []
    assert site.paths() == ["/map.xml"]
    put_sitemap(site, "/map.xml", ["/a"], tail="<lastmod>2026-01-03</lastmod>")
    assert outcomes_of(channel, cursor)[0].startswith("seen page:")
    site.put("/a", b"<p>new</p>")
    put_sitemap(site, "/map.xml", ["/a"], tail="<lastmod>2026-01-04</lastmod>")
    assert paths(outcomes_of(channel, cursor)) == ["a"]


def test_a_page_is_asked_for_by_its_etag(site):
    put_sitemap(site, "/map.xml", ["/a"])
    site.put("/a", b"<p>a</p>", ETag='"1"')
    cursor = {}
    channel = channel_of(sitemaps=(f"{site.url}/map.xml",))
    assert [paths(outcomes_of(channel, cursor)) for _ in range(2)] == [["a"], []]
    assert site.requests[-1][1]["If-None-Match"] == '"1"'


def test_links_are_followed_within_the_folder_to_a_depth(site):
    put_pages(site, blog_=["one", "/blog/two#top", "/shop/x", "http://other.example/blog/y", "picture.jpg", "mailto:a@b"])
    put_pages(site, blog_one=["/blog/deep"], blog_two=["/blog/one", "/blog/"], blog_deep=["/blog/deeper"])
    start = (f"{site.url}/blog/",)
    assert paths(outcomes_of(channel_of(start_urls=start, max_depth=1))) == ["blog/one", "blog/two"]
    assert paths(outcomes_of(channel_of(start_urls=start, max_depth=2))) == ["blog/one", "blog/two", "blog/deep"]
    assert paths(outcomes_of(channel_of(start_urls=start, max_depth=2, pages="/deep|/$"))) == ["blog/", "blog/deep"]
    assert "/shop/x" not in site.paths()


def test_pages_that_did_not_change_are_not_stored_again_though_their_links_are_read(site):
    put_pages(site, blog_=["one"], blog_one=["/blog/two"], blog_two=[])
    channel, cursor = channel_of(start_urls=(f"{site.url}/blog/",)), {}
    assert paths(outcomes_of(channel, cursor)) == ["blog/one", "blog/two"]
    assert outcomes_of(channel, cursor) == []
    put_pages(site, blog_two=["x"])
    assert paths(outcomes_of(channel, cursor)) == ["blog/two"]


def test_at_the_limit_the_next_run_goes_on_with_new_pages(site):
    put_sitemap(site, "/map.xml", ["/a", "/b", "/c"])
    put_pages(site, a=[], b=[], c=[])
    channel, cursor = channel_of(sitemaps=(f"{site.url}/map.xml",), max_pages=2), {}
    assert paths(outcomes_of(channel, cursor)) == ["a", "b", "limit_reached"]
    assert paths(outcomes_of(channel, cursor)) == ["c", "limit_reached"]


def test_an_index_that_lists_itself_or_too_many_sitemaps_comes_to_an_end(site):
    put_sitemap(site, "/map.xml", ["/map.xml", *(f"/{number}.xml" for number in range(5))], kind="sitemap")
    found = collect(channel_of(sitemaps=(f"{site.url}/map.xml",), max_sitemaps=3), {})
    assert [item.reason for item in found] == ["fetch_failed", "fetch_failed", "limit_reached"]
    assert found[-1].detail == "expected at most 3 sitemaps in one run, found more; the next run reads new ones first"


def test_a_page_of_no_use_is_one_failure(site):
    put_sitemap(site, "/map.xml", ["/missing", "/pdf", "/away", "/empty", "/secret", "/same"])
    site.put("/robots.txt", b"User-agent: *\nDisallow: /secret")
    site.put("/pdf", b"%PDF", "application/pdf")
    site.put("/away", b"", Location="http://localhost:1/")
    site.put("/same", b"", Location="/pdf")
    site.statuses |= {"/away": 302, "/same": 302}
    site.put("/empty", b"")
    found = collect(channel_of(sitemaps=(f"{site.url}/map.xml",)), {})
    assert [item.reason for item in found] == ["fetch_failed", "not_a_page", "address_not_allowed", "empty_object", "robots_disallowed"]


def test_a_redirect_to_another_host_is_no_page_of_the_site(site):
    put_sitemap(site, "/map.xml", ["/away"])
    site.put("/away", b"", Location=f"{site.url.replace('127.0.0.1', 'localhost')}/b")
    site.put("/b", b"<p>b</p>")
    site.statuses["/away"] = 302
    policy = FetchPolicy(allow_private_hosts=("127.0.0.1", "localhost"), requests_per_second=10_000)
    (failure,) = collect(SiteChannel(Bounds(sitemaps=(f"{site.url}/map.xml",)), policy), {})
    assert (failure.reason, failure.detail) == ("left_the_site", "expected a page of the site, found a redirect to localhost")


def test_a_site_of_which_nothing_can_be_read_is_an_error_of_the_source(site):
    with pytest.raises(SourceError, match=r"expected something to read, found that nothing could be: .*/map.xml: expected status 200"):
        collect(channel_of(sitemaps=(f"{site.url}/map.xml",), start_urls=(f"{site.url}/blog/",)), {})


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (b"<html><body/></html>", "expected urlset or sitemapindex, found 'html'"),
        (b"", "expected XML, or lines of addresses, found b''"),
        ("没有".encode(), "expected XML, or lines of addresses, found"),
        (gzip.compress(b"x" * 10**7), "expected at most 200 bytes for each compressed one"),
        (b"<!DOCTYPE u [<!ENTITY a 'b'>]><urlset/>", "expected XML without entities of its own, found 1, the first 'a'"),
    ],
)
def test_something_else_than_a_sitemap_is_refused(payload, detail):
    with pytest.raises(WebError, match=detail):
        read_sitemap(payload, FetchPolicy())


def test_entries_without_an_address_and_comments_are_left_out():
    payload = f"<urlset {NAMESPACE}><!-- 注 --><url><loc> https://a/ </loc></url><url/><url><loc/></url></urlset>".encode()
    assert read_sitemap(payload, FetchPolicy()) == [Listed("https://a/", "", is_sitemap=False)]


@pytest.mark.parametrize(
    ("body", "headers", "links"),
    [
        ('<a href="b">', {}, ["http://h/f/b"]),
        ('<base href="/g/"><a href="b">', {}, ["http://h/g/b"]),
        ('<a href="b" rel="external nofollow"><a href=c>', {}, ["http://h/f/c"]),
        ('<meta name="ROBOTS" content="noindex, NOFOLLOW"><a href="b">', {}, []),
        ('<meta name="textmill" content="none"><a href="b">', {}, []),
        ('<a href="b">', {"x-robots-tag": "nofollow"}, []),
        ('<a href="http://[x"><a href="javascript:1"><a href="mailto:a@b"><a href=" /新 ">', {}, ["http://h/%E6%96%B0"]),
        (f'<a href="/{"x" * 2000}">', {}, []),
        ("", {}, []),
        ("<" * 1000, {}, []),
        ('<a href="b">', {"content-type": "text/html; charset=klingon"}, ["http://h/f/b"]),
    ],
)
def test_links_are_those_that_a_page_wants_followed(body, headers, links):
    assert list(links_of(Reply("http://h/f/a", 200, headers, body.encode()))) == links

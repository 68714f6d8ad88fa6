"""Bad inputs tried on collection, and what each one got: the table in `docs/collection.md` is made of these cases.

When a case is added, `test_the_documented_table_is_this_one` fails and shows the table to put into the document.
"""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from assets.collection.channels import channel_of
from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.project import Project
from assets.source_settings import FieldMapping
from resources.channels.fetched import FetchFailure, SourceError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "collection.md"
LAUGHS = b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
BOMB = gzip.compress(b"x" * 20_000_000)
GZIP = {"Content-Encoding": "gzip"}
SOURCE_FAILS = "the source fails"

# What was tried; the server's answer for a page: status, headers, body; the reason recorded.
PAGES = [
    ("a page that is missing", 404, {}, b"", "fetch_failed"),
    ("a page that needs a log-in", 401, {}, b"", "fetch_failed"),
    ("a page that is withheld by law", 451, {}, b"", "fetch_failed"),
    ("a server that fails every time", 500, {}, b"", "fetch_failed"),
    ("a server that asks to come back in a week", 429, {"Retry-After": "604800"}, b"", "server_busy"),
    ("a server that asks to come back at a date far away", 503, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, b"", "server_busy"),
    ("a redirect to itself", 302, {"Location": "/page"}, b"", "too_many_redirects"),
    ("a redirect to cloud metadata", 302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"", "address_not_allowed"),
    ("a redirect to cloud metadata over IPv6", 302, {"Location": "http://[fd00:ec2::254]/"}, b"", "address_not_allowed"),
    ("a redirect to an IPv4-mapped loopback", 302, {"Location": "http://[::ffff:127.0.0.1]/"}, b"", "address_not_allowed"),
    ("a redirect to a loopback behind NAT64", 302, {"Location": "http://[64:ff9b::7f00:1]/"}, b"", "address_not_allowed"),
    ("a redirect to a private network in 6to4", 302, {"Location": "http://[2002:a00:1::1]/"}, b"", "address_not_allowed"),
    ("a redirect to carrier-grade NAT", 302, {"Location": "http://100.64.0.1/"}, b"", "address_not_allowed"),
    ("a redirect to this machine as a decimal number", 302, {"Location": "http://2130706433/"}, b"", "address_not_allowed"),
    ("a redirect to this machine in hexadecimal", 302, {"Location": "http://0x7f000001/"}, b"", "address_not_allowed"),
    ("a redirect to this machine in octal", 302, {"Location": "http://0177.0.0.1/"}, b"", "malformed_address"),
    ("a redirect to this machine by name", 302, {"Location": "http://localhost/"}, b"", "address_not_allowed"),
    ("a redirect to a broadcast address", 302, {"Location": "http://255.255.255.255/"}, b"", "address_not_allowed"),
    ("a redirect to a file", 302, {"Location": "file:///etc/passwd"}, b"", "address_not_allowed"),
    ("a redirect to FTP", 302, {"Location": "ftp://example.com/a"}, b"", "address_not_allowed"),
    ("a redirect with a password", 302, {"Location": "http://user:secret@example.com/"}, b"", "address_not_allowed"),
    ("a redirect to nonsense", 302, {"Location": "http://[nonsense"}, b"", "malformed_address"),
    ("a body beyond the limit", 200, {}, b"x" * 200_001, "object_too_large"),
    ("an empty body", 200, {}, b"", "empty_object"),
    ("a gzip bomb beyond the limit", 200, GZIP, BOMB, "object_too_large"),
    ("gzip that is none", 200, GZIP, b"plain", "broken_compression"),
    ("gzip that is cut off", 200, GZIP, gzip.compress(b"text" * 100)[:-9], "broken_compression"),
    ("an encoding that was not asked for", 200, {"Content-Encoding": "br"}, b"x", "unknown_encoding"),
    ("a body shorter than promised", 200, {"Content-Length": "50", "Connection": "close"}, b"short", "fetch_failed"),
    ("a picture in place of a page", 200, {"Content-Type": "image/png"}, b"\x89PNG", "not_a_page"),
    ("a page that robots.txt forbids", 200, {"X-Robots": "User-agent: *\nDisallow: /page"}, b"<p>text</p>", "robots_disallowed"),
    ("a host that wants one request an hour", 200, {"X-Robots": "User-agent: *\nCrawl-delay: 3600"}, b"", "crawl_delay_too_long"),
]
# Answers for the address that a whole source begins with.
BEGINNINGS = [
    ("a sitemap that is a web page", "site", b"<html><body>hello</body></html>", "expected urlset or sitemapindex"),
    ("a sitemap with nothing in it", "site", b" ", "expected XML, or lines of addresses"),
    ("a sitemap that is noise", "site", b"\x00\xff\xfe\x01" * 64, "expected XML, or lines of addresses"),
    ("a sitemap with entities within entities", "site", LAUGHS + b"<urlset>&b;</urlset>", "expected XML without entities of its own"),
    ("a sitemap nested 5,000 deep", "site", b"<a>" * 5000, "expected XML within the limits of its parser"),
    ("a compressed sitemap that is a bomb", "site", BOMB, "expected at most 200000 bytes"),
    ("a feed that is a web page", "feed", b"<html><body>hello</body></html>", "expected an RSS or Atom feed"),
    ("a feed that is JSON", "feed", b'{"items": []}', "expected an RSS or Atom feed"),
    ("a feed with entities within entities", "feed", LAUGHS + b"<rss><channel/></rss>", "expected XML without entities of its own"),
    (
        "a feed that reads a file",
        "feed",
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss>&x;</rss>',
        "expected XML without entities",
    ),
    ("a feed nested 5,000 deep", "feed", b"<rss>" + b"<a>" * 5000, "expected XML within the limits of its parser"),
    ("an API that answers with HTML", "api", b"<html></html>", "expected JSON, found JSONDecodeError"),
    ("an API that answers with 100,000 brackets", "api", b"[" * 100_000, "expected JSON, found RecursionError"),
    ("an API without the list of records", "api", b'{"error": "quota"}', "expected a list of records"),
    ("an API whose list is an object", "api", b'{"items": {"a": 1}}', "expected a list of records"),
]
THREAD = {"messages": "messages", "parent_id": "id"}
# What objects hold: bytes, media type, fields; the reason recorded for the one record in it.
OBJECTS = [
    ("a line cut off", b'{"id": 1, "text": "on', "application/x-ndjson", {}, "malformed_json"),
    ("a line that is a list", b"[1, 2]", "application/x-ndjson", {}, "not_an_object"),
    ("a line nested 100,000 deep", b"[" * 100_000, "application/x-ndjson", {}, "malformed_json"),
    ("a record without text", b'{"id": 1}', "application/x-ndjson", {}, "missing_text"),
    ("a record whose text is white space", '{"id": 1, "text": " \u3000\\n"}'.encode(), "application/x-ndjson", {}, "missing_text"),
    ("a record whose text is a number", b'{"id": 1, "text": 5}', "application/x-ndjson", {}, "text_not_a_string"),
    ("a record whose text is too long", b'{"id": 1, "text": "' + b"x" * 2000 + b'"}', "application/x-ndjson", {}, "text_too_long"),
    ("a record whose id is a list", b'{"id": [1], "text": "one"}', "application/x-ndjson", {}, "malformed_id"),
    ("a CSV without the column of texts", b"id,body\n1,one\n", "text/csv", {}, "missing_column"),
    ("a CSV row with a field too many", b"id,text\n1,one,two\n", "text/csv", {}, "malformed_row"),
    ("a CSV with a quotation that never ends", b'id,text\n1,"one\n', "text/csv", {}, "malformed_row"),
    ("Parquet that is none", b"PAR1 nothing PAR1", "application/vnd.apache.parquet", {}, "malformed_parquet"),
    ("JSON that is none", b"{", "application/json", {}, "malformed_json"),
    ("JSON without the list of records", b'{"data": 1}', "application/json", {"records": "data.items"}, "missing_records"),
    ("a thread without messages", b'{"id": 1}', "application/x-ndjson", THREAD, "missing_messages"),
    ("a thread without an id", b'{"messages": []}', "application/x-ndjson", THREAD, "missing_thread_id"),
    ("a message that is a word", b'{"id": 1, "messages": ["hi"]}', "application/x-ndjson", THREAD, "not_an_object"),
    ("a program", b"\x7fELF\x02\x01", "application/octet-stream", {}, "unknown_media_type"),
    ("a mailbox that is none", b"hello", "application/mbox", {}, "malformed_mailbox"),
    ("a mail without text", b"From a\nSubject: x\n\n", "application/mbox", {}, "missing_text"),
    ("a mail with a picture only", b"From a\nContent-Type: image/png\n\n\x89PNG", "application/mbox", {}, "missing_text"),
    ("a mail whose base64 is none", b"From a\nContent-Transfer-Encoding: base64\n\n!", "application/mbox", {}, "missing_text"),
    ("a page without an article", b"<html><body><nav><a href='/'>Home</a></nav></body></html>", "text/html", {}, "no_main_text"),
    ("a page of 10,000 open tags", b"<div>" * 10_000, "text/html", {}, "no_main_text"),
]


class Answers(BaseHTTPRequestHandler):
    """Lists one page in its sitemap, and answers as the server was told."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        told = self.server.told
        robots = told[1].get("X-Robots", "").encode()
        others = {"/robots.txt": robots, "/ai.txt": b"", "/map.txt": f"{self.server.url}/page\n".encode()}
        status, headers, body = (200, {}, others[self.path]) if self.path in others else told
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if name != "X-Robots":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def outcomes_of(server, told, **source):
    """Everything that the channel of a source yields while the server answers as told."""
    server.told = told
    common = {
        "name": "tried",
        "allow_private_hosts": ["127.0.0.1"],
        "requests_per_second": 10_000,
        "retries": 0,
        "max_object_bytes": 200_000,
    }
    content = {"name": "tried", "languages": ["en"], "task": {"labels": ["a", "b"]}, "sources": [common | source]}
    (declared,) = Project.model_validate(content).sources
    return list(channel_of(declared).fetch({}))


@pytest.mark.parametrize(("tried", "status", "headers", "body", "reason"), PAGES, ids=[case[0] for case in PAGES])
def test_a_bad_page_is_one_recorded_failure(server, tried, status, headers, body, reason):
    if reason == "crawl_delay_too_long":  # its sitemap is not read either
        with pytest.raises(SourceError, match=r"expected 127\.0\.0\.1 to take a request every 60 seconds, found 3600"):
            outcomes_of(server, (status, headers, body), kind="site", sitemaps=[f"{server.url}/map.txt"])
        return
    (failure,) = outcomes_of(server, (status, headers, body), kind="site", sitemaps=[f"{server.url}/map.txt"])
    assert (type(failure), failure.uri, failure.reason) == (FetchFailure, f"{server.url}/page", reason)
    assert failure.detail.startswith("expected ")
    assert "secret" not in failure.detail


@pytest.mark.parametrize(("tried", "kind", "body", "detail"), BEGINNINGS, ids=[case[0] for case in BEGINNINGS])
def test_a_bad_beginning_fails_its_source_with_words(server, tried, kind, body, detail):
    place = {"sitemaps": [f"{server.url}/a"]} if kind == "site" else {"url": f"{server.url}/a"}
    fields = {"fields": {"records": "items"}} if kind == "api" else {}
    with pytest.raises(SourceError, match=detail):
        outcomes_of(server, (200, {}, body), kind=kind, **place, **fields)


@pytest.mark.parametrize(("tried", "payload", "media_type", "fields", "reason"), OBJECTS, ids=[case[0] for case in OBJECTS])
def test_a_bad_object_is_one_refused_record(tried, payload, media_type, fields, reason):
    raw = RawObject(payload, "0" * 64, "file:///drop/a", media_type)
    found = parse_objects([raw], fields=FieldMapping(**fields), max_text_chars=1000)
    assert (len(found.documents), found.rejected["reason"].tolist()) == (0, [reason])
    assert found.rejected["detail"].str.startswith("expected ").all()


def table():
    """The list of what was tried in Markdown."""
    rows = [(case[0], f"`{case[-1]}`") for case in (*PAGES, *OBJECTS)] + [
        (case[0], f"{SOURCE_FAILS}: “{case[-1]} …”") for case in BEGINNINGS
    ]
    return "\n".join(["| tried | got |", "| --- | --- |", *(f"| {tried} | {got} |" for tried, got in rows)])


def test_the_documented_table_is_this_one():
    assert len(PAGES) + len(BEGINNINGS) + len(OBJECTS) >= 60
    assert table() in DOCUMENT.read_text(encoding="utf-8"), f"put this table into {DOCUMENT.name}:\n{table()}"

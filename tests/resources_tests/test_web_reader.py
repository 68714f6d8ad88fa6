"""The reader of the web against real servers on loopback: addresses, limits, manners, further attempts."""

import gzip
import socket
import ssl
import zlib
from contextlib import closing
from datetime import UTC, datetime

import httpcore2
import pytest

from resources.web.connections import CheckedNetwork, Deadline, resolve
from resources.web.decompression import Decompressor, gunzip
from resources.web.pacing import Pace
from resources.web.policy import FetchPolicy, WebError
from resources.web.reader import WebReader, parse_url, seconds_asked, shown
from resources.web.xml_documents import parse_xml

HERE = {"allow_private_hosts": ("127.0.0.1",), "requests_per_second": 10_000, "pause_seconds": 0.001}


def policy(**options):
    return FetchPolicy(**{**HERE, **options})


def read(url, resolver=resolve, headers=None, secrets=None, **options):
    with WebReader(policy(**options), resolver) as reader:
        return reader.get(url, headers, secrets)


def refusal(url, resolver=resolve, **options):
    with pytest.raises(WebError, match="expected") as caught:
        read(url, resolver, **options)
    return caught.value.reason, str(caught.value)


def test_the_client_names_itself_and_whom_to_ask(site):
    site.put("/a", b"a")
    read(f"{site.url}/a")
    read(f"{site.url}/a", contact="https://shop.example/bot")
    assert [headers["User-Agent"] for _, headers in site.requests] == ["textmill/0.1", "textmill/0.1 (+https://shop.example/bot)"]
    assert {headers["Accept-Encoding"] for _, headers in site.requests} == {"gzip"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
def test_nothing_on_this_machine_is_read_unless_the_source_names_it(site, host):
    site.put("/a", b"secret")
    url = f"{site.url}/a".replace("127.0.0.1", host)
    reason, detail = refusal(url, allow_private_hosts=())
    # Some spellings are no host to begin with.
    is_refused = "in allow_private_hosts of the source if it is meant" in detail
    assert (reason, is_refused) == (("malformed_address", False) if host == "0177.0.0.1" else ("address_not_allowed", True))
    assert site.requests + site.robots_requests == []


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data", "http://[::ffff:7f00:1]:1/", "http://2130706433:1/", "http://0x7f.1:1/", "//localhost:1/"],
)
def test_a_redirect_is_checked_like_the_first_address(site, target):
    site.put("/a", b"", Location=target)
    site.statuses["/a"] = 302
    assert refusal(f"{site.url}/a")[0] == "address_not_allowed"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x", "javascript:alert(1)", "http://user:pw@example.com/"])
def test_a_redirect_leads_to_the_web_only(site, target):
    site.put("/a", b"", Location=target)
    site.statuses["/a"] = 302
    reason, detail = refusal(f"{site.url}/a")
    assert (reason, "pw@" in detail) == ("address_not_allowed", False)


def test_a_name_server_that_changes_its_mind_is_asked_once_per_connection(site):
    site.put("/a", b"seen")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    network = CheckedNetwork(Deadline(5), ["rebind.example"], lambda host, port: next(answers))
    network._deadline.start()
    port = int(site.url.rpartition(":")[2])
    with closing(network.connect_tcp("rebind.example", port, timeout=5)) as stream:
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
    assert list(answers) == [["10.0.0.1"]]


def test_rebinding_to_a_private_address_is_noticed_at_the_next_connection(site):
    site.put("/a", b"", Location="http://rebind.example:1/")
    site.statuses["/a"] = 302
    asked = []

    def resolver(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    assert refusal(f"{site.url}/a", resolver, honours_robots=False)[0] == "address_not_allowed"
    assert asked == ["127.0.0.1", "rebind.example"]


def test_one_private_address_among_public_ones_refuses_the_host():
    network = CheckedNetwork(Deadline(5), [], lambda host, port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(WebError, match=r"expected a public address of both.example, found 10.0.0.1; name 'both.example'"):
        network.checked_addresses("both.example", 80)
    assert CheckedNetwork(Deadline(5), [], lambda host, port: ["8.8.8.8"]).checked_addresses("one.example", 80) == ["8.8.8.8"]


def test_the_first_address_that_answers_is_taken_and_a_host_without_one_is_an_error(site):
    site.put("/a", b"seen")
    assert read(f"{site.url}/a", lambda host, port: ["127.0.0.99", "127.0.0.1"]).body == b"seen"
    reason, detail = refusal("http://nowhere.example/", _no_such_host)
    assert (reason, "ConnectError" in detail) == ("fetch_failed", True)
    assert refusal("http://127.0.0.1:1/", lambda host, port: [])[0] == "fetch_failed"


def _no_such_host(host, port):
    raise socket.gaierror(-2, "Name or service not known")


def test_the_certificate_is_checked_against_the_name_not_the_address(monkeypatch):
    asked = []

    class Plain(httpcore2.NetworkStream):
        def start_tls(self, ssl_context, server_hostname=None, timeout=None):
            asked.append((server_hostname, ssl_context.check_hostname, ssl_context.verify_mode))
            raise httpcore2.ConnectError("enough seen")

        def close(self):
            pass

    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", lambda *_: Plain())
    assert refusal("https://例子.example/", lambda host, port: ["8.8.8.8"], honours_robots=False, retries=0)[0] == "fetch_failed"
    assert asked == [("xn--fsqu00a.example", True, ssl.CERT_REQUIRED)]


def test_redirects_are_followed_to_a_limit_and_keys_stay_at_home(site):
    site.put("/a", b"", Location="/b")
    site.put("/b", "文".encode())
    site.statuses["/a"] = 301
    reply = read(f"{site.url}/a#part", headers={"If-None-Match": "1"}, secrets={"Authorization": "key"})
    assert (reply.url, reply.body.decode()) == (f"{site.url}/b", "文")
    assert [headers["Authorization"] for _, headers in site.requests] == ["key", "key"]
    site.put("/a", b"", Location=f"{site.url.replace('127.0.0.1', 'localhost')}/b")
    read(f"{site.url}/a", secrets={"Authorization": "key"}, allow_private_hosts=("127.0.0.1", "localhost"))
    assert [headers.get("Authorization") for _, headers in site.requests[2:]] == ["key", None]


def test_a_redirect_loop_is_left(site):
    site.put("/a", b"", Location="/a")
    site.statuses["/a"] = 302
    assert refusal(f"{site.url}/a")[0] == "too_many_redirects"
    assert len(site.requests) == 6


def test_a_redirect_without_a_target_is_an_answer(site):
    site.put("/a", b"")
    site.statuses["/a"] = 302
    assert refusal(f"{site.url}/a") == ("fetch_failed", f"expected status 200 from {site.url}/a, found 302")


def test_an_endless_body_is_left_at_the_limit(hostile):
    def endless(connection, over):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"x" * 65536)

    reason, detail = refusal(hostile(endless).url, max_bytes=100_000, honours_robots=False)
    assert reason == "object_too_large"
    assert detail.startswith("expected at most 100000 bytes, found more; reading stopped there (http://127.0.0.1:")


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: "], ids=["body", "header"])
def test_a_server_that_drips_is_left_when_time_is_over(hostile, start):
    def drip(connection, over):
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(b"x")

    reason, _ = refusal(hostile(drip).url, total_seconds=0.2, honours_robots=False)
    assert reason == "fetch_too_slow"


def test_a_silent_server_is_left_after_the_timeout(hostile):
    reason, detail = refusal(hostile(lambda connection, over: over.wait(5)).url, timeout_seconds=0.05, retries=0, honours_robots=False)
    assert (reason, "found ReadTimeout" in detail) == ("fetch_failed", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "no http", "cut off", "long header"],
)
def test_an_answer_that_is_no_http_is_a_failure(hostile, answer):
    reason, detail = refusal(hostile(lambda connection, over: connection.sendall(answer)).url, honours_robots=False)
    assert (reason, detail.startswith("expected an answer from http://127.0.0.1:")) == ("fetch_failed", True)


def test_compressed_bodies_are_opened_within_limits(site):
    text = "一段文字。".encode() * 100
    raw = zlib.compressobj(wbits=-15)
    for path, encoding, body in [
        ("/gzip", "gzip", gzip.compress(text[:700]) + gzip.compress(text[700:])),
        ("/zlib", "deflate", zlib.compress(text)),
        ("/raw", "deflate", raw.compress(text) + raw.flush()),
    ]:
        site.put(path, body, **{"Content-Encoding": encoding})
        assert read(f"{site.url}{path}").body == text


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", gzip.compress(b"x" * 10_000_000), "too_compressed"),
        ("gzip", gzip.compress(b"x" * 900_000), "object_too_large"),
        ("gzip", gzip.compress(gzip.compress(b"x" * 900_000)) + gzip.compress(b"x" * 900_000), "object_too_large"),
        ("gzip", gzip.compress(b"text")[:-4], "broken_compression"),
        ("gzip", b"no gzip", "broken_compression"),
        ("deflate", b"no deflate", "broken_compression"),
        ("br", b"x", "unknown_encoding"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), "unknown_encoding"),
    ],
)
def test_compressed_bodies_that_are_not_what_they_seem(site, encoding, body, reason):
    site.put("/a", body, **{"Content-Encoding": encoding})
    assert refusal(f"{site.url}/a", max_bytes=800_000 if reason == "object_too_large" else 64_000_000)[0] == reason


def test_a_bomb_never_takes_more_memory_than_is_permitted():
    stream = Decompressor("gzip", 1000, 10**9)
    with pytest.raises(WebError, match="expected at most 1000 bytes, found more"):
        stream.feed(gzip.compress(b"x" * 100_000_000))
    assert stream._bytes_out == 1001


def test_gzip_files_are_opened_with_the_same_limits():
    assert gunzip(gzip.compress("文".encode()), 10, 200) == "文".encode()
    with pytest.raises(WebError, match="expected at most 1 bytes"):
        gunzip(gzip.compress("文".encode()), 1, 200)


@pytest.mark.parametrize(
    ("status", "after", "requests"), [(503, "0", 3), (429, "1000", 1), (404, "0", 1), (500, "later", 3), (403, "0", 1)]
)
def test_a_busy_server_is_asked_again_after_as_long_as_it_says_or_left(site, status, after, requests):
    site.put("/a", b"", **{"Retry-After": after})
    site.statuses["/a"] = status
    reason, detail = refusal(f"{site.url}/a")
    assert (reason, len(site.requests)) == ("server_busy" if after == "1000" else "fetch_failed", requests)
    assert f"found {'status ' if after == '1000' else ''}{status}" in detail


def test_a_server_that_is_busy_for_a_moment_is_read(site):
    site.put("/a", b"text")
    site.failures["/a"] = 1
    assert read(f"{site.url}/a").body == b"text"


def test_pauses_are_seconds_or_a_date():
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    values = ["7", "Fri, 02 Jan 2026 03:05:05 GMT", "Fri, 02 Jan 2026 03:00:00 GMT", "soon", "", "-1"]
    assert [seconds_asked(value, now) for value in values] == [7.0, 60.0, 0.0, None, None, None]


def test_hosts_are_asked_at_their_own_pace():
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(0.5, lambda: now[0], sleep)
    for host in ("a", "b", "a"):
        pace.wait(host)
    pace.slow_down("a", 3)
    pace.slow_down("a", 0.1)
    pace.wait("a")
    pace.wait("a")
    pace.pause("b", 10)
    pace.wait("b")
    assert slept == [0.5, 0.5, 3.0, 10.0]


ROBOTS = "User-agent: textmill\nDisallow: /private/\nDisallow: /*.pdf$\nDisallow: /私/\n\nUser-agent: *\nDisallow: /\n"


@pytest.mark.parametrize(
    ("path", "is_permitted"), [("/a", True), ("/private/a", False), ("/x.pdf", False), ("/x.pdfs", True), ("/私/a", False), ("/公/a", True)]
)
def test_robots_files_decide_what_is_read(site, path, is_permitted):
    site.put("/robots.txt", ROBOTS.encode(), "text/plain")
    for known in ("/a", "/private/a", "/x.pdf", "/x.pdfs", "/%E5%85%AC/a", "/%E7%A7%81/a"):
        site.put(known, b"text")
    if is_permitted:
        assert read(f"{site.url}{path}").body == b"text"
    else:
        reason, detail = refusal(f"{site.url}{path}")
        assert reason == "robots_disallowed"
        assert detail == f"expected {site.url}/robots.txt to permit textmill to read the address, found it forbidden"
    assert len(site.requests) == int(is_permitted)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(404, "text"), (403, "text"), (410, "text"), (500, "robots_unreadable"), (503, "robots_unreadable"), (429, "robots_unreadable")],
)
def test_a_missing_robots_file_permits_all_and_a_failing_one_nothing(site, status, outcome):
    site.put("/a", b"text")
    site.put("/robots.txt", b"User-agent: *\nDisallow: /")
    site.statuses["/robots.txt"] = status
    assert (read(f"{site.url}/a").body.decode() if outcome == "text" else refusal(f"{site.url}/a")[0]) == outcome


def test_a_robots_file_is_read_once_and_its_first_half_megabyte_counts(site):
    site.put("/a", b"text")
    site.put("/robots.txt", b"User-agent: *\nDisallow: /b\n" + b"#" * 1_000_000 + b"\nDisallow: /a\n")
    with WebReader(policy()) as reader:
        assert [reader.get(f"{site.url}/a").body for _ in range(3)] == [b"text"] * 3
    assert [path for path, _ in site.robots_requests] == ["/robots.txt", "/ai.txt"]


def test_a_robots_file_can_ask_for_patience(site):
    site.put("/a", b"text")
    site.put("/robots.txt", b"User-agent: *\nCrawl-delay: 3600\n")
    assert refusal(f"{site.url}/a") == (
        "crawl_delay_too_long",
        "expected 127.0.0.1 to take a request every 60 seconds, found 3600 in its robots.txt",
    )
    site.put("/robots.txt", b"User-agent: *\nRequest-rate: 1/0.01\nCrawl-delay: nonsense\n")
    assert read(f"{site.url}/a").body == b"text"


def test_robots_files_are_left_alone_where_the_source_says_so(site):
    site.put("/a", b"text")
    site.put("/robots.txt", b"User-agent: *\nDisallow: /")
    assert read(f"{site.url}/a", honours_robots=False).body == b"text"
    assert site.robots_requests == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://[broken", "malformed_address"),
        ("http://host:99999/", "malformed_address"),
        ("http://a\nb/", "malformed_address"),
        ("gopher://host/", "address_not_allowed"),
        ("http:///path", "address_not_allowed"),
        ("https://user:secret@host/", "address_not_allowed"),
        ("", "address_not_allowed"),
    ],
)
def test_addresses_that_cannot_be_asked_for(url, reason):
    with pytest.raises(WebError, match="expected") as caught:
        parse_url(url)
    assert (caught.value.reason, "secret" in str(caught.value)) == (reason, False)


def test_a_header_that_cannot_be_sent_is_not_quoted(site):
    with WebReader(policy()) as reader, pytest.raises(WebError, match="expected headers that can be sent") as caught:
        reader.get(f"{site.url}/a", secrets={"Authorization": "key\r\nX: y"})
    assert (caught.value.reason, "key" in str(caught.value)) == ("malformed_request", False)


def test_messages_show_no_query_and_no_user():
    urls = ["https://user:pw@host:1/a?key=1#x", "https://host?key=1", "http://主机/路?键", "no address?key"]
    assert [shown(url) for url in urls] == ["https://host:1/a", "https://host", "http://主机/路", "no address"]


LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><l>&b;</l>'


@pytest.mark.parametrize(
    "payload",
    [LAUGHS, LAUGHS.decode().encode("utf-16"), b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
     b'<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x.dtd">%x;]><r/>', b"<a>" * 5000],
    ids=["laughs", "laughs in utf-16", "external", "parameter", "deep"],
)  # fmt: skip
def test_xml_with_entities_or_without_bottom_is_refused(payload):
    with pytest.raises(WebError, match=r"expected XML (without entities|within the limits)") as caught:
        parse_xml(payload)
    assert caught.value.reason == "unsafe_xml"


def test_broken_xml_gives_what_can_be_read():
    assert parse_xml(b"<rss><item>cut & off").findtext("item") == "cut  off"
    assert parse_xml("<rss><item>新闻</item></rss>".encode()).findtext("item") == "新闻"
    assert [parse_xml(payload) for payload in (b"", b"{}", b"\x00\xff")] == [None, None, None]

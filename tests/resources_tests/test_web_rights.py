"""What hosts say against training: headers, robots.txt, ai.txt."""

import pytest

from resources.web.policy import FetchPolicy
from resources.web.reader import WebReader
from resources.web.rights import forbids_training, header_signal


def rights_of(site, **options):
    policy = FetchPolicy(allow_private_hosts=("127.0.0.1",), requests_per_second=10_000, pause_seconds=0.001, **options)
    site.put("/a", b"text")
    with WebReader(policy) as reader:
        reply = reader.get(f"{site.url}/a")
    return reply.robots_allowed, reply.ai_training_signal


@pytest.mark.parametrize(
    ("headers", "signal"),
    [
        ({}, None),
        ({"x-robots-tag": "noai"}, "noai"),
        ({"x-robots-tag": "noindex, otherbot: noai, nofollow"}, "noai"),
        ({"x-robots-tag": "noimageai, noindex"}, None),
        ({"tdm-reservation": "1", "tdm-policy": "https://a/policy.json"}, "tdm_reservation"),
        ({"tdm-reservation": "0"}, None),
    ],
)
def test_headers_are_heard(headers, signal):
    assert header_signal(headers) == signal


@pytest.mark.parametrize(
    ("robots", "ai", "signal"),
    [
        ("", "", None),
        ("User-agent: *\nDisallow: /b", "", None),
        ("User-agent: GPTBot\nDisallow: /", "", "robots_txt"),
        ("User-agent: CCBot\nUser-agent: Google-Extended\nDisallow: /a", "", "robots_txt"),
        ("User-agent: GPTBot\nDisallow: /b", "", None),
        ("User-agent: Googlebot\nDisallow: /", "", None),
        ("User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /", "", "robots_txt"),
        ("User-agent: *\nContent-Signal: ai-train=yes\nAllow: /", "", None),
        ("", "User-Agent: *\nDisallow: /", "ai_txt"),
        ("", "<html>not found</html>", None),
    ],
)
def test_files_of_the_host_are_heard(site, robots, ai, signal):
    site.put("/robots.txt", robots.encode(), "text/plain")
    site.put("/ai.txt", ai.encode(), "text/plain")
    assert rights_of(site) == (True, signal)


def test_a_host_without_such_files_says_nothing(site):
    assert rights_of(site) == (True, None)


def test_nothing_is_known_of_robots_that_were_not_asked(site):
    site.put("/robots.txt", b"User-agent: *\nDisallow: /")
    assert rights_of(site, honours_robots=False) == (None, None)


def test_an_ai_file_that_cannot_be_read_says_nothing(site):
    site.put("/ai.txt", b"", Location="http://10.0.0.1/")
    site.statuses["/ai.txt"] = 302
    assert rights_of(site) == (True, None)


def test_content_signals_may_be_written_in_either_way():
    texts = ["Content-Signal: ai-train=no", "content-usage: train-ai=n", "Content-Signal: ai-train=yes", "# Content-Signal: ai-train=no"]
    assert [forbids_training(text) for text in texts] == [True, True, False, False]

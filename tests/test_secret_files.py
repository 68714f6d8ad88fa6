"""Secrets in files: read in place of variables, handed on to other programs, made for docker-compose.yml."""

import json
import os
import subprocess
import sys
from unittest import mock

import bcrypt
import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.configuration import ConfigurationError
from dagster_project.environments import read_environment
from dagster_project.secret_files import SECRETS, main, take_secret_files

KEY = "a-secret-of-enough-bytes-钥匙"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{KEY}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_lie_in_a_file(name, file):
    variables = {f"{name}_FILE": str(file), "OTHER_FILE": "/etc/other"}
    take_secret_files(variables)
    assert variables == {name: KEY, "OTHER_FILE": "/etc/other"}


def test_an_environment_takes_its_secrets_from_files_and_shows_them_to_nobody(file):
    names = ("TEXTMILL_MASTER_KEY", "TEXTMILL_PSEUDONYM_KEY", "TEXTMILL_ACCESS_KEY", "TEXTMILL_LABEL_STUDIO_TOKEN", "TEXTMILL_LLM_API_KEY")
    environment = read_environment({f"{name}_FILE": str(file) for name in names})
    found = (environment.master_key, environment.pseudonym_key, environment.access_key)
    assert (*found, environment.label_studio_token, environment.llm_api_key) == (KEY,) * 5
    assert KEY not in repr(environment)
    assert KEY not in str(environment.variables)


def test_the_process_gets_what_libraries_look_for_there(file):
    with mock.patch.dict(os.environ, {"PGPASSWORD_FILE": str(file), "PGPASSWORD": ""}):
        read_environment()
        read_environment()
        assert (os.environ["PGPASSWORD"], os.environ.get("PGPASSWORD_FILE")) == (KEY, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "TEXTMILL_MASTER_KEY_FILE: expected a readable file, found .*secret: No such file or directory"),
        (b"", "TEXTMILL_MASTER_KEY_FILE: expected one line with a secret, found 0 bytes in"),
        (b"\n", "expected one line with a secret, found 1 bytes"),
        (b"secret-1\nsecret-2\n", "expected one line with a secret, found 18 bytes"),
        (b"secret-" * 10_000, "expected one line with a secret, found 65537 bytes"),
        ("secret-密".encode("gbk"), "expected text in UTF-8, found other bytes in"),
    ],
)
def test_a_file_without_a_secret_is_refused(tmp_path, content, message):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as refused:
        read_environment({"TEXTMILL_MASTER_KEY_FILE": str(path)})
    assert "secret-" not in str(refused.value)


def test_a_secret_given_twice_is_refused(file):
    with pytest.raises(ConfigurationError, match="expected TEXTMILL_MASTER_KEY or TEXTMILL_MASTER_KEY_FILE, found both; take one away"):
        read_environment({"TEXTMILL_MASTER_KEY": "another secret value", "TEXTMILL_MASTER_KEY_FILE": str(file)})


def test_another_program_gets_them_and_its_exit_code_is_ours(file):
    code = "import os, sys; print(os.environ['PGPASSWORD'], os.environ.get('PGPASSWORD_FILE')); sys.exit(3)"
    command = [sys.executable, "-m", "dagster_project.secret_files", sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | {"PGPASSWORD_FILE": str(file)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (3, f"{KEY} None")


@pytest.mark.parametrize(
    ("command", "variables", "message"),
    [
        ([], {}, "textmill: expected a command to run, found none"),
        (["no-such-program"], {}, r"textmill: no-such-program: .*No such file"),
        (["true"], {"PGPASSWORD_FILE": "/no/such"}, "textmill: true: PGPASSWORD_FILE: expected a readable file, found /no/such"),
    ],
)
def test_a_program_that_cannot_be_run_with_them_is_an_error(command, variables, message):
    with mock.patch.dict(os.environ, variables), pytest.raises(SystemExit, match=message):
        main(command)


def make(folder, *options):
    result = CliRunner().invoke(app, ["secrets", str(folder), "--json", *options])
    return result, json.loads(result.stdout) if result.exit_code == 0 else None


def contents(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_secrets_of_a_deployment_are_made_once_and_for_their_owner_only(tmp_path):
    folder = tmp_path / "secrets"
    _, people = make(folder, "--operator", "amy", "--viewer", "王伟", "--viewer", "bo")
    first = contents(folder)
    assert [(one["name"], one["role"]) for one in people] == [("amy", "operator"), ("王伟", "viewer"), ("bo", "viewer")]
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    for one, line in zip(people, first["operators"].splitlines() + first["viewers"].splitlines(), strict=True):
        name, hashed = line.split()
        assert name == one["name"]
        assert bcrypt.checkpw(one["password"].encode(), hashed.encode())
        assert one["password"] not in "".join(first.values())
    assert first["elastic_password"].strip() in first["search_url"]
    account = json.loads(first["s3.json"])["identities"][0]["credentials"][0]
    assert account == {"accessKey": first["s3_key_id"].strip(), "secretKey": first["s3_secret_key"].strip()}
    assert first["label_studio_token"].strip() in first["label_studio.env"]
    assert len(set(first.values())) == len(first)
    assert make(folder)[1] == []
    assert contents(folder) == first


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["amy"], "expected a name without a log-in, found 'amy' in .*operators; delete its line for a new password"),
        (["bo", "bo"], "expected a name without a log-in, found 'bo'"),
        (["bo", "a b"], r"expected a name of letters, digits and . @ \+ - _, at most 64, found 'a b'"),
        (["王\n{"], "expected a name of letters"),
    ],
)
def test_a_name_that_is_none_or_taken_is_refused_and_nobody_gets_a_log_in(tmp_path, names, message):
    make(tmp_path / "secrets", "--operator", "amy")
    before = contents(tmp_path / "secrets")
    options = [word for name in names for word in ("--operator", name)]
    result, _ = make(tmp_path / "secrets", "--viewer", "eve", *options)
    with pytest.raises(ConfigurationError, match=message):
        raise result.exception
    assert contents(tmp_path / "secrets") == before

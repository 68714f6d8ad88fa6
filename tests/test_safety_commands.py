"""Commands that keep data safe, as a user types them."""

import json

import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.configuration import ConfigurationError
from dagster_project.environments import build_resources, read_environment, read_project


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def textmill(home, *words, **variables):
    """What a command printed as JSON."""
    environment = {"TEXTMILL_HOME": str(home), "TEXTMILL_CONFIG": "", **variables}
    result = CliRunner().invoke(app, [*words, "--json"], env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def object_store(home, **variables):
    environment = read_environment({"TEXTMILL_HOME": str(home), **variables})
    return build_resources(environment, read_project(environment))["object_store"]


@pytest.mark.parametrize("text", ["collected", "收集"])
def test_rotating_replaces_the_key_file_and_later_objects_get_a_data_key_of_their_own(home, text):
    sha256 = object_store(home).put_content(text.encode())
    before = (home / "master.key").read_bytes()
    (done,) = textmill(home, "key", "rotate")
    assert done["data_keys"] == 1
    assert (home / "master.key").read_bytes() != before
    assert len(list((home / "objects" / "keys").iterdir())) == 2
    for retired in home.glob("master.key.*"):
        retired.unlink()
    assert object_store(home).get_content(sha256).decode() == text


def test_rotating_to_a_key_of_the_environment(home):
    first, second = {"TEXTMILL_MASTER_KEY": "first-secret-0001"}, {"TEXTMILL_MASTER_KEY": "second-secret-002"}
    sha256 = object_store(home, **first).put_content(b"x")
    textmill(home, "key", "rotate", **second, TEXTMILL_MASTER_KEY_PREVIOUS="first-secret-0001")
    assert object_store(home, **second).get_content(sha256) == b"x"


def test_rotating_an_empty_store_makes_no_data_key(home):
    assert textmill(home, "key", "rotate")[0]["data_keys"] == 0
    assert not (home / "objects").exists()


def test_a_master_key_that_is_too_short_names_its_variable(home):
    with pytest.raises(ConfigurationError, match="TEXTMILL_MASTER_KEY: expected a secret of 16 bytes or more"):
        object_store(home, TEXTMILL_MASTER_KEY="short")

"""The labeling server's word that somebody annotated: who may give it, and what comes of it."""

import time

import dagster as dg
import pytest
from starlette.testclient import TestClient

from dagster_project.automation import build_annotation_sensor
from dagster_project.configuration import ConfigurationError
from dagster_project.environments import read_environment
from resources.notices import Notices
from services.webhook import build_app

SECRET = "a secret of some length"


@pytest.fixture
def notices(tmp_path):
    return Notices(tmp_path / "notices", is_expected=True)


def test_whoever_knows_the_secret_leaves_a_notice(notices):
    assert notices.newest("annotations") == 0
    with TestClient(build_app(notices, SECRET)) as client:
        assert client.get("/health").json() == {"status": "ok"}
        answer = client.post("/annotations", json={"action": "ANNOTATION_CREATED"}, headers={"Authorization": f"Bearer {SECRET}"})
    assert (answer.status_code, answer.json()) == (202, {"noted": "annotations"})
    assert time.time() - notices.newest("annotations") < 60


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer wrong"}, {"Authorization": SECRET}])
def test_nobody_else_does(notices, headers):
    with TestClient(build_app(notices, SECRET)) as client:
        answer = client.post("/annotations", headers=headers)
    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert notices.newest("annotations") == 0


def test_a_body_that_is_too_long_is_refused(notices):
    with TestClient(build_app(notices, SECRET)) as client:
        assert client.post("/annotations", content=b"x" * 1_000_001, headers={"Authorization": f"Bearer {SECRET}"}).status_code == 413


@pytest.mark.parametrize("secret", [None, "short"])
def test_an_address_needs_a_secret_that_nobody_guesses(secret):
    variables = {"TEXTMILL_WEBHOOK_URL": "http://127.0.0.1:8733/annotations"} | ({"TEXTMILL_WEBHOOK_SECRET": secret} if secret else {})
    with pytest.raises(ConfigurationError, match="TEXTMILL_WEBHOOK_SECRET: expected 16 characters or more beside TEXTMILL_WEBHOOK_URL"):
        read_environment(variables)


def test_the_project_file_cannot_name_the_secret():
    environment = read_environment({"TEXTMILL_WEBHOOK_URL": "http://127.0.0.1:1/annotations", "TEXTMILL_WEBHOOK_SECRET": SECRET})
    assert environment.webhook.secret == SECRET
    assert "TEXTMILL_WEBHOOK_SECRET" not in environment.variables
    assert SECRET not in repr(environment)


class Server:
    """Has no project; counts who asks."""

    is_on, asked = True, 0

    def find_project(self, title):
        self.asked += 1


class Lakehouse:
    """Is not read."""


@pytest.mark.parametrize(("is_expected", "patience"), [(False, 60), (True, 900)])
def test_the_sensor_looks_at_once_after_a_notice_and_else_from_time_to_time(tmp_path, project_of, files_source, is_expected, patience):
    sensor, server = build_annotation_sensor(project_of([files_source("shop", [])])), Server()
    notices = Notices(tmp_path / "notices", is_expected)

    def look(cursor):
        context = dg.build_sensor_context(
            cursor=cursor, resources={"lakehouse": Lakehouse(), "labeling_server": server, "notices": notices}
        )
        assert isinstance(sensor(context), dg.SkipReason)
        return context.cursor

    cursor = look(None)
    assert server.asked == 1
    assert look(cursor) == cursor
    assert server.asked == 1
    look(str(float(cursor) - patience - 1))
    assert server.asked == 2
    notices.leave("annotations")
    look(str(float(cursor) - 1))
    assert server.asked == 3

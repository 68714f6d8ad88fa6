"""The data access API over a real graph: two sources in two languages, labelled, frozen as a data set, with a model and its predictions."""

import dataclasses
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest
from starlette.testclient import TestClient

from assets.schemas import FINE_TUNED_MODEL, POOL_PREDICTIONS
from dagster_project.environments import open_access
from dagster_project.runs import summarize
from resources.increments import increment
from services.api import Backend, build_app

MODEL = "model-" + "a" * 16
GUIDELINE = "Say what the guest felt.\n\n请写客人的感受。"
ROLES = ("viewer", "annotator", "trainer", "admin", "metrics")
WORDS = "lamp river orange castle violin winter garden pepper anchor mirror candle forest bridge saddle cotton marble".split()
CHARACTERS = "山水花鸟鱼虫春夏秋冬东南西北天地"


def english(number):
    nouns = " and the ".join(WORDS[(number * step + step) % 16] for step in (1, 3, 5, 7))
    return f"The {nouns} were {('awful', 'there', 'lovely')[number % 3]}, said visitor {WORDS[number % 16]} {number * 97}."


def chinese(number):
    things = "和".join(CHARACTERS[(number * step + step) % 16] * 2 for step in (1, 3, 5, 7))
    return f"酒店里的{things}都{('很糟糕', '在那里', '非常好')[number % 3]}，第{number * 97}位客人说。"


def records(text, count):
    """Texts with three named votes each; the first names a person's address, which becomes a pseudonym."""
    for number in range(count):
        votes = [{"annotator": name, "value": (number % 3 - 1) * 3} for name in ("amy", "王伟", "bo")]
        yield {"id": f"n{number}", "text": text(number) + (" Write to amy@shop.example today." if number == 0 else ""), "ratings": votes}


def unanswered(text):
    """Eight texts: an expert answered n1, amy n1 to n3; the first names a person's address."""
    for number, record in enumerate(records(text, 8)):
        names = ["expert"] * (number == 1) + ["amy"] * (0 < number < 4)
        yield {**record, "ratings": [{"annotator": name, "value": (number % 3 - 1) * 3} for name in names]}


def append(lakehouse, table, row):
    """One approved row."""
    with increment(lakehouse, table.name, run_id="test", code_version="c", following="journal") as step:
        step.write(table.name, pd.DataFrame([row]))
        step.count(rows_in=1, rows_out=1)
    (staged,) = lakehouse.staged(table.name)
    lakehouse.decide(staged, approved=True)


def freeze(platform):
    """Run the data set's asset and its checks only."""
    job = platform.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("training_dataset")})
    return summarize(job.execute_in_process(instance=platform.instance, raise_on_error=False), job, 0.0)


def add_model(platform):
    """A model of the data set, and what it says of one document."""
    (version,) = {row[0] for row in platform.rows("training_dataset", "dataset_version")}
    fill = {"VARCHAR": "x", "DOUBLE": 0.5, "BIGINT": 1, "TIMESTAMPTZ": datetime(2026, 1, 1, tzinfo=UTC)}
    given = {"model_id": MODEL, "dataset_version": version, "recipe": "{}", "erased_train_rows": 0, "erased_other_rows": 0}
    append(platform.lakehouse, FINE_TUNED_MODEL, {one.name: given.get(one.name, fill[one.type]) for one in FINE_TUNED_MODEL.columns})
    for source in ("shop", "hotel"):
        document_id = platform.rows(f"clean_documents WHERE source = '{source}' AND external_id = 'n1'", "document_id")[0][0]
        given = {"document_id": document_id, "model_id": MODEL, "label": "neutral"}
        append(platform.lakehouse, POOL_PREDICTIONS, {one.name: given.get(one.name, fill[one.type]) for one in POOL_PREDICTIONS.columns})


@pytest.fixture(scope="session")
def served(tmp_path_factory, open_test_platform, declare_test_files, project_of):
    """The platform that the API reads from; the tests change nothing in it."""
    with open_test_platform(tmp_path_factory.mktemp("served") / "home") as platform:
        declare = declare_test_files(tmp_path_factory.mktemp("files"))
        sources = [declare("shop", list(records(english, 30))), declare("hotel", list(records(chinese, 30)))]
        platform.configure(project_of(sources))
        assert platform.run("refresh").succeeded
        assert freeze(platform).succeeded
        add_model(platform)
        yield platform


@pytest.fixture(scope="session")
def asking(tmp_path_factory, open_test_platform, declare_test_files, project_of):
    """A platform whose queue asks about documents in two languages: an expert answered one, so that it is a gold question, amy three."""
    with open_test_platform(tmp_path_factory.mktemp("asking") / "home") as platform:
        declare = declare_test_files(tmp_path_factory.mktemp("asked"))
        sources = [declare("shop", list(unanswered(english))), declare("hotel", list(unanswered(chinese)))]
        gold = {"annotators": ["expert"], "share": 0.2, "min_answers": 1000}
        platform.configure(project_of(sources, labeling={"rules": {"enabled": []}, "guideline": GUIDELINE, "gold": gold}))
        assert platform.run("refresh").failed_steps == {}
        yield platform


def backend_over(platform, home, **access):
    """What an API over a platform reads from and keeps, with tokens and log of its own, and settings of `access`."""
    store, log, key = open_access(dataclasses.replace(platform.environment, home=home))
    project = platform.project.model_copy(update={"access": type(platform.project.access).model_validate(access)})
    return Backend(project, platform.lakehouse, platform.resources["object_store"], platform.resources["index"], store, log, key)


def forget_answers(platform):
    """Remove the answers that wait."""
    for found in [*platform.resources["object_store"].list("labels/")]:
        platform.resources["object_store"].delete(found.key)


@pytest.fixture
def backend_of(served, tmp_path):
    """Makes what the API reads from and keeps, with tokens and log of its own, and settings of `access`."""
    yield lambda **access: backend_over(served, tmp_path, **access)
    forget_answers(served)


@pytest.fixture
def asking_api_of(asking, tmp_path):
    """Makes an API over the platform whose queue asks; what is answered is forgotten in the end."""
    yield lambda **access: Api(backend_over(asking, tmp_path, **access))
    forget_answers(asking)


@pytest.fixture
def asking_api(asking_api_of):
    """An API over the platform whose queue asks, with the default settings."""
    return asking_api_of()


class Api:
    """The app with a client; what is asked carries the token of a role."""

    def __init__(self, backend):
        self.backend = backend
        self.app = build_app(backend)
        self.client = TestClient(self.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        self.tokens = {role: self.token(role) for role in ROLES}

    def token(self, role, days=1, sources=None):
        return self.backend.store.create(f"test {role}", role, timedelta(days=days), sources)[0]

    def ask(self, path, token="admin", method="GET", **options):
        headers = {"Authorization": f"Bearer {self.tokens.get(token, token)}"} if token else {}
        return self.client.request(method, path, headers=headers, **options)

    def json(self, path, token="admin", **options):
        response = self.ask(path, token, **options)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def api_of(backend_of):
    """Makes an API with settings of `access`."""
    return lambda **access: Api(backend_of(**access))


@pytest.fixture
def api(api_of):
    """An API with the default settings."""
    return api_of()

"""The drill: the graph runs, is backed up, is lost whole, comes back by command, and goes on; compaction leaves it as it was, too."""

import dataclasses
import json
import shutil

import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.configuration import ConfigurationError
from dagster_project.environments import build_resources, read_environment
from services.queries import find_documents
from tests.copies import copied

ENGLISH = [
    {"id": "1", "text": "I love this phone, the screen is wonderful and bright.", "ratings": [3, 4, 3, 2]},
    {"id": "2", "text": "The parcel arrived on Tuesday in a brown cardboard box.", "ratings": [0, 0, 1, 0]},
]
CHINESE = [
    {"id": "甲", "text": "这家酒店的服务很好,房间干净,强烈推荐。", "ratings": [3, 3, 4]},
    {"id": "乙", "text": "快递太慢了,包装也破了,非常失望。", "ratings": [-3, -2, -3]},
]
NEW = {"id": "3", "text": "A brand new lamp for the desk in the corner.", "ratings": [1, 1, 2]}
LABELS = ("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "label", "confidence")


def variables_in(folder):
    """Home and backups below a folder."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    return {
        "TEXTMILL_HOME": str(folder / "home"),
        "TEXTMILL_BACKUP_URL": (folder / "elsewhere").as_uri(),
        "TEXTMILL_MASTER_KEY": "a-master-secret-0001",
    }


@pytest.fixture
def variables(tmp_path):
    return variables_in(tmp_path)


@pytest.fixture(scope="module")
def prepared(shared_platform, shared_files_source, project_of):
    """A platform with an English and a Chinese source, refreshed and backed up once."""
    shared_platform.environment = read_environment(variables_in(shared_platform.environment.home.parent))
    shared_platform.configure(project_of([shared_files_source("shop", ENGLISH), shared_files_source("hotel", CHINESE)]))
    for job in ("refresh", "back_up"):
        outcome = shared_platform.run(job)
        assert outcome.succeeded, outcome
    return shared_platform


@pytest.fixture
def kept(platform, prepared, variables):
    """A copy of it with its backups."""
    platform.environment = read_environment(variables)
    with copied(prepared, platform):
        yield platform


def textmill(variables, *words):
    result = CliRunner().invoke(app, [*words, "--json"], env=variables | {"TEXTMILL_CONFIG": ""}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_after_everything_was_deleted_the_graph_goes_on(kept, variables, shared_files_source):
    before = kept.rows(*LABELS)
    kept.lakehouse.close()
    shutil.rmtree(kept.environment.home)
    (done,) = textmill(variables, "restore")
    assert done["objects_brought_back"] == 3  # one of each source, and the fingerprint of the secret of pseudonyms
    kept.configure(kept.project)
    assert kept.rows(*LABELS) == before
    shared_files_source("shop", [*ENGLISH, NEW])
    outcome = kept.run("refresh")
    assert outcome.succeeded, outcome
    summaries = {step.asset: step.summary for step in outcome.steps}
    assert (summaries["raw_documents[shop]"], summaries["raw_documents[hotel]"]) == ("3 in, 1 out, 0 rejected, 2 skipped", "nothing new")
    assert summaries["search_index"] == "rebuilt: 5 in, 5 out, 0 rejected, 0 skipped"
    for query, beginning in (("wonderful screens", "I love"), ("酒店服务", "这家酒店"), ("lamp", "A brand new")):
        (text,) = find_documents(kept.lakehouse, kept.resources["index"], query, 5).rows["text"]
        assert text.startswith(beginning)


def test_a_backup_is_recorded_and_the_next_one_copies_what_is_new_only(kept, variables):
    assert kept.run("back_up").succeeded
    (first, copied_first, total_first), (second, copied_second, total_second) = kept.rows(
        "backup", "backup_id", "copied_bytes", "total_bytes"
    )
    assert textmill(variables, "restore", "--list") == [{"backup_id": first}, {"backup_id": second}]
    assert copied_first == total_first
    assert copied_second < total_second


def test_a_backup_that_does_not_come_back_is_rejected(kept, monkeypatch):
    make = type(kept.resources["backups"]).make
    monkeypatch.setattr(
        type(kept.resources["backups"]), "make", lambda *given: dataclasses.replace(make(*given), differing_tables=("clean_documents",))
    )
    outcome = kept.run("back_up")
    assert outcome.failed_checks == ["backup: every_table_came_back (ERROR)"]
    assert [increment.state for increment in kept.lakehouse.increments("backup")] == ["approved", "rejected"]


def test_rotating_the_key_wraps_the_keys_of_backups_too(kept, variables):
    later = variables | {"TEXTMILL_MASTER_KEY": "another-secret-00002", "TEXTMILL_MASTER_KEY_PREVIOUS": variables["TEXTMILL_MASTER_KEY"]}
    assert [done["data_keys"] for done in textmill(later, "key", "rotate")] == [1, 1]
    del later["TEXTMILL_MASTER_KEY_PREVIOUS"]
    kept.lakehouse.close()
    shutil.rmtree(kept.environment.home)
    assert textmill(later, "restore")[0]["objects_brought_back"] == 3


def test_compaction_runs_and_leaves_the_graph_as_it_was(kept):
    before = kept.rows(*LABELS)
    outcome = kept.run("compact")
    assert outcome.succeeded, outcome
    assert kept.rows("compaction", "files_before > 0", "files_after <= files_before") == [(True, True)]
    assert kept.rows(*LABELS) == before
    assert {step.summary for step in kept.run("refresh").steps} == {"nothing new"}


@pytest.mark.parametrize("below", ["objects", "objects/backups", ""])
def test_backups_cannot_lie_where_the_objects_lie(tmp_path, project_of, files_source, below):
    home = tmp_path / "home"
    environment = read_environment({"TEXTMILL_HOME": str(home), "TEXTMILL_BACKUP_URL": (home / below).as_uri()})
    with pytest.raises(ConfigurationError, match="TEXTMILL_BACKUP_URL: expected another place than that of the objects"):
        build_resources(environment, project_of([files_source("shop", ENGLISH)]))


def test_an_address_for_backups_that_is_none_names_its_variable(tmp_path, project_of, files_source):
    environment = read_environment({"TEXTMILL_HOME": str(tmp_path), "TEXTMILL_BACKUP_URL": "ftp://host"})
    with pytest.raises(ConfigurationError, match="TEXTMILL_BACKUP_URL: expected an address such as file:///folder"):
        build_resources(environment, project_of([files_source("shop", ENGLISH)]))

"""The definitions load quickly and lightly, and every asset says who owns it, what it is and what it promises."""

import json
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from assets.schemas import TABLES
from assets.tags import GPU_OP_TAGS, GPU_POOL
from dagster_project.definitions import build_definitions
from dagster_project.environments import REPOSITORY, read_environment

GROUPS = {
    "collection": {"raw_documents", "raw_annotations"},
    "cleaning": {"clean_documents", "rejected_documents", "tokens", "text_outliers"},
    "labeling": {"annotations", "rule_votes", "model_votes", "labeled_documents", "label_issues", "labeling_queue", "labeling_tasks"},
    "storage": {"training_dataset", "search_index", "backup", "compaction", "storage_report"},
    "training": {
        "fine_tuned_model",
        "evaluation_report",
        "champion_model",
        "hyperparameter_search",
        "learning_curve",
        "ablation_report",
        "document_embeddings",
        "pool_predictions",
    },
}
TRAINING = {"fine_tuned_model", "hyperparameter_search", "learning_curve", "ablation_report"}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    return build_definitions(read_environment({"TEXTMILL_HOME": str(tmp_path_factory.mktemp("home"))}))


@pytest.fixture(scope="module")
def specs(definitions):
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_groups_are_the_stage_folders(specs):
    found: dict[str, set[str]] = {}
    for name, spec in specs.items():
        found.setdefault(spec.group_name, set()).add(name)
    assert found == GROUPS


def test_every_asset_has_owners_kinds_tags_description_and_column_schema(specs):
    for name, spec in specs.items():
        assert spec.tags["compute"] == ("gpu" if name in TRAINING else "cpu"), name
        assert spec.owners, name
        assert spec.kinds, name
        assert len(spec.description or "") > 20, name
        assert spec.metadata["dagster/column_schema"].columns, name


def test_every_asset_is_a_declared_table(specs):
    assert set(specs) <= set(TABLES)


def test_every_asset_has_a_blocking_check_and_every_check_a_meaning(definitions, specs):
    checks = [spec for check in definitions.asset_checks or [] for spec in check.check_specs]
    for name in specs:
        assert any(spec.blocking for spec in checks if spec.asset_key.to_user_string() == name), name
    assert all((spec.description or "").endswith(".") for spec in checks)


@pytest.mark.parametrize(("name", "job"), list(zip(sorted(TRAINING), ("study", "retrain", "search", "study"), strict=True)))
def test_training_is_tagged_for_the_gpu_three_ways(definitions, specs, name, job):
    (training,) = [asset for asset in definitions.assets or [] if dg.AssetKey(name) in asset.keys]
    assert json.loads(training.op.tags["dagster-k8s/config"]) == GPU_OP_TAGS["dagster-k8s/config"]
    assert training.op.pool == GPU_POOL
    assert specs[name].tags["compute"] == "gpu"
    assert "pytorch" in specs[name].kinds
    assert definitions.resolve_job_def(job).tags["dagster-k8s/config"]


def test_what_runs_on_demand_is_in_no_other_job(definitions):
    for job in ("refresh", "retrain", "everything"):
        assert not {node.name for node in definitions.resolve_job_def(job).nodes} & {
            "hyperparameter_search",
            "learning_curve",
            "ablation_report",
            "backup",
            "compaction",
            "storage_report",
        }


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`")  # Dagster's own use of it
def test_the_web_interface_can_load_them(definitions):
    """Names of jobs and steps share one name space there, which running a job does not notice."""
    snapshot = RepositorySnap.from_def(definitions.get_repository_def())
    assert {job.name for job in definitions.jobs or []} < {job.job.name for job in snapshot.job_datas}


def test_jobs_schedules_and_sensor_are_there(definitions):
    assert {job.name for job in definitions.jobs or []} == {
        "refresh",
        "retrain",
        "everything",
        "search",
        "study",
        "issues",
        "back_up",
        "compact",
        "report",
    }
    assert {schedule.name: schedule.cron_schedule for schedule in definitions.schedules or []} == {
        "daily_refresh": "0 3 * * *",
        "weekly_retrain": "0 5 * * 1",
        "nightly_backup": "0 1 * * *",
        "weekly_compaction": "0 2 * * 0",
        "weekly_storage_report": "0 4 * * 1",
    }
    assert {sensor.name for sensor in definitions.sensors or []} == {
        "retrain_on_new_labels",
        "refresh_on_new_annotations",
        "fail_dead_runs",
    }


def test_refresh_ends_with_the_search_index_and_retrain_with_the_champion(definitions):
    refresh = {node.name for node in definitions.resolve_job_def("refresh").nodes}
    retrain = {node.name for node in definitions.resolve_job_def("retrain").nodes}
    assert {"raw_documents", "search_index", "audit_search_index"} <= refresh
    assert "fine_tuned_model" not in refresh
    assert {"training_dataset", "champion_model", "audit_champion_model"} <= retrain
    assert "clean_documents" not in retrain


def test_loading_imports_nothing_heavy_and_writes_nothing(tmp_path):
    heavy = ("torch", "transformers", "great_expectations", "sklearn", "scipy", "matplotlib", "boto3", "tantivy", "trafilatura")
    script = f"import sys, dagster_project.definitions; print([name for name in {heavy} if name in sys.modules])"
    home = tmp_path / "home"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"TEXTMILL_HOME": str(home), "PATH": ""},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
    assert not home.exists()


def test_the_daily_schedule_collects_every_source_in_one_run(definitions):
    schedule = definitions.resolve_schedule_def("daily_refresh")
    with dg.build_schedule_context() as context:
        (request,) = schedule.evaluate_tick(context).run_requests
    tags = {key: value for key, value in request.tags.items() if "partition_range" in key}
    assert tags == {"dagster/asset_partition_range_start": "tweets", "dagster/asset_partition_range_end": "newspaper"}

"""Everything the platform runs, on one screen."""

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import dagster as dg

import assets.cleaning.assets as cleaning
import assets.labeling.assets as labeling
import assets.storage.assets as storage
import assets.training.assets as training
from assets.collection.assets import build_collection_assets
from assets.project import Project
from assets.quality.checks import build_checks
from dagster_project.automation import build_annotation_sensor, build_retrain_sensor, build_schedules
from dagster_project.dead_runs import build_dead_run_sensor, build_executor
from dagster_project.environments import Environment, build_resources, read_environment, read_project
from dagster_project.jobs import JOBS
from dagster_project.suites import STEP_ASSETS, find_suites
from dagster_project.terminal import terminal_logger

# Dagster calls `backfill_policy` beta; without it, collecting all sources would take one run per source.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)

STAGES: dict[str, ModuleType] = {"cleaning": cleaning, "labeling": labeling, "storage": storage, "training": training}


def build_definitions(environment: Environment, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The graph with an environment's resources.

    Args:
        environment: Where it runs.
        overrides: Resources by role that replace the environment's; `project` replaces the project file.
    """
    project: Project = (overrides or {}).get("project") or read_project(environment)
    sources = [source.name for source in project.sources]
    stages = [asset for group, module in STAGES.items() for asset in dg.load_assets_from_modules([module], group_name=group)]
    resources = build_resources(environment, project) | dict(overrides or {})
    return dg.Definitions(
        assets=[*build_collection_assets(sources), *stages],
        asset_checks=_all_checks(project),
        jobs=JOBS,
        schedules=build_schedules(project),
        sensors=[build_retrain_sensor(project), build_annotation_sensor(project), build_dead_run_sensor()],
        resources=resources,
        executor=build_executor(resources["lakehouse"].run_marks),
        loggers={"terminal": terminal_logger},
    )


def _all_checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """The checks of every step."""
    return [build_checks(producer, suites, STEP_ASSETS.get(producer, (producer,))) for producer, suites in find_suites(project).items()]


defs = build_definitions(read_environment())

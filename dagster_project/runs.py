"""Runs a job in this process and tells what happened, for commands in a terminal."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
from dagster import _check as check
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo

from assets.project import Project
from dagster_project.dead_runs import held_run, watch
from dagster_project.jobs import partition_range_tags
from resources.lakehouse import Lakehouse


@dataclass(frozen=True)
class StepOutcome:
    """What one asset did in a run.

    Attributes:
        asset: Its name.
        group: Its stage.
        summary: One sentence.
        seconds: Wall time of its step; a step with two assets counts once, with the first.
    """

    asset: str
    group: str
    summary: str
    seconds: float


@dataclass(frozen=True)
class RunOutcome:
    """What a run did.

    Attributes:
        run_id: Dagster's id.
        succeeded: Every step ended well and no blocking check failed.
        steps: The assets in the order in which they ran.
        failed_checks: `asset: check (severity)` of each check that failed.
        check_messages: What these checks say, each once.
        failed_steps: Steps that raised, with the error.
        seconds: Wall time.
    """

    run_id: str
    succeeded: bool
    steps: list[StepOutcome]
    failed_checks: list[str]
    check_messages: list[str]
    failed_steps: dict[str, str]
    seconds: float


def run_job(
    definitions: dg.Definitions,
    project: Project,
    instance: dg.DagsterInstance,
    name: str,
    *,
    full_refresh: bool = False,
    replay_sources: Sequence[str] = (),
) -> RunOutcome:
    """Run a job over all sources in this process.

    Args:
        definitions: The graph.
        project: Its project.
        instance: Where the run is recorded.
        name: Name of the job.
        full_refresh: Recompute everything.
        replay_sources: Collect only these, from the bytes stored earlier.

    Raises:
        ValueError: There is no such job; the message lists the jobs.
    """
    names = [job.name for job in definitions.jobs or [] if hasattr(job, "name")]
    if name not in names:
        raise ValueError(f"Expected a job out of {names}, found {name!r}.")
    job = definitions.resolve_job_def(name)
    steps = [node.name for node in job.nodes if not node.name.startswith("audit_")]
    ops: dict[str, Any] = {step: {"config": {"full_refresh": full_refresh}} for step in steps}
    if "raw_documents" in ops:
        ops["raw_documents"]["config"]["replay_sources"] = list(replay_sources)
    tags = partition_range_tags([source.name for source in project.sources]) if "raw_documents" in steps else {}
    run_id, marks = make_new_run_id(), check.inst((definitions.resources or {})["lakehouse"], Lakehouse).run_marks
    start = time.monotonic()
    with held_run(run_id, marks), watch(instance, marks, run_id, partial(print, file=sys.stderr)):
        result = job.execute_in_process(
            run_id=run_id,
            instance=instance,
            raise_on_error=False,
            tags=tags,
            run_config={"ops": ops, "loggers": {"terminal": {"config": {}}}},
        )
    return summarize(result, job, time.monotonic() - start)


def summarize(result: dg.ExecuteInProcessResult, job: dg.JobDefinition, seconds: float) -> RunOutcome:
    """Read a run's events."""
    durations = {
        event.step_key: event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success and event.step_key
    }
    groups = job.asset_layer.asset_graph
    steps: dict[str, StepOutcome] = {}
    for event in result.get_asset_materialization_events():
        asset = event.asset_key.to_user_string() if event.asset_key else ""
        partition = f"[{event.partition}]" if event.partition else ""
        summary = event.materialization.metadata.get("summary")
        is_first = not any(existing.split("[")[0] == event.step_key for existing in steps)
        took = durations.get(event.step_key or "", 0.0) if is_first and asset == event.step_key else 0.0
        group = groups.get(dg.AssetKey(asset)).group_name
        steps[asset + partition] = StepOutcome(asset + partition, group, str(summary.value) if summary else "", took)
    failed = [evaluation for evaluation in result.get_asset_check_evaluations() if not evaluation.passed]
    errors = {
        event.step_key: describe_error(event.step_failure_data.error)
        for event in result.all_events
        if event.is_step_failure and event.step_key
    }
    checks = [f"{found.asset_key.to_user_string()}: {found.check_name} ({found.severity.value})" for found in failed]
    messages = list(dict.fromkeys(found.description for found in failed if found.description))
    succeeded = result.success and not any(found.severity == dg.AssetCheckSeverity.ERROR for found in failed)
    return RunOutcome(result.run_id, succeeded, list(steps.values()), checks, messages, errors, seconds)


def describe_error(error: SerializableErrorInfo | None) -> str:
    """The error that a step ended with, without the wrapping that Dagster puts around it."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no error was recorded"

"""Runs whose process is gone: told from living ones, marked as failed, their pool slots freed.

After `kill -9` or a power cut Dagster leaves a run in state STARTED, and its pool slot, or its place in the queue for one, is never
free again: every later run waits. So a run is marked as alive before its first step asks for a slot, and whoever may wait looks
for runs without a mark: each set-up, each run in a terminal while it goes on, and a sensor in the daemon.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import _check as check
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from assets.tags import GPU_POOL, LAKE_POOL
from resources.lakehouse import Lakehouse
from resources.run_marks import RunMarks

GRACE_SECONDS = 120.0
"""A run that was never marked as alive may be about to begin for so long."""
WATCH_SECONDS = 5.0


def reap_dead_runs(instance: dg.DagsterInstance, marks: RunMarks) -> list[str]:
    """Fail the runs that Dagster believes to be in progress though no process holds them; frees their pool slots.

    Args:
        instance: Dagster's storage.
        marks: Which runs are alive.

    Returns:
        Their ids.
    """
    reaped = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES)):
        run = record.dagster_run
        is_young = time.time() - (record.start_time or record.create_timestamp.timestamp()) < GRACE_SECONDS
        if marks.is_alive(run.run_id) or (is_young and not marks.was_alive(run.run_id)):
            continue
        instance.report_run_failed(run, message="The process of this run is gone; textmill marked it as failed.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        marks.forget(run.run_id)
        reaped.append(run.run_id)
    return reaped


@contextmanager
def held_run(run_id: str, marks: RunMarks) -> Iterator[None]:
    """Mark a run as alive in a block."""
    marks.hold(run_id)
    try:
        yield
    finally:
        marks.forget(run_id)


class HoldingExecutor(InProcessExecutor):
    """Dagster's executor in one process, which marks its runs as alive.

    Args:
        plain: Dagster's own, as the run's configuration asks for it.
        marks: Where to mark them.
    """

    def __init__(self, plain: InProcessExecutor, marks: RunMarks) -> None:
        super().__init__(plain.retries, plain.step_dependency_config)
        self._marks = marks

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[dg.DagsterEvent]:
        """See `Executor`. The mark stays until the process ends: Dagster writes down how the run ended only after this."""
        self._marks.hold(plan_context.run_id)
        yield from super().execute(plan_context, execution_plan)


def build_executor(marks: RunMarks) -> dg.ExecutorDefinition:
    """`in_process_executor` with marks."""
    plain = dg.in_process_executor

    def create(context: dg.InitExecutorContext) -> HoldingExecutor:
        return HoldingExecutor(check.inst(check.not_none(plain.executor_creation_fn)(context), InProcessExecutor), marks)

    schema = check.not_none(plain.config_schema.config_type)
    return dg.ExecutorDefinition(plain.name, schema, executor_creation_fn=create)


def build_dead_run_sensor() -> dg.SensorDefinition:
    """Looks for runs whose process is gone, as long as the daemon runs."""

    @dg.sensor(minimum_interval_seconds=60, name="fail_dead_runs", default_status=dg.DefaultSensorStatus.RUNNING)
    def fail_dead_runs(context: dg.SensorEvaluationContext, lakehouse: dg.ResourceParam[Lakehouse]) -> dg.SkipReason:
        """Marks runs as failed whose process was killed, so that others need not wait for their pool slots; requests no run."""
        reaped = reap_dead_runs(context.instance, lakehouse.run_marks)
        return dg.SkipReason(f"Marked as failed: {', '.join(reaped)}." if reaped else "Every run in progress is alive.")

    return fail_dead_runs


@contextmanager
def watch(instance: dg.DagsterInstance, marks: RunMarks, run_id: str, tell: Callable[[str], None]) -> Iterator[None]:
    """While a run goes on in a block, give back the slots of runs that die, and tell what this one waits for.

    Args:
        instance: Dagster's storage.
        marks: Which runs are alive.
        run_id: The run.
        tell: Takes a sentence.
    """
    ended = threading.Event()

    def look() -> None:
        said = ""
        while not ended.wait(WATCH_SECONDS):
            try:
                for dead in reap_dead_runs(instance, marks):
                    tell(f"The process of run {dead} is gone; it was marked as failed.")
                sentence = waits_for(instance, run_id)
            except Exception as error:  # looking must not end a run that works
                sentence = f"Other runs cannot be looked at: {error}"
            if sentence and sentence != said:
                tell(sentence)
            said = sentence

    thread = threading.Thread(target=look, name="watch over runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def waits_for(instance: dg.DagsterInstance, run_id: str) -> str:
    """What a run waits for, as a sentence; empty where it works."""
    for pool in (LAKE_POOL, GPU_POOL):
        found = instance.event_log_storage.get_concurrency_info(pool)
        waiting = [step.step_key for step in found.pending_steps if step.run_id == run_id]
        holders = sorted(
            {slot.run_id for slot in found.claimed_slots} | {step.run_id for step in found.pending_steps if step.assigned_timestamp}
        )
        if waiting and run_id not in holders:
            return f"{waiting[0]} waits for the pool {pool!r}, which run {', '.join(holders)} uses. Wait for its end, or end it."
    return ""


def _seconds_to_next_claim(self: InstanceConcurrencyContext) -> float:
    now = time.time()
    return max(0.0, min((at - now for at in self._pending_timeouts.values()), default=0.0))


# Dagster 1.13 means to sleep between two tries to get a slot, but takes the lesser of zero and the time until the next:
# a run that waits keeps a whole core busy.
InstanceConcurrencyContext.interval_to_next_pending_claim_check = _seconds_to_next_claim  # type: ignore[method-assign]

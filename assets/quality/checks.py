"""Suites as Dagster checks: one blocking check per expectation, from one validation pass per step.

The checks decide an increment's fate in the ledger, which is what holds across runs; `blocking=True` besides stops the rest of
the run. Where one run wrote several partitions and only some of them failed, the failure is reported as a warning, so that one
bad source does not stop the others; its own rows stay invisible all the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from assets.quality.audit import AuditedIncrement, audit
from assets.quality.suites import Expectation, Suite
from resources.lakehouse import Lakehouse
from resources.ledger import Increment


def build_checks(producer: str, suites: Sequence[Suite], asset_names: Sequence[str]) -> dg.AssetChecksDefinition:
    """Checks for one step.

    Args:
        producer: The step.
        suites: One per table that the step writes.
        asset_names: Assets of the step; tables that are no asset report on the first.
    """
    promises = {
        (asset_of(suite, asset_names), check_name(suite, expectation, asset_names)): (suite, expectation)
        for suite in suites
        for expectation in suite.expectations
    }

    specs = [_spec(*key, expectation) for key, (_, expectation) in promises.items()]

    @dg.multi_asset_check(name=f"audit_{producer}", specs=specs, can_subset=True)
    def audit_step(context: dg.AssetCheckExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]) -> Iterable[dg.AssetCheckResult]:
        # Whatever was selected, an increment is judged by all its promises.
        audited = audit(lakehouse, producer, suites, context.run.run_id)
        wanted = {(key.asset_key.to_user_string(), key.name) for key in context.selected_asset_check_keys}
        chosen = {key: promise for key, promise in promises.items() if key in wanted}
        if not audited:
            yield from _results_without_increment(lakehouse, producer, chosen, context.run.run_id)
            return
        for (asset_name, name), (suite, expectation) in chosen.items():
            yield _result(asset_name, name, suite, expectation, audited)

    return audit_step


def asset_of(suite: Suite, asset_names: Sequence[str]) -> str:
    """The asset that a table's checks appear on."""
    return suite.table.name if suite.table.name in asset_names else asset_names[0]


def check_name(suite: Suite, expectation: Expectation, asset_names: Sequence[str]) -> str:
    """Name of a check; checks of tables that are no asset carry the table's name."""
    return expectation.name if suite.table.name in asset_names else f"{suite.table.name}__{expectation.name}"


def _spec(asset_name: str, name: str, expectation: Expectation) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=asset_name, description=expectation.meaning, blocking=expectation.severity == "ERROR")


def _result(asset_name: str, name: str, suite: Suite, expectation: Expectation, audited: Sequence[AuditedIncrement]) -> dg.AssetCheckResult:
    verdicts = {
        result.increment: verdict
        for result in audited
        for verdict in result.verdicts[suite.table.name]
        if verdict.expectation.name == expectation.name
    }
    failed = {increment: verdict for increment, verdict in verdicts.items() if not verdict.passed}
    stops_the_run = expectation.severity == "ERROR" and not any(result.is_approved for result in audited)
    metadata: dict[str, dg.MetadataValue] = {"increments": dg.MetadataValue.int(len(verdicts))}
    for increment, verdict in failed.items():
        prefix = f"{increment.partition}: " if increment.partition else ""
        metadata |= {f"{prefix}{key}": dg.MetadataValue.float(value) for key, value in verdict.counts.items()}
        metadata[f"{prefix}verdict"] = dg.MetadataValue.text(verdict.problem or f"{expectation.meaning} This does not hold.")
    return dg.AssetCheckResult(
        passed=not failed,
        asset_key=asset_name,
        check_name=name,
        severity=dg.AssetCheckSeverity.ERROR if stops_the_run else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=expectation.meaning,
    )


def _results_without_increment(
    lakehouse: Lakehouse, producer: str, promises: Mapping[tuple[str, str], tuple[Suite, Expectation]], run_id: str
) -> Iterator[dg.AssetCheckResult]:
    """No increment waits: the last verdict stands, unless there never was one or this run's increment was taken away."""
    passed, severity, description = _standing_verdict(lakehouse.increments(producer), producer, run_id)
    for asset_name, name in promises:
        yield dg.AssetCheckResult(passed=passed, asset_key=asset_name, check_name=name, severity=severity, description=description)


def _standing_verdict(increments: Sequence[Increment], producer: str, run_id: str) -> tuple[bool, dg.AssetCheckSeverity, str]:
    newest = {increment.partition: increment.state for increment in increments}
    own = {increment.partition: increment.state for increment in increments if increment.run_id == run_id}
    if "rejected" in own.values():
        text = "Expected this run's increment to wait for its audit, found that it was rejected or that another run replaced it. "
        return False, dg.AssetCheckSeverity.ERROR, text + "Materialize again."
    if not any(increment.state == "approved" for increment in increments):
        text = f"Expected an approved increment of {producer}, found that none was ever approved: there was nothing to read yet"
        return False, dg.AssetCheckSeverity.ERROR, f"{text} (do its paths and addresses name something?), or what was read was rejected."
    if "rejected" in newest.values():
        text = "Expected the newest increment to be approved, found it rejected. What was approved before stays published. "
        return False, dg.AssetCheckSeverity.WARN, text + "Materialize again."
    return True, dg.AssetCheckSeverity.ERROR, "Nothing new to audit; the last verdict stands."

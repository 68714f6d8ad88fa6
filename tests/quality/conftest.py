"""What the tests of the audit share: a lakehouse of two tables of one producer, and how to run its checks."""

import dagster as dg
import pandas as pd
import pytest

from assets.quality.checks import build_checks
from assets.schemas import Column, Table
from resources.increments import increment
from resources.lakehouse import Lakehouse

COLUMNS = (Column("key", "VARCHAR", "Key."), Column("text", "VARCHAR", "Text."))
NOTES = Table("notes", "notes", "One row per note.", COLUMNS, ("key",))
REFUSED = Table("refused", "notes", "One row per refused note.", COLUMNS, ("key",), may_be_empty=True)


class Audited:
    """A lakehouse whose producer `notes` is audited by Dagster checks."""

    def __init__(self, folder):
        self.notes, self.refused = NOTES, REFUSED
        self.lakehouse = Lakehouse(folder, [NOTES, REFUSED])

    def stage(self, texts: list[str], run_id: str, partition: str = "") -> None:
        """One increment with one row per text."""
        frame = pd.DataFrame({"key": [f"{partition}{number}" for number in range(len(texts))], "text": texts})
        with increment(self.lakehouse, "notes", run_id=run_id, code_version="1", partition=partition) as step:
            step.write("notes", frame)
            step.count(rows_in=len(frame), rows_out=len(frame))

    def check(self, suites, run_id: str | None = None) -> dict[str, dg.AssetCheckEvaluation]:
        """Run the checks as Dagster does, as part of a run; evaluations by name."""
        instance = dg.DagsterInstance.ephemeral()
        with instance:
            definitions = dg.Definitions(
                assets=[dg.AssetSpec("notes")],
                asset_checks=[build_checks("notes", suites, ["notes"])],
                jobs=[dg.define_asset_job("audit", dg.AssetSelection.all_asset_checks())],
                resources={"lakehouse": self.lakehouse},
                executor=dg.in_process_executor,
            )
            job = definitions.resolve_job_def("audit")
            result = job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False)
            return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}

    def states(self) -> dict[str, str]:
        """State of the newest increment per partition."""
        return {found.partition: found.state for found in self.lakehouse.increments("notes")}


@pytest.fixture
def audited(tmp_path):
    made = Audited(tmp_path / "lake")
    yield made
    made.lakehouse.close()

"""The asset's side of a training run: which process is started, and where its files go."""

import dagster as dg
import pytest

from assets.training.fitting import train
from resources.compute import LocalCompute
from resources.object_store import LocalObjectStore


class Recorder(LocalCompute):
    """Starts nothing; writes what a process would, and keeps the name of its module."""

    def run(self, module, job, on_event):
        self.module, self.job = module, job
        output = self.folder / "models" / job["model_id"]
        output.mkdir(parents=True)
        (output / "model.bin").write_bytes(b"weights")
        return {"steps": 1}


@pytest.mark.parametrize(("processes", "module"), [(1, "assets.training.run"), (2, "assets.training.launch")])
def test_one_process_is_started_or_the_one_that_starts_the_others(project_of, files_source, tmp_path, processes, module):
    store, compute = LocalObjectStore(tmp_path / "store"), Recorder(tmp_path / "work")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.parquet").write_bytes(b"rows")
    store.put_directory("datasets/v1", tmp_path / "rows")
    project = project_of([files_source("shop", [])], training={"processes": processes})
    facts = train(dg.build_asset_context(), project, store, compute, "v1", "m1")
    assert (compute.module, compute.job["training"]["processes"]) == (module, processes)
    assert facts == {"steps": 1, "files": ["model.bin"]}
    assert store.get("models/m1/model.bin") == b"weights"
    assert not (compute.folder / "models" / "m1").exists()

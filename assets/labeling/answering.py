"""Wiring: labelled documents are answered by fine-tuned models that did not learn from them, in a process of its own.

Does not belong here: training (`training/studies/folds_run.py`), what the answers say of the labels (`label_issues.py`, `list_issues.py`).
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from assets.code_version import code_version
from assets.grouping import deal_groups
from assets.project import Project
from resources.compute import Event, LocalCompute

FOLDS = 5
SPLIT_COLUMNS = ["document_id", "source", "text", "label", "distribution", "mean_rating", "group_id"]
Log = Callable[[str], None]


def answer_out_of_fold(documents: pd.DataFrame, groups: pd.Series, project: Project, compute: LocalCompute, log: Log) -> pd.DataFrame:
    """What models say that were fine-tuned on the documents of other groups; a run that was killed goes on with the folds it lacks.

    Args:
        documents: One row per document: the columns of a data set but `group_id`, and `is_confident`: only such labels teach.
        groups: Documents of one group are in one fold, (documents,).
        project: Task and training settings.
        compute: Where to train.
        log: Told what goes on.

    Returns:
        One row per document, in the same order: `document_id`, `predicted` (the answer), `probabilities`, `span_scores`.

    Raises:
        ChildProcessFailedError: The process ended with an error.
    """
    rows = documents.assign(
        group_id=groups.astype(str).to_numpy(), fold=deal_groups(groups, FOLDS), is_learnt_from=documents["is_confident"]
    )
    rows = rows[[*SPLIT_COLUMNS, "fold", "is_learnt_from"]]
    training = project.training.model_copy(update={"share": "all", "processes": 1, "export": "off"})
    settings = {"task": project.task.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    identity = _identify(rows, settings)
    folder = compute.folder / "folds" / identity
    with tempfile.TemporaryDirectory() as data:
        rows.to_parquet(Path(data) / "train.parquet", index=False)
        job = {
            "dataset_folder": data,
            "dataset_version": identity,
            "work_folder": str(folder),
            "results_folder": str(folder / "results"),
            "code_version": code_version("assets.training"),
            "cache_folder": str(compute.folder / "tokens"),
        }
        compute.run("assets.training.studies.folds_run", settings | job, lambda event: _tell(event, log))
    answers = pd.concat([pd.read_parquet(path) for path in sorted((folder / "results").glob("*.parquet"))])
    shutil.rmtree(folder)
    return answers.set_index("document_id").loc[documents["document_id"]].reset_index()


def _identify(rows: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """What is asked, so that only the same question goes on where it was."""
    digest = hashlib.sha256(json.dumps([settings, code_version("assets.training")], sort_keys=True).encode())
    digest.update(rows.to_json(orient="values").encode())
    return digest.hexdigest()[:32]


def _tell(event: Event, log: Log) -> None:
    if event["event"] != "progress":
        log(f"folds: {event.get('message', event['event'])}")

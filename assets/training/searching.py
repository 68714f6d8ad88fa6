"""Wiring of `hyperparameter_search`: a search in a process of its own, its trials into the lake, its winner by name."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from assets.code_version import code_version
from assets.project import Project
from assets.training.fitting import current_dataset, describe_event
from assets.training.promoting import Bench
from assets.training.studies.search import (
    NAMES_SQL,
    STUDIES_SQL,
    TRIALS_SQL,
    WINNER_SQL,
    apply_winner,
    describe_search,
    identify_search,
    is_finished,
    trial_rows,
)
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore

PACKAGE = "assets.training"
Log = Callable[[str], None]


def use_recipe(lakehouse: Lakehouse, project: Project) -> Project:
    """The project with the best settings of the search that `training.recipe` names, if it names one.

    Raises:
        SearchError: That search has no approved winner.
    """
    name = project.training.recipe
    if name is None:
        return project
    winner = lakehouse.read(WINNER_SQL, {"study": name})
    names = lakehouse.read(NAMES_SQL)["study"].tolist()
    return project.model_copy(update={"training": apply_winner(project.training, winner, names)})


def search_settings(step: Step, lakehouse: Lakehouse, bench: Bench, log: Log, *, again: bool) -> dict[str, Any]:
    """Go on with the search that the project describes, or begin it; write its trials and its page, and return the page as metadata."""
    project, dataset_version = bench.project, current_dataset(lakehouse)
    known = lakehouse.read(STUDIES_SQL, {"study": project.search.name})["study_id"].tolist()
    study_id = identify_search(project, dataset_version, known, again=again)
    trials = lakehouse.read(TRIALS_SQL, {"study_id": study_id})
    if len(trials) and is_finished(trials, project):
        log(f"hyperparameter_search: {study_id} has used its budget; raise search.trials or search.minutes to go on")
        skip_if_offered(step)
        return show_page(bench.store, f"studies/{study_id}.md")
    job = {"search": project.search.model_dump(mode="json")}
    done = run_on_dataset(
        bench, "assets.training.studies.search_run", dataset_version, bench.compute.folder / "searches" / study_id, job, log
    )
    rows = trial_rows(study_id, project, dataset_version, done["trials"])
    step.write("hyperparameter_search", rows)
    step.count(rows_in=len(rows), rows_out=len(rows))
    step.measure("winners", int(rows["is_best"].sum()))
    page = draw_page(rows, project, done["importance"])
    bench.store.put(f"studies/{study_id}.md", page.encode())
    best = rows[rows["is_best"]].iloc[0]
    return show_page(bench.store, f"studies/{study_id}.md") | {
        "study_id": study_id,
        "best": dg.MetadataValue.json(json.loads(best["params"])),
    }


def draw_page(rows: pd.DataFrame, project: Project, importance: Mapping[str, float]) -> str:
    """The page of a search, pictures inside."""
    from assets.pictures import embed  # brings matplotlib
    from assets.training.studies.study_figures import draw_history, draw_importance

    metric = project.search.metric
    pictures = {"history.png": draw_history(rows, metric)} | ({"importance.png": draw_importance(importance)} if importance else {})
    return embed(describe_search(rows, metric, importance), pictures)


def run_on_dataset(
    bench: Bench, module: str, dataset_version: str, work_folder: Path, job: Mapping[str, Any], log: Log
) -> Mapping[str, Any]:
    """Run a module on train and dev of a data set (never test) in a process of its own; its last event."""
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "dev"):
            bench.store.get_file(f"datasets/{dataset_version}/{split}.parquet", Path(folder) / f"{split}.parquet")
        common = {
            "dataset_folder": folder,
            "dataset_version": dataset_version,
            "work_folder": str(work_folder),
            "code_version": code_version(PACKAGE),
            "task": bench.project.task.model_dump(mode="json"),
            "training": bench.project.training.model_dump(mode="json"),
            "cache_folder": str(bench.compute.folder / "tokens"),
        }
        return bench.compute.run(module, common | dict(job), lambda event: log(describe_event(event)))


def skip_if_offered(step: Step) -> None:
    """Account for a data set that was approved since, and brought nothing to do."""
    if step.has_new_input:
        step.count(rows_in=1, rows_skipped=1)


def show_page(store: ObjectStore, key: str | None) -> dict[str, Any]:
    """A stored page as metadata; nothing where there is none."""
    if key is None or not store.exists(key):
        return {}
    return {"report": dg.MetadataValue.md(store.get(key).decode()), "location": store.url(key)}

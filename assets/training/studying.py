"""Wiring of `learning_curve` and `ablation_report`: many small trainings in a process of their own, their numbers into the lake."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from assets.training.describing import read_split
from assets.training.fitting import current_dataset
from assets.training.jobs import Cell
from assets.training.promoting import Bench
from assets.training.searching import Log, run_on_dataset, show_page, skip_if_offered, use_recipe
from resources.increments import Step
from resources.lakehouse import Lakehouse

CURVE_SQL = "SELECT * FROM learning_curve WHERE study_id = $study_id"
ABLATION_SQL = "SELECT * FROM ablation_report WHERE study_id = $study_id"
VOTES_SQL = """
SELECT document_id, annotator_id, voter_kind, label
FROM (SELECT * FROM annotations UNION ALL BY NAME SELECT * FROM rule_votes) SEMI JOIN wanted USING (document_id)
ORDER BY document_id, annotator_id
"""


def measure_curve(step: Step, lakehouse: Lakehouse, bench: Bench, log: Log, *, again: bool) -> dict[str, Any]:
    """Train on growing parts of the train split and write what each gives on dev; the page of the study as metadata."""
    from assets.pictures import embed
    from assets.training.studies.study import curve_cells, describe_curve, identify_study, project_onwards
    from assets.training.studies.study_figures import draw_learning_curve
    from assets.training.studies.study_results import curve_rows

    dataset_version, bench = current_dataset(lakehouse), with_recipe(lakehouse, bench)
    study_id = identify_study("curve", bench.project, dataset_version)
    page_key = f"studies/{study_id}.md"
    if not again and len(lakehouse.read(CURVE_SQL, {"study_id": study_id})):
        log(f"learning_curve: {study_id} was measured already; nothing to train")
        skip_if_offered(step)
        return show_page(bench.store, page_key)
    cells = curve_cells(bench.project, dataset_version, len(read_split(bench.store, dataset_version, "train")))
    results = run_cells(bench, dataset_version, cells, log, again=again)
    rows = curve_rows(study_id, dataset_version, cells, results, bench.project.task)
    step.write("learning_curve", rows)
    step.count(rows_in=len(rows), rows_out=len(rows))
    step.measure("cells_missing", len(cells) - rows[["method", "share", "seed"]].drop_duplicates().shape[0])
    projection = project_onwards(rows)
    picture = draw_learning_curve(rows, "macro_f1", projection.curve() if projection else None)
    bench.store.put(page_key, embed(describe_curve(rows, projection), {"curve.png": picture}).encode())
    return show_page(bench.store, page_key) | {"study_id": study_id}


def measure_ablation(step: Step, lakehouse: Lakehouse, bench: Bench, log: Log, *, again: bool) -> dict[str, Any]:
    """Train without each source and each labeling function and write what that costs on dev; the page of the study as metadata."""
    from assets.pictures import embed
    from assets.training.studies.ablation import ablate_votes, describe_ablation, hash_of_votes
    from assets.training.studies.study import ablation_cells, identify_study
    from assets.training.studies.study_figures import draw_ablation
    from assets.training.studies.study_results import ablation_rows

    dataset_version, bench = current_dataset(lakehouse), with_recipe(lakehouse, bench)
    train, dev = (read_split(bench.store, dataset_version, split) for split in ("train", "dev"))
    votes = lakehouse.read(VOTES_SQL, frames={"wanted": train[["document_id"]]})
    study_id = identify_study("ablation", bench.project, dataset_version, hash_of_votes(votes))
    page_key = f"studies/{study_id}.md"
    if not again and len(lakehouse.read(ABLATION_SQL, {"study_id": study_id})):
        log(f"ablation_report: {study_id} was measured already; nothing to train")
        skip_if_offered(step)
        return show_page(bench.store, page_key)
    removals = ablate_votes(train, votes, bench.project.task, bench.project.labeling.rules.weight)
    with tempfile.TemporaryDirectory() as folder:
        cells = ablation_cells(bench.project, dataset_version, train, removals, Path(folder))
        results = run_cells(bench, dataset_version, [cell for found in cells.values() for cell in found], log, again=again)
    rows = ablation_rows(study_id, dataset_version, bench.project, cells, results, train, removals)
    step.write("ablation_report", rows)
    step.count(rows_in=len(rows), rows_out=len(rows))
    sources = train["source"].nunique()
    wanted = (sources if sources > 1 else 0) + len(removals.changed)
    step.measure("removals_missing", wanted - len(rows[["kind", "removed"]].drop_duplicates()))
    step.measure("stale_share", removals.stale_rows / len(train))
    page = describe_ablation(rows, removals.stale_rows, len(dev))
    bench.store.put(page_key, embed(page, {"ablation.png": draw_ablation(rows[rows["slice"] == "overall"])}).encode())
    return show_page(bench.store, page_key) | {"study_id": study_id}


def with_recipe(lakehouse: Lakehouse, bench: Bench) -> Bench:
    """The bench with the settings that models are trained with."""
    return Bench(bench.store, bench.compute, use_recipe(lakehouse, bench.project))


def run_cells(
    bench: Bench, dataset_version: str, cells: Sequence[Cell], log: Log, *, again: bool
) -> dict[str, tuple[dict[str, Any], pd.DataFrame]]:
    """Train every cell that was not trained before, in one process; facts and dev predictions by key."""
    from assets.training.studies.study import study_training

    folder = bench.compute.folder / "studies"
    results = folder / "results"
    if again:
        shutil.rmtree(results, ignore_errors=True)
    project = bench.project.model_copy(update={"training": study_training(bench.project)})
    job = {"results_folder": str(results), "cells": [cell.model_dump(mode="json") for cell in cells]}
    run_on_dataset(Bench(bench.store, bench.compute, project), "assets.training.studies.study_run", dataset_version, folder, job, log)
    return {
        cell.key: (json.loads((results / f"{cell.key}.json").read_text(encoding="utf-8")), pd.read_parquet(results / f"{cell.key}.parquet"))
        for cell in cells
    }

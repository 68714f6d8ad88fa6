"""Train the models of a study in a process of its own: `python -m assets.training.studies.study_run JOB.json`.

Texts are read and tokenized once. A cell whose results are there is not trained again, so a study that was killed goes on. Prints JSON
lines as `run.py` does.

Does not belong here: which cells a study has (`study.py`), one training (`many_trainings.py`).
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from assets.training.job_process import run_process
from assets.training.jobs import Cell, StudyJob, emit, read_study_job
from assets.training.sampling import draw_rows
from assets.training.studies.many_trainings import Trained, Trainer
from assets.training_settings import Training

MODULE = "assets.training.studies.study_run"
ALWAYS = 1_000_000_000
"""Fewer rows than this take a few-shot head: all do."""


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    return run_process(MODULE, arguments, lambda path, should_stop: run_study(read_study_job(path), should_stop))


def run_study(job: StudyJob, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Train the cells that have no results yet.

    Raises:
        JobError: The data is not as expected.
        ValueError: A cell is left without train rows.
        TrainingInterruptedError: `should_stop` said so; the same job goes on.
    """
    job.results_folder.mkdir(parents=True, exist_ok=True)
    missing = [cell for cell in job.cells if not (job.results_folder / f"{cell.key}.json").is_file()]
    trainer = Trainer(job, should_stop) if missing else None
    for number, cell in enumerate(missing, start=1):
        assert trainer is not None
        started = time.monotonic()
        emit("notice", message=f"{number} of {len(missing)}: {cell.name}")
        documents = pick_documents(trainer.examples["train"].documents, cell)
        if documents.empty:
            raise ValueError(f"{cell.name}: expected train rows, found none; take larger shares in studies")
        trained = trainer.train(cell_training(job.training, cell), cell.name, documents)
        write_result(job, cell, trained)
        score = trained.outcome.best.dev_macro_f1
        emit("cell", message=f"{cell.name}: {trained.train_rows} rows, dev macro F1 {score:.4f}, {time.monotonic() - started:.0f} s")
    emit("done", message=f"{len(missing)} trained, {len(job.cells) - len(missing)} known from before")


def cell_training(training: Training, cell: Cell) -> Training:
    """The settings of a cell."""
    few_shot_below = ALWAYS if cell.method == "few_shot_head" else 0
    return training.model_copy(update={"seed": cell.seed, "processes": 1, "share": "all", "few_shot_below": few_shot_below})


def pick_documents(documents: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The train rows of a cell under their own index, with the cell's labels."""
    chosen = draw_rows(documents, cell.share)
    if cell.without_source is not None:
        chosen = chosen[chosen["source"] != cell.without_source]
    if cell.labels is not None:
        chosen = replace_labels(chosen, pd.read_parquet(cell.labels))
    if cell.rows is not None:
        places = [hashlib.sha256(f"few-shot {cell.seed} {found}".encode()).digest() for found in chosen["document_id"]]
        chosen = chosen.iloc[np.sort(np.argsort(np.array(places, dtype=object), kind="stable")[: cell.rows])]
    return chosen


def replace_labels(documents: pd.DataFrame, changed: pd.DataFrame) -> pd.DataFrame:
    """Documents with other labels and distributions; those whose new label is missing are left out.

    Args:
        documents: Train rows.
        changed: One row per document that changes: `document_id`, `label`, `distribution`.
    """
    changed = changed.set_index("document_id")
    result = documents.copy()
    is_changed = result["document_id"].isin(changed.index)
    wanted = changed.loc[result.loc[is_changed, "document_id"]]
    for column in ("label", "distribution"):
        values = result[column].astype(object).to_numpy(copy=True)
        values[is_changed.to_numpy()] = wanted[column].to_numpy(dtype=object)
        result[column] = pd.Series(values, index=result.index, dtype=object)
    return result[result["label"].notna()]


def write_result(job: StudyJob, cell: Cell, trained: Trained) -> None:
    """Write what a cell gave; the JSON file comes last and says that all is there."""
    predictions = trained.dev_predictions()
    if job.task.kind != "question_answering":  # judging needs the words of answers only there
        predictions = predictions.drop(columns="text")
    predictions.to_parquet(job.results_folder / f"{cell.key}.parquet", index=False)
    best = trained.outcome.best
    facts = {"name": cell.name, "train_rows": trained.train_rows, "dev_loss": best.dev_loss, "dev_macro_f1": best.dev_macro_f1}
    draft = job.results_folder / f".{cell.key}.draft"
    draft.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    draft.rename(job.results_folder / f"{cell.key}.json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

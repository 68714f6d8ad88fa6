"""Answer labelled documents out of fold in a process of its own: `python -m assets.training.studies.folds_run JOB.json`.

For every fold a model is fine-tuned on the documents of the others, but one group in twenty, which decides which weights are kept; it then
answers the documents of its fold. A fold whose results are there is not trained again, so a run that was killed goes on. Prints JSON
lines as `run.py` does.

Does not belong here: what the answers say of the labels (the labeling stage), one training (`many_trainings.py`).
"""

import hashlib
import sys
import time
from collections.abc import Callable

import pandas as pd

from assets.training.job_process import run_process
from assets.training.jobs import FoldsJob, JobError, emit, read_folds_job
from assets.training.learning.network import predict_outputs
from assets.training.studies.many_trainings import Trainer

MODULE = "assets.training.studies.folds_run"
DEV_PARTS = 20


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    return run_process(MODULE, arguments, lambda path, should_stop: run_folds(read_folds_job(path), should_stop))


def run_folds(job: FoldsJob, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Answer the folds that have no results yet.

    Raises:
        JobError: The data is not as expected, or a fold leaves nothing to learn from or to choose weights by.
        TrainingInterruptedError: `should_stop` said so; the same job goes on.
    """
    job.results_folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(job, should_stop, splits=("train",))
    documents = trainer.examples["train"].documents
    missing = {"fold", "is_learnt_from"} - set(documents.columns)
    if missing:
        raise JobError(f"{job.dataset_folder}/train.parquet: expected columns fold and is_learnt_from, missing {sorted(missing)}")
    folds = sorted(documents["fold"].unique())
    for number, fold in enumerate(folds, start=1):
        output = job.results_folder / f"{fold}.parquet"
        if output.is_file():
            continue
        started = time.monotonic()
        held, others = documents[documents["fold"] == fold], documents[(documents["fold"] != fold) & documents["is_learnt_from"]]
        chooses = others["group_id"].isin(groups_that_choose(others["group_id"]))
        train, dev = others[~chooses], others[chooses]
        if train.empty or dev.empty:
            raise JobError(f"fold {fold}: expected documents of two groups or more to learn from, found {others['group_id'].nunique()}")
        emit("notice", message=f"fold {number} of {len(folds)}: learning from {len(train)} documents, answering {len(held)}")
        trained = trainer.train(job.training, f"fold {number}", train, dev=dev)
        asked = trainer.pick(held)
        outputs = predict_outputs(trained.prepared.model, asked.texts, trained.prepared.hardware)
        answers = trainer.objective.answer(outputs, asked.texts, asked.documents["text"].tolist()).rename(columns={"label": "predicted"})
        draft = job.results_folder / f".{fold}.draft"
        asked.documents[["document_id"]].join(answers).to_parquet(draft, index=False)
        draft.rename(output)
        emit("cell", message=f"fold {number} of {len(folds)}: {time.monotonic() - started:.0f} s")
    emit("done", message=f"{len(documents)} documents answered by {len(folds)} models")


def groups_that_choose(groups: pd.Series) -> list[str]:
    """One group in twenty, and one at least: those whose hash is lowest."""
    ordered = sorted(groups.unique(), key=lambda group: hashlib.sha256(f"dev {group}".encode()).digest())
    return ordered[: max(len(ordered) // DEV_PARTS, 1)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Search training settings in a process of its own: `python -m assets.training.studies.search_run JOB.json`.

Prints JSON lines as `run.py` does, and `trial` for every trial that has ended; `done` carries all of them and what mattered. A kill at
any moment loses at most what one trial did since its last checkpoint.

Does not belong here: what is tried (`trials.py`), one training (`many_trainings.py`).
"""

import sys
from collections.abc import Callable
from typing import Any

import pandas as pd

from assets.training.job_process import run_process
from assets.training.jobs import SearchJob, emit, read_search_job
from assets.training.learning.records import DevScore
from assets.training.sampling import draw_rows
from assets.training.studies.many_trainings import Trainer
from assets.training.studies.search import SearchError
from assets.training.studies.trials import (
    Budget,
    Params,
    Trial,
    TrialFailedError,
    TrialPrunedError,
    importance_of,
    open_study,
    rows_of,
    run_trials,
)
from assets.training_settings import Search, Training

MODULE = "assets.training.studies.search_run"


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    return run_process(MODULE, arguments, lambda path, should_stop: run_search(read_search_job(path), should_stop))


def run_search(job: SearchJob, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Try settings until the budget is used up.

    Raises:
        JobError: The data is not as expected.
        SearchError: Another process works on the search, or nothing that was tried can be trained.
        TrainingInterruptedError: `should_stop` said so; the same job goes on.
    """
    search = searchable(job)
    own: Params = {name: getattr(job.training, name) for name in search.space}
    with open_study(job.work_folder, search, own) as study:
        trainer = Trainer(job, should_stop)
        drawn = draw_rows(trainer.examples["train"].documents, 1.0 if search.share == "all" else search.share)

        def train(trial: Trial) -> DevScore:
            emit("notice", message=f"trial {trial.number} of {search.trials}: {describe_params(trial.params)}")
            return train_one(trainer, trial, drawn)

        run_trials(study, search, Budget(search.trials, search.minutes * 60), train, report_trial)
        rows = rows_of(study)
        if not any(row["state"] == "complete" for row in rows):
            raise SearchError(f"expected a trial that completes, found none: {[row['reason'] for row in rows]}; change search.space")
        emit("done", message=f"{len(rows)} trials", trials=rows, importance=importance_of(study, search.seed))


def train_one(trainer: Trainer, trial: Trial, documents: pd.DataFrame) -> DevScore:
    """Train with a trial's settings; the best evaluation.

    Raises:
        TrialPrunedError: It is not worth going on with.
        TrialFailedError: Its settings make the loss infinite.
        TrainingInterruptedError: The process shall stop.
    """
    settings = trainer.job.training.model_dump() | trial.params | {"processes": 1, "few_shot_below": 0, "share": "all"}
    try:
        return trainer.train(Training.model_validate(settings), f"trial {trial.number}", documents, trial.watch).outcome.best
    except TrialPrunedError:
        trainer.forget()
        raise
    except FloatingPointError as error:
        trainer.forget()
        raise TrialFailedError(str(error)) from error


def searchable(job: SearchJob) -> Search:
    """The search without settings that change nothing for the task.

    Raises:
        SearchError: Nothing is left.
    """
    has_valence = job.task.valences is not None
    space = {name: wanted for name, wanted in job.search.space.items() if has_valence or name != "valence_weight"}
    if not space:
        raise SearchError(
            "search.space: expected a setting that changes something for the task, found valence_weight alone, without valence"
        )
    return job.search.model_copy(update={"space": space})


def describe_params(params: Params) -> str:
    """Settings in one line."""
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items())


def report_trial(row: dict[str, Any]) -> None:
    """Print the event of a trial that has ended."""
    score = "" if row["dev_macro_f1"] is None else f", dev macro F1 {row['dev_macro_f1']:.4f}, dev loss {row['dev_loss']:.4f}"
    reason = f" ({row['reason']})" if row["reason"] else ""
    emit("trial", message=f"trial {row['trial']} {row['state']}{reason}{score}, {row['seconds']:.0f} s", **row)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

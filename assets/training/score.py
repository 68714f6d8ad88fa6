"""Score a file of texts with a model in a process of its own: `python -m assets.training.score JOB.json`.

The gate uses it to score champion and challenger on the same frozen rows. Exit status and printed events are those of `run.py`.
Does not belong here: scoring itself (`scorer.py`).
"""

import sys

import pandas as pd

from assets.training.job_process import run_to_the_end
from assets.training.jobs import JobError, ScoringJob, emit, read_scoring_job
from assets.training.scoring.scorer import load_model


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    return run_to_the_end("assets.training.score", arguments, lambda path: score_file(read_scoring_job(path)))


def score_file(job: ScoringJob) -> None:
    """Write one row per text: `document_id` and the columns of `Scorer.predict`. The file appears whole or not at all.

    Raises:
        JobError: The file of texts is missing or has no `document_id` and `text`.
        ModelFolderError: The model folder is incomplete or was changed.
    """
    if not job.texts.is_file():
        raise JobError(f"expected a Parquet file of texts at {job.texts}, found none")
    frame = pd.read_parquet(job.texts)
    missing = sorted({"document_id", "text"} - set(frame.columns))
    if missing:
        raise JobError(f"{job.texts}: expected columns document_id and text, missing {missing}")
    scorer = load_model(job.model_folder, job.device, job.precision)
    emit("notice", message=scorer.hardware.notice)
    scored = frame[["document_id"]].reset_index(drop=True).join(scorer.predict(frame["text"].tolist()))
    draft = job.output.with_name(f".{job.output.name}.draft")
    scored.to_parquet(draft, index=False)
    draft.rename(job.output)
    emit("done", rows=len(scored), output=str(job.output), labels=list(scorer.settings.task.labels))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

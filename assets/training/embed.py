"""Embed files of texts with the base model in a process of its own: `python -m assets.training.embed JOB.json`.

Exit status and printed events are those of `run.py`. Does not belong here: embedding itself (`scoring/embedder.py`).
"""

import sys

import pandas as pd

from assets.training.job_process import run_to_the_end
from assets.training.jobs import EmbeddingJob, JobError, emit, read_embedding_job
from assets.training.learning.hardware import choose_hardware
from assets.training.scoring.embedder import load_embedder


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    return run_to_the_end("assets.training.embed", arguments, lambda path: embed_files(read_embedding_job(path)))


def embed_files(job: EmbeddingJob) -> None:
    """Write one file for each file of texts, of the same name: `document_id`, `encoder`, `embedding`. Each appears whole or not at all.

    Raises:
        JobError: There is no file of texts, or one has no `document_id` and `text`.
        BaseModelError: The base model cannot be loaded.
    """
    files = sorted(job.texts_folder.glob("*.parquet"))
    if not files:
        raise JobError(f"expected Parquet files of texts in {job.texts_folder}, found none")
    embedder = load_embedder(job.base_model, job.max_tokens, choose_hardware(job.device, job.precision))
    emit("notice", message=embedder.hardware.notice)
    for number, file in enumerate(files, start=1):
        frame = pd.read_parquet(file)
        missing = sorted({"document_id", "text"} - set(frame.columns))
        if missing:
            raise JobError(f"{file}: expected columns document_id and text, missing {missing}")
        vectors = embedder.embed(frame["text"].tolist())
        embedded = pd.DataFrame({"document_id": frame["document_id"], "encoder": embedder.name, "embedding": list(vectors)})
        draft = job.output_folder / f".{file.name}.draft"
        embedded.to_parquet(draft, index=False)
        draft.rename(job.output_folder / file.name)
        emit("progress", files=number, of=len(files), rows=len(embedded))
    emit("done", encoder=embedder.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

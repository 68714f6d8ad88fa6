"""Fine-tune a model in a process of its own: `python -m assets.training.run JOB.json`.

Needs torch, transformers, pandas and pydantic, nothing of the rest of the platform. Prints one JSON object per line: `notice`, `progress`,
then `done`; an error prints `error`, says why on standard error and exits with 1; a polite kill (SIGTERM) leaves a checkpoint, prints
`interrupted` and exits with 143. Several that torchrun started train one model together.

Does not belong here: the loop (`finetuning.py`), what a job file holds (`jobs.py`), getting data and model ready (`preparing.py`),
starting several processes (`launch.py`).
"""

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from assets.training.job_process import ended, run_process
from assets.training.jobs import TrainingJob, emit, read_training_job
from assets.training.learning.artifacts import write_model
from assets.training.learning.few_shot import fit_head
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.network import predict_outputs
from assets.training.learning.preparing import Prepared, prepare
from assets.training.learning.processes import Processes, leave_processes
from assets.training.learning.records import CheckpointPolicy, Outcome, Progress, TrainingInterruptedError
from assets.training.learning.weights import learning_rate_of
from assets.training.manifests import write_manifest
from assets.training.scoring.exporting import Export, export_model

SECONDS_BETWEEN_REPORTS = 10.0


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    return run_process("assets.training.run", arguments, lambda path, should_stop: run_job(read_training_job(path), should_stop))


def run_job(job: TrainingJob, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Train, write the model folder, remove the checkpoints.

    Raises:
        JobError: Data or output folder are not as expected.
        BaseModelError: The base model cannot be had.
        HardwareError: The device asked for is not there.
        MissingExtraError: A library that the settings ask for is not installed.
        TrainingInterruptedError: `should_stop` said so.
    """
    prepared = prepare(job)
    try:
        outcome = train(job, prepared, should_stop)
        if prepared.processes.is_first:
            write_folder(job, prepared, outcome)
    except TrainingInterruptedError:
        if prepared.processes.is_first:
            raise
        ended(128 + signal.SIGTERM)  # the first process tells, for all
    finally:
        leave_processes(prepared.processes)


def train(job: TrainingJob, prepared: Prepared, should_stop: Callable[[], bool]) -> Outcome:
    """Fit the head where labels are few, else fine-tune; the model holds the best weights."""
    tell(prepared.processes, "notice", message=prepared.hardware.notice)
    train_examples, dev = prepared.examples["train"], prepared.examples["dev"]
    if prepared.is_few_shot:
        limit = f"training.few_shot_below, {job.training.few_shot_below}"
        message = f"{len(train_examples.documents)} train rows are fewer than {limit}: only a head is fitted"
        tell(prepared.processes, "notice", message=message)
        return fit_head(prepared.model, prepared.objective, train_examples, dev, prepared.hardware)
    identity = json.dumps([job.dataset_version, job.code_version, prepared.base.fingerprint, job.training.model_dump(mode="json")])
    reported_at = 0.0

    def report(progress: Progress) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= SECONDS_BETWEEN_REPORTS or progress.step == progress.total_steps:
            reported_at = time.monotonic()
            tell(prepared.processes, "progress", **asdict(progress))

    tuning = FineTuning(
        prepared.model,
        prepared.objective,
        train_examples,
        dev,
        job.training,
        prepared.hardware,
        CheckpointPolicy(job.work_folder, identity),
        report,
        should_stop=should_stop,
        processes=prepared.processes,
    )
    if tuning.passes > 1:
        limit = f"training.min_steps, {job.training.min_steps}"
        message = f"{len(train_examples.documents)} train rows give few steps: an epoch is {tuning.passes} passes over them ({limit})"
        tell(prepared.processes, "notice", message=message)
    outcome = tuning.run()
    prepared.merge_adapters()
    return outcome


def tell(processes: Processes, event: str, **facts: object) -> None:
    """Print an event, once for all processes."""
    if processes.is_first:
        emit(event, **facts)


def write_folder(job: TrainingJob, prepared: Prepared, outcome: Outcome) -> None:
    """Write the finished model; its folder appears whole or not at all."""
    draft = job.output_folder.with_name(f".{job.output_folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    write_model(draft, prepared.model, prepared.tokenizer, prepared.settings)
    exported = export(draft, prepared, job.training.export)
    predict_splits(prepared, exported).to_parquet(draft / "predictions.parquet", index=False)
    history = {
        "steps_per_epoch": outcome.best.step / outcome.best.epoch,
        "evaluations": [asdict(entry) for entry in outcome.history],
    }
    (draft / "history.json").write_text(json.dumps(history, indent=2), encoding="utf-8")
    facts = describe_run(job, prepared, outcome) | {"export": exported.as_rows()}
    digest = write_manifest(draft, facts)
    shutil.rmtree(job.output_folder, ignore_errors=True)
    draft.rename(job.output_folder)
    shutil.rmtree(job.work_folder, ignore_errors=True)
    emit("done", manifest_sha256=digest, output_folder=str(job.output_folder), **facts)


def export(draft: Path, prepared: Prepared, wanted: str) -> Export:
    """Export and choose the backend that scoring will use, unless settings say `off`."""
    if wanted == "off":
        return Export((), prepared.model, prepared.hardware)
    exported = export_model(draft, prepared.model, prepared.objective, prepared.examples["dev"], prepared.hardware)
    for notice in exported.notices:
        emit("notice", message=notice)
    return exported


def predict_splits(prepared: Prepared, exported: Export) -> pd.DataFrame:
    """What the backend that will serve says of dev and test documents.

    One row per document: `document_id`, `split`, `source`, `label` (the consensus), `predicted` and what belongs to it.
    """
    parts = []
    for split in ("dev", "test"):
        examples = prepared.examples[split]
        outputs = predict_outputs(exported.network, examples.texts, exported.hardware)
        answers = prepared.objective.answer(outputs, examples.texts, examples.documents["text"].tolist())
        known = examples.documents[["document_id", "source", "label"]].reset_index(drop=True)
        known.insert(1, "split", split)
        parts.append(known.join(answers.rename(columns={"label": "predicted"})))
    return pd.concat(parts, ignore_index=True)


def describe_run(job: TrainingJob, prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    """The facts of the manifest: everything needed to repeat the run, and what came of it."""
    return {
        "model_id": job.model_id,
        "dataset_version": job.dataset_version,
        "code_version": job.code_version,
        "base_model": job.training.base_model,
        "base_model_fingerprint": prepared.base.fingerprint,
        "task": job.task.model_dump(mode="json"),
        "labels": list(job.task.labels),
        "recipe": job.training.model_dump(mode="json"),
        "method": "few_shot_head" if prepared.is_few_shot else "adapters" if job.training.lora else "fine_tuning",
        "parameters": sum(weight.numel() for weight in prepared.model.parameters()),
        "is_packed": prepared.model.is_packed,
        "learning_rate": None if prepared.is_few_shot else learning_rate_of(prepared.model, job.training),
        "seed": job.training.seed,
        "device": prepared.hardware.device,
        "precision": prepared.hardware.precision,
        "hardware": prepared.hardware.name,
        "threads": prepared.hardware.threads,
        "processes": prepared.processes.count,
        "torch_version": torch.__version__,
        "transformers_version": version("transformers"),
        "training_seconds": outcome.seconds,
        "tokens_per_second": outcome.tokens_per_second,
        "resumed_from_step": outcome.resumed_from,
        "steps": outcome.steps,
        "train_rows": len(prepared.examples["train"].documents),
        "train_share": 1.0 if job.training.share == "all" else job.training.share,
        "best_epoch": outcome.best.epoch,
        "dev_loss": outcome.best.dev_loss,
        "dev_macro_f1": outcome.best.dev_macro_f1,
        "trained_at": datetime.now(UTC).isoformat(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

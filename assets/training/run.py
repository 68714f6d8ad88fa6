"""Fine-tune a model in a process of its own: `python -m assets.training.run JOB.json`.

Needs torch, transformers, pandas and pydantic, nothing of the rest of the platform. Prints one JSON object per line: `notice`, `progress`,
then `done`; an error prints `error`, says why on standard error and exits with 1; a polite kill (SIGTERM) leaves a checkpoint, prints
`interrupted` and exits with 143.

Does not belong here: the loop (`finetuning.py`), what a job file holds (`jobs.py`).
"""

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import transformers
from transformers import PreTrainedTokenizerBase

from assets.project import Task
from assets.training.artifacts import ClassifierSettings, write_model
from assets.training.classifier import TextClassifier, freeze_lowest_layers, predict_logits, set_dropout, softmax
from assets.training.encoder import BaseModel, load_encoder, load_tokenizer, locate_base_model, longest_input
from assets.training.encoding import EncodedTexts, encode_texts
from assets.training.finetuning import FineTuning
from assets.training.hardware import Hardware, choose_hardware
from assets.training.jobs import TrainingJob, emit, read_split, read_training_job
from assets.training.manifests import write_manifest
from assets.training.records import CheckpointPolicy, Examples, Outcome, Progress, TrainingInterruptedError
from assets.training.sampling import draw_share

SECONDS_BETWEEN_REPORTS = 10.0


@dataclass(frozen=True)
class Prepared:
    """All that a training run needs, in memory.

    Attributes:
        base: The pre-trained encoder's files.
        model: The network with a fresh seeded head.
        tokenizer: The base model's tokenizer.
        settings: How the finished model scores.
        hardware: Where it runs.
        splits: Documents by split; train is the drawn share.
        encoded: Their token ids by split.
    """

    base: BaseModel
    model: TextClassifier
    tokenizer: PreTrainedTokenizerBase
    settings: ClassifierSettings
    hardware: Hardware
    splits: dict[str, pd.DataFrame]
    encoded: dict[str, EncodedTexts]

    def examples(self, split: str, task: Task) -> Examples:
        """A split as training targets."""
        frame = self.splits[split]
        distribution = np.stack(frame["distribution"].tolist()).astype(np.float32)
        return Examples(self.encoded[split], distribution, scale_ratings(frame["mean_rating"], task))


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m assets.training.run JOB.json\n")
        return 2
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        run_job(read_training_job(Path(arguments[0])), should_stop=lambda: bool(stopping))
    except TrainingInterruptedError as interruption:
        emit("interrupted", message=str(interruption))
        sys.stderr.write(f"{interruption}\n")
        return 128 + signal.SIGTERM
    except Exception as error:  # the boundary of the process: the parent needs one clear line, and a status
        emit("error", kind=type(error).__name__, message=str(error))
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def run_job(job: TrainingJob, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Train, write the model folder, remove the checkpoints.

    Raises:
        JobError: Data or output folder are not as expected.
        BaseModelError: The base model cannot be had.
        HardwareError: The device asked for is not there.
        TrainingInterruptedError: `should_stop` said so.
    """
    prepared = prepare(job)
    emit("notice", message=prepared.hardware.notice)
    outcome = _train(job, prepared, should_stop)
    draft = job.output_folder.with_name(f".{job.output_folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    write_model(draft, prepared.model, prepared.tokenizer, prepared.settings)
    predict_splits(prepared).to_parquet(draft / "predictions.parquet", index=False)
    history = {"steps_per_epoch": outcome.best.step / outcome.best.epoch, "evaluations": [asdict(entry) for entry in outcome.history]}
    (draft / "history.json").write_text(json.dumps(history, indent=2), encoding="utf-8")
    facts = describe_run(job, prepared, outcome)
    digest = write_manifest(draft, facts)
    shutil.rmtree(job.output_folder, ignore_errors=True)
    draft.rename(job.output_folder)
    shutil.rmtree(job.work_folder, ignore_errors=True)
    emit("done", manifest_sha256=digest, output_folder=str(job.output_folder), **facts)


def prepare(job: TrainingJob) -> Prepared:
    """Read the data set, find the base model, tokenize everything once, seed the head."""
    task, training = job.task, job.training
    splits = {split: read_split(job.dataset_folder, split, task.labels) for split in ("train", "dev", "test")}
    splits["train"] = draw_share(splits["train"], 1.0 if training.share == "all" else training.share)
    hardware = choose_hardware(training.device, training.precision)
    torch.set_num_threads(hardware.threads)
    base = locate_base_model(training.base_model)
    tokenizer, encoder = load_tokenizer(base.folder), load_encoder(base.folder)
    torch.manual_seed(training.seed)
    model = TextClassifier(encoder, len(task.labels))
    freeze_lowest_layers(encoder, training.frozen_layers)
    set_dropout(model, training.dropout)
    limit = longest_input(encoder, tokenizer, training.max_tokens)
    settings = ClassifierSettings(task.labels, model.pooling, limit, task.positive_label, task.negative_label)
    encoded = {split: encode_texts(tokenizer, frame["text"].tolist(), limit) for split, frame in splits.items()}
    return Prepared(base, model, tokenizer, settings, hardware, splits, encoded)


def scale_ratings(ratings: pd.Series, task: Task) -> npt.NDArray[np.float32]:
    """Mean ratings scaled from the task's range to [-1, 1]; NaN where a document, or the task, has none."""
    if task.rating is None:
        return np.full(len(ratings), np.nan, dtype=np.float32)
    low, high = task.rating.minimum, task.rating.maximum
    return (2 * (ratings.to_numpy(dtype=np.float32, na_value=np.nan) - low) / (high - low) - 1).astype(np.float32)


def predict_splits(prepared: Prepared) -> pd.DataFrame:
    """One row per dev and test document: `document_id`, `split`, `source`, `label` (the consensus), `probabilities` in label order."""
    parts = []
    for split in ("dev", "test"):
        probabilities = softmax(predict_logits(prepared.model, prepared.encoded[split], prepared.hardware))
        part = prepared.splits[split][["document_id", "source", "label"]].assign(split=split, probabilities=list(probabilities))
        parts.append(part[["document_id", "split", "source", "label", "probabilities"]])
    return pd.concat(parts, ignore_index=True)


def describe_run(job: TrainingJob, prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    """The facts of the manifest: everything needed to repeat the run, and what came of it."""
    return {
        "model_id": job.model_id,
        "dataset_version": job.dataset_version,
        "code_version": job.code_version,
        "base_model": job.training.base_model,
        "base_model_fingerprint": prepared.base.fingerprint,
        "labels": list(job.task.labels),
        "recipe": job.training.model_dump(mode="json"),
        "seed": job.training.seed,
        "device": prepared.hardware.device,
        "precision": prepared.hardware.precision,
        "hardware": prepared.hardware.name,
        "threads": prepared.hardware.threads,
        "torch_version": torch.__version__,
        "transformers_version": version("transformers"),
        "training_seconds": outcome.seconds,
        "tokens_per_second": outcome.tokens_per_second,
        "resumed_from_step": outcome.resumed_from,
        "steps": outcome.steps,
        "train_rows": len(prepared.splits["train"]),
        "train_share": 1.0 if job.training.share == "all" else job.training.share,
        "best_epoch": outcome.best.epoch,
        "dev_loss": outcome.best.dev_loss,
        "dev_macro_f1": outcome.best.dev_macro_f1,
        "trained_at": datetime.now(UTC).isoformat(),
    }


def _train(job: TrainingJob, prepared: Prepared, should_stop: Callable[[], bool]) -> Outcome:
    identity = json.dumps([job.dataset_version, job.code_version, prepared.base.fingerprint, job.training.model_dump(mode="json")])
    reported_at = 0.0

    def report(progress: Progress) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= SECONDS_BETWEEN_REPORTS or progress.step == progress.total_steps:
            reported_at = time.monotonic()
            emit("progress", **asdict(progress))

    return FineTuning(
        prepared.model,
        prepared.examples("train", job.task),
        prepared.examples("dev", job.task),
        job.training,
        prepared.hardware,
        prepared.settings.poles,
        CheckpointPolicy(job.work_folder, identity),
        report,
        should_stop,
    ).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Many trainings over the same texts in one process: read and tokenize once, then train again and again on all rows or some.

Does not belong here: what is trained and why (`trials.py`, `study.py`), the loop (`finetuning.py`).
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.training.jobs import ManyTrainingsJob, TrainingJob, emit
from assets.training.learning.few_shot import fit_head
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.preparing import Prepared, prepare
from assets.training.learning.records import CheckpointPolicy, DevScore, Examples, Outcome, Progress
from assets.training_settings import Training

SPLITS = ("train", "dev")
"""The test split is not even copied."""
SECONDS_BETWEEN_REPORTS = 30.0

Chosen = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trained:
    """A finished training: its outcome, and the rows it learnt from."""

    prepared: Prepared
    outcome: Outcome
    train_rows: int

    def dev_predictions(self) -> pd.DataFrame:
        """One row per dev document: `document_id`, `source`, `group_id`, `label` (the consensus), `predicted` and what belongs to it."""
        dev, objective = self.prepared.examples["dev"], self.prepared.objective
        answers = objective.answer(self.outcome.dev_outputs, dev.texts, dev.documents["text"].tolist()).rename(
            columns={"label": "predicted"}
        )
        known = dev.documents[["document_id", "source", "group_id", "text", "label", "mean_rating"]].reset_index(drop=True)
        return known.join(answers)


class Trainer:
    """Trains models on one data set, one after the other."""

    def __init__(self, job: ManyTrainingsJob, should_stop: Callable[[], bool], splits: Sequence[str] = SPLITS) -> None:
        """Read and tokenize train and dev.

        Args:
            job: Data, task, the settings that all trainings share.
            should_stop: Asked after every step; true leaves a checkpoint and raises `TrainingInterruptedError`.
            splits: Those to read; without `dev`, every training is given one.

        Raises:
            JobError: The data is not as expected.
            BaseModelError: The base model cannot be had.
            HardwareError: The device asked for is not there.
            MissingExtraError: A library that the settings ask for is not installed.
        """
        self.job, self.should_stop = job, should_stop
        everything = job.training.model_copy(update={"share": "all", "processes": 1})
        first = prepare(self._training_job(everything), splits)
        self.examples, self.objective = first.examples, first.objective
        emit("notice", message=first.hardware.notice)

    def train(
        self,
        training: Training,
        name: str,
        documents: pd.DataFrame | None = None,
        watch: Callable[[DevScore], None] = lambda score: None,
        dev: pd.DataFrame | None = None,
    ) -> Trained:
        """Train one model; a training that was interrupted goes on from its checkpoint.

        Args:
            training: Its settings; `share` is not looked at.
            name: For the reports.
            documents: Train rows to learn from: a frame made from rows of `examples["train"].documents`, whose index says which, perhaps
                with other labels; None takes all.
            watch: Called with every evaluation on dev; what it raises ends the training.
            dev: Train rows, as `documents` has them, that decide which weights are kept; None takes the dev split.

        Raises:
            TrainingInterruptedError: `should_stop` said so.
            FloatingPointError: The loss is not a number any more.
        """
        train = self.examples["train"] if documents is None else self.pick(documents)
        examples = {"train": train, "dev": self.examples["dev"] if dev is None else self.pick(dev)}
        prepared = prepare(self._training_job(training), examples=examples)
        if prepared.is_few_shot:
            outcome = fit_head(prepared.model, prepared.objective, train, prepared.examples["dev"], prepared.hardware)
            return Trained(prepared, outcome, len(train.documents))
        identity = self._identity(training, train)
        folder = self.job.work_folder / "checkpoints" / identity
        outcome = FineTuning(
            prepared.model,
            prepared.objective,
            train,
            prepared.examples["dev"],
            training,
            prepared.hardware,
            CheckpointPolicy(folder, identity),
            reporter(name),
            watch,
            self.should_stop,
        ).run()
        prepared.merge_adapters()
        self.forget(folder)
        return Trained(prepared, outcome, len(train.documents))

    def pick(self, documents: pd.DataFrame) -> Examples:
        """The examples of some train rows, with the labels that the rows have now."""
        texts = self.examples["train"].texts.take(documents.index.to_numpy(dtype=np.int64))
        documents = documents.reset_index(drop=True)
        return Examples(documents, texts, self.objective.targets(texts, documents))

    def forget(self, folder: Path | None = None) -> None:
        """Remove the checkpoints of a training, or of all."""
        shutil.rmtree(folder or self.job.work_folder / "checkpoints", ignore_errors=True)

    def _identity(self, training: Training, train: Examples) -> str:
        """What a training is, so that only the same goes on from its checkpoint."""
        settings = json.dumps([self.job.dataset_version, self.job.code_version, training.model_dump(mode="json")], sort_keys=True)
        digest = hashlib.sha256(settings.encode())
        for column in ("document_id", "label"):
            digest.update("\0".join(train.documents[column]).encode())
        for target in train.targets.values():
            digest.update(np.ascontiguousarray(target).tobytes())
        return digest.hexdigest()[:32]

    def _training_job(self, training: Training) -> TrainingJob:
        job = self.job
        return TrainingJob(
            dataset_folder=job.dataset_folder,
            dataset_version=job.dataset_version,
            work_folder=job.work_folder,
            output_folder=job.work_folder,
            model_id="",
            code_version=job.code_version,
            task=job.task,
            training=training,
            cache_folder=job.cache_folder,
        )


def reporter(name: str) -> Callable[[Progress], None]:
    """Prints progress under a name, not too often."""
    reported_at = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= SECONDS_BETWEEN_REPORTS:
            reported_at = time.monotonic()
            emit("progress", training=name, **asdict(progress))

    return report

"""The jobs that run in a process of their own, as JSON files, and the lines of JSON that they print.

Belongs here: what a job file holds, reading the split files it names, the printed events. Does not belong here: doing the job (`run.py`,
`score.py`).
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from assets.answers import AnswerError, canonical_answer
from assets.project import Task
from assets.training_settings import Search, Training

SPLITS = ("train", "dev", "test")
SPLIT_COLUMNS = ("document_id", "source", "text", "label", "distribution", "mean_rating", "group_id")


class JobError(RuntimeError):
    """A job file or the data that it names is not as expected."""


class _Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Job = TypeVar("Job", bound=_Job)


class TrainingJob(_Job):
    """Fine-tune one model.

    `dataset_folder` holds `train.parquet`, `dev.parquet` and `test.parquet`; `work_folder` keeps checkpoints between attempts and is
    removed after success; `output_folder` is the finished model and replaces whatever was there; `cache_folder` keeps token ids for
    later runs, null keeps none.
    """

    dataset_folder: Path
    dataset_version: str
    work_folder: Path
    output_folder: Path
    model_id: str
    code_version: str
    task: Task
    training: Training
    cache_folder: Path | None = None


class ScoringJob(_Job):
    """Score a Parquet file (columns `document_id`, `text`) with a model; writes `document_id` and the answers."""

    model_folder: Path
    texts: Path
    output: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class EmbeddingJob(_Job):
    """Embed every Parquet file of a folder (columns `document_id`, `text`) with a base model; the output folder gets one file for each."""

    base_model: str
    max_tokens: int
    texts_folder: Path
    output_folder: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class ManyTrainingsJob(_Job):
    """What jobs of many trainings on one data set have in common."""

    dataset_folder: Path
    dataset_version: str
    work_folder: Path
    code_version: str
    task: Task
    training: Training
    cache_folder: Path | None = None


class SearchJob(ManyTrainingsJob):
    """Search training settings; `work_folder` is the search's own and keeps its record, so that the same job goes on where it was.

    `training` holds the settings that are not searched, and what the project has set of those that are.
    """

    search: Search


class Cell(_Job):
    """One training of a study.

    `key` names its results; `rows` takes that many rows of the share, for the seed; `labels` is a Parquet file (`document_id`, `label`,
    `distribution`) of train rows with other labels, without a label when the row is left out; rows that it does not name stay.
    """

    key: str
    name: str
    seed: int
    method: Literal["fine_tuning", "few_shot_head"] = "fine_tuning"
    share: float = 1.0
    rows: int | None = None
    without_source: str | None = None
    labels: Path | None = None


class StudyJob(ManyTrainingsJob):
    """Train many models on parts of the train split; `results_folder` gets `<key>.json` and `<key>.parquet` (the dev split) of each."""

    results_folder: Path
    cells: tuple[Cell, ...]


class FoldsJob(ManyTrainingsJob):
    """Answer labelled documents by models that did not learn from them: one training for every fold.

    `dataset_folder` holds `train.parquet`, which has two columns more than a split: `fold`, whose documents one model answers, and
    `is_learnt_from`. `results_folder` gets `<fold>.parquet` of each fold.
    """

    results_folder: Path


def read_folds_job(path: Path) -> FoldsJob:
    """Read the job file of out-of-fold predictions.

    Raises:
        JobError: It is missing, not JSON, or a key is unknown or wrong.
    """
    return _read_job(path, FoldsJob)


def read_search_job(path: Path) -> SearchJob:
    """Read a search job file.

    Raises:
        JobError: It is missing, not JSON, or a key is unknown or wrong.
    """
    return _read_job(path, SearchJob)


def read_study_job(path: Path) -> StudyJob:
    """Read a study job file.

    Raises:
        JobError: It is missing, not JSON, or a key is unknown or wrong.
    """
    return _read_job(path, StudyJob)


def read_training_job(path: Path) -> TrainingJob:
    """Read a training job file.

    Raises:
        JobError: It is missing, not JSON, or a key is unknown or wrong.
    """
    return _read_job(path, TrainingJob)


def read_scoring_job(path: Path) -> ScoringJob:
    """Read a scoring job file.

    Raises:
        JobError: It is missing, not JSON, or a key is unknown or wrong.
    """
    return _read_job(path, ScoringJob)


def read_embedding_job(path: Path) -> EmbeddingJob:
    """Read an embedding job file.

    Raises:
        JobError: It is missing, not JSON, or a key is unknown or wrong.
    """
    return _read_job(path, EmbeddingJob)


def read_split(folder: Path, split: str, task: Task) -> pd.DataFrame:
    """One split of a data set: one row per document.

    Raises:
        JobError: The file or a column is missing, there is no row, an answer is not the task's, or a distribution has another length.
    """
    path = folder / f"{split}.parquet"
    if not path.is_file():
        raise JobError(f"Data set in {folder}: expected {path.name}, found {sorted(entry.name for entry in folder.glob('*'))}")
    frame = pd.read_parquet(path)
    missing = sorted(set(SPLIT_COLUMNS) - set(frame.columns))
    if missing or frame.empty:
        raise JobError(f"{path}: expected rows with columns {list(SPLIT_COLUMNS)}, found {len(frame)} rows, missing columns {missing}")
    for document_id, answer, distribution in zip(frame["document_id"], frame["label"], frame["distribution"], strict=True):
        _check_answer(f"{path}: document {document_id}", answer, distribution, task)
    return frame.reset_index(drop=True)


def _check_answer(where: str, answer: str, distribution: Sequence[float], task: Task) -> None:
    try:
        canonical_answer(answer, task)
    except AnswerError as error:
        raise JobError(f"{where}: {error}") from error
    if not task.has_spans and len(distribution) != len(task.labels):
        raise JobError(f"{where}: expected a share for each of the labels {list(task.labels)}, found {len(distribution)}")


def emit(event: str, **facts: object) -> None:
    """Print one line of JSON on standard output, at once."""
    sys.stdout.write(json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _read_job(path: Path, kind: type[Job]) -> Job:
    try:
        return kind.model_validate_json(_job_text(path))
    except ValidationError as error:
        raise JobError(f"Job {path}: expected the keys of {kind.__name__}, found {error}") from error


def _job_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"Job {path}: expected a readable JSON file, found {type(error).__name__}: {error}") from error

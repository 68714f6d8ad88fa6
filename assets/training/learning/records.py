"""What a training run is given and what it tells: examples, progress, evaluations, outcome.

Does not belong here: training (`finetuning.py`), what is kept on disk (`checkpoints.py`, `artifacts.py`).
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from assets.training.learning.encoding import EncodedTexts
from assets.training.learning.objectives import Floats, Targets


@dataclass(frozen=True)
class Examples:
    """What a model learns from, or is evaluated on.

    Attributes:
        documents: One row per document, columns of `training_dataset`.
        texts: Their rows of tokens.
        targets: Arrays over rows, or over tokens where the head is per token, as the objective made them.
    """

    documents: pd.DataFrame
    texts: EncodedTexts
    targets: Targets


@dataclass(frozen=True)
class Progress:
    """A report while training: steps done and planned, mean loss since the last report, real tokens per second of training alone."""

    step: int
    total_steps: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True)
class DevScore:
    """The dev split at one moment: loss and macro F1 (0 to 1), and the mean train loss since the evaluation before."""

    step: int
    epoch: float
    train_loss: float
    dev_loss: float
    dev_macro_f1: float


@dataclass(frozen=True)
class Outcome:
    """A finished training run; the model holds the weights of `best`.

    Attributes:
        best: The evaluation with the lowest dev loss.
        history: Every evaluation, in order.
        steps: Optimizer steps done (fewer than planned when stopped early).
        seconds: Wall time, summed over the processes of a resumed run.
        resumed_from: Step of the checkpoint it went on from; None for a fresh start.
        tokens_per_second: Real tokens trained on per second in this process, the time of evaluations aside.
        dev_outputs: What the kept weights say of dev, as `predict_outputs` gives it.
    """

    best: DevScore
    history: tuple[DevScore, ...]
    steps: int
    seconds: float
    resumed_from: int | None
    tokens_per_second: float
    dev_outputs: Floats


@dataclass(frozen=True)
class CheckpointPolicy:
    """Where checkpoints lie and when they are written.

    Attributes:
        folder: Emptied by nobody but the run's owner.
        identity: What the run is (data set, recipe, base model, code); checkpoints of other runs are passed over.
        min_seconds: Least time between two checkpoints.
        every_steps: Also after every so many steps; None goes by time alone.
    """

    folder: Path
    identity: str
    min_seconds: float = 30.0
    every_steps: int | None = None


class TrainingInterruptedError(RuntimeError):
    """The run was asked to stop; its newest checkpoint lets it go on later."""

"""The training loop: encoded texts and soft labels in, the best weights and their history out.

Why a loop of our own and not the Trainer of transformers: a resumed run must equal an uninterrupted one to the last bit (its data order is
restored late), targets are vote distributions, and checkpoints hold no pickles.

Belongs here: optimization, early stopping, resuming. Does not belong here: the network (`classifier.py`), reading files (`run.py`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assets.project import Training
from assets.training.checkpoints import Checkpoint, read_newest_checkpoint, write_checkpoint
from assets.training.classifier import TextClassifier, predict_logits, soft_label_loss
from assets.training.encoding import pad_batch, shuffled_batches
from assets.training.hardware import Hardware
from assets.training.metrics import macro_f1
from assets.training.records import CheckpointPolicy, DevScore, Examples, Outcome, Progress, TrainingInterruptedError

GRADIENT_NORM = 1.0
REPORT_EVERY_STEPS = 10
CHECKPOINT_COST_RATIO = 50
"""A checkpoint is due after this many times the seconds that the last one took: it costs at most 2 % of the run."""


@dataclass
class _Position:
    """Where a run is: all that changes from step to step beside weights, optimizer and random state."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    history: list[DevScore] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def best(self) -> DevScore | None:
        return min(self.history, key=lambda evaluation: evaluation.dev_loss, default=None)

    @property
    def evaluations_since_best(self) -> int:
        return len(self.history) - 1 - self.history.index(self.best) if self.best else 0


class FineTuning:
    """One training run of one model. `run` trains it and leaves the best weights in it."""

    def __init__(
        self,
        model: TextClassifier,
        train: Examples,
        dev: Examples,
        settings: Training,
        hardware: Hardware,
        poles: tuple[int, int] | None = None,
        checkpoints: CheckpointPolicy | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare a run; nothing is read or written yet.

        Args:
            model: Changed in place; its head must already be seeded.
            train: Rows to learn from.
            dev: Rows that decide which weights are kept.
            settings: The recipe.
            hardware: Where to run.
            poles: Index of the positive and of the negative label, for the valence term.
            checkpoints: None writes none.
            report: Called every few steps.
            should_stop: Asked after every step; true writes a checkpoint and raises `TrainingInterruptedError`.

        Raises:
            ValueError: No train or dev rows.
        """
        if not len(train.texts) or not len(dev.texts):
            raise ValueError(f"expected train and dev rows, found {len(train.texts)} train and {len(dev.texts)} dev rows")
        self.model, self.train, self.dev, self.settings, self.hardware = model.to(hardware.device), train, dev, settings, hardware
        self.poles, self.checkpoints, self.report, self.should_stop = poles, checkpoints, report, should_stop
        self.steps_per_epoch = -(-len(train.texts) // settings.batch_rows)
        self.total_steps = self.steps_per_epoch * settings.epochs
        self.evaluation_steps = _evaluation_steps(self.steps_per_epoch, settings.epochs, settings.evaluations_per_epoch)
        self.optimizer = _build_optimizer(model, settings, hardware)
        self.position = _Position()
        self._checkpoint_seconds, self._last_checkpoint = 0.0, 0.0

    def run(self) -> Outcome:
        """Train to the end of the epochs or until dev stops improving, then restore the best weights.

        Raises:
            TrainingInterruptedError: `should_stop` said so.
            FloatingPointError: The loss is not a number any more.
        """
        torch.manual_seed(self.settings.seed)
        resumed_from = self._resume()
        started, before, tokens = time.monotonic(), self.position.seconds, 0
        self._last_checkpoint = started
        while not self._is_finished():
            tokens += self._train_one_step()
            position = self.position
            position.seconds = before + time.monotonic() - started
            if position.step in self.evaluation_steps:
                self._evaluate()
            if position.step % REPORT_EVERY_STEPS == 0 or position.step == self.total_steps:
                self.report(self._progress(tokens, time.monotonic() - started))
            self._checkpoint_if_due()
        elapsed = time.monotonic() - started
        self.model.load_state_dict(self.position.best_weights, strict=False)
        assert self.position.best is not None
        return Outcome(
            best=self.position.best,
            history=tuple(self.position.history),
            steps=self.position.step,
            seconds=before + elapsed,
            resumed_from=resumed_from,
            tokens_per_second=tokens / elapsed if elapsed else 0.0,
        )

    def _is_finished(self) -> bool:
        return self.position.step >= self.total_steps or self.position.evaluations_since_best >= self.settings.patience

    def _train_one_step(self) -> int:
        """One optimizer step; returns the number of real tokens in its batch."""
        epoch, place = divmod(self.position.step, self.steps_per_epoch)
        if place == 0 or not hasattr(self, "_batches"):
            self._batches = shuffled_batches(self.train.texts.lengths, self.settings.batch_rows, self.settings.seed, epoch)
        rows = self._batches[place]
        ids, mask = pad_batch(self.train.texts, rows)
        self.model.train()
        with self.hardware.autocast():
            logits = self.model(ids.to(self.hardware.device), mask.to(self.hardware.device))
        loss = soft_label_loss(logits, *self._targets(self.train, rows), self.poles, self.settings.valence_weight)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * rate_factor(self.position.step, self.total_steps, self.settings.warmup_share)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._count(float(loss.detach()))
        return int(mask.sum())

    def _count(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"step {self.position.step + 1}: expected a finite loss, found {loss}; lower training.learning_rate or use precision fp32"
            )
        self.position.step += 1
        self.position.loss_sum += loss
        self.position.loss_steps += 1

    def _targets(self, examples: Examples, rows: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        device = self.hardware.device
        return torch.from_numpy(examples.distribution[rows]).to(device), torch.from_numpy(examples.valence[rows]).to(device)

    def _evaluate(self) -> None:
        """Score dev, extend the history, and copy the weights when they are the best so far (a copy: training goes on in place)."""
        position = self.position
        logits = predict_logits(self.model, self.dev.texts, self.hardware)
        distribution, valence = self.dev.distribution, self.dev.valence
        loss = soft_label_loss(
            torch.from_numpy(logits), torch.from_numpy(distribution), torch.from_numpy(valence), self.poles, self.settings.valence_weight
        )
        if not torch.isfinite(loss):
            raise FloatingPointError(f"step {position.step}: expected a finite loss on dev, found {float(loss)}; look at its distributions")
        score = macro_f1(distribution.argmax(1), logits.argmax(1), distribution.shape[1])
        train_loss = position.loss_sum / max(1, position.loss_steps)
        position.loss_sum, position.loss_steps = 0.0, 0
        position.history.append(DevScore(position.step, position.step / self.steps_per_epoch, train_loss, float(loss), score))
        if position.best is position.history[-1]:
            position.best_weights = {name: tensor.clone() for name, tensor in self._trained_weights().items()}

    def _trained_weights(self) -> dict[str, torch.Tensor]:
        """The weights that training changes, on the CPU; frozen ones are those of the base model."""
        return {name: weight.detach().cpu() for name, weight in self.model.named_parameters() if weight.requires_grad}

    def _progress(self, tokens: int, seconds: float) -> Progress:
        position = self.position
        recent = position.loss_sum / position.loss_steps if position.loss_steps else position.history[-1].train_loss
        return Progress(position.step, self.total_steps, recent, tokens / seconds if seconds else 0.0)

    def _checkpoint_if_due(self) -> None:
        is_stopping = self.should_stop() and not self._is_finished()
        if self.checkpoints is not None and (is_stopping or self._is_checkpoint_due(self.checkpoints)):
            started = time.monotonic()
            write_checkpoint(self.checkpoints.folder, self._checkpoint(self.checkpoints.identity))
            self._last_checkpoint = time.monotonic()
            self._checkpoint_seconds = self._last_checkpoint - started
        if is_stopping:
            raise TrainingInterruptedError(f"Stopped on request after step {self.position.step} of {self.total_steps}; run again to go on.")

    def _is_checkpoint_due(self, policy: CheckpointPolicy) -> bool:
        if policy.every_steps is not None:
            return self.position.step % policy.every_steps == 0
        wait = max(policy.min_seconds, CHECKPOINT_COST_RATIO * self._checkpoint_seconds)
        return time.monotonic() - self._last_checkpoint >= wait

    def _checkpoint(self, identity: str) -> Checkpoint:
        position = self.position
        tensors = {f"weight/{name}": tensor for name, tensor in self._trained_weights().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in position.best_weights.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{key}": tensor.cpu() for key, tensor in state.items()}
        tensors["random/cpu"] = torch.get_rng_state()
        if self.hardware.device == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state()
        facts: dict[str, Any] = {
            "identity": identity,
            "seconds": position.seconds,
            "loss_sum": position.loss_sum,
            "loss_steps": position.loss_steps,
            "history": [vars(evaluation) for evaluation in position.history],
        }
        return Checkpoint(position.step, tensors, facts)

    def _resume(self) -> int | None:
        """Go back to the newest checkpoint of this run, if there is one; returns its step."""
        checkpoint = read_newest_checkpoint(self.checkpoints.folder, self.checkpoints.identity) if self.checkpoints else None
        if checkpoint is None:
            return None
        parts: dict[str, dict[str, torch.Tensor]] = {"weight": {}, "best": {}, "optimizer": {}, "random": {}}
        for name, tensor in checkpoint.tensors.items():
            kind, _, rest = name.partition("/")
            parts[kind][rest] = tensor
        self.model.load_state_dict(parts["weight"], strict=False)
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, key = name.split("/")
            states.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({"state": states, "param_groups": self.optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(parts["random"]["cpu"])
        if self.hardware.device == "cuda" and "cuda" in parts["random"]:
            torch.cuda.set_rng_state(parts["random"]["cuda"])
        facts = checkpoint.facts
        history = [DevScore(**entry) for entry in facts["history"]]
        self.position = _Position(checkpoint.step, facts["seconds"], facts["loss_sum"], facts["loss_steps"], history, parts["best"])
        return checkpoint.step


def rate_factor(step: int, total_steps: int, warmup_share: float) -> float:
    """Learning rate of a step as a share of the highest: linear warm-up, then linear decay towards 0 (never 0 within the run)."""
    warmup = round(total_steps * warmup_share)
    if step < warmup:
        return (step + 1) / warmup
    return (total_steps - step) / max(1, total_steps - warmup)


def _evaluation_steps(steps_per_epoch: int, epochs: int, per_epoch: int) -> frozenset[int]:
    """Evenly spaced, and always the last step of an epoch."""
    within = {max(1, round(steps_per_epoch * number / per_epoch)) for number in range(1, per_epoch + 1)}
    return frozenset(epoch * steps_per_epoch + step for epoch in range(epochs) for step in within)


def _build_optimizer(model: TextClassifier, settings: Training, hardware: Hardware) -> torch.optim.AdamW:
    """AdamW; biases and normalization weights are not decayed. Fused: one pass over the weights, 8 times faster on a CPU."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)

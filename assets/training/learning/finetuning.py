"""The training loop: rows of tokens and targets in, the best weights and their history out.

Why a loop of our own and not the Trainer of transformers: a resumed run must equal an uninterrupted one to the last bit (its data order is
restored late), batches are packed, targets are vote distributions, and checkpoints hold no pickles.

Belongs here: optimization, early stopping, resuming. Does not belong here: the network (`network.py`), what is learnt (`objectives.py`),
rates and averages of weights (`weights.py`), reading files (`run.py`).
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from assets.training.learning.checkpoints import Checkpoint, read_newest_checkpoint, write_checkpoint
from assets.training.learning.encoding import Ints, shuffled_batches
from assets.training.learning.hardware import Hardware
from assets.training.learning.lanes import Lanes
from assets.training.learning.network import Network, compiled, predict_outputs
from assets.training.learning.objectives import Floats, Objective, dev_macro_f1
from assets.training.learning.packing import Batch, pack_rows
from assets.training.learning.processes import Processes
from assets.training.learning.records import CheckpointPolicy, DevScore, Examples, Outcome, Progress, TrainingInterruptedError
from assets.training.learning.row_gradients import hand_over_rows
from assets.training.learning.schedule import evaluation_steps, passes_per_epoch, rate_factor, seed_of_step
from assets.training.learning.weights import MovingAverage, Weights, build_optimizer, set_weights, trained_weights
from assets.training_settings import Training

GRADIENT_NORM = 1.0
REPORT_EVERY_STEPS = 10
CHECKPOINT_COST_RATIO = 50
"""A checkpoint is due after this many times the seconds that the last one took: it costs at most 2 % of the run."""


@dataclass
class _Position:
    """Where a run is: all that changes from step to step beside weights and optimizer. Randomness follows from the step's number."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    history: list[DevScore] = field(default_factory=list)
    best_weights: Weights = field(default_factory=dict)
    best_outputs: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

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
        model: Network,
        objective: Objective,
        train: Examples,
        dev: Examples,
        settings: Training,
        hardware: Hardware,
        checkpoints: CheckpointPolicy | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
        watch: Callable[[DevScore], None] = lambda score: None,
        should_stop: Callable[[], bool] = lambda: False,
        processes: Processes | None = None,
    ) -> None:
        """Prepare a run; nothing is read or written yet.

        Args:
            model: Changed in place; its head must already be seeded.
            objective: What is learnt.
            train: Rows to learn from.
            dev: Rows that decide which weights are kept.
            settings: The recipe.
            hardware: Where to run.
            checkpoints: None writes none.
            report: Called every few steps.
            watch: Called with every evaluation on dev; what it raises ends the run.
            should_stop: Asked after every step; true writes a checkpoint and raises `TrainingInterruptedError`.
            processes: Those that train together; None trains alone.

        Raises:
            ValueError: No train or dev rows.
            HardwareError: The network shall be compiled and cannot be.
        """
        if not len(train.texts) or not len(dev.texts):
            raise ValueError(f"expected train and dev rows, found {len(train.texts)} train and {len(dev.texts)} dev rows")
        self.model, self.objective, self.train, self.dev = model.to(hardware.device), objective, train, dev
        self.settings, self.hardware, self.processes = settings, hardware, processes or Processes(device=hardware.device)
        self.checkpoints, self.report, self.watch, self.should_stop = checkpoints, report, watch, should_stop
        self.passes = passes_per_epoch(settings.min_steps, settings.epochs, len(self._batches_of_pass(0)))
        self.steps_of_epoch = [len(self._batches_of(epoch)) for epoch in range(settings.epochs)]
        self.first_steps = np.cumsum([0, *self.steps_of_epoch])
        self.total_steps = int(self.first_steps[-1])
        self.evaluation_steps = evaluation_steps(self.first_steps, settings.evaluations_per_epoch)
        self.units_per_step = settings.epochs * self.passes * objective.units(train.targets) / self.total_steps
        self.optimizer = build_optimizer(model, settings)
        self.average = MovingAverage(model, settings.average_decay) if settings.average_decay else None
        is_plain = hardware.device == "cpu" and model.is_packed and self.processes.count == 1 and not settings.compile
        self.lanes = Lanes(hardware.threads, can_split=is_plain)
        if self.lanes.count > 1:
            hand_over_rows(model)
        self.forward = self.processes.wrap(compiled(model, hardware.device) if settings.compile else model)
        self.position = _Position()
        # Sums of so few float32 numbers are exact in float64: it does not matter when they are taken from the device.
        self._loss = torch.zeros((), dtype=torch.float64, device=hardware.device)
        self._epoch, self._batches = -1, list[Ints]()
        self._evaluation_seconds, self._checkpoint_seconds, self._last_checkpoint = 0.0, 0.0, 0.0

    def run(self) -> Outcome:
        """Train to the end of the epochs or until dev stops improving, then restore the best weights.

        Raises:
            TrainingInterruptedError: `should_stop` said so.
            FloatingPointError: The loss is not a number any more.
        """
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
                self._count_loss()
                self.report(self._progress(tokens, time.monotonic() - started - self._evaluation_seconds))
            self._checkpoint_if_due()
        elapsed = time.monotonic() - started
        set_weights(self.model, self.position.best_weights)
        assert self.position.best is not None
        return Outcome(
            best=self.position.best,
            history=tuple(self.position.history),
            steps=self.position.step,
            seconds=before + elapsed,
            resumed_from=resumed_from,
            tokens_per_second=_rate(tokens, elapsed - self._evaluation_seconds),
            dev_outputs=self.position.best_outputs,
        )

    def _is_finished(self) -> bool:
        return self.position.step >= self.total_steps or self.position.evaluations_since_best >= self.settings.patience

    def _batches_of(self, epoch: int) -> list[Ints]:
        first = epoch * self.passes
        return [batch for number in range(first, first + self.passes) for batch in self._batches_of_pass(number)]

    def _batches_of_pass(self, number: int) -> list[Ints]:
        return shuffled_batches(self.train.texts.lengths, self.settings.batch_tokens, self.settings.seed, number)

    def _rows_of_step(self) -> Ints:
        epoch = int(np.searchsorted(self.first_steps, self.position.step, side="right")) - 1
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._batches_of(epoch)
        return self._batches[self.position.step - int(self.first_steps[epoch])]

    def _train_one_step(self) -> int:
        """One optimizer step; returns the number of tokens in its batch."""
        rows = self._rows_of_step()
        seed = seed_of_step(self.settings.seed, self.position.step, self.processes.rank)
        torch.manual_seed(seed)
        self.model.train()
        parts = self.lanes.split(rows, self.train.texts.lengths)
        loss = self.lanes.add_gradients(self._loss_of, parts, list(trained_weights(self.model).values()), seed)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        factor = rate_factor(self.position.step, self.total_steps, self.settings.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optimizer.defaults["lr"] * factor * group["rate_share"]
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.position.step += 1
        self.position.loss_steps += 1
        self._loss += loss
        if self.average:
            self.average.update(self.position.step)
        return int(self.train.texts.lengths[rows].sum())

    def _loss_of(self, rows: Ints) -> torch.Tensor:
        """The loss of this process's rows of a batch, in units of a mean batch: every row weighs the same in whatever batch it is."""
        own = self.processes.share(rows)
        present = own if len(own) else rows[:1]  # a process without rows takes part with a loss of 0
        batch = pack_rows(self.train.texts, present, self.hardware.device)
        with self.hardware.autocast():
            outputs = self.forward(batch)
        total = self.objective.loss(outputs, self._targets(self.train, present, batch))
        return total * (self.processes.count * bool(len(own)) / self.units_per_step)

    def _targets(self, examples: Examples, rows: Ints, batch: Batch) -> dict[str, torch.Tensor]:
        places = batch.tokens if self.model.head.per_token else rows
        return {name: torch.from_numpy(target[places]).to(self.hardware.device) for name, target in examples.targets.items()}

    def _count_loss(self) -> None:
        """Take the loss of the last steps from the device, which waits for it, over all processes.

        Raises:
            FloatingPointError: It is not a number.
        """
        loss = float(self.processes.add(self._loss.cpu().numpy()[None].copy())[0])
        self._loss.zero_()
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"step {self.position.step}: expected a finite loss, found {loss}; lower training.learning_rate or use precision fp32"
            )
        self.position.loss_sum += loss

    def _mean_loss(self) -> float:
        """Of the steps counted since dev was scored."""
        return self.position.loss_sum / max(1, self.position.loss_steps) / self.processes.count

    def _evaluate(self) -> None:
        """Score dev, extend the history, and copy the weights when they are the best so far (a copy: training goes on in place)."""
        self._count_loss()
        started, position = time.monotonic(), self.position
        with self.average.in_place() if self.average else nullcontext():
            outputs = predict_outputs(self.model, self.dev.texts, self.hardware, self.processes)
            loss, score = self._score_dev(outputs)
            if not np.isfinite(loss):
                raise FloatingPointError(f"step {position.step}: expected a finite loss on dev, found {loss}; look at its distributions")
            train_loss = self._mean_loss()
            position.loss_sum, position.loss_steps = 0.0, 0
            epoch = position.step * self.settings.epochs / self.total_steps
            position.history.append(DevScore(position.step, epoch, train_loss, loss, score))
            if position.best is position.history[-1]:
                position.best_weights = {name: weight.detach().cpu().clone() for name, weight in trained_weights(self.model).items()}
                position.best_outputs = outputs
        self._evaluation_seconds += time.monotonic() - started
        self.watch(position.history[-1])

    def _score_dev(self, outputs: Floats) -> tuple[float, float]:
        """Mean loss and macro F1 on dev."""
        dev = self.dev
        total = self.objective.loss(torch.from_numpy(outputs), {name: torch.from_numpy(target) for name, target in dev.targets.items()})
        return float(total) / self.objective.units(dev.targets), dev_macro_f1(self.objective, outputs, dev.texts, dev.documents)

    def _progress(self, tokens: int, seconds: float) -> Progress:
        position = self.position
        recent = self._mean_loss() if position.loss_steps else position.history[-1].train_loss
        return Progress(position.step, self.total_steps, recent, _rate(tokens, seconds))

    def _checkpoint_if_due(self) -> None:
        is_asked, is_due = self.processes.any(self.should_stop(), self.processes.is_first and self._is_checkpoint_due())
        is_stopping = is_asked and not self._is_finished()
        if self.checkpoints and (is_stopping or is_due):
            self._count_loss()
            started = time.monotonic()
            if self.processes.is_first:
                self._write_checkpoint(self.checkpoints)
            self._last_checkpoint = time.monotonic()
            self._checkpoint_seconds = self._last_checkpoint - started
        if is_stopping:
            raise TrainingInterruptedError(f"Stopped on request after step {self.position.step} of {self.total_steps}; run again to go on.")

    def _is_checkpoint_due(self) -> bool:
        if self.checkpoints is None:
            return False
        if self.checkpoints.every_steps is not None:
            return self.position.step % self.checkpoints.every_steps == 0
        wait = max(self.checkpoints.min_seconds, CHECKPOINT_COST_RATIO * self._checkpoint_seconds)
        return time.monotonic() - self._last_checkpoint >= wait

    def _write_checkpoint(self, policy: CheckpointPolicy) -> None:
        position = self.position
        tensors = {f"weight/{name}": weight.detach().cpu() for name, weight in trained_weights(self.model).items()}
        tensors["outputs/best"] = torch.from_numpy(position.best_outputs)
        tensors |= {f"best/{name}": weight for name, weight in position.best_weights.items()}
        tensors |= {f"average/{name}": weight.cpu() for name, weight in (self.average.weights if self.average else {}).items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{key}": tensor.cpu() for key, tensor in state.items()}
        facts: dict[str, Any] = {
            "identity": policy.identity,
            "seconds": position.seconds,
            "loss_sum": position.loss_sum,
            "loss_steps": position.loss_steps,
            "history": [vars(evaluation) for evaluation in position.history],
        }
        write_checkpoint(policy.folder, Checkpoint(position.step, tensors, facts))

    def _resume(self) -> int | None:
        """Go back to the newest checkpoint of this run, if there is one; returns its step."""
        checkpoint = read_newest_checkpoint(self.checkpoints.folder, self.checkpoints.identity) if self.checkpoints else None
        self.processes.wait()
        if checkpoint is None:
            return None
        parts: dict[str, Weights] = {"weight": {}, "outputs": {}, "best": {}, "average": {}, "optimizer": {}}
        for name, tensor in checkpoint.tensors.items():
            kind, _, rest = name.partition("/")
            parts[kind][rest] = tensor
        set_weights(self.model, parts["weight"])
        if self.average:
            self.average.set({name: weight.to(self.hardware.device) for name, weight in parts["average"].items()})
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, key = name.split("/")
            states.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({"state": states, "param_groups": self.optimizer.state_dict()["param_groups"]})
        facts = checkpoint.facts
        self.position = _Position(
            step=checkpoint.step,
            seconds=facts["seconds"],
            loss_sum=facts["loss_sum"],
            loss_steps=facts["loss_steps"],
            history=[DevScore(**entry) for entry in facts["history"]],
            best_weights=parts["best"],
            best_outputs=parts["outputs"]["best"].numpy(),
        )
        return checkpoint.step


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0

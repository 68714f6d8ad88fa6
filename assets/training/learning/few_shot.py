"""A head on frozen embeddings, for the time when there are only a few labels.

The encoder stays as it is; a linear head is fitted on its pooled states by penalized maximum likelihood against the vote distribution, the
penalty chosen by cross-validation over groups. It is in units of each output's curvature of the loss: a squared error that weighs much, as
that of the valence, needs a larger penalty than a cross-entropy to be held back as much. It is the head of SetFit (Tunstall et al., 2022,
arXiv 2209.11055) without its contrastive stage, which the packaged sentence encoder went through already. benchmarks/few_shot.py measures
from how many labels fine-tuning wins.

Does not belong here: when it is used (`run.py`).
"""

import time
from collections.abc import Iterator

import pandas as pd
import torch

from assets.grouping import deal_groups
from assets.training.learning.hardware import Hardware
from assets.training.learning.network import Network, TokenHead, predict_states
from assets.training.learning.objectives import Objective, dev_macro_f1
from assets.training.learning.records import DevScore, Examples, Outcome

PENALTIES = (0.01, 0.1, 0.3, 1.0)
"""A larger one than the last gives lower losses with under a hundred labels, but fewer right answers (macro F1)."""
FOLDS = 5
MOST_ITERATIONS = 200

Tensors = dict[str, torch.Tensor]


def fit_head(model: Network, objective: Objective, train: Examples, dev: Examples, hardware: Hardware) -> Outcome:
    """Fit the head in place; the encoder is not changed. The outcome has one evaluation and no steps.

    Raises:
        ValueError: The head reads tokens, not texts.
    """
    if isinstance(model.head, TokenHead):
        raise ValueError("training.few_shot_below: expected a task with one answer per text, found one with spans; set it to 0")
    started = time.monotonic()
    model.to(hardware.device)
    states, dev_states = (torch.from_numpy(predict_states(model, part.texts, hardware)) for part in (train, dev))
    mean, spread = states.mean(0), states.std(0).clamp(min=1e-6)
    states, dev_states = (states - mean) / spread, (dev_states - mean) / spread
    targets, dev_targets = _tensors(train), _tensors(dev)
    penalty = choose_penalty(objective, states, targets, train.documents["group_id"])
    weight, bias = fit_linear(objective, states, targets, penalty, model.head.linear.out_features)
    with torch.no_grad():
        model.head.linear.weight.copy_(weight / spread)
        model.head.linear.bias.copy_(bias - (weight * (mean / spread)).sum(1))
    losses = [_mean_loss(objective, states_ @ weight.T + bias, found) for states_, found in ((states, targets), (dev_states, dev_targets))]
    dev_outputs = (dev_states @ weight.T + bias).numpy()
    macro_f1 = dev_macro_f1(objective, dev_outputs, dev.texts, dev.documents)
    score = DevScore(1, 1.0, losses[0], losses[1], macro_f1)
    seconds = time.monotonic() - started
    return Outcome(score, (score,), 0, seconds, None, len(train.texts.ids) / seconds, dev_outputs)


def choose_penalty(objective: Objective, states: torch.Tensor, targets: Tensors, groups: pd.Series) -> float:
    """The penalty with the lowest mean loss over folds of whole groups."""
    losses = {penalty: 0.0 for penalty in PENALTIES}
    for held_out in folds_of(groups):
        kept = ~held_out
        for penalty in PENALTIES:
            weight, bias = fit_linear(objective, states[kept], _pick(targets, kept), penalty, _outputs_of(targets))
            losses[penalty] += _mean_loss(objective, states[held_out] @ weight.T + bias, _pick(targets, held_out)) * int(held_out.sum())
    return min(losses, key=lambda penalty: losses[penalty])


def folds_of(groups: pd.Series) -> Iterator[torch.Tensor]:
    """Masks of the rows held out: whole groups, dealt in turn from the largest; fewer folds where there are fewer groups."""
    fold, count = deal_groups(groups, FOLDS), groups.nunique()
    for number in range(min(FOLDS, count) if count > 1 else 0):
        yield torch.from_numpy(fold == number)


def fit_linear(
    objective: Objective, states: torch.Tensor, targets: Tensors, penalty: float, outputs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (outputs, H) and biases (outputs,) with the least mean loss plus penalized squared weights. Convex, by L-BFGS.

    The squared weights of an output count `penalty` times the curvature of the loss in it.
    """
    penalties = penalty * curvature_of(objective, targets, outputs)
    weight = torch.zeros((outputs, states.shape[1]), requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe")

    def evaluate() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective.loss(states @ weight.T + bias, targets) / len(states) + penalties @ weight.square().sum(1)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(evaluate)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def curvature_of(objective: Objective, targets: Tensors, outputs: int) -> torch.Tensor:
    """Second derivative of the mean loss by each output, (outputs,), where all outputs are 0."""
    rows = len(targets["distribution"])

    def mean_loss(bias: torch.Tensor) -> torch.Tensor:
        return objective.loss(bias.expand(rows, outputs), targets) / rows

    hessian: torch.Tensor = torch.autograd.functional.hessian(mean_loss, torch.zeros(outputs))  # type: ignore[no-untyped-call]
    return hessian.diagonal()


def _tensors(examples: Examples) -> Tensors:
    return {name: torch.from_numpy(target) for name, target in examples.targets.items()}


def _pick(targets: Tensors, rows: torch.Tensor) -> Tensors:
    return {name: target[rows] for name, target in targets.items()}


def _outputs_of(targets: Tensors) -> int:
    return targets["distribution"].shape[1] + ("valence" in targets)


def _mean_loss(objective: Objective, outputs: torch.Tensor, targets: Tensors) -> float:
    return float(objective.loss(outputs, targets)) / len(outputs)

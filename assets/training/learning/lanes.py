"""Lanes: threads that each take some rows through the network, and in training back, and meet once a step.

The threads within one matrix product wait for each other at the end of every one of a step's thousand products; two lanes with half the
cores each wait once. On two cores that trains 1.3 times as many tokens a second, and on a busy machine more. The gradients are the same
up to rounding, and the same bits in every run: each lane has randomness of its own, and the lanes are added up in order.

Does not belong here: several processes (`processes.py`), the optimizer (`finetuning.py`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from assets.training.learning.dropout import seed_dropout
from assets.training.learning.encoding import Ints
from assets.training.learning.row_gradients import RowGradients

LANES = 2
"""More were not measured: every lane has a copy of the gradients, and all take turns at the interpreter."""

Loss = Callable[[Ints], torch.Tensor]


class Lanes:
    """Threads that share the rows of a batch."""

    def __init__(self, threads: int, *, can_split: bool) -> None:
        """Start them.

        Args:
            threads: CPU threads to use; with fewer than two there is one lane.
            can_split: Whether the network is randomly different by `dropout.drop` alone, and its weights have no hooks.
        """
        self.count = LANES if can_split and threads >= LANES else 1
        self._rows = RowGradients()
        self._pool = ThreadPoolExecutor(self.count, "lane", torch.set_num_threads, (max(1, threads // self.count),))

    def split(self, rows: Ints, lengths: Ints) -> list[Ints]:
        """Rows for each lane, of about the same number of tokens; no lane is without rows."""
        longest_first = rows[np.argsort(-lengths[rows], kind="stable")]
        return [part for lane in range(self.count) if len(part := longest_first[lane :: self.count])] if self.count > 1 else [rows]

    def add_gradients(self, loss_of: Loss, parts: Sequence[Ints], weights: Sequence[torch.nn.Parameter], seed: int) -> torch.Tensor:
        """The summed loss of the parts, whose gradients the weights have afterwards; those that nothing depends on have none.

        Args:
            loss_of: The loss of some rows, with a graph.
            parts: The rows of each lane.
            weights: Trained weights, without gradients.
            seed: Of the step.
        """
        if self.count == 1:
            seed_dropout(seed)
            loss = loss_of(parts[0])
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()

        def work(lane: int) -> tuple[torch.Tensor, tuple[torch.Tensor | None, ...]]:
            seed_dropout(seed + lane)
            loss = loss_of(parts[lane])
            return loss.detach(), torch.autograd.grad(loss, weights, allow_unused=True)

        losses, gradients = zip(*self._pool.map(work, range(len(parts))), strict=True)
        for weight, *found in zip(weights, *gradients, strict=True):
            weight.grad = self._sum(weight, [gradient for gradient in found if gradient is not None])
        return torch.stack(losses).sum()

    def _sum(self, weight: torch.nn.Parameter, gradients: Sequence[torch.Tensor]) -> torch.Tensor | None:
        if not gradients:
            return None
        if gradients[0].is_sparse:
            return self._rows.add(weight, gradients)
        total = gradients[0]
        for gradient in gradients[1:]:
            total.add_(gradient)
        return total


def run_in_lanes(work: Callable[[Ints], None], batches: Sequence[Ints], threads: int) -> None:
    """Do something with every batch, two at a time where there are two threads or more, each with its share of them.

    Args:
        work: Given the rows of a batch; called from several threads.
        batches: Rows of each.
        threads: CPU threads to use.
    """
    lanes = min(LANES, threads, len(batches))
    if lanes < LANES:
        for batch in batches:
            work(batch)
        return
    with ThreadPoolExecutor(lanes, "lane", torch.set_num_threads, (threads // lanes,)) as pool:
        for _ in pool.map(work, batches):
            pass

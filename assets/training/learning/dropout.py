"""Dropout whose randomness belongs to the thread that draws it, so that two threads can share a batch and still repeat to the last bit.

torch has one generator for all threads of a processor. Masks are also cheaper here: one draw of 64 bits decides on four numbers.
On CUDA, and while compiling, it is torch's own.

Does not belong here: which parts of a batch run side by side (`lanes.py`), dropout rates (`network.set_dropout`).
"""

import math
import threading

import torch
from torch import nn
from torch.nn import functional

_own = threading.local()
LEAST, STEPS = -(2**15), 2**16
"""Smallest value and number of values of 16 bits: rates are kept in steps of 1 / 65,536."""


def seed_dropout(seed: int) -> None:
    """Begin this thread's randomness anew."""
    _own.generator = torch.Generator().manual_seed(seed)


def drop(states: torch.Tensor, rate: float, *, is_training: bool) -> torch.Tensor:
    """Set each number to 0 with probability `rate`, 0 to below 1, and scale the others by 1 / (1 - rate); in training only.

    A thread that was never seeded draws from torch's generator.
    """
    if not is_training or rate == 0:
        return states
    if states.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(states, rate)
    count = states.numel()
    drawn = torch.empty(math.ceil(count / 4), dtype=torch.int64)
    drawn.random_(-(2**63), None, generator=getattr(_own, "generator", None))
    kept = drawn.view(torch.int16)[:count].view(states.shape) >= LEAST + round(rate * STEPS)
    return states * kept.to(states.dtype).mul_(1 / (1 - rate))


class Dropout(nn.Dropout):
    """A layer that does `drop`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Of any shape."""
        return drop(input, self.p, is_training=self.training)


def use_own_dropout(model: nn.Module) -> None:
    """Put `Dropout` in place of every layer of torch's."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p))

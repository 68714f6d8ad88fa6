"""Several processes that train one model together (torchrun): each takes its share of every batch, gradients are averaged.

Alone, everything here does nothing. Source: Li et al., PyTorch Distributed, VLDB 2020 (arXiv 2006.15704).
Does not belong here: the training loop (`finetuning.py`), choosing the hardware (`hardware.py`).
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed, nn

from assets.training.learning.encoding import Ints

Number = TypeVar("Number", bound=np.floating[Any])
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        device: `cpu` or `cuda`.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """The one that reports, and writes checkpoints and the model."""
        return self.rank == 0

    def share(self, rows: Ints) -> Ints:
        """The rows of a batch that are this process's; possibly none."""
        return rows[self.rank :: self.count]

    def wrap(self, model: nn.Module) -> Callable[..., torch.Tensor]:
        """The model's forward pass; its backward pass averages the gradients over all processes.

        Weights that no output depends on, as those of a pooler, are looked for in every step: they keep having no gradient.
        """
        return model if self.count == 1 else nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)

    def add(self, part: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """The sum of every process's array, the same bits everywhere."""
        if self.count == 1:
            return part
        whole = torch.from_numpy(part).to(self.device)
        distributed.all_reduce(whole)
        return np.asarray(whole.cpu().numpy())

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Of each flag, whether any process sets it."""
        return flags if self.count == 1 else tuple((self.add(np.array(flags, dtype=np.float32)) > 0).tolist())

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


def join_processes(device: str) -> Processes:
    """Join the processes that torchrun started; alone when it did not. On CUDA each takes the card of its number."""
    if not distributed.is_torchelastic_launched():
        return Processes(device=device)
    _end_with_parent()
    if device == "cuda":
        torch.cuda.set_device(distributed.get_node_local_rank())
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return Processes(distributed.get_rank(), distributed.get_world_size(), device)


def _end_with_parent() -> None:
    """Have the kernel end this process politely when the one that started it dies: two trainings must not share a folder."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def leave_processes(processes: Processes) -> None:
    """Close what `join_processes` opened."""
    if processes.count > 1:
        distributed.destroy_process_group()


def pin_to_cores(rank: int, count: int) -> int:
    """Keep this process's threads on its share of the cores that it may use; returns how many those are."""
    if not hasattr(os, "sched_setaffinity"):
        return max(1, (os.cpu_count() or 1) // count)
    cores = sorted(os.sched_getaffinity(0))
    own = cores[rank::count] or cores
    os.sched_setaffinity(0, own)
    return len(own)

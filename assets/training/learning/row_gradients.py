"""Gradients of embeddings, of which a batch reads few rows: nearly all of a dense gradient is zeros, made anew for every step.

The packaged encoder's vocabulary has 30,522 rows, a batch some 700 of them; filling the rest took a tenth of a step. Here the embedding
hands over the rows that were read, and they go into one dense gradient that is kept from step to step: the optimizer sees what it saw
before.

Does not belong here: which threads make the gradients (`lanes.py`), the optimizer (`weights.py`).
"""

from collections.abc import Sequence

import torch
from torch import nn


def hand_over_rows(model: nn.Module) -> None:
    """Let every embedding of a model give gradients of the rows it read (sparse tensors), for `RowGradients` to add up."""
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = True


class RowGradients:
    """Dense gradients, each with the rows that are not zero in it."""

    def __init__(self) -> None:
        self._kept: dict[nn.Parameter, tuple[torch.Tensor, list[torch.Tensor]]] = {}

    def add(self, weight: nn.Parameter, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The sum of sparse gradients of one weight, dense, of its shape; good until the next call for that weight.

        Args:
            weight: What they are gradients of, (rows, width).
            parts: Sparse in the rows; added in order.
        """
        gradient, filled = self._kept.get(weight, (None, []))
        if gradient is None:
            gradient = torch.zeros_like(weight)
        for rows in filled:
            gradient.index_fill_(0, rows, 0)
        filled = []
        for part in (part.coalesce() for part in parts):
            rows = part.indices()[0]
            gradient.index_add_(0, rows, part.values())
            filled.append(rows)
        self._kept[weight] = (gradient, filled)
        return gradient

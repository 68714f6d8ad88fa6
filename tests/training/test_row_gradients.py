import numpy as np
import pytest
import torch
from torch import nn

from assets.training.learning.lanes import Lanes
from assets.training.learning.row_gradients import RowGradients, hand_over_rows

PARTS = [np.array([[1, 2, 2], [5, 0, 1]]), np.array([[7, 1, 0]])]


def gradient_of(module: nn.Embedding, parts: list[np.ndarray], lanes: Lanes) -> torch.Tensor:
    module.weight.grad = None
    lanes.add_gradients(lambda ids: (module(torch.from_numpy(ids)) ** 2).sum(), parts, [module.weight], 0)
    assert module.weight.grad is not None
    return module.weight.grad


def dense_gradient(weight: torch.Tensor, parts: list[np.ndarray], padding: int | None) -> torch.Tensor:
    module = nn.Embedding(*weight.shape, padding_idx=padding, _weight=weight.clone())
    (sum((module(torch.from_numpy(part)) ** 2).sum() for part in parts)).backward()
    return module.weight.grad


@pytest.mark.parametrize("padding", [None, 0])
def test_rows_make_the_gradient_that_a_dense_one_would_be_step_after_step(padding):
    module, lanes = nn.Embedding(9, 4, padding_idx=padding), Lanes(2, can_split=True)
    expected = [dense_gradient(module.weight.detach(), parts, padding) for parts in (PARTS, PARTS[::-1], PARTS[1:] * 2)]
    hand_over_rows(module)
    found = [gradient_of(module, parts, lanes).clone() for parts in (PARTS, PARTS[::-1], PARTS[1:] * 2)]
    for step, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(step, wanted, rtol=1e-6, atol=1e-6)
        assert not step.is_sparse


def test_a_gradient_that_was_clipped_in_place_leaves_nothing_behind():
    weight, rows = nn.Parameter(torch.zeros(6, 2)), RowGradients()
    rows.add(weight, [torch.sparse_coo_tensor([[1, 4]], [[1.0, 2.0], [3.0, 4.0]], (6, 2), check_invariants=True)]).mul_(0.5)
    found = rows.add(weight, [torch.sparse_coo_tensor([[2, 2]], [[1.0, 1.0], [5.0, 5.0]], (6, 2), check_invariants=True)])
    assert found.tolist() == [[0, 0], [0, 0], [6, 6], [0, 0], [0, 0], [0, 0]]


def test_the_same_memory_is_used_again_and_each_weight_has_its_own():
    weights, rows = [nn.Parameter(torch.zeros(3, 1)) for _ in range(2)], RowGradients()
    part = torch.sparse_coo_tensor([[0]], [[1.0]], (3, 1), check_invariants=True)
    first, other, again = rows.add(weights[0], [part]), rows.add(weights[1], [part]), rows.add(weights[0], [part])
    assert first.data_ptr() == again.data_ptr() != other.data_ptr()

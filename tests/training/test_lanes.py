import threading

import numpy as np
import pytest
import torch

from assets.training.learning import dropout
from assets.training.learning.lanes import LANES, Lanes, run_in_lanes

LENGTHS = np.array([3, 9, 1, 7, 5, 2])


@pytest.mark.parametrize(("threads", "can_split", "count"), [(1, True, 1), (2, True, 2), (8, True, 2), (8, False, 1)])
def test_there_are_lanes_where_there_are_threads_and_the_network_can_be_shared(threads, can_split, count):
    assert Lanes(threads, can_split=can_split).count == count


def test_lanes_take_rows_in_turn_from_the_longest():
    parts = Lanes(2, can_split=True).split(np.array([0, 1, 3, 4, 5]), LENGTHS)
    assert [part.tolist() for part in parts] == [[1, 4, 5], [3, 0]]


def test_a_single_row_needs_a_single_lane():
    assert [part.tolist() for part in Lanes(2, can_split=True).split(np.array([4]), LENGTHS)] == [[4]]


def test_one_lane_keeps_the_rows_as_they_are():
    assert [part.tolist() for part in Lanes(1, can_split=True).split(np.array([4, 1, 3]), LENGTHS)] == [[4, 1, 3]]


def test_gradients_of_lanes_add_up_and_unused_weights_have_none():
    used, unused = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    lanes = Lanes(2, can_split=True)
    loss = lanes.add_gradients(lambda rows: (used * float(rows.sum())).sum(), [np.array([1, 2]), np.array([4])], [used, unused], 0)
    assert float(loss) == 21.0
    assert used.grad.tolist() == [7.0, 7.0, 7.0]
    assert unused.grad is None


def test_a_weight_that_one_lane_alone_uses_has_that_gradient():
    weights = [torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))]
    Lanes(2, can_split=True).add_gradients(lambda rows: 2 * weights[int(rows[0])].sum(), [np.array([0]), np.array([1])], weights, 0)
    assert [float(weight.grad) for weight in weights] == [2.0, 2.0]


def test_an_error_in_a_lane_is_raised():
    def fail(rows):
        raise FloatingPointError("no number")

    with pytest.raises(FloatingPointError, match="no number"):
        Lanes(2, can_split=True).add_gradients(fail, [np.array([0]), np.array([1])], [], 0)


@pytest.mark.parametrize(("threads", "batches", "workers"), [(1, 4, 0), (2, 1, 0), (2, 4, LANES), (5, 9, LANES)])
def test_batches_are_worked_on_two_at_a_time(threads, batches, workers):
    seen, names = [], set()
    both = threading.Barrier(LANES, timeout=20)

    def work(rows):
        if workers and len(names) < LANES:
            names.add(threading.current_thread().name)
            both.wait()
        names.add(threading.current_thread().name)
        seen.append(int(rows[0]))

    run_in_lanes(work, [np.array([number]) for number in range(batches)], threads)
    assert sorted(seen) == list(range(batches))
    assert len({name for name in names if name.startswith("lane")}) == workers


def test_dropout_repeats_by_the_seed_of_its_own_thread():
    states = torch.ones(1001)
    dropout.seed_dropout(7)
    first = dropout.drop(states, 0.3, is_training=True)
    torch.manual_seed(1)
    other = []
    thread = threading.Thread(target=lambda: (dropout.seed_dropout(7), other.append(dropout.drop(states, 0.3, is_training=True))))
    thread.start()
    thread.join()
    assert torch.equal(first, other[0])
    assert not torch.equal(first, dropout.drop(states, 0.3, is_training=True))


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_dropout_drops_as_many_as_it_says_and_scales_the_others(rate):
    dropout.seed_dropout(1)
    found = dropout.drop(torch.ones(200_003, dtype=torch.float64), rate, is_training=True)
    assert float((found == 0).double().mean()) == pytest.approx(rate, abs=0.005)
    assert set(found.unique().tolist()) == {0.0, 1 / (1 - rate)}


def test_each_of_the_four_numbers_of_a_draw_is_dropped_as_often():
    dropout.seed_dropout(1)
    dropped = dropout.drop(torch.ones(400_000), 0.1, is_training=True) == 0
    assert dropped.view(-1, 4).double().mean(0).tolist() == pytest.approx([0.1] * 4, abs=0.004)
    assert float(torch.corrcoef(dropped.view(-1, 4).double().T).triu(1).abs().max()) < 0.02


def test_nothing_is_dropped_outside_training_or_at_rate_zero():
    states = torch.randn(5, 3)
    assert dropout.drop(states, 0.5, is_training=False) is states
    assert dropout.drop(states, 0.0, is_training=True) is states


def test_the_layers_of_torch_are_replaced_with_their_rates():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ModuleDict({"drop": torch.nn.Dropout(0.3)}))
    dropout.use_own_dropout(model)
    assert type(model[1]["drop"]) is dropout.Dropout
    assert model[1]["drop"].p == 0.3

"""What a step of a training run has from its number alone: its learning rate, its randomness, whether dev is scored after it.

Does not belong here: the loop (`finetuning.py`), the rates of single weights (`weights.py`).
"""

from itertools import pairwise

import numpy as np

from assets.training.learning.encoding import Ints


def rate_factor(step: int, total_steps: int, warmup_share: float) -> float:
    """Learning rate of a step as a share of the highest: linear warm-up, then linear decay towards 0 (never 0 within the run)."""
    warmup = round(total_steps * warmup_share)
    if step < warmup:
        return (step + 1) / warmup
    return (total_steps - step) / max(1, total_steps - warmup)


def seed_of_step(seed: int, step: int, rank: int) -> int:
    """The seed of everything random in one step of one process, so that a resumed run needs no saved random state."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def evaluation_steps(first_steps: Ints, per_epoch: int) -> frozenset[int]:
    """Steps after which dev is scored: evenly spaced, and always the last step of an epoch.

    Args:
        first_steps: First step of each epoch, and the number of all steps.
        per_epoch: How many in each epoch.
    """
    shares = np.arange(1, per_epoch + 1) / per_epoch
    within = [start + np.maximum(1, np.rint((end - start) * shares)) for start, end in pairwise(first_steps)]
    return frozenset(np.concatenate(within).astype(int).tolist())


def passes_per_epoch(min_steps: int, epochs: int, steps_of_pass: int) -> int:
    """How often an epoch goes over the train rows: once, or as often as brings the run nearest to its least number of steps."""
    return max(1, round(min_steps / (epochs * steps_of_pass)))

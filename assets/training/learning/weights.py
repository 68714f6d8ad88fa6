"""The weights that training changes: their rates, and their moving average.

Does not belong here: the loop (`finetuning.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from assets.training.learning.network import Network, layers_of
from assets.training_settings import Training

Weights = dict[str, torch.Tensor]


def trained_weights(model: Network) -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


RATES = {384: 1.5e-4, 768: 5e-5}
"""Highest learning rate by the greatest width of an encoder: narrow ones as measured (docs/benchmarks.md), wide ones within the range of
Devlin et al. (NAACL 2019, appendix A.3)."""
RATE_OF_WIDER = 2e-5


def learning_rate_of(model: Network, settings: Training) -> float:
    """The highest learning rate: that of the settings, or one for the width of the encoder."""
    width = model.encoder.config.hidden_size
    return settings.learning_rate or next((rate for widest, rate in RATES.items() if width <= widest), RATE_OF_WIDER)


def build_optimizer(model: Network, settings: Training) -> torch.optim.AdamW:
    """AdamW over groups with their own `rate_share`. Biases and normalization weights are not decayed.

    Lower layers learn more slowly by `layer_decay` each (Howard and Ruder, ACL 2018, arXiv 1801.06146, section 3.2). Fused: one pass over
    the weights, 8 times faster on a CPU.
    """
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    height = heights(model) if settings.layer_decay < 1 else {}
    for name, weight in trained_weights(model).items():
        groups.setdefault((height.get(name, 0), weight.ndim > 1), []).append(weight)
    return torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": settings.weight_decay * is_decayed, "rate_share": settings.layer_decay**steps}
            for (steps, is_decayed), weights in groups.items()
        ],
        lr=learning_rate_of(model, settings),
        fused=True,
    )


def heights(model: Network) -> dict[str, int]:
    """How far below the head each parameter is: 0 the head, 1 the highest layer, one more than there are layers the embeddings."""
    layers = layers_of(model.encoder)
    of_layer = {id(weight): len(layers) - number for number, layer in enumerate(layers) for weight in layer.parameters()}
    of_head = {id(weight) for weight in model.head.parameters()}
    return {name: 0 if id(weight) in of_head else of_layer.get(id(weight), len(layers) + 1) for name, weight in model.named_parameters()}


class MovingAverage:
    """An exponential moving average of the trained weights (Polyak and Juditsky, 1992; warm-up as in Tarvainen and Valpola, 2017).

    Attributes:
        weights: The average, by name.
    """

    def __init__(self, model: Network, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.weights: Weights = {name: weight.detach().clone() for name, weight in trained_weights(model).items()}

    def set(self, weights: Weights) -> None:
        """Go on from another average, in whatever order its weights come."""
        self.weights = {name: weights[name] for name in trained_weights(self.model)}

    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1; early steps count for more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = [weight.detach() for weight in trained_weights(self.model).values()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the averaged weights, for the time of the block."""
        own = {name: weight.detach().clone() for name, weight in trained_weights(self.model).items()}
        set_weights(self.model, self.weights)
        try:
            yield
        finally:
            set_weights(self.model, own)


def set_weights(model: Network, weights: Weights) -> None:
    """Copy weights into a model by name."""
    with torch.no_grad():
        for name, weight in trained_weights(model).items():
            weight.copy_(weights[name])

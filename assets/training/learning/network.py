"""The network: a pre-trained encoder and a head over its states; its pass over many texts.

Does not belong here: what the head's outputs mean (`objectives.py`), the optimization (`finetuning.py`), files (`artifacts.py`), where
the encoder comes from (`encoder.py`).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from assets.training.learning.dropout import use_own_dropout
from assets.training.learning.encoding import EncodedTexts, Ints, batches_by_budget
from assets.training.learning.hardware import Hardware, HardwareError
from assets.training.learning.lanes import run_in_lanes
from assets.training.learning.packing import Batch, encode_batch, pack_rows, use_packed_attention
from assets.training.learning.processes import Processes

Pooling = Literal["mean", "cls"]
Outputs = npt.NDArray[np.float32]

SCORING_TOKENS = {"cpu": 1_024, "cuda": 8_192}
"""Padded tokens per scoring batch: few enough for a processor's caches (a sixth faster than with 4,096), enough to keep a GPU busy."""


class TextHead(nn.Module):
    """One row of outputs per text, from the pooled states."""

    per_token = False

    def __init__(self, hidden: int, outputs: int, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, outputs) of states (N, H)."""
        outputs: torch.Tensor = self.linear(self.pool(states, batch))
        return outputs

    def pool(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """One vector per text: (B, H)."""
        if self.pooling == "cls":
            return torch.index_select(states, 0, batch.starts[:-1].long())
        sums = states.new_zeros((batch.size, states.shape[1])).index_add(0, batch.rows, states)
        return sums / batch.starts.diff().clamp(min=1)[:, None].to(states.dtype)


class PairHead(nn.Module):
    """One row of outputs per text, from the states of two marker tokens (entity markers: arXiv 1906.03158, figure 3f).

    A text that has lost a marker, because it was cut, is read at its first token instead.
    """

    per_token = False

    def __init__(self, hidden: int, outputs: int, markers: Sequence[int]) -> None:
        super().__init__()
        self.markers = tuple(markers)
        self.linear = nn.Linear(2 * hidden, outputs)

    def forward(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, outputs) of states (N, H)."""
        outputs: torch.Tensor = self.linear(self.pool(states, batch))
        return outputs

    def pool(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The states of both markers, side by side: (B, 2 H)."""
        places = []
        for marker in self.markers:
            found = torch.nonzero(batch.ids == marker).flatten()
            nowhere = torch.full_like(batch.starts[:-1], len(batch.ids), dtype=torch.int64)
            first = nowhere.scatter_reduce(0, batch.rows[found], found, "amin")
            place = torch.where(first < nowhere, first, batch.starts[:-1].long())
            places.append(torch.index_select(states, 0, place))
        return torch.cat(places, dim=1)


class TokenHead(nn.Module):
    """One row of outputs per token."""

    per_token = True

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(N, outputs) of states (N, H)."""
        outputs: torch.Tensor = self.linear(states)
        return outputs


Head = TextHead | PairHead | TokenHead


class HeadedEncoder(nn.Module):
    """Anything that turns a batch into states, with a head over them."""

    head: Head
    padding_id: int

    def states(self, batch: Batch) -> torch.Tensor:
        """States of the encoder's last layer, (N, H)."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a batch is encoded")

    def forward(self, batch: Batch) -> torch.Tensor:
        """Outputs, (B, outputs) or (N, outputs), float32."""
        outputs: torch.Tensor = self.head(self.states(batch), batch)
        return outputs.float()


class Network(HeadedEncoder):
    """An encoder of transformers with a head."""

    def __init__(self, encoder: PreTrainedModel, head: Head, padding_id: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.padding_id = padding_id
        self.is_packed = use_packed_attention(encoder)
        use_own_dropout(self)

    def states(self, batch: Batch) -> torch.Tensor:
        """States of the encoder's last layer, (N, H)."""
        return encode_batch(self.encoder, batch, self.padding_id)


def compiled(model: Network, device: str) -> nn.Module:
    """The network compiled for batches of any shape.

    Raises:
        HardwareError: The CPU's code cannot be compiled here.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        if device == "cpu":
            get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise HardwareError("training.compile: expected a C++ compiler, found none; install g++ or set it to false") from error
    network: nn.Module = torch.compile(model, dynamic=True)  # type: ignore[assignment]
    return network


def layers_of(encoder: PreTrainedModel) -> nn.ModuleList:
    """The encoder's layers, lowest first.

    Raises:
        ValueError: They are not in a list that can be recognized.
    """
    depth = getattr(encoder.config, "num_hidden_layers", None)
    found = next((module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == depth), None)
    if found is None:
        raise ValueError(f"expected an encoder with its {depth} layers in one list, found none in {type(encoder).__name__}")
    return found


def freeze_lowest_layers(encoder: PreTrainedModel, count: int) -> None:
    """Keep the pre-trained weights of the embeddings and of the lowest layers; 0 freezes nothing.

    Raises:
        ValueError: The encoder has fewer layers.
    """
    if count == 0:
        return
    layers = layers_of(encoder)
    if count > len(layers):
        raise ValueError(f"training.frozen_layers: expected at most the encoder's {len(layers)} layers, found {count}")
    for part in (embeddings_of(encoder), *layers[:count]):
        part.requires_grad_(False)


def embeddings_of(encoder: PreTrainedModel) -> nn.Module:
    """The part of the encoder below its layers."""
    found = getattr(encoder, "embeddings", None)
    return found if isinstance(found, nn.Module) else encoder.get_input_embeddings()


def set_dropout(model: nn.Module, rate: float | None) -> None:
    """Use one dropout rate everywhere; None keeps each layer's own."""
    for module in model.modules() if rate is not None else ():
        if isinstance(module, nn.Dropout):
            module.p = float(rate or 0.0)


def predict_outputs(model: HeadedEncoder, texts: EncodedTexts, hardware: Hardware, processes: Processes | None = None) -> Outputs:
    """Outputs of every row (rows, outputs), or of every token (total tokens, outputs), in order. Leaves the model in `eval` mode.

    Rows of similar length are scored together; several processes share the work, and all get all outputs.
    """
    processes = processes or Processes()
    model.eval()
    units = len(texts.ids) if model.head.per_token else len(texts)
    outputs = np.zeros((units, model.head.linear.out_features), dtype=np.float32)

    def predict(rows: Ints) -> None:
        with torch.inference_mode(), hardware.autocast():
            batch = pack_rows(texts, rows, hardware.device)
            outputs[batch.tokens if model.head.per_token else rows] = model(batch).cpu().numpy()

    batches = batches_by_budget(texts.lengths, SCORING_TOKENS[hardware.device])[processes.rank :: processes.count]
    run_in_lanes(predict, batches, threads_for(model, hardware))
    return processes.add(outputs)


def predict_states(model: Network, texts: EncodedTexts, hardware: Hardware) -> Outputs:
    """What the head's linear layer sees of every row, (rows, H or 2 H), in order. Leaves the model in `eval` mode.

    Raises:
        ValueError: The head reads tokens.
    """
    head = model.head
    if isinstance(head, TokenHead):
        raise ValueError("expected a head that reads texts, found one that reads tokens")
    model.eval()
    states = np.zeros((len(texts), head.linear.in_features), dtype=np.float32)

    def predict(rows: Ints) -> None:
        with torch.inference_mode(), hardware.autocast():
            batch = pack_rows(texts, rows, hardware.device)
            states[rows] = head.pool(model.states(batch), batch).float().cpu().numpy()

    run_in_lanes(predict, batches_by_budget(texts.lengths, SCORING_TOKENS[hardware.device]), threads_for(model, hardware))
    return states


def threads_for(model: HeadedEncoder, hardware: Hardware) -> int:
    """Threads that may each score a batch: those of a processor, unless the encoder shares its work among threads itself."""
    return hardware.threads if hardware.device == "cpu" and isinstance(model, Network) else 1


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Probabilities over the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    probabilities: npt.NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities

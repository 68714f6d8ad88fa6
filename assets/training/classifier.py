"""The network: a pre-trained encoder, pooling, one linear layer to the labels; its loss and its forward pass over many texts.

Does not belong here: the optimization (`finetuning.py`), files (`artifacts.py`), where the encoder comes from (`encoder.py`).
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from assets.training.encoding import EncodedTexts, batches_by_budget, pad_batch
from assets.training.hardware import Hardware

Pooling = Literal["mean", "cls"]

SCORING_TOKENS = 8_192
"""Padded tokens per scoring batch: large enough to keep a GPU busy, small enough for any memory."""


class TextClassifier(nn.Module):
    """An encoder with a linear head over its pooled last layer."""

    def __init__(self, encoder: PreTrainedModel, label_count: int, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.head = nn.Linear(encoder.config.hidden_size, label_count)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (B, labels) of token ids and attention mask, both (B, T)."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, H)
        if self.pooling == "cls":
            pooled = states[:, 0]  # (B, H)
        else:
            weights = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)  # (B, H)
        logits: torch.Tensor = self.head(pooled)
        return logits.float()


def freeze_lowest_layers(encoder: PreTrainedModel, count: int) -> None:
    """Keep the pre-trained weights of the embeddings and of the lowest layers; 0 freezes nothing.

    Raises:
        ValueError: The encoder has fewer layers, or its layers are not in a list that can be recognized.
    """
    if count == 0:
        return
    depth = getattr(encoder.config, "num_hidden_layers", None)
    layers = next((module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == depth), None)
    if layers is None or count > len(layers):
        raise ValueError(f"training.frozen_layers: expected at most the encoder's {depth} layers, found {count}")
    embeddings = getattr(encoder, "embeddings", None) or encoder.get_input_embeddings()
    for part in (embeddings, *layers[:count]):
        part.requires_grad_(False)


def set_dropout(model: nn.Module, rate: float | None) -> None:
    """Use one dropout rate everywhere; None keeps each layer's own."""
    for module in model.modules() if rate is not None else ():
        if isinstance(module, nn.Dropout):
            module.p = float(rate or 0.0)


def soft_label_loss(
    logits: torch.Tensor,
    distribution: torch.Tensor,
    valence: torch.Tensor,
    poles: tuple[int, int] | None,
    valence_weight: float,
) -> torch.Tensor:
    """Cross-entropy against the vote distribution plus the weighted squared error of the valence.

    Args:
        logits: (B, labels).
        distribution: (B, labels), rows sum to 1.
        valence: (B,) in [-1, 1], NaN where a document has no numeric rating: such rows have no valence term.
        poles: Index of the positive and of the negative label; None for a task without valence.
        valence_weight: Weight of the second term.

    Returns:
        A scalar: the mean over the batch.
    """
    loss = -(distribution * functional.log_softmax(logits, dim=-1)).sum(-1).mean()
    if poles is None or valence_weight == 0:
        return loss
    probabilities = logits.softmax(-1)
    predicted = probabilities[:, poles[0]] - probabilities[:, poles[1]]
    is_rated = ~torch.isnan(valence)
    error = torch.where(is_rated, predicted - torch.nan_to_num(valence), 0.0)
    return loss + valence_weight * error.square().sum() / is_rated.sum().clamp(min=1)


def predict_logits(model: TextClassifier, texts: EncodedTexts, hardware: Hardware) -> npt.NDArray[np.float32]:
    """Logits (texts, labels) in the order of the texts; similar lengths are scored together. Leaves the model in `eval` mode."""
    model.eval()
    logits = np.zeros((len(texts), model.head.out_features), dtype=np.float32)
    with torch.inference_mode(), hardware.autocast():
        for rows in batches_by_budget(texts.lengths, SCORING_TOKENS):
            ids, mask = pad_batch(texts, rows)
            logits[rows] = model(ids.to(hardware.device), mask.to(hardware.device)).cpu().numpy()
    return logits


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Probabilities (rows, labels); every row sums to 1."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: npt.NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities

"""Texts as vectors by the frozen base model: alike texts lie close together.

The mean of the last layer's states over a text's tokens, scaled to length 1, as sentence encoders are read (Reimers & Gurevych, EMNLP 2019,
arXiv 1908.10084); their dot product is the cosine. Does not belong here: fine-tuned models (`scorer.py`), the process (`embed.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from assets.training.learning.encoder import load_encoder, load_tokenizer, locate_base_model
from assets.training.learning.encoding import encode_texts
from assets.training.learning.hardware import Hardware
from assets.training.learning.network import Network, TextHead, predict_states

FINGERPRINT_DIGITS = 12


@dataclass(frozen=True)
class Embedder:
    """A base model that embeds.

    Attributes:
        name: `<base model>@<first digits of its fingerprint>`.
    """

    name: str
    network: Network
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    hardware: Hardware

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of length 1, (texts, H), in order; longer texts than `max_tokens` are cut."""
        states = predict_states(self.network, encode_texts(self.tokenizer, texts, self.max_tokens), self.hardware)
        lengths = np.linalg.norm(states, axis=1, keepdims=True)
        vectors: npt.NDArray[np.float32] = states / np.maximum(lengths, np.finfo(np.float32).tiny)
        return vectors


def load_embedder(base_model: str, max_tokens: int, hardware: Hardware) -> Embedder:
    """The base model of that name, ready to embed.

    Raises:
        BaseModelError: It cannot be found, or not be loaded safely.
    """
    located = locate_base_model(base_model)
    tokenizer, encoder = load_tokenizer(located.folder), load_encoder(located.folder)
    torch.set_num_threads(hardware.threads)
    network = Network(encoder, TextHead(encoder.config.hidden_size, 1, "mean"), tokenizer.pad_token_id or 0)
    name = f"{base_model}@{located.fingerprint[:FINGERPRINT_DIGITS]}"
    return Embedder(name, network.to(hardware.device).eval(), tokenizer, max_tokens, hardware)

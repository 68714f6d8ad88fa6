"""Scoring texts with a finished model.

Belongs here: opening a model folder safely, predicting. Does not belong here: judging predictions (`evaluation.py`, `promotion.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from assets.training.artifacts import ClassifierSettings, read_model
from assets.training.classifier import TextClassifier, predict_logits, softmax
from assets.training.encoder import load_tokenizer
from assets.training.encoding import encode_texts
from assets.training.hardware import Hardware, choose_hardware
from assets.training.manifests import read_manifest


@dataclass(frozen=True)
class Scorer:
    """A model that is ready to score.

    Attributes:
        model: The network, on its device.
        tokenizer: Its tokenizer.
        settings: Labels and limits.
        hardware: Where it runs.
        manifest: What the model is, as its folder says.
    """

    model: TextClassifier
    tokenizer: PreTrainedTokenizerBase
    settings: ClassifierSettings
    hardware: Hardware
    manifest: dict[str, Any]

    def predict(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Probabilities (texts, labels) in the order of the texts; rows sum to 1. Texts of similar length are scored together."""
        if not len(texts):
            return np.zeros((0, len(self.settings.labels)))
        encoded = encode_texts(self.tokenizer, texts, self.settings.max_tokens)
        return softmax(predict_logits(self.model, encoded, self.hardware))


def load_model(
    folder: Path,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
) -> Scorer:
    """Open a model folder for scoring, after checking every file against its manifest.

    Raises:
        ModelFolderError: The folder is incomplete, was changed, or holds pickles.
        HardwareError: `cuda` was asked for and there is none.
    """
    manifest = read_manifest(folder)
    model, settings = read_model(folder)
    hardware = choose_hardware(device, precision)
    torch.set_num_threads(hardware.threads)
    return Scorer(model.to(hardware.device).eval(), load_tokenizer(folder), settings, hardware, manifest)

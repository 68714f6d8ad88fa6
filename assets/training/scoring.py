"""Scoring texts with a finished model.

Belongs here: opening a model folder safely, predicting. Does not belong here: judging predictions (`evaluation.py`, `promotion.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from assets.training.artifacts import ModelSettings, read_model
from assets.training.hardware import Hardware, choose_hardware
from assets.training.manifests import read_manifest
from assets.training.network import Network, predict_outputs
from assets.training.objectives import Objective


@dataclass(frozen=True)
class Scorer:
    """A model that is ready to score.

    Attributes:
        model: The network, on its device.
        tokenizer: Its tokenizer.
        objective: What its outputs say.
        settings: Task and limits.
        hardware: Where it runs.
        manifest: What the model is, as its folder says.
    """

    model: Network
    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    settings: ModelSettings
    hardware: Hardware
    manifest: dict[str, Any]

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        """One row per text, in order: `label` (the answer), `probabilities`, `valence` (-1 to 1), `span_scores` (0 to 1).

        What a task does not have is None or NaN. Texts of similar length are scored together.
        """
        encoded = self.objective.encode(self.tokenizer, texts, self.settings.max_tokens)
        return self.objective.answer(predict_outputs(self.model, encoded, self.hardware), encoded, texts)


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
    model, tokenizer, objective, settings = read_model(folder)
    hardware = choose_hardware(device, precision)
    torch.set_num_threads(hardware.threads)
    return Scorer(model.to(hardware.device).eval(), tokenizer, objective, settings, hardware, manifest)

"""Scoring texts with a finished model.

Belongs here: opening a model folder safely, predicting. Does not belong here: judging predictions (`evaluation.py`, `promotion.py`), which
backend keeps parity (`exporting.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from assets.training.learning.artifacts import ModelSettings, read_model
from assets.training.learning.hardware import Hardware, choose_hardware
from assets.training.learning.network import HeadedEncoder, predict_outputs
from assets.training.learning.objectives import Objective
from assets.training.manifests import read_manifest
from assets.training.scoring.backends import INSTALL, ONNX_FILES, Backend, BackendError, OnnxNetwork, is_installed


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
        backend: How its encoder is run.
    """

    model: HeadedEncoder
    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    settings: ModelSettings
    hardware: Hardware
    manifest: dict[str, Any]
    backend: Backend = "torch"

    @property
    def precision(self) -> str:
        """Number format of the encoder's matrix products: `fp32`, `bf16` or `int8`."""
        return "int8" if self.backend == "onnx-int8" else self.hardware.precision

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
    backend: Literal["auto"] | Backend = "auto",
) -> Scorer:
    """Open a model folder for scoring, after checking every file against its manifest.

    Args:
        folder: The model.
        device: `auto` takes CUDA where it is there.
        precision: Of torch; anything but `auto` chooses torch.
        backend: `auto` takes what was the fastest with parity after training, on the CPU; torch on CUDA, and where ONNX Runtime is not
            installed, which the hardware's notice says.

    Raises:
        ModelFolderError: The folder is incomplete, was changed, or holds pickles.
        HardwareError: `cuda` was asked for and there is none.
        BackendError: The backend asked for has no file in the folder, needs the CPU, or ONNX Runtime is not installed.
    """
    manifest = read_manifest(folder)
    model, tokenizer, objective, settings = read_model(folder)
    hardware = choose_hardware(device, precision)
    chosen, hardware = choose_backend(manifest, backend, hardware, is_free=precision == "auto")
    torch.set_num_threads(hardware.threads)
    network: HeadedEncoder = model.to(hardware.device)
    if chosen != "torch":
        network = OnnxNetwork(onnx_file(folder, chosen, hardware), model, hardware.threads)
    return Scorer(network.eval(), tokenizer, objective, settings, hardware, manifest, chosen)


def choose_backend(
    manifest: dict[str, Any], wanted: Literal["auto"] | Backend, hardware: Hardware, *, is_free: bool
) -> tuple[Backend, Hardware]:
    """The backend to use, and the hardware in the precision that goes with it.

    Args:
        manifest: Of the model; its `export` says what was chosen after training.
        wanted: By the caller.
        hardware: As chosen by device and precision.
        is_free: The caller asked for no precision.
    """
    if wanted != "auto":
        return wanted, hardware if wanted == "torch" else replace(hardware, precision="fp32")
    best = next((row for row in manifest.get("export", []) if row["is_chosen"]), None)
    if best is None or not is_free or hardware.device == "cuda":
        return "torch", hardware
    if best["backend"] != "torch" and not is_installed("onnxruntime"):
        notice = f"{hardware.notice} The model's fastest backend, {best['backend']}, needs onnxruntime: {INSTALL}. Torch is used."
        return "torch", replace(hardware, notice=notice)
    return best["backend"], _in_precision(hardware, best)


def _in_precision(hardware: Hardware, best: dict[str, Any]) -> Hardware:
    """The hardware as the chosen backend uses it; bf16 only where this machine has it too."""
    precision: Literal["fp32", "bf16"] = "bf16" if best["precision"] == "bf16" == hardware.precision else "fp32"
    speed = f"Encoder run by {best['backend']} in {best['precision']}, the fastest that kept parity after training."
    return replace(hardware, precision=precision, notice=f"{hardware.notice} {speed}")


def onnx_file(folder: Path, backend: Backend, hardware: Hardware) -> Path:
    """The file of a backend.

    Raises:
        BackendError: It is not there, or the device is not the CPU.
    """
    path = folder / ONNX_FILES[backend]
    if hardware.device != "cpu" or not path.is_file():
        found = sorted(file.name for file in folder.glob("*.onnx"))
        raise BackendError(f"backend {backend}: expected {path.name} in {folder} and the CPU, found {found} and {hardware.device}")
    return path

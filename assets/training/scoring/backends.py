"""The ways a trained encoder can be run: by torch on packed batches, or from an ONNX file by ONNX Runtime. Heads are torch's in both.

Does not belong here: making the files and choosing among backends (`exporting.py`), what outputs mean (`objectives.py`).
"""

import importlib.util
from pathlib import Path
from typing import Any, Literal

import torch

from assets.training.learning.network import HeadedEncoder, Network
from assets.training.learning.packing import Batch

Backend = Literal["torch", "onnx-fp32", "onnx-int8"]
ONNX_FILES: dict[Backend, str] = {"onnx-fp32": "encoder-fp32.onnx", "onnx-int8": "encoder-int8.onnx"}
"""Files of a model folder. They are graphs and numbers, no code of ours or others; weights above 2 GB lie beside them as `.data`."""

INSTALL = "install it with `pip install 'textmill[onnx]'`"


class BackendError(RuntimeError):
    """The backend asked for cannot be used."""


class OnnxNetwork(HeadedEncoder):
    """A head of torch over an encoder that ONNX Runtime runs on the CPU, on padded batches. For inference only."""

    def __init__(self, path: Path, network: Network, threads: int) -> None:
        """Open the file.

        Args:
            path: The encoder: token ids and mask, (B, T) int64, to states, (B, T, H) float32.
            network: Gives its head and padding id; the head is moved to the CPU by the caller.
            threads: CPU threads that ONNX Runtime uses.

        Raises:
            BackendError: ONNX Runtime is not installed.
        """
        super().__init__()
        self.head = network.head
        self.padding_id = network.padding_id
        self.session = open_session(path, threads)

    def states(self, batch: Batch) -> torch.Tensor:
        """States of the encoder's last layer, (N, H)."""
        ids = torch.full((batch.size * batch.longest,), self.padding_id, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        ids[batch.cells], mask[batch.cells] = batch.ids, 1
        shape = (batch.size, batch.longest)
        inputs = {"input_ids": ids.view(shape).numpy(), "attention_mask": mask.view(shape).numpy()}
        padded = torch.from_numpy(self.session.run(None, inputs)[0])  # (B, T, H)
        return torch.index_select(padded.flatten(0, 1), 0, batch.cells)


def open_session(path: Path, threads: int) -> Any:  # noqa: ANN401
    """An inference session on the CPU. Its threads sleep while they wait, so that they do not take the cores from torch and others.

    Raises:
        BackendError: ONNX Runtime is not installed.
    """
    if not is_installed("onnxruntime"):
        raise BackendError(f"expected onnxruntime, found no such package; {INSTALL}, or use the backend `torch`")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported."""
    return importlib.util.find_spec(package) is not None

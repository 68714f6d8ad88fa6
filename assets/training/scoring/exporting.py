"""A trained encoder as ONNX files, measured beside torch: the fastest backend whose answers stay the same is what scoring uses.

The files are made on the machine that trained, and measured there on dev rows; the manifest keeps what was found. Only the encoder is
exported: heads are small and stay in torch, so that every kind of task works with every backend.

An int8 file quantizes activations by the range that they have in a batch, so a text's outputs depend a little on the texts beside it; what
that does to answers is part of what is measured. Processors without int8 dot products (VNNI, or SDOT on ARM) gain little from it.

Does not belong here: running the files (`backends.py`), opening a model folder (`scorer.py`).
"""

import contextlib
import copy
import io
import json
import logging
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from assets.training.learning.encoding import EncodedTexts
from assets.training.learning.hardware import Hardware
from assets.training.learning.network import HeadedEncoder, Network, Outputs, predict_outputs
from assets.training.learning.objectives import Objective
from assets.training.learning.packing import PACKED
from assets.training.learning.records import Examples
from assets.training.scoring.backends import INSTALL, ONNX_FILES, Backend, OnnxNetwork, is_installed

EXPORT_FILE = "export.json"
NEEDED = ("onnx", "onnxscript", "onnxruntime")

MIN_MEAN_COSINE = 0.999
MIN_LOW_COSINE = 0.99
MIN_EQUAL_ANSWERS = 0.99
"""A backend keeps parity when, against torch in fp32, outputs point the same way on average (the project's target for scoring), also on the
hundredth of rows where they do so least, and when at most one answer in a hundred changes, which moves no score by more than a point."""

MIN_GAIN = 1.05
"""Another backend must be this many times faster than torch: smaller differences are noise, and not worth a second runtime."""

LOW_QUANTILE = 0.01
TRIED_TEXTS = 5
"""Texts that a file must be able to read at all."""

PARITY_TEXTS = 300
TIMED_TEXTS = 64
TIMED_REPEATS = 3
TWO_GIGABYTES = 2**31
"""Largest file of the ONNX format (protobuf)."""


@dataclass(frozen=True)
class Measured:
    """One backend on dev rows of the machine that trained.

    Attributes:
        backend: How the encoder was run.
        precision: Number format of the matrix products.
        cosine_mean: Mean cosine of outputs with those of torch in fp32, over rows (tokens, for tasks with spans); None if not measured.
        cosine_low: Their first percentile.
        equal_answers: Share of texts with the same answer, 0 to 1.
        texts_per_second: Median of alternating repeats.
        bytes: Size of its weights on disk.
        is_chosen: Scoring uses it.
        reason: Why, or why not.
    """

    backend: Backend
    precision: str
    cosine_mean: float | None
    cosine_low: float | None
    equal_answers: float | None
    texts_per_second: float | None
    bytes: int
    is_chosen: bool
    reason: str

    @property
    def keeps_parity(self) -> bool:
        """Its answers are those of torch in fp32; see `MIN_EQUAL_ANSWERS`."""
        pairs = (
            (self.cosine_mean, MIN_MEAN_COSINE),
            (self.cosine_low, MIN_LOW_COSINE),
            (self.equal_answers, MIN_EQUAL_ANSWERS),
        )
        return all(found is not None and found >= least for found, least in pairs)


@dataclass(frozen=True)
class Export:
    """What export came to: every backend that was tried, and the network that scoring will use, with its hardware."""

    measured: tuple[Measured, ...]
    network: HeadedEncoder
    hardware: Hardware
    notices: tuple[str, ...] = ()

    def as_rows(self) -> list[dict[str, Any]]:
        """For the manifest."""
        return [asdict(row) for row in self.measured]


def export_model(folder: Path, model: Network, objective: Objective, dev: Examples, hardware: Hardware) -> Export:
    """Write the encoder as ONNX files into a model folder, measure every backend on dev rows, choose, and write `export.json`.

    Files that lose parity are removed again. On CUDA nothing is exported: torch serves there.

    Args:
        folder: Holds `model.safetensors` already.
        model: The trained network.
        objective: Says what outputs mean.
        dev: Rows to measure on.
        hardware: Where the model was trained.
    """
    missing = [package for package in NEEDED if not is_installed(package)]
    if missing or hardware.device == "cuda":
        notice = f"No ONNX export: expected {', '.join(missing)}; {INSTALL}." if missing else "No ONNX export: CUDA is served by torch."
        return Export((), model, hardware, (notice,))
    size = (folder / "model.safetensors").stat().st_size
    networks: dict[tuple[Backend, str], HeadedEncoder] = {("torch", "fp32"): model}
    if hardware.precision == "bf16":
        networks["torch", "bf16"] = model
    failed: list[Measured] = []
    for name in ONNX_FILES:
        path, precision = folder / ONNX_FILES[name], name.removeprefix("onnx-")
        try:
            write_onnx(model, path) if precision == "fp32" else quantize_onnx(folder / ONNX_FILES["onnx-fp32"], path)
            network = OnnxNetwork(path, model, hardware.threads)
            predict_outputs(network, dev.texts.take(spread_rows(len(dev.documents), TRIED_TEXTS)), hardware)
            networks[name, precision] = network
        except Exception as error:  # the boundary to two libraries that know some architectures only; torch serves all
            remove_onnx(path)
            failed.append(Measured(name, precision, None, None, None, None, 0, False, f"not exported: {describe(error)}"))
            break
    found = choose(measure(networks, objective, dev, hardware, {name: size_of(folder, name, size) for name, _ in networks}))
    for row in found:
        if row.backend in ONNX_FILES and not row.keeps_parity:
            remove_onnx(folder / ONNX_FILES[row.backend])
    best = next(row for row in found if row.is_chosen)
    measured = (*found, *failed)
    (folder / EXPORT_FILE).write_text(json.dumps([asdict(row) for row in measured], indent=2), encoding="utf-8")
    used = replace(hardware, precision="bf16" if best.precision == "bf16" else "fp32")
    return Export(measured, networks[best.backend, best.precision], used, tuple(in_words(row) for row in measured))


def write_onnx(model: Network, path: Path) -> None:
    """Write the encoder in fp32: `input_ids` and `attention_mask`, (B, T) int64, to `states`, (B, T, H) float32; any B and T."""
    encoder = copy.deepcopy(model.encoder).cpu()
    if encoder.config._attn_implementation == PACKED:
        encoder.set_attn_implementation("sdpa")
    ids = torch.full((3, 7), model.padding_id, dtype=torch.int64)  # sizes that no dimension of an encoder has: they stay variable
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}  # a stated range fails first on encoders with a longest input
    with quiet_libraries():
        program = torch.onnx.export(
            _States(encoder).eval(),
            (ids, mask),
            dynamo=True,
            dynamic_shapes=(axes, axes),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            verbose=False,
        )
        assert program is not None
        program.save(path)


def quantize_onnx(source: Path, target: Path) -> None:
    """Write an ONNX file with int8 weights, one scale per output, and activations quantized by their range in each batch.

    Weights keep to 7 bits: processors without VNNI add pairs of products in 16 bits, which 8 would overflow.
    """
    with quiet_libraries():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=sum(file.stat().st_size for file in files_of(source)) >= TWO_GIGABYTES,
        )


def measure(
    networks: Mapping[tuple[Backend, str], HeadedEncoder],
    objective: Objective,
    dev: Examples,
    hardware: Hardware,
    sizes: Mapping[Backend, int],
) -> list[Measured]:
    """Parity and speed of every backend, none chosen yet. `("torch", "fp32")` must be among them: it is what others are held to."""
    rows = spread_rows(len(dev.documents), PARITY_TEXTS)
    texts, words = dev.texts.take(rows), dev.documents["text"].iloc[rows].tolist()
    found: dict[tuple[Backend, str], tuple[Outputs, pd.Series]] = {}
    for key, network in networks.items():
        outputs = predict_outputs(network, texts, used_for(key, hardware))
        found[key] = outputs, objective.answer(outputs, texts, words)["label"]
    speeds = time_networks(networks, dev.texts.take(spread_rows(len(dev.documents), TIMED_TEXTS)), hardware)
    reference, answers = found["torch", "fp32"]
    measured = []
    for (backend, precision), (outputs, own) in found.items():
        cosines = cosine_of_rows(outputs, reference)
        equal = float((own == answers).mean())
        low, speed = float(np.quantile(cosines, LOW_QUANTILE)), speeds[backend, precision]
        measured.append(Measured(backend, precision, float(cosines.mean()), low, equal, speed, sizes[backend], False, ""))
    return measured


def choose(measured: list[Measured]) -> list[Measured]:
    """Choose the fastest that keeps parity, torch in fp32 unless another is clearly faster; every row says why, or why not."""
    base = next(row for row in measured if (row.backend, row.precision) == ("torch", "fp32"))
    best = max((row for row in measured if row.keeps_parity), key=_speed, default=base)
    best = best if _speed(best) >= MIN_GAIN * _speed(base) else base
    return [replace(row, is_chosen=row is best, reason=_reason(row, best)) for row in measured]


def _speed(row: Measured) -> float:
    return row.texts_per_second or 0.0


def _reason(row: Measured, best: Measured) -> str:
    if row is best:
        return "the fastest that keeps parity"
    if not row.keeps_parity:
        return (
            f"loses parity: mean cosine {row.cosine_mean:.5f} (least {MIN_MEAN_COSINE}), first percentile {row.cosine_low:.5f} "
            f"(least {MIN_LOW_COSINE}), equal answers {row.equal_answers:.3f} (least {MIN_EQUAL_ANSWERS})"
        )
    return f"keeps parity; {_speed(row) / max(_speed(best), 1e-9):.2f} times as fast as what was chosen (gain asked for: {MIN_GAIN:g})"


def in_words(row: Measured) -> str:
    """One plain sentence."""
    speed = "" if row.texts_per_second is None else f" {row.texts_per_second:,.0f} texts/s,"
    return f"Backend {row.backend} in {row.precision}:{speed} {'chosen: ' if row.is_chosen else ''}{row.reason}."


def time_networks(
    networks: Mapping[tuple[Backend, str], HeadedEncoder], texts: EncodedTexts, hardware: Hardware
) -> dict[tuple[Backend, str], float]:
    """Texts per second of each, median of repeats taken in turn. Tokenizing is not counted: all share it."""
    count = len(np.unique(texts.text_of))
    speeds: dict[tuple[Backend, str], list[float]] = {key: [] for key in networks}
    for _ in range(TIMED_REPEATS):
        for key, network in networks.items():
            started = time.perf_counter()
            predict_outputs(network, texts, used_for(key, hardware))
            speeds[key].append(count / (time.perf_counter() - started))
    return {key: statistics.median(found) for key, found in speeds.items()}


def used_for(key: tuple[Backend, str], hardware: Hardware) -> Hardware:
    """The hardware as a backend uses it: ONNX Runtime needs no autocast."""
    return replace(hardware, precision="bf16" if key[1] == "bf16" else "fp32")


def cosine_of_rows(found: Outputs, expected: Outputs) -> npt.NDArray[np.float64]:
    """Cosine of each row with the same row of another array; 1 where both are zero."""
    left, right = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    is_same = (left == right).all(axis=1)
    cosines: npt.NDArray[np.float64] = np.where(is_same, 1.0, (left * right).sum(axis=1) / np.maximum(lengths, 1e-30))
    return cosines


def spread_rows(count: int, most: int) -> npt.NDArray[np.int64]:
    """Row numbers spread evenly over `count` rows, at most so many."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def files_of(path: Path) -> list[Path]:
    """An ONNX file and its external data."""
    return sorted(path.parent.glob(f"{path.name}*"))


def size_of(folder: Path, backend: Backend, otherwise: int) -> int:
    """Bytes of a backend's files."""
    return sum(file.stat().st_size for file in files_of(folder / ONNX_FILES[backend])) if backend in ONNX_FILES else otherwise


def remove_onnx(path: Path) -> None:
    """Remove an ONNX file and its external data."""
    for file in files_of(path):
        file.unlink()


def describe(error: Exception) -> str:
    """The first line of an error, without its traceback of another library's making."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the exporter's advice out of the output: a training process prints events, one line of JSON each."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _States(torch.nn.Module):
    """The encoder's last layer alone."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states

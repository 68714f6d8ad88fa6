"""Which device and which number format a model runs on, and why.

Belongs here: choosing and describing the hardware. Does not belong here: anything about models or data.
"""

import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

NATIVE_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""CPU flags with which bf16 is faster than fp32 (`bf16` is the name on ARM); without one it is emulated and slower."""


class HardwareError(RuntimeError):
    """The project file asks for hardware that is not there."""


@dataclass(frozen=True)
class Hardware:
    """Where a model runs.

    Attributes:
        device: `cpu` or `cuda`.
        precision: Number format of the matrix products; weights stay fp32.
        name: Processor or card, in words.
        threads: CPU threads torch uses.
        notice: One plain sentence that says what was chosen and why.
    """

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    name: str
    threads: int
    notice: str

    def autocast(self) -> AbstractContextManager[object]:
        """A context in which matrix products run in the chosen precision."""
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def choose_hardware(device: Literal["auto", "cpu", "cuda"] = "auto", precision: Literal["auto", "fp32", "bf16"] = "auto") -> Hardware:
    """Choose device and precision; `auto` takes CUDA when there is one, and bf16 where the hardware computes it natively.

    Raises:
        HardwareError: `cuda` was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise HardwareError("training.device: expected a CUDA device, found none. Set it to `auto` or `cpu`, or check the driver.")
    chosen: Literal["cpu", "cuda"] = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    cpuinfo = _read_cpuinfo()
    native = torch.cuda.is_bf16_supported(including_emulation=False) if chosen == "cuda" else has_native_bf16(cpuinfo)
    number: Literal["fp32", "bf16"] = ("bf16" if native else "fp32") if precision == "auto" else precision
    name = torch.cuda.get_device_name() if chosen == "cuda" else processor_name(cpuinfo)
    threads = cores_available()
    where = f"on {name}" if chosen == "cuda" else f"on the CPU ({name}, {threads} threads): no CUDA device is used"
    why = "" if precision != "auto" else (", which it computes natively" if native else ", since it has no native bf16")
    return Hardware(chosen, number, name, threads, f"Running {where}; precision {number}{why}.")


def has_native_bf16(cpuinfo: str) -> bool:
    """Whether the text of `/proc/cpuinfo` lists bf16 instructions."""
    lines = [line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith(("flags", "Features"))]
    return bool(lines) and not NATIVE_BF16_FLAGS.isdisjoint(lines[0].split())


def processor_name(cpuinfo: str) -> str:
    """The processor's name in the text of `/proc/cpuinfo`, else what Python knows of the machine."""
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores_available() -> int:
    """CPU cores this process may use (its affinity, which containers may narrow)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.exists() else ""

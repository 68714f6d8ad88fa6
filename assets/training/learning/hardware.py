"""Which device and which number format a model runs on, and why.

Belongs here: choosing and describing the hardware. Does not belong here: anything about models or data.
"""

import math
import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

NATIVE_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""CPU flags with which bf16 is faster than fp32 (`bf16` is the name on ARM); without one it is emulated and slower."""
CONTROL_GROUPS = Path("/sys/fs/cgroup")


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
    """CPU cores this process may use: its affinity, and the CPU time that its container is given, which may be less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(CONTROL_GROUPS, _read_text(Path("/proc/self/cgroup")))
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(root: Path, membership: str) -> float | None:
    """The CPU time a process may take, in cores: the least that any of its control groups has; None where none is limited.

    Reads `cpu.max` of version 2 and `cpu.cfs_quota_us` of version 1 (Documentation/admin-guide/cgroup-v2.rst and
    Documentation/scheduler/sched-bwc.rst of Linux).

    Args:
        root: Where the control groups are mounted.
        membership: Text of `/proc/<process>/cgroup`. A container may see its own group as the root: then the path named there is not.
    """
    quotas = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers
        group = base / path.lstrip("/")
        quotas += [_quota_of(folder) for folder in (group, *group.parents) if folder.is_relative_to(base)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(group: Path) -> float | None:
    """Quota divided by period of one control group; `max` and -1 stand for no limit."""
    limit = _read_text(group / "cpu.max") or f"{_read_text(group / 'cpu.cfs_quota_us')} {_read_text(group / 'cpu.cfs_period_us')}"
    numbers = [int(number) for number in limit.split() if number.isdigit()]
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else None


def _read_cpuinfo() -> str:
    return _read_text(Path("/proc/cpuinfo"))


def _read_text(path: Path) -> str:
    """A file's text; empty where there is none that may be read: not every machine has these files."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

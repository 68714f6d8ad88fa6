"""What is alive on this machine: lock files, held by the processes that use a thing and released by the kernel when they die.

A process id can be reused and a status row can be stale after a power cut; a held file lock cannot. Tells spill files in use from
left ones, and living runs from dead ones where a lakehouse lies in a folder (`run_marks.py`).
"""

import glob
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_held: dict[str, FileLock] = {}
_process = uuid.uuid4().hex[:12]  # several processes may work for one run, each with a lock file of its own


def _path(folder: Path, run_id: str) -> Path:
    return folder / f"run-{run_id}.{_process}.lock"


def _paths(folder: Path, run_id: str) -> Iterator[Path]:
    return folder.glob(f"run-{glob.escape(run_id)}.*.lock")


def hold(folder: Path, run_id: str) -> None:
    """Mark a run as alive until this process ends. Calling it again does nothing."""
    key = str(_path(folder, run_id))
    if key in _held:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(key, thread_local=False)
    lock.acquire(timeout=10)
    _held[key] = lock


def is_alive_elsewhere(folder: Path, run_id: str) -> bool:
    """Whether another process holds the run; a run of this very process is not elsewhere."""
    return str(_path(folder, run_id)) not in _held and any(_is_locked(path) for path in _paths(folder, run_id))


def is_alive(folder: Path, run_id: str) -> bool:
    """Whether any process holds the run, this one included."""
    return str(_path(folder, run_id)) in _held or is_alive_elsewhere(folder, run_id)


def _is_locked(path: Path) -> bool:
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def seen(folder: Path, run_id: str) -> bool:
    """Whether any process ever marked the run as alive on this machine."""
    return any(_paths(folder, run_id))


def forget(folder: Path, run_id: str) -> None:
    """Drop the marks of a run that is over."""
    lock = _held.pop(str(_path(folder, run_id)), None)
    if lock is not None:
        lock.release()
    for path in _paths(folder, run_id):
        path.unlink(missing_ok=True)

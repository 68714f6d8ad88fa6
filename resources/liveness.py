"""Which runs are alive: a lock file per run, held by the process that executes it and released by the kernel when it dies.

A process id can be reused and a status row can be stale after a power cut; a held file lock cannot. Used to tell an increment
that is about to be audited from one whose process was killed, and to reap runs that Dagster still believes to be running.
"""

import os
from pathlib import Path

from filelock import FileLock, Timeout

_held: dict[str, FileLock] = {}


def _path(folder: Path, run_id: str) -> Path:
    return folder / f"run-{run_id}.lock"


def hold(folder: Path, run_id: str) -> None:
    """Mark a run as alive until this process ends. Calling it again does nothing."""
    key = str(_path(folder, run_id))
    if key in _held:
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(key, thread_local=False)
    lock.acquire(timeout=10)
    _held[key] = lock


def is_alive_elsewhere(folder: Path, run_id: str) -> bool:
    """Whether another process holds the run; a run of this very process is not elsewhere."""
    path = _path(folder, run_id)
    if str(path) in _held or not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def seen(folder: Path, run_id: str) -> bool:
    """Whether any process ever marked the run as alive on this machine."""
    return _path(folder, run_id).exists()


def forget(folder: Path, run_id: str) -> None:
    """Drop the marks of a run that is over."""
    lock = _held.pop(str(_path(folder, run_id)), None)
    if lock is not None:
        lock.release()
    if os.name == "posix":
        _path(folder, run_id).unlink(missing_ok=True)

"""Where heavy work runs: in a process of its own, so that its memory and its threads leave nothing behind.

The child is `python -m <module> <job.json>`; it prints one JSON object a line on standard output, which the caller turns into log
events, and its errors on standard error. Embedded, it runs on this machine; on Kubernetes the whole step has a pod of its own.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, Timer
from typing import IO, Any

Event = Mapping[str, Any]
ERROR_LINES = 30
LAST_WORDS_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h

MEMORY_KEPT = str(4 * 2**30)  # bytes
CHILD_ENVIRONMENT = {
    # Threads that wait for each other sleep instead of spinning: on a busy machine that doubled the speed of a forward pass.
    "OMP_WAIT_POLICY": "PASSIVE",
    # glibc keeps what is freed instead of giving it back: the next step needs as much, and getting it anew cost a tenth of training.
    "MALLOC_MMAP_THRESHOLD_": MEMORY_KEPT,
    "MALLOC_TRIM_THRESHOLD_": MEMORY_KEPT,
}


class ChildProcessFailedError(Exception):
    """The child ended with an error; carries the last lines it printed."""


class LocalCompute:
    """Runs modules in child processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, module: str, job: Mapping[str, Any], on_event: Callable[[Event], None]) -> Event:
        """Run a module to its end and return the last event it printed.

        Args:
            module: Importable module that takes the path of a job file.
            job: The job, written to a file as JSON.
            on_event: Called with every event as it comes.

        Raises:
            ChildProcessFailedError: The child ended with an error, or printed nothing.
        """
        last: Event = {}
        with self._job_file(job) as path, _child([sys.executable, "-m", module, str(path)]) as child:
            errors, reader = _collect_errors(child)
            for line in child.stdout or []:
                last = json.loads(line)
                on_event(last)
            status = child.wait()
            reader.join(timeout=LAST_WORDS_SECONDS)
        if status != 0 or not last:
            raise ChildProcessFailedError(f"Expected {module} to end well, found exit status {status}:\n" + "\n".join(errors))
        return last

    @contextmanager
    def serve(self, module: str, job: Mapping[str, Any], patience_seconds: float = 180.0) -> Iterator[Event]:
        """Run a module that serves until the block ends; yields the first event it printed, by which it says that it is ready.

        Args:
            module: Importable module that takes the path of a job file.
            job: The job, written to a file as JSON.
            patience_seconds: Longest time until it is ready.

        Raises:
            ChildProcessFailedError: It ended, or was too slow, before it was ready.
        """
        with self._job_file(job) as path, _child([sys.executable, "-m", module, str(path)]) as child:
            errors, reader = _collect_errors(child)
            line = _first_line(child, patience_seconds)
            if not line:
                reader.join(timeout=LAST_WORDS_SECONDS)
                raise ChildProcessFailedError(
                    f"Expected {module} to be ready within {patience_seconds:g} s, found that it was not:\n" + "\n".join(errors)
                )
            stream, child.stdout = child.stdout, None  # the thread's from now on, which closes it at its end
            Thread(target=_drain, args=(stream,), daemon=True).start()
            yield json.loads(line)

    @contextmanager
    def _job_file(self, job: Mapping[str, Any]) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".json", encoding="utf-8") as file:
            json.dump(job, file, ensure_ascii=False)
            file.flush()
            yield Path(file.name)


def _end_with_parent() -> None:
    """Have the kernel end this process politely when its parent dies, however it dies: two trainings must not share a folder.

    A parent that blocks the signal, as libraries do while they start processes of their own, would hand that on.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _child(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """A child that does not outlive the block."""
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **CHILD_ENVIRONMENT},
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _first_line(child: "subprocess.Popen[str]", patience_seconds: float) -> str:
    """The first line a child prints; empty when it ends, or is ended for slowness, before it printed one."""
    timer = Timer(patience_seconds, child.kill)
    timer.start()
    try:
        return child.stdout.readline() if child.stdout is not None else ""
    finally:
        timer.cancel()


def _drain(stream: IO[str], lines: deque[str] | None = None) -> None:
    """Read a stream to its end and close it, so that the child never waits for a full pipe; the last lines are kept where wanted."""
    kept = deque[str](maxlen=0) if lines is None else lines
    with stream:
        kept.extend(line.rstrip() for line in stream)


def _collect_errors(child: "subprocess.Popen[str]") -> tuple[deque[str], Thread]:
    """The last lines on standard error, as they come, and the thread that reads them; it ends with the child."""
    lines: deque[str] = deque(maxlen=ERROR_LINES)
    stream, child.stderr = child.stderr, None
    reader = Thread(target=_drain, args=(stream, lines), daemon=True)
    reader.start()
    return lines, reader

"""Running a server in the foreground of a command, and ending it with everything it started."""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def run_until_stopped(command: Sequence[str], folder: Path) -> int:
    """Run a server in the foreground; being stopped politely, or by Ctrl-C, stops the server and its children too."""
    server = subprocess.Popen(command, cwd=folder)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop_with_children(server.pid))
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:  # the terminal has sent it to the server as well
            continue


def stop_with_children(pid: int, patience_seconds: float = 10.0) -> None:
    """Ask a process and everything it started to end, and end what has not by then."""
    parent = psutil.Process(pid)
    processes = [*parent.children(recursive=True), parent]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=patience_seconds)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()

"""How a job's process starts and ends: the job file on the command line, a polite kill, the exit status.

Does not belong here: what a job file holds and the printed events (`jobs.py`), doing the job (`run.py`, `score.py`, `studies/`).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import transformers
from torch import distributed

from assets.training.jobs import emit
from assets.training.learning.records import TrainingInterruptedError

Work = Callable[[Path, Callable[[], bool]], int | None]


def run_process(module: str, arguments: list[str], work: Work) -> int:
    """Run the job of the file named on a command line.

    Args:
        module: Named in the usage.
        arguments: The path of the job file.
        work: Given that path, and what to ask whether to stop; may return an exit status.

    Returns:
        The exit status: 0 or what `work` returned, 2 without a job file, 143 after a polite kill (SIGTERM) that `work` ended for, with
        `TrainingInterruptedError`, 1 after any other error; both are printed, as an event and on standard error.
    """
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m {module} JOB.json\n")
        return 2
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return ended(work(Path(arguments[0]), lambda: bool(stopping)) or 0)
    except TrainingInterruptedError as interruption:
        emit("interrupted", message=str(interruption))
        sys.stderr.write(f"{interruption}\n")
        return ended(128 + signal.SIGTERM)
    except Exception as error:  # the boundary of the process: the parent needs one clear line, and a status
        emit("error", kind=type(error).__name__, message=str(error))
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return ended(1)


def run_to_the_end(module: str, arguments: list[str], work: Callable[[Path], None]) -> int:
    """`run_process` for work that keeps nothing on the way: a polite kill ends it at once."""

    def start(path: Path, _: Callable[[], bool]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work(path)

    return run_process(module, arguments, start)


def ended(status: int) -> int:
    """The exit status; one of several processes that train together ends with it at once.

    What still holds their process group must not be taken down: doing so waits for the group's thread, which may itself wait for the
    interpreter to let go of the last collective operation's tensors, and then neither ever ends.
    """
    if distributed.is_torchelastic_launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status

"""Start the processes of this machine that train one model together: `python -m assets.training.launch JOB.json`.

Each is `run.py`, started through torchrun; they print the events and say on standard error why they fail. Does not belong here: what
they do. Not even its imports: they would double the time and the memory that this process takes, which only waits.
"""

import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from assets.training.jobs import JobError, emit, read_training_job

MODULE = "assets.training.run"


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line in `training.processes` processes; returns the exit status.

    Returns:
        0; 2 without a job file; 1 with one that is not as expected; else the status of the first process that failed, or 128 and
        the number of the signal that ended them all.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m assets.training.launch JOB.json\n")
        return 2
    try:
        count = read_training_job(Path(arguments[0])).training.processes
    except JobError as error:
        emit("error", kind="JobError", message=str(error))
        sys.stderr.write(f"JobError: {error}\n")
        return 1
    try:
        torchrun(["--standalone", "--nproc-per-node", str(count), "-m", MODULE, arguments[0]])
    except SignalException as stopped:  # they got the signal too, and have ended
        return 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        sys.stderr.write(f"Expected all {count} processes to end well, found that number {rank} ended with {failure.exitcode}\n")
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

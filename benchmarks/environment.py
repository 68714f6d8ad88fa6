"""The environment in which the platform starts its trainings, for benchmarks of what those do."""

import os
import sys

from resources.compute import CHILD_ENVIRONMENT


def start_as_the_platform_does(module: str) -> None:
    """Start this command again with the variables that `resources.compute` gives to its processes, unless they are set.

    Libraries read them only once, when a process starts. Peers in the same process run under them too.
    """
    if any(name not in os.environ for name in CHILD_ENVIRONMENT):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**CHILD_ENVIRONMENT, **os.environ})

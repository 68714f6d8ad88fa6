"""Platforms as copies of one that was prepared once, which takes a tenth of preparing each."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def copied(prepared, platform) -> Iterator[None]:
    """Give an empty platform what another holds, with its backups in `elsewhere`, and its project.

    The sources are those of `shared_files_source`, which writes to the files that both read; what it changes is undone in the end.
    """
    prepared.lakehouse.close()
    home, drop = platform.environment.home, Path(prepared.project.sources[0].path).parents[1]
    shutil.copytree(prepared.environment.home, home)
    backups = prepared.environment.home.with_name("elsewhere")
    if backups.exists():
        shutil.copytree(backups, home.with_name("elsewhere"), dirs_exist_ok=True)
    platform.configure(prepared.project)
    kept = home.with_name("drop-as-it-was")
    shutil.copytree(drop, kept)
    try:
        yield
    finally:
        shutil.rmtree(drop)
        shutil.copytree(kept, drop)

"""The version of the code that makes a row: a hash of its sources. No Dagster here: commands on models must not wait for it."""

import hashlib
import importlib.resources
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources.abc import Traversable


@lru_cache
def code_version(package: str) -> str:
    """Hash of a package's source files, and of the packages within: names the code that made a row."""
    digest = hashlib.sha256()
    for name, content in sorted(_sources_of(importlib.resources.files(package), "")):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def _sources_of(folder: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    """Path within the package, and content, of every source file."""
    for entry in folder.iterdir():
        name = f"{above}{entry.name}"
        if entry.is_dir():
            yield from _sources_of(entry, f"{name}/")
        elif name.endswith(".py"):
            yield name, entry.read_bytes()

"""Notices that something happened outside: one small file each, whose time of change is what counts.

Who receives a notice and who waits for it are different processes; what the notice is about is looked up where it happened.
"""

from dataclasses import dataclass
from pathlib import Path

ANNOTATED = "annotations"
"""Somebody annotated on the labeling server."""


@dataclass(frozen=True)
class Notices:
    """A folder of notices.

    Attributes:
        folder: Where they lie.
        is_expected: Somebody is told to leave notices here: who waits need not look elsewhere all the time.
    """

    folder: Path
    is_expected: bool = False

    def leave(self, name: str) -> None:
        """Note that it happened now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).touch()

    def newest(self, name: str) -> float:
        """When it was noted last, in seconds since 1970; 0 if never."""
        path = self.folder / name
        return path.stat().st_mtime if path.exists() else 0.0

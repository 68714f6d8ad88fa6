"""Secrets that textmill makes for itself and keeps in a file. What they are used for does not belong here."""

import os
import secrets
import tempfile
from pathlib import Path

SECRET_BYTES = 32
MIN_GIVEN_BYTES = 16
"""Of a secret that somebody gives instead."""


def make_secret(file: Path) -> None:
    """Make 32 random bytes in a file for its owner only, whole or not at all; of two processes at once the first one's stay."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # readable by the owner only
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(secrets.token_bytes(SECRET_BYTES))
            written.flush()
            os.fsync(written.fileno())
        os.link(name, file)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()

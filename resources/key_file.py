"""A secret of an installation: given by the environment, or made once and kept in a file that only the owner reads.

What a secret is for does not belong here: see `pseudonym_key.py` and `access_store.py`.
"""

import os
import secrets
import tempfile
from pathlib import Path

KEY_BYTES = 32
MIN_KEY_BYTES = 16


class KeyFileError(Exception):
    """There is no usable key."""


class KeyFile:
    """A key. Nothing is read or written before it is asked for.

    Attributes:
        error: What is raised.
        when_lost: What making a new key would mean, for whoever lost it.
    """

    error: type[KeyFileError] = KeyFileError
    when_lost: str

    def __init__(self, file: Path, given: str | None = None) -> None:
        """Nothing happens yet.

        Args:
            file: Where a key is kept that the environment does not give.
            given: The key of the environment.

        Raises:
            KeyFileError: The given key is too short to be a secret.
        """
        if given is not None and len(given.encode()) < MIN_KEY_BYTES:
            raise self.error(
                f"expected a secret of {MIN_KEY_BYTES} bytes or more, found {len(given.encode())}; make one with `openssl rand -hex 32`"
            )
        self._file = file
        self._given = given

    def read(self) -> bytes:
        """The key; one is made on first use.

        Raises:
            KeyFileError: The file holds no whole key.
        """
        if self._given is not None:
            return self._given.encode()
        if not self._file.exists():
            self._make()
        key = self._file.read_bytes()
        if len(key) != KEY_BYTES:
            raise self.error(
                f"expected a key of {KEY_BYTES} bytes in {self._file}, found {len(key)} bytes; restore the file from a backup, "
                f"or {self.when_lost}"
            )
        return key

    def _make(self) -> None:
        """Make a key, whole or not at all; of two processes at once the first one's stays."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=self._file.parent)  # readable by the owner only
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(name, self._file)
        except FileExistsError:
            return
        finally:
            Path(name).unlink()

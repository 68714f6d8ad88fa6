"""A secret of an installation: given by the environment, or made once and kept in a file that only the owner reads.

What a secret is for does not belong here: see `pseudonym_key.py` and `access_store.py`.
"""

from pathlib import Path

from resources.secret_file import MIN_GIVEN_BYTES, SECRET_BYTES, make_secret


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
        if given is not None and len(given.encode()) < MIN_GIVEN_BYTES:
            raise self.error(
                f"expected a secret of {MIN_GIVEN_BYTES} bytes or more, found {len(given.encode())}; make one with `openssl rand -hex 32`"
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
            make_secret(self._file)
        key = self._file.read_bytes()
        if len(key) != SECRET_BYTES:
            raise self.error(
                f"expected a key of {SECRET_BYTES} bytes in {self._file}, found {len(key)} bytes; restore the file from a backup, "
                f"or {self.when_lost}"
            )
        return key

"""The secret that pseudonyms of personal data are made with: given by the environment, or made once and kept beside the lakehouse's keys.

What a pseudonym is does not belong here (see `assets/cleaning/pii/pseudonyms.py`).
"""

from pathlib import Path

from resources.secret_file import SECRET_BYTES, make_secret

MIN_KEY_BYTES = 16


class PseudonymKeyError(Exception):
    """There is no usable key."""


class PseudonymKey:
    """The key of an installation. Nothing is read or written before it is asked for.

    Who has the key can find out whose pseudonym one is by trying values; who loses it gets other pseudonyms for the same people from
    then on. It is kept, protected and backed up as the catalog with the file keys is.
    """

    def __init__(self, file: Path, given: str | None = None) -> None:
        """Nothing happens yet.

        Args:
            file: Where a key is kept that the environment does not give.
            given: The key of the environment.

        Raises:
            PseudonymKeyError: The given key is too short to be a secret.
        """
        if given is not None and len(given.encode()) < MIN_KEY_BYTES:
            raise PseudonymKeyError(
                f"expected a secret of {MIN_KEY_BYTES} bytes or more, found {len(given.encode())}; make one with `openssl rand -hex 32`"
            )
        self._file = file
        self._given = given

    def read(self) -> bytes:
        """The key; one is made on first use.

        Raises:
            PseudonymKeyError: The file holds no whole key.
        """
        if self._given is not None:
            return self._given.encode()
        if not self._file.exists():
            make_secret(self._file)
        key = self._file.read_bytes()
        if len(key) != SECRET_BYTES:
            raise PseudonymKeyError(
                f"expected a key of {SECRET_BYTES} bytes in {self._file}, found {len(key)} bytes; restore the file from a backup, "
                "or remove it and rebuild with full_refresh: true, which gives every person a new pseudonym"
            )
        return key

"""The secret that pseudonyms of personal data are made with: given by the environment, or made once and kept beside the lakehouse's keys.

What a pseudonym is does not belong here (see `assets/cleaning/pii/pseudonyms.py`).
"""

import hashlib
import hmac
from pathlib import Path

from resources.key_file import KeyFile, KeyFileError
from resources.object_store import ObjectStore

FINGERPRINT = "installation/pseudonym-key"
"""Object that holds the fingerprint of the key that an installation began with."""


class PseudonymKeyError(KeyFileError):
    """There is no usable key, or another one than the installation's."""


class PseudonymKey(KeyFile):
    """The key of an installation, the same on all of its machines: its fingerprint lies with the objects, and another key is refused.

    Who has the key can find out whose pseudonym one is by trying values; who loses it gets other pseudonyms for the same people from
    then on. It is kept, protected and backed up as the catalog with the file keys is.

    Args:
        file: Where a key is kept that the environment does not give.
        given: The key of the environment.
        objects: Where the fingerprint lies.

    Raises:
        PseudonymKeyError: The given key is too short to be a secret.
    """

    error = PseudonymKeyError
    when_lost = "remove it and rebuild with full_refresh: true, which gives every person a new pseudonym"

    def __init__(self, file: Path, given: str | None, objects: ObjectStore) -> None:
        super().__init__(file, given)
        self._objects = objects
        self._is_known = False

    def read(self) -> bytes:
        """The key; one is made on first use.

        Raises:
            PseudonymKeyError: The file holds no whole key, or the installation began with another.
        """
        key = super().read()
        if not self._is_known:
            self._compare(fingerprint_of(key))
            self._is_known = True
        return key

    def _compare(self, fingerprint: str) -> None:
        if not self._objects.exists(FINGERPRINT):
            self._objects.put_new(FINGERPRINT, fingerprint.encode())
        began_with = self._objects.get(FINGERPRINT).decode()
        if began_with != fingerprint:
            raise self.error(
                f"expected the secret of pseudonyms that this installation began with (fingerprint {began_with}), found another "
                f"({fingerprint}): the same people would get other pseudonyms, and what was erased would come back. Give every machine the "
                f"first one as TEXTMILL_PSEUDONYM_KEY, or its file {self._file}; where that is lost, remove "
                f"{self._objects.url(FINGERPRINT)} and rebuild with full_refresh: true (docs/cleaning.md, The key)"
            )


def fingerprint_of(key: bytes) -> str:
    """16 hexadecimal digits that tell keys apart and do not tell the key."""
    return hmac.new(key, b"textmill pseudonym key", hashlib.sha256).hexdigest()[:16]

"""The secret that pseudonyms of personal data are made with: given by the environment, or made once and kept beside the lakehouse's keys.

What a pseudonym is does not belong here (see `assets/cleaning/pii/pseudonyms.py`).
"""

from resources.key_file import KeyFile, KeyFileError


class PseudonymKeyError(KeyFileError):
    """There is no usable key."""


class PseudonymKey(KeyFile):
    """The key of an installation.

    Who has the key can find out whose pseudonym one is by trying values; who loses it gets other pseudonyms for the same people from
    then on. It is kept, protected and backed up as the catalog with the file keys is.
    """

    error = PseudonymKeyError
    when_lost = "remove it and rebuild with full_refresh: true, which gives every person a new pseudonym"

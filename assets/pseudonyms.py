"""What a pseudonym of a person is: the kind and ten letters, `[EMAIL_kbnagpdhce]`, and whose it is only the key tells.

The letters are 40 bits of HMAC-SHA256 (RFC 2104) over kind and canonical form. Equal values have equal pseudonyms for as long as the key
stays, so that the same person stays the same, in texts and as an author, and nobody without the key can try values out. Among a million
values of a kind there is a chance of about one in three that two share one. Where the key comes from: `resources/pseudonym_key.py`.
"""

import hashlib
import hmac
import re
import unicodedata

PSEUDONYM = re.compile(r"\[[A-Z_]{2,20}_[a-p]{10}\]")
PSEUDONYMS_ONLY = r"^\[[A-Z_]{2,20}_[a-p]{10}\]( \[[A-Z_]{2,20}_[a-p]{10}\])*$"
"""What a text of pseudonyms and nothing else looks like."""
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_LETTER_COUNT = 10


def make_pseudonym(key: bytes, kind: str, value: str) -> str:
    """The pseudonym of a value.

    Args:
        key: The secret of the installation.
        kind: What the value is, one of `assets.cleaning_settings.PERSONAL_DATA`.
        value: Its canonical form.
    """
    digest = hmac.new(key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return f"[{kind.upper()}_{digest[:_LETTER_COUNT].translate(_LETTERS)}]"


def pseudonym_of_person(key: bytes, name: str) -> str:
    """The pseudonym of a mail address, a name or a handle, as it stands in cleaned texts that mention it. A pseudonym stays itself."""
    written = " ".join(unicodedata.normalize("NFKC", name).split())
    if PSEUDONYM.fullmatch(written):
        return written
    return make_pseudonym(key, "email" if _ADDRESS.fullmatch(written) else "name", canonical_name(written.removeprefix("@")))


def canonical_name(name: str) -> str:
    """A name or an address as it is compared: in lower case, with single spaces."""
    return " ".join(name.lower().split())

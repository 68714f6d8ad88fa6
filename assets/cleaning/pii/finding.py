"""Finds personal data in one text, in one pass: cheap tests first, then patterns, then checksums and the words around.

What is looked for is in `web.py`, `codes.py` and `numbers.py`; replacing it is in `pseudonyms.py`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from assets.cleaning.pii.codes import find_credit_codes, find_ibans, find_passports, find_plates
from assets.cleaning.pii.found import Found
from assets.cleaning.pii.numbers import find_numbers
from assets.cleaning.pii.web import find_emails, find_ipv4, find_ipv6, find_secrets
from assets.cleaning_settings import PERSONAL_DATA

_RANKS: Mapping[str, int] = MappingProxyType({kind: rank for rank, kind in enumerate(PERSONAL_DATA)})
# Every code and every number holds one: the shortest are an IP address (1.1.1.1) and a passport number (AB123456).
_DIGITS = re.compile(r"[0-9][0-9A-Z .()\-]{5}")
# Whatever is found holds one of these.
_SIGN_OF_ANY = re.compile("[0-9A-Za-z@０-９Ａ-Ｚａ-ｚ＠]")
_WIDE = re.compile("[！-～\u3000‐‑‒–—−]")
_FOLDED = {chr(wide): chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)} | {"\u3000": " "} | dict.fromkeys("‐‑‒–—−", "-")


def find_personal_data(text: str, regions: Sequence[str]) -> list[Found]:
    """Everything in a text that a pattern, a checksum or the words around say is personal data.

    Args:
        text: A text; places are in its characters.
        regions: ISO 3166 codes of the countries whose national telephone numbers are looked for.

    Returns:
        What was found, in order, without overlaps.
    """
    if not _SIGN_OF_ANY.search(text):
        return []
    folded = text if text.isascii() else _WIDE.sub(lambda wide: _FOLDED[wide[0]], text)
    return without_overlaps([*find_secrets(text), *_find_all(folded, regions)])  # in a URL full-width signs are not what they look like


def without_overlaps(found: Sequence[Found]) -> list[Found]:
    """The finds in order; of two that overlap the kind that stands earlier in `PERSONAL_DATA`, then the longer one."""
    if len(found) < 2:
        return list(found)
    kept: list[Found] = []
    for each in sorted(found, key=lambda each: (_RANKS[each.kind], each.start - each.end, each.start)):
        place = bisect_right(kept, each.start, key=lambda other: other.start)
        is_free = (place == 0 or kept[place - 1].end <= each.start) and (place == len(kept) or each.end <= kept[place].start)
        if is_free:
            kept.insert(place, each)
    return kept


def _find_all(text: str, regions: Sequence[str]) -> Iterator[Found]:
    if "@" in text or "%40" in text:
        yield from find_emails(text)
    if ":" in text:
        yield from find_ipv6(text)
    if not text.isascii():
        yield from find_plates(text)
    if _DIGITS.search(text):
        for find in (find_ipv4, find_ibans, find_credit_codes, find_passports):
            yield from find(text)
        yield from find_numbers(text, regions)

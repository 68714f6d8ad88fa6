"""Finds what is written in digits: telephone numbers, cards, Chinese resident IDs.

A run of digits with separators may hold several numbers (`13800138000 13900139000`), so every stretch of its groups that begins and
ends at a space is looked at, the longest first. A stretch is what its checksum, its shape and the words around it say.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assets.cleaning.pii.checksums import is_chinese_card, is_old_resident_id, is_payment_card, is_resident_id
from assets.cleaning.pii.contexts import context_of
from assets.cleaning.pii.found import Found
from assets.cleaning.pii.phones import read_phone

_RUN = re.compile(r"[0-9](?:[ .()\-]{0,3}[0-9]){6,}+[Xx]?")
_GROUP = re.compile(r"[0-9]+[Xx]?")
_MIN_DIGITS, _MAX_DIGITS = 7, 20
_RESIDENT_DIGITS, _OLD_RESIDENT_DIGITS = 18, 15
_PAIR, _FRENCH_PAIRS = 2, 5
_MAX_GROUPS = 7  # +33 1 99 00 12 34
_CARD_SHAPES = ((4, 6, 5), (4, 6, 4), (6, 13), (6, 12), (6, 10), (4, 4, 4, 7))
_UNITS = re.compile(r"\s?(?:[万亿元块%％°次个件人吨米股円]|美元|美金|usd\b|rmb\b|eur\b|kg\b|km\b|bytes\b|ms\b|views\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Number:
    """Digits of a run that may be a number by themselves.

    Attributes:
        text: The whole text.
        start: First character: a digit, or the `+` or `(` before it.
        end: After the last digit.
        groups: The digits as they were grouped; the last may end with X.
    """

    text: str
    start: int
    end: int
    groups: tuple[str, ...]

    @property
    def digits(self) -> str:
        return "".join(self.groups).upper()

    @property
    def before(self) -> str:
        """The sign that belongs to the number."""
        return self.text[self.start] if self.text[self.start] in "+(" else ""


def find_numbers(text: str, regions: Sequence[str]) -> Iterator[Found]:
    """Telephone numbers, cards and resident IDs.

    Args:
        text: A text with full-width forms folded.
        regions: Countries whose national telephone numbers are looked for.
    """
    for run in _RUN.finditer(text):
        groups = [group.span() for group in _GROUP.finditer(text, run.start(), run.end())]
        first = 0
        while first < len(groups):
            found, last = _longest(text, groups, first, regions)
            if found is not None:
                yield found
            first = last + 1


def _longest(text: str, groups: Sequence[tuple[int, int]], first: int, regions: Sequence[str]) -> tuple[Found | None, int]:
    """What the longest stretch from one group on is that is anything, and its last group; None and the group itself if none is."""
    if first and " " not in text[groups[first - 1][1] : groups[first][0]]:
        return None, first
    for last in range(min(first + _MAX_GROUPS, len(groups)) - 1, first - 1, -1):
        if last + 1 < len(groups) and " " not in text[groups[last][1] : groups[last + 1][0]]:
            continue
        written = tuple(text[start:end] for start, end in groups[first : last + 1])
        if _is_plausible(written):
            found = _read(_Number(text, _start(text, groups[first][0]), groups[last][1], written), regions)
            if found is not None:
                return found, last
    return None, first


def _is_plausible(groups: Sequence[str]) -> bool:
    """Whether digits are as many and grouped as some number's are: one group of three or more, or five pairs as in France."""
    lengths = list(map(len, groups))
    return _MIN_DIGITS <= sum(lengths) <= _MAX_DIGITS and (max(lengths) > _PAIR or lengths.count(_PAIR) == _FRENCH_PAIRS)


def _start(text: str, digit: int) -> int:
    """Where a number begins: at the `+` or the opening parenthesis before its first digit, if there is one."""
    sign = digit - 1 - (text[max(digit - 2, 0) : digit] == "+ ")
    if digit and text[sign] == "+":
        return sign
    is_area = digit and text[digit - 1] == "(" and ")" in text[digit : digit + 6]
    return digit - 1 if is_area else digit


def _read(number: _Number, regions: Sequence[str]) -> Found | None:
    """What a number is, if anything."""
    text, start, end = number.text, number.start, number.end
    previous, following = text[start - 1 : start], text[end : end + 1]
    if following.isascii() and (following.isalnum() or following == "_"):
        return None
    kind = context_of(text, start, end)
    is_glued = previous != "" and previous.isascii() and (previous.isalnum() or previous in "_/#.-")
    if is_glued and kind in ("", "other"):
        return None
    has_unit = _UNITS.match(text, end) is not None
    return _read_resident_id(number, kind) or (None if has_unit else _read_card(number, kind) or _read_phone(number, kind, regions))


def _read_resident_id(number: _Number, kind: str) -> Found | None:
    digits = number.digits
    is_new = len(digits) == _RESIDENT_DIGITS and is_resident_id(digits)
    is_old = kind == "id_card" and len(digits) == _OLD_RESIDENT_DIGITS and digits.isdecimal() and is_old_resident_id(digits)
    return Found(number.start, number.end, "resident_id", digits) if (is_new or is_old) and not number.before else None


def _read_card(number: _Number, kind: str) -> Found | None:
    digits = number.digits
    if kind in ("other", "phone") or number.before or not digits.isdecimal() or not _is_card_shape(number.groups):
        return None
    if is_chinese_card(digits, is_named=kind == "card"):
        return Found(number.start, number.end, "bank_card", digits)
    return Found(number.start, number.end, "card", digits) if is_payment_card(digits) else None


def _is_card_shape(groups: Sequence[str]) -> bool:
    lengths = tuple(map(len, groups))
    return len(lengths) == 1 or lengths in _CARD_SHAPES or (set(lengths[:-1]) == {4} and lengths[-1] <= 4)


def _read_phone(number: _Number, kind: str, regions: Sequence[str]) -> Found | None:
    if not number.digits.isdecimal():
        return None
    is_named, is_excluded = kind == "phone", kind not in ("", "phone", "address")
    groups = number.groups
    value = read_phone(groups, before=number.before, is_named=is_named, is_excluded=is_excluded, regions=regions)
    return Found(number.start, number.end, "phone", value) if value else None

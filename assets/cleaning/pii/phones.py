"""Decides whether digits are a telephone number, and gives it its E.164 form.

Numbering plans are those of `phonenumbers` (Google's libphonenumber). Its own search through a text is not used: it takes a hundred
times as long, and takes order numbers for telephone numbers.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

# 11 digits that only a Chinese mobile number is written with, alone or as 138 1234 5678; with the country's code before.
_CHINESE_MOBILE = re.compile(r"(?:(?:00)?86)?1[3-9][0-9]{9}")
_MOBILE_SHAPES = ((11,), (3, 4, 4), (3, 8), (7, 4), (4, 3, 4), (4, 4, 3), (3, 3, 5))
# (area)(number) of China and 400 numbers; 3-3-4 of North America; each as people write them.
_CHINESE_SHAPES = ((3, 7), (3, 8), (4, 7), (4, 8), (3, 4, 4), (4, 4, 4), (4, 3, 4))
_SERVICE_SHAPES = ((3, 3, 4), (3, 4, 3), (3, 7))
_AMERICAN_SHAPES = ((3, 3, 4), (1, 3, 3, 4))
_MIN_LOCAL, _MAX_LOCAL = 7, 8
_MIN_GROUPS = 3


def read_phone(groups: Sequence[str], *, before: str, is_named: bool, is_excluded: bool, regions: Sequence[str]) -> str | None:
    """The telephone number that groups of digits are, in E.164; a local number as its digits alone; None when they are none.

    Args:
        groups: The digits, as they were grouped.
        before: The sign before the first digit: `+`, `(` or nothing.
        is_named: Whether the text calls it a telephone number.
        is_excluded: Whether the text calls it something else.
        regions: ISO 3166 codes of the countries whose national numbers are looked for, in this order; any country's with a `+`.
    """
    digits = "".join(groups)
    if before == "+" or (digits.startswith("00") and (is_named or len(groups) > 1)):
        return _valid(f"+{digits.removeprefix('00')}", None, is_named=is_named)
    if is_excluded:
        return None
    if _CHINESE_MOBILE.fullmatch(digits) and _is_mobile_shape(groups):
        return _valid(f"+86{digits[-11:]}", None)
    shaped = _first_valid(digits, [region for region in regions if _has_shape_of(region, groups, before)])
    if shaped or not is_named:
        return shaped
    return _first_valid(digits, regions) or _local(digits, groups, regions)


def _is_mobile_shape(groups: Sequence[str]) -> bool:
    lengths = tuple(map(len, groups))
    if groups[0] in ("86", "0086"):
        lengths = lengths[1:]
    elif len(groups[0]) > len("13812345678"):
        lengths = (len("13812345678"),)
    return lengths in _MOBILE_SHAPES


def _has_shape_of(region: str, groups: Sequence[str], before: str) -> bool:
    """Whether digits without a word before them are grouped as the region's numbers are, and as few other things are."""
    lengths = tuple(map(len, groups))
    if region == "CN":
        return (lengths in _CHINESE_SHAPES and groups[0][0] == "0") or (lengths in _SERVICE_SHAPES and groups[0] in ("400", "800"))
    if region in ("US", "CA"):
        return lengths in _AMERICAN_SHAPES
    is_area_first = groups[0][0] == "0" and len(groups[0]) > 1
    return is_area_first and len(groups) >= (_MIN_GROUPS - 1 if before == "(" else _MIN_GROUPS)


def _first_valid(digits: str, regions: Sequence[str]) -> str | None:
    return next((found for region in regions if (found := _valid(digits, region))), None)


def _local(digits: str, groups: Sequence[str], regions: Sequence[str]) -> str | None:
    """A number without its area code: 7 or 8 digits, in one or two groups, where a region has numbers of that length."""
    is_local = _MIN_LOCAL <= len(digits) <= _MAX_LOCAL and len(groups) <= _MIN_GROUPS - 1
    return digits if is_local and any(_is_local(digits, region) for region in regions) else None


@lru_cache(maxsize=1 << 14)
def _valid(number: str, region: str | None, *, is_named: bool = False) -> str | None:
    """E.164 form of a number that its country's plan has; where the text names it, the right length will do (drama and new ranges)."""
    import phonenumbers  # tables of every country: not while definitions load

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not (phonenumbers.is_valid_number(parsed) or (is_named and phonenumbers.is_possible_number(parsed))):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=1 << 12)
def _is_local(digits: str, region: str) -> bool:
    import phonenumbers  # tables of every country: not while definitions load

    parsed = phonenumbers.parse(digits, region)
    return phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY

"""Finds codes of letters and digits: IBAN, unified social credit code, passport, Chinese licence plate."""

import re
from collections.abc import Iterator

from assets.cleaning.pii.checksums import IBAN_CHARS, is_credit_code, is_iban
from assets.cleaning.pii.contexts import context_of
from assets.cleaning.pii.found import Found

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?<![A-Za-z0-9].{4})(?:[ \-]?[A-Z0-9]){11,30}+")
_CREDIT = "0-9A-HJ-NPQRTUWXY"
_CREDIT_CODE = re.compile(rf"[{_CREDIT}]{{2}}(?<![A-Za-z0-9]..)[ \-]?[0-9]{{6}}[ \-]?[{_CREDIT}]{{9}}[ \-]?[{_CREDIT}](?![A-Za-z0-9])")
# ICAO 9303 allows nine characters: letters then digits in most countries, digits alone in some, both mixed in Germany.
_PASSPORT = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:[A-Z]{1,2} ?|[a-z]{1,2})[0-9]{6,9}|[0-9]{8,9}|[CFGHJK][0-9CFGHJKLMNPRTVWXYZ]{8})(?![A-Za-z0-9])"
)
_PASSPORT_WORDS = tuple("assport ASSPORT asaporte asseport eisepass assaporto 护照 護照 通行证 通行證 回乡证 台胞证".split())
# GA 36-2018: province, authority, five places of which at most two are letters (no I, no O); six with D or F for electric cars.
_PLATE = re.compile(
    "([京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Za-hj-np-z])[·•・‧. \\-]?"
    "([A-HJKa-hjk][A-HJ-NP-Za-hj-np-z0-9][0-9]{4}|[0-9]{5}[A-HJKa-hjk]|[A-HJ-NP-Za-hj-np-z0-9]{4}[A-HJ-NP-Za-hj-np-z0-9挂学警港澳领])"
    "(?![A-Za-z0-9])"
)
_MIN_PLATE_DIGITS = 3
_MIN_PASSPORT_DIGITS = 4
_SEPARATORS = str.maketrans("", "", " -")


def find_ibans(text: str) -> Iterator[Found]:
    """IBANs in capitals, in one piece or in groups."""
    for match in _IBAN.finditer(text):
        end = _end_after(match[0], IBAN_CHARS.get(match[0][:2], 0))
        value = match[0][:end].translate(_SEPARATORS)
        if is_iban(value) and not match[0][end : end + 1].isalnum():
            yield Found(match.start(), match.start() + end, "iban", value)


def find_credit_codes(text: str) -> Iterator[Found]:
    """Unified social credit codes."""
    for match in _CREDIT_CODE.finditer(text):
        value = match[0].translate(_SEPARATORS)
        if is_credit_code(value):
            yield Found(match.start(), match.end(), "credit_code", value)


def find_passports(text: str) -> Iterator[Found]:
    """Numbers of passports and travel permits, where the text says that they are."""
    if not any(word in text for word in _PASSPORT_WORDS):
        return
    for match in _PASSPORT.finditer(text):
        has_digits = sum(character.isdigit() for character in match[0]) >= _MIN_PASSPORT_DIGITS
        if has_digits and context_of(text, match.start(), match.end()) == "passport":
            yield Found(match.start(), match.end(), "passport", match[0].translate(_SEPARATORS).upper())


def find_plates(text: str) -> Iterator[Found]:
    """Licence plates of mainland China."""
    for match in _PLATE.finditer(text):
        is_plate = sum(character.isdigit() for character in match[2]) >= _MIN_PLATE_DIGITS
        if is_plate and not text.startswith(("型", "号线", "股"), match.end()):
            yield Found(match.start(), match.end(), "plate", (match[1] + match[2]).upper())


def _end_after(text: str, chars: int) -> int:
    """Where the text ends after so many letters and digits."""
    for place, character in enumerate(text):
        chars -= character.isalnum()
        if chars <= 0:
            return place + 1
    return len(text)

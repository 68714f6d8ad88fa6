"""Check digits and fixed parts of numbers that people are known by. Finding such numbers in a text does not belong here."""

import re
from calendar import monthrange
from types import MappingProxyType

# First two digits of resident IDs and of the region in credit codes (GB/T 2260), with Hong Kong, Macao and Taiwan (residence permits).
PROVINCES = frozenset("11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".split())
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"
_CREDIT_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# Length of an IBAN by country: SWIFT, IBAN Registry, release 99.
IBAN_CHARS = MappingProxyType(
    {
        country: int(chars)
        for chars, countries in (
            line.split(":")
            for line in (
                "15:NO|16:BE|18:DK FI FK FO GL NL SD|19:MK SI|20:AT BA EE KZ LT LU MN XK|21:CH HR LI LV|22:BG BH CR DE GB GE IE ME RS VA"
                "|23:AE GI IL IQ OM SO TL|24:AD CZ ES MD PK RO SA SE SK TN VG|25:LY PT ST|26:IS TR|27:BI DJ FR GR IT MC MR SM"
                "|28:AL AZ BY CY DO GT HU LB NI PL SV|29:BR EG PS QA UA|30:JO KW MU YE|31:MT SC|32:LC|33:RU"
            ).split("|")
        )
        for country in countries.split()
    }
)

# Issuer ranges and lengths (ISO/IEC 7812): Visa; Mastercard; American Express; Diners; Discover; JCB; Maestro; Mir.
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|(?:50|5[6-8]|6[37])\d{14}|220[0-4]\d{12}"
)
# UnionPay, with which banks of China issue; and what the large ones issued before (ICBC, CCB, BOC, ABC, CMB).
_UNIONPAY = re.compile(r"(?:62|81[0-7])\d{14,17}")
_OLDER_CHINESE = re.compile(r"(?:9558|4367|4563|4220|5240|5264|4392|4682|6013|1030|9559)\d{12,15}")


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    plain = sum(map(int, digits[-1::-2]))
    return (plain + sum(_LUHN_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def is_payment_card(digits: str) -> bool:
    """Whether 13 to 19 digits are in the range of an issuer, of that issuer's length, with a right check digit."""
    return _CARD.fullmatch(digits) is not None and passes_luhn(digits)


def is_chinese_card(digits: str, *, is_named: bool) -> bool:
    """Whether 16 to 19 digits are a card of a Chinese bank; the ranges from before UnionPay count only where the text names a card."""
    in_range = _UNIONPAY.fullmatch(digits) or (_OLDER_CHINESE.fullmatch(digits) if is_named else None)
    return in_range is not None and passes_luhn(digits)


def is_iban(iban: str) -> bool:
    """Whether an IBAN without spaces has its country's length and leaves 1 modulo 97 (ISO 13616)."""
    if IBAN_CHARS.get(iban[:2]) != len(iban):
        return False
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def is_resident_id(number: str) -> bool:
    """Whether 17 digits and a digit or X are a resident ID: province, date of birth, check character (GB 11643-1999, ISO 7064 MOD 11-2)."""
    if number[:2] not in PROVINCES or not _is_date(int(number[6:10]), number[10:14]):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _RESIDENT_WEIGHTS, strict=False))
    return _RESIDENT_CHECKS[total % 11] == number[17]


def is_old_resident_id(digits: str) -> bool:
    """Whether 15 digits can be a resident ID from before 1999: province and date of birth; it has no check digit."""
    return digits[:2] in PROVINCES and _is_date(1900 + int(digits[6:8]), digits[8:12])


def is_credit_code(code: str) -> bool:
    """Whether 18 characters are a unified social credit code: registrar, region, check character (GB 32100-2015, modulo 31)."""
    if code[0] not in "123456789ANY" or code[2:4] not in PROVINCES | {"10"}:
        return False
    total = sum(_CREDIT_DIGITS.index(character) * weight for character, weight in zip(code, _CREDIT_WEIGHTS, strict=False))
    return _CREDIT_DIGITS[-total % 31] == code[17]


def _is_date(year: int, month_and_day: str) -> bool:
    month, day = int(month_and_day[:2]), int(month_and_day[2:])
    return 1850 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]

"""Check digits: published examples hold, and any one wrong digit breaks them."""

import pytest

from assets.cleaning.pii.checksums import (
    is_chinese_card,
    is_credit_code,
    is_iban,
    is_old_resident_id,
    is_payment_card,
    is_resident_id,
    passes_luhn,
)


def with_one_wrong(number):
    """The number with each of its digits changed, one at a time."""
    for place, character in enumerate(number):
        if character.isdigit():
            yield number[:place] + str((int(character) + 1) % 10) + number[place + 1 :]


@pytest.mark.parametrize(
    ("is_right", "number"),
    [
        (passes_luhn, "79927398713"),
        (is_payment_card, "4111111111111111"),
        (is_payment_card, "378282246310005"),
        (is_iban, "GB82WEST12345698765432"),
        (is_iban, "DE89370400440532013000"),
        (is_resident_id, "11010519491231002X"),
        (is_credit_code, "91110000600037341L"),
    ],
)
def test_an_example_is_right_and_no_digit_of_it_can_change(is_right, number):
    assert is_right(number)
    assert [wrong for wrong in with_one_wrong(number) if is_right(wrong)] == []


@pytest.mark.parametrize(
    ("digits", "is_named", "is_card"),
    [
        ("6200000000000005", False, True),
        ("6200000000000006", True, False),
        ("9558800000000000128", False, False),
        ("4111111111111111", True, False),
    ],
)
def test_a_chinese_card_has_a_chinese_range(digits, is_named, is_card):
    assert is_chinese_card(digits, is_named=is_named) is is_card


@pytest.mark.parametrize(
    ("digits", "is_id"), [("110105491231002", True), ("110105490231002", False), ("990105491231002", False), ("110105491331002", False)]
)
def test_an_old_resident_id_has_a_province_and_a_date(digits, is_id):
    assert is_old_resident_id(digits) is is_id


@pytest.mark.parametrize("number", ["11010519490229002X", "11010518001231002X", "99010519491231002X"])
def test_a_resident_id_has_a_province_and_a_date_of_birth(number):
    assert not is_resident_id(number)

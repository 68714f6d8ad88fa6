from assets.replacements import Replacement, decode_replacements, encode_replacements


def test_replacements_survive_being_written():
    replacements = (Replacement(3, 21, "phone", 11), Replacement(24, 42, "email", 15))
    assert decode_replacements(encode_replacements(replacements)) == replacements


def test_nothing_replaced_is_a_missing_value():
    assert encode_replacements(()) is None
    assert decode_replacements(None) == decode_replacements(float("nan")) == ()

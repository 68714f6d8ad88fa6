"""Pseudonyms are stable, keyed, and nothing that is replaced can be found again."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.cleaning.decisive import says_something_else
from assets.cleaning.pii.finding import find_personal_data
from assets.cleaning.pii.found import Found
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.repair import repair_text
from assets.cleaning.tokens import tokenize_text
from assets.cleaning.words import find_words
from assets.cleaning_settings import PERSONAL_DATA, PersonalData
from assets.pseudonyms import PSEUDONYM
from assets.replacements import Replacement

TEXTS = [json.loads(line)["text"] for line in (Path(__file__).parent.parent / "data" / "pii_cases.jsonl").read_text("utf-8").splitlines()]
REGIONS = PersonalData().phone_regions
ALL = Pseudonymizer(frozenset(PERSONAL_DATA), REGIONS, b"a key for tests")


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("Mail Ann@Example.com now", "Mail [EMAIL_opimglagpp] now"),
        ("邮箱ann@example.com，手机13800138000。", "邮箱[EMAIL_opimglagpp]，手机[PHONE_hbdhlnacio]。"),
        ("https://ann:secret@example.com/", "https://[SECRET_anapjpgpng]@example.com/"),
        ("nothing to see, 没有", "nothing to see, 没有"),
        ("", ""),
    ],
)
def test_a_value_becomes_its_kind_and_ten_letters(text, replaced):
    assert ALL.replace(text).text == replaced


def test_replacements_say_where_pseudonyms_stand_and_for_how_much():
    replaced = ALL.replace("电话 138 0013 8000，邮箱ann@example.com")
    assert replaced.replacements == (Replacement(3, 21, "phone", 11), Replacement(24, 42, "email", 15))
    assert [PSEUDONYM.fullmatch(replaced.text[each.start : each.end]) is not None for each in replaced.replacements] == [True, True]


def test_another_key_or_kind_gives_another_pseudonym():
    found = Found(0, 4, "card", "4111")
    other = Pseudonymizer(ALL.kinds, REGIONS, b"another key of tests")
    names = {ALL.pseudonym(found)[6:], other.pseudonym(found)[6:], ALL.pseudonym(Found(0, 4, "iban", "4111"))[6:]}
    assert len(names) == 3


def test_only_wanted_kinds_are_replaced():
    some = Pseudonymizer({"email"}, REGIONS, b"a key for tests")
    assert some.replace("ann@example.com, 13800138000").text == "[EMAIL_opimglagpp], 13800138000"
    assert Pseudonymizer(frozenset(), REGIONS, b"").replace("ann@example.com").text == "ann@example.com"


def test_names_that_a_finder_found_are_replaced_with_the_rest():
    replaced = ALL.replace("王小明 13800138000", [Found(0, 3, "name", "王小明"), Found(4, 9, "name", "13800")])
    assert [each.kind for each in replaced.replacements] == ["name", "phone"]


@given(st.lists(st.sampled_from(TEXTS) | st.text(max_size=8), max_size=5), st.sampled_from(["", " ", "，", ": "]))
def test_nothing_replaced_is_found_again_and_what_stays_is_what_was_there(pieces, between):
    text = repair_text(between.join(pieces)).text
    replaced = ALL.replace(text)
    assert find_personal_data(replaced.text, REGIONS) == []
    assert repair_text(replaced.text).text == replaced.text
    place = 0
    for each in replaced.replacements:
        kept = replaced.text[place : each.start]
        assert kept in text
        place = each.end
    assert text.endswith(replaced.text[place:])


def test_a_pseudonym_is_one_word_for_search_and_makes_no_decisive_difference():
    left, right = ALL.replace("Write to ann@example.com today").text, ALL.replace("Write to bob@example.com today").text
    assert not says_something_else(left, right)
    assert find_words(left) == ["Write", "to", "EMAIL", "opimglagpp", "today"]
    assert tokenize_text("写信给[EMAIL_opimglagpp]", "zh")[-1] == tokenize_text("opimglagpp", "und")[0]


def test_the_key_is_not_shown():
    assert "tests" not in repr(ALL)

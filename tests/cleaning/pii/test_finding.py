"""Every labelled case is found exactly, in English and Chinese, and nothing hostile takes long or gets through."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.cleaning.pii.finding import find_personal_data, without_overlaps
from assets.cleaning.pii.found import Found
from assets.cleaning_settings import PERSONAL_DATA, PersonalData

CASES = [json.loads(line) for line in (Path(__file__).parent.parent / "data" / "pii_cases.jsonl").read_text("utf-8").splitlines()]
REGIONS = PersonalData().phone_regions


def found_in(text, regions=REGIONS):
    return [[found.start, found.end, found.kind] for found in find_personal_data(text, regions)]


def values_in(text):
    return [found.value for found in find_personal_data(text, REGIONS)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['language']}-{case['group']}-{case['text'][:40]}")
def test_exactly_what_is_labelled_is_found(case):
    assert found_in(case["text"]) == case["spans"]


def test_the_cases_cover_every_kind_in_both_languages_and_much_that_only_looks_like_one():
    kinds = Counter((case["language"], kind) for case in CASES for _, _, kind in case["spans"])
    assert len(CASES) >= 300
    assert all(kinds[language, kind] >= 3 for language in ("en", "zh") for kind in PERSONAL_DATA if kind != "name")
    negatives = Counter(case["language"] for case in CASES if not case["spans"])
    assert min(negatives["en"], negatives["zh"]) >= 50


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Ann@Example.com", "ann@example.COM"),
        ("+1 (415) 555-0132", "call 415.555.0132"),
        ("手机138-0013-8000", "+86 13800138000"),
        ("电话13800138000", "手机１３８００１３８０００"),
        ("4111 1111 1111 1111", "card 4111-1111-1111-1111"),
        ("身份证11010519491231002x", "110105 19491231 002X"),
        ("GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432"),
        ("车牌京a12345", "京A·12345"),
        ("护照e12345678", "passport E12345678"),
        ("server 2001:db8::1", "2001:0db8:0:0:0:0:0:1"),
    ],
)
def test_two_ways_of_writing_the_same_thing_have_one_canonical_form(left, right):
    assert values_in(left) == values_in(right) != []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("https://ann:secret@example.com/", ["secret"]),
        ("IBAN DE89 3704 0044 0532 0130 00", ["iban"]),
        ("卡号6200000000000005电话13800138000", ["bank_card", "phone"]),
    ],
)
def test_of_two_that_overlap_the_surer_kind_is_meant(text, kinds):
    assert [kind for _, _, kind in found_in(text)] == kinds


def test_overlaps_are_settled_by_kind_then_length():
    found = [Found(0, 5, "phone", "a"), Found(4, 9, "email", "b"), Found(9, 12, "phone", "c"), Found(9, 14, "phone", "d")]
    assert [each.value for each in without_overlaps(found)] == ["b", "d"]


def test_national_numbers_are_looked_for_in_the_named_countries_only():
    assert found_in("(415) 555-0132", ("GB",)) == []
    assert found_in("(415) 555-0132", ("GB", "US")) == [[0, 14, "phone"]]
    assert found_in("+1 415 555 0132", ()) == [[0, 15, "phone"]]


def test_a_find_does_not_show_its_value():
    (found,) = find_personal_data("ann@example.com", REGIONS)
    assert "ann" not in repr(found)


UNITS = (
    "1|1 |1.|(1)|1-|+1 |a|a.|a@|a@b.|@|%40a.|://a:|?token=|:|a:|::|1:|AB12|AB12 |京A|京A1|"
    "passport A1|13800138000 |1.1.1.|电话|phone 1|0 0.|["
    "|9X|١|１|91 |x='"
)
HOSTILE = [unit * (60_000 // len(unit)) for unit in UNITS.split("|")]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_a_long_hostile_text_is_read_in_time(text):
    assert all(each.end > each.start for each in find_personal_data(text, REGIONS))


PIECES = st.sampled_from([case["text"] for case in CASES]) | st.text(max_size=12) | st.text("0123456789 .-()+:@ABXx电话卡号", max_size=20)


@given(st.lists(PIECES, max_size=4))
def test_finds_are_in_order_apart_and_within_the_text(pieces):
    text = "".join(pieces)
    places = [place for start, end, _ in found_in(text) for place in (start, end)]
    assert places == sorted(places)
    assert all(0 <= start < end <= len(text) for start, end, _ in found_in(text))

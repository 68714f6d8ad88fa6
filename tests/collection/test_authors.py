"""Who wrote a document: read from many shapes, and a pseudonym before any table sees it."""

import json

import pytest

from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.collection.authors import pseudonymize_authors, read_authors, split_byline
from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.pseudonyms import PSEUDONYM, pseudonym_of_person
from assets.source_settings import FieldMapping

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("Ann Lee", ("Ann Lee",)),
        ("  张三 ", ("张三",)),
        (42, ("42",)),
        (["Ann", "Bo", "Ann"], ("Ann", "Bo")),
        ([{"name": "Ann", "id": 1}, {"id": 2}], ("Ann",)),
        ({"name": "李四"}, ("李四",)),
        ("", ()),
        (None, ()),
        (True, ()),
        (float("nan"), ()),
        ({"name": ["Ann"]}, ()),
        ("x" * 201, ()),
        (["Ann"] * 51, ()),
        ("a\ud800b", ("a?b",)),
    ],
)
def test_names_are_read_from_what_a_field_may_hold(value, names):
    assert read_authors(value) == names


@pytest.mark.parametrize(
    ("byline", "names"),
    [
        ("By Ann Lee; Bo Chan", ("Ann Lee", "Bo Chan")),
        ("作者：张三、李四", ("张三", "李四")),
        ("本报记者 / 王伟", ("王伟",)),
        ("Byron Smith", ("Byron Smith",)),
        ("文森特", ("文森特",)),
        (None, ()),
    ],
)
def test_a_byline_gives_the_names_alone(byline, names):
    assert split_byline(byline) == names


@pytest.mark.parametrize(
    ("one", "other"), [("Ann Lee", "ann  LEE"), ("@ann", "Ann"), ("Ann@Shop.example", "ann@shop.example"), ("ＡＮＮ", "ann")]
)
def test_one_person_has_one_pseudonym_however_written(one, other):
    assert pseudonym_of_person(KEY, one) == pseudonym_of_person(KEY, other)
    assert PSEUDONYM.fullmatch(pseudonym_of_person(KEY, one))
    assert pseudonym_of_person(KEY, one) != pseudonym_of_person(b"other" * 8, one)
    assert pseudonym_of_person(KEY, one) != pseudonym_of_person(KEY, "Bob")


@pytest.mark.parametrize("address", ["Ann@Shop.example", "zhang.san@qq.com", "ann@mastodon.example"])
def test_an_author_is_who_texts_mention_by_the_address(address):
    text = Pseudonymizer(("email",), (), KEY).replace(f"Write to {address} today").text
    assert text == f"Write to {pseudonym_of_person(KEY, address)} today"


def test_authors_become_pseudonyms_once_and_those_of_the_transport_stay():
    (two, none, again) = pseudonymize_authors([("Ann", "Bo"), None, (pseudonym_of_person(KEY, "Ann"),)], lambda: KEY)
    assert two == f"{pseudonym_of_person(KEY, 'Ann')} {pseudonym_of_person(KEY, 'Bo')}"
    assert none != none
    assert again == pseudonym_of_person(KEY, "Ann")


def test_the_key_is_not_asked_for_where_nobody_is_named():
    def refuse():
        raise AssertionError

    assert pseudonymize_authors([None, ()], refuse).isna().all()


def parse(payload, media_type, **facts):
    return parse_objects([RawObject(payload, "0" * 64, "file:///a", media_type, **facts)], fields=FieldMapping(authors="user.name"))


@pytest.mark.parametrize(
    ("payload", "media_type"),
    [
        (json.dumps({"id": 1, "text": "one", "user": {"name": "Ann"}}).encode(), "application/x-ndjson"),
        (json.dumps([{"id": 1, "text": "one", "user": {"name": "Ann"}}]).encode(), "application/json"),
        (b"id,text,user.name\n1,one,Ann\n", "text/csv"),
    ],
)
def test_records_name_their_author(payload, media_type):
    assert parse(payload, media_type).documents["authors"].tolist() == [("Ann",)]


def test_the_author_of_a_record_goes_before_that_of_its_transport():
    lines = b'{"id": 1, "text": "one", "user": {"name": "Ann"}}\n{"id": 2, "text": "two"}'
    transport = pseudonym_of_person(KEY, "Editor")
    assert parse(lines, "application/x-ndjson", authors=transport).documents["authors"].tolist() == [("Ann",), (transport,)]

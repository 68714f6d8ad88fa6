"""What an identity sees: the rows of both role and token, less restricted texts, and people only where they may be known."""

from datetime import UTC, datetime

import pytest

from assets.project import Access
from resources.access_store import Identity
from services.visibility import mask_trace, view_of, without_pseudonyms

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES = ("shop", "hotel", "tickets")
KEY = b"k" * 32


def view(role="viewer", token=None, **access):
    return view_of(Identity("t", "n", role, token, NOW, None, NOW), Access(**access), SOURCES, KEY)


@pytest.mark.parametrize(
    ("role", "token", "access", "rows", "texts"),
    [
        ("viewer", None, {}, None, None),
        ("viewer", ("shop",), {}, {"shop"}, {"shop"}),
        ("viewer", (), {}, set(), set()),
        ("viewer", None, {"sources": {"viewer": ("shop", "hotel")}}, {"shop", "hotel"}, {"shop", "hotel"}),
        ("trainer", None, {"sources": {"viewer": ("shop",)}}, None, None),
        ("viewer", ("hotel", "tickets"), {"sources": {"viewer": ("shop", "hotel")}}, {"hotel"}, {"hotel"}),
        ("viewer", None, {"restricted_sources": ("tickets",)}, None, {"shop", "hotel"}),
        ("admin", None, {"restricted_sources": ("tickets",)}, None, None),
        ("trainer", None, {"restricted_sources": ("tickets",), "restricted_text_roles": ("trainer",)}, None, None),
        ("viewer", ("tickets",), {"restricted_sources": ("tickets",)}, {"tickets"}, set()),
    ],
)
def test_rows_and_texts_by_role_token_and_settings(role, token, access, rows, texts):
    found = view(role, token, **access)
    assert (found.sources, found.readable) == (rows, texts)


@pytest.mark.parametrize("text", ["Write to amy", "给王伟写信"])
def test_restricted_texts_are_masked_and_other_columns_stay(text):
    row = {"document_id": "d", "text": text, "title": text, "url": "u", "authors": "[NAME_aaaaaaaaaa]", "label": "neutral"}
    masked = {"document_id": "d", "text": None, "title": None, "url": None, "authors": None, "label": "neutral"}
    restricted = view("trainer", restricted_sources=("tickets",))
    assert [restricted.mask(row, source) for source in ("shop", "tickets", "left_the_project")] == [row, masked, masked]


@pytest.mark.parametrize(
    ("annotator", "is_person"),
    [("amy", True), ("王伟", True), ("rule:lexicon", False), ("model:x", False), ("anonymous:01", False), ("", False)],
)
def test_people_are_renamed_and_machines_are_not(annotator, is_person):
    (shown,) = {view().mask({"annotator_id": annotator}, "shop")["annotator_id"] for _ in range(2)}
    assert (shown != annotator) == is_person
    assert view("trainer").mask({"annotator_id": annotator}, "shop")["annotator_id"] == annotator


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ask [EMAIL_kbnagpdhce].", "Ask [EMAIL_xxxxxxxxxx]."),
        ("请问[CN_ID_abcdefghij]和[PHONE_aaaaaaaaaa]。", "请问[CN_ID_xxxxxxxxxx]和[PHONE_xxxxxxxxxx]。"),
        ("[EMAIL_kbn] and [email_kbnagpdhce]", "[EMAIL_kbn] and [email_kbnagpdhce]"),
    ],
)
def test_pseudonyms_tell_their_kind_and_keep_their_length(text, shown):
    assert without_pseudonyms(text) == shown
    assert len(shown) == len(text)


def test_whole_data_sets_are_for_those_who_see_every_row_as_it_is():
    assert view("trainer").reads_whole(SOURCES)
    assert not view("viewer").reads_whole(SOURCES)
    assert not view("trainer", restricted_sources=("tickets",)).reads_whole(SOURCES)
    assert view("trainer", restricted_sources=("tickets",)).reads_whole(("shop",))
    assert not view("trainer", ("shop",)).reads_whole(SOURCES)


def test_a_trace_of_an_unknown_source_is_nobodys():
    assert mask_trace({"annotations": [{"document_id": "d"}]}, view("admin")) is None

"""What speaks against training models on a text, and who decides."""

import pandas as pd
import pytest

from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.collection.records import to_raw_documents
from assets.rights import training_refusal
from assets.source_settings import FieldMapping

PARAGRAPH = "The council decided on Tuesday to keep the library open. 市议会周二决定让图书馆再开放一年，居民们对此表示欢迎。"
NOTHING = pd.DataFrame({"external_id": [], "document_id": [], "revision": []})


@pytest.mark.parametrize(
    ("policy", "signal", "refusal"),
    [
        ("by_signals", None, None),
        ("by_signals", "noai", "noai"),
        ("allowed", "noai", None),
        ("denied", None, "denied_by_source"),
        ("denied", "ai_txt", "denied_by_source"),
    ],
)
def test_the_project_file_decides_before_signals(policy, signal, refusal):
    assert training_refusal(policy, signal) == refusal


@pytest.mark.parametrize(
    ("tags", "signal"),
    [
        ("", None),
        ('<meta name="robots" content="noai, noimageai">', "noai"),
        ('<meta name="ROBOTS" content="NOAI">', "noai"),
        ('<meta name="robots" content="noimageai, noindex">', None),
        ('<meta name="tdm-reservation" content="1">', "tdm_reservation"),
        ('<meta name="tdm-reservation" content="0"><meta name="tdm-policy" content="https://a/policy.json">', None),
        ('<meta property="og:title" content="noai"><meta name="description">', None),
    ],
)
@pytest.mark.parametrize("segment", ["page", "paragraph"])
def test_meta_tags_of_a_page_are_heard(tags, signal, segment):
    html = f"<html><head>{tags}<title>t</title></head><body><article><p>{PARAGRAPH}</p></article></body></html>"
    found = parse_objects([RawObject(html.encode(), "0" * 64, "http://a/", "text/html")], fields=FieldMapping(), segment=segment)
    assert found.documents["ai_training_signal"].fillna("").tolist() == [signal or ""]


def test_what_the_host_says_comes_before_what_the_page_says():
    html = f'<html><head><meta name="robots" content="noai"></head><body><article><p>{PARAGRAPH}</p></article></body></html>'
    raw = RawObject(html.encode(), "0" * 64, "http://a/", "text/html", robots_allowed=True, ai_training_signal="ai_txt")
    documents = parse_objects([raw], fields=FieldMapping()).documents
    assert documents[["robots_allowed", "ai_training_signal"]].to_numpy().tolist() == [[True, "ai_txt"]]


def test_rows_carry_licence_and_right():
    lines = [RawObject(b'{"id": 1, "text": "one"}', "0" * 64, "file:///a", "application/x-ndjson")]
    documents = parse_objects(lines, fields=FieldMapping()).documents
    now = pd.Timestamp("2026-01-02", tz="UTC").to_pydatetime()
    options = {"source": "shop", "known": NOTHING, "now": now}
    plain = to_raw_documents(documents, **options).rows
    assert plain[["licence", "robots_allowed", "ai_training_signal"]].isna().all(axis=None)
    assert plain["ai_training_allowed"].tolist() == [True]
    denied = to_raw_documents(documents, **options, licence="CC BY 4.0", ai_training="denied").rows
    assert denied[["licence", "ai_training_allowed"]].to_numpy().tolist() == [["CC BY 4.0", False]]

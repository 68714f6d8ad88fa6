"""What every search engine answers: the same tests for each, so that both find the same documents."""

import dataclasses
from datetime import date

import pytest

from resources.search_engine import MAX_WINDOW, SearchIndexError
from resources.search_query import All, Term


@pytest.fixture
def filled(engine, documents):
    with engine.writing() as writer:
        writer.add(documents)
    return engine


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("battery", {"1", "2"}),
        ("batteries lasting", {"1"}),
        ("battery life", {"1", "2"}),
        ('"battery life"', {"1"}),
        ('"life of a battery"', {"2"}),
        ("“电池寿命”", {"6"}),
        ("phone", {"1", "3", "6"}),
        ("phone -battery", {"3", "6"}),
        ("phone AND NOT (battery OR 屏幕)", {"3"}),
        ("服务", {"4", "5"}),
        ("科学院", {"5"}),
        ("battery OR 早餐", {"1", "2", "4"}),
        ("battery 早餐", {"1", "2", "4"}),
        ("battery elephant", {"1", "2"}),
        ("elephant", set()),
        ("NOT phone", {"2", "4", "5"}),
        ("source:shop", {"1", "2", "3"}),
        ("source:shop OR source:酒店", {"1", "2", "3", "4", "5"}),
        ('source:"my hotel"', {"6"}),
        ("source:my", set()),
        ("source:Shop", set()),
        ("label:negative", {"3", "5"}),
        ("label:spam phone", {"3"}),
        ("label:positive -酒店", {"1"}),
        ("language:zh", {"4", "5", "6"}),
        ("date:2026", {"3", "4", "5", "6"}),
        ("date:2026-02", {"4", "5"}),
        ("date:2026-02-01", {"4"}),
        ("date:..2025", {"1", "2"}),
        ("date:2026-02-28..", {"5", "6"}),
        ("date:2025-03-01..2026-01-31 -battery", {"3"}),
        ("(label:positive OR label:neutral) AND language:zh", {"4", "6"}),
        ("NOT (NOT battery)", {"1", "2"}),
    ],
)
def test_a_query_finds(filled, ask, text, ids):
    found = ask(text)
    assert (set(found), len(found)) == (ids, len(ids))


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"sources": ["shop"]}, {"1", "3"}),
        ({"sources": ["shop", "my hotel"]}, {"1", "3", "6"}),
        ({"sources": []}, set()),
        ({"label": "positive"}, {"1"}),
        ({"language": "zh"}, {"6"}),
        ({"since": date(2026, 1, 31)}, {"3", "6"}),
        ({"until": date(2026, 1, 31)}, {"1", "3"}),
        ({"since": date(2024, 3, 1), "until": date(2024, 3, 1)}, {"1"}),
    ],
)
def test_filters_narrow_it(filled, ask, filters, ids):
    assert set(ask("phone", **filters)) == ids


def test_the_best_come_first_and_conditions_weigh_nothing(filled, ask):
    assert ask("battery")[0] == "2"  # the shorter text
    found = filled.search(All((Term("phone"), Term("batteri"))), 10)
    assert (found.total, [hit.document_id for hit in found.hits]) == (1, ["1"])
    assert found.hits[0].score > 0


def test_pages_follow_each_other(filled):
    whole = filled.search(Term("phone"), 10)
    pages = [filled.search(Term("phone"), 1, offset) for offset in range(4)]
    assert [page.total for page in pages] == [3] * 4
    assert [hit.document_id for page in pages for hit in page.hits] == [hit.document_id for hit in whole.hits]


def test_a_page_far_behind_is_refused(filled):
    with pytest.raises(SearchIndexError, match="first 10,000 hits, found offset 9999 and limit 2"):
        filled.search(Term("phone"), 2, MAX_WINDOW - 1)


def test_adding_again_replaces(filled, ask, documents):
    changed = dataclasses.replace(documents[0], labels=("negative",))
    with filled.writing() as writer:
        writer.add([changed])
        writer.add(documents[1:3])
    assert filled.count() == 6
    assert (set(ask("label:negative")), ask("label:positive source:shop")) == ({"1", "3", "5"}, [])


def test_removed_documents_are_not_found_and_unknown_ones_are_no_error(filled, ask):
    with filled.writing() as writer:
        writer.remove(["1", "nobody"])
    assert (filled.count(), ask("battery")) == (5, ["2"])


def test_building_anew_answers_with_the_old_until_it_is_done(filled, ask, documents):
    with filled.writing(anew=True) as writer:
        writer.add(documents[3:])
        assert set(ask("battery")) == {"1", "2"}
        assert filled.count() == 6
    assert (filled.count(), ask("battery"), set(ask("服务"))) == (3, [], {"4", "5"})


def test_when_building_anew_fails_the_old_one_stays(filled, ask, documents):
    def unreadable():
        yield from documents[3:]
        raise OSError("the lakehouse is gone")

    with pytest.raises(OSError, match="the lakehouse is gone"), filled.writing(anew=True) as writer:
        writer.add(unreadable())
    assert (filled.count(), set(ask("battery"))) == (6, {"1", "2"})
    size = filled.size_bytes()
    with filled.writing(anew=True) as writer:
        writer.add(documents)
    assert filled.size_bytes() < 2 * size  # nothing of the attempts is left


def test_an_empty_index_is_none(engine):
    assert engine.count() == 0
    with pytest.raises(SearchIndexError, match="Materialize `search_index` first"):
        engine.search(Term("phone"), 1)
    engine.erase()


def test_an_erased_index_is_gone(filled):
    filled.erase()
    assert (filled.count(), filled.size_bytes()) == (0, 0)


def test_nothing_at_all_can_be_written(engine):
    with engine.writing() as writer:
        writer.add([])
    assert (engine.count(), engine.search(Term("phone"), 1).total) == (0, 0)


def test_an_index_of_another_version_counts_as_none(filled, documents, monkeypatch):
    monkeypatch.setattr("resources.search_index.SCHEMA_VERSION", 99)
    monkeypatch.setattr("resources.search_engine.SCHEMA_VERSION", 99)
    assert filled.count() == 0
    with pytest.raises(SearchIndexError, match="Materialize `search_index` first"):
        filled.search(Term("phone"), 1)
    with filled.writing() as writer:
        writer.add(documents[:2])
    assert filled.count() == 2

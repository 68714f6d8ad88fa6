"""The folder of the embedded index: what an earlier release left there, and readers beside a rebuild."""

import threading

from resources.search_index import SearchIndex
from resources.search_query import Term


def test_what_an_earlier_release_wrote_counts_as_none_and_goes(tmp_path, documents):
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    (folder / "0.store").write_text("old")
    index = SearchIndex(folder)
    assert index.count() == 0
    with index.writing() as writer:
        writer.add(documents)
    assert index.count() == 6
    assert not (folder / "0.store").exists()


def test_whoever_searches_during_rebuilds_always_gets_an_answer(tmp_path, documents):
    index, done, totals = SearchIndex(tmp_path / "search"), threading.Event(), set()
    with index.writing() as writer:
        writer.add(documents)

    def search():
        while not done.is_set():
            totals.add(index.search(Term("phone"), 10).total)

    readers = [threading.Thread(target=search) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        with index.writing(anew=True) as writer:
            writer.add(documents)
    done.set()
    for reader in readers:
        reader.join(30)
    assert totals == {3}

"""The file channel yields new and changed files, and one failure per file that cannot be read."""

import gzip
import os

import pytest

from resources.channels.fetched import CursorMove, Fetched, FetchFailure, SourceError
from resources.channels.files import FilesChannel


def collect(channel, cursor):
    """Outcomes of a fetch; the cursor moves as the platform would move it."""
    outcomes = list(channel.fetch(dict(cursor)))
    cursor.update({item.cursor_key: item.cursor_value for item in outcomes if not isinstance(item, FetchFailure)})
    return outcomes


@pytest.fixture
def drop(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "a.jsonl").write_bytes('{"text": "你好"}\n'.encode("gbk"))
    return tmp_path


def test_files_come_in_order_with_their_bytes_unchanged(drop):
    outcomes = collect(FilesChannel(f"{drop}/**/*.jsonl"), {})
    assert [(item.uri, item.payload) for item in outcomes] == [
        ((drop / "a.jsonl").as_uri(), '{"text": "你好"}\n'.encode("gbk")),
        ((drop / "b" / "1.jsonl").as_uri(), b'{"text": "one"}\n'),
    ]
    assert {(item.media_type, item.charset, item.role, item.parent_id) for item in outcomes} == {
        ("application/x-ndjson", None, "documents", None)
    }


def test_a_second_fetch_finds_nothing_new(drop):
    cursor = {}
    channel = FilesChannel(f"{drop}/**/*.jsonl")
    assert len(collect(channel, cursor)) == 2
    assert collect(channel, cursor) == []


def test_only_changed_and_new_files_are_read_again(drop):
    cursor = {}
    channel = FilesChannel(f"{drop}/**/*.jsonl")
    collect(channel, cursor)
    (drop / "a.jsonl").write_text('{"text": "changed"}\n')
    (drop / "c.jsonl").write_text('{"text": "new"}\n')
    assert [item.uri.rpartition("/")[2] for item in collect(channel, cursor)] == ["a.jsonl", "c.jsonl"]
    assert collect(channel, cursor) == []


def test_a_file_that_was_only_touched_moves_the_cursor_and_brings_no_bytes(drop):
    cursor = {}
    channel = FilesChannel(f"{drop}/*.jsonl")
    collect(channel, cursor)
    os.utime(drop / "a.jsonl", ns=(1, 1))
    (moved,) = collect(channel, cursor)
    assert isinstance(moved, CursorMove)
    assert collect(channel, cursor) == []


@pytest.mark.parametrize(
    ("name", "content", "reason", "detail"),
    [
        ("empty.jsonl", b"", "empty_object", "expected at least one byte, found none"),
        ("large.jsonl", b"x" * 101, "object_too_large", "expected at most 100 bytes, found 101; not read"),
        (
            "notes.xyz",
            b"x",
            "unknown_format",
            "expected an ending out of .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .conll, .bio, .mbox, .txt, .text, .md, .html, .htm, "
            "perhaps with .gz, found none of them; set `format` of the source",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_failure_and_is_tried_again(tmp_path, name, content, reason, detail):
    (tmp_path / "good.txt").write_text("好")
    (tmp_path / name).write_bytes(content)
    channel, cursor = FilesChannel(f"{tmp_path}/*", max_object_bytes=100), {}
    first = collect(channel, cursor)
    failure = FetchFailure((tmp_path / name).as_uri(), reason, detail)
    assert failure in first
    assert [type(item) for item in first].count(Fetched) == 1
    assert collect(channel, cursor) == [failure]


def test_an_unreadable_file_is_one_failure(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    original = type(tmp_path).open

    def refuse_a(self, *arguments, **options):
        if self.name == "a.txt":
            raise PermissionError(13, "Permission denied")
        return original(self, *arguments, **options)

    monkeypatch.setattr(type(tmp_path), "open", refuse_a)
    failure, fetched = FilesChannel(f"{tmp_path}/*.txt").fetch({})
    assert failure == FetchFailure((tmp_path / "a.txt").as_uri(), "unreadable_object", "expected a readable file, found: Permission denied")
    assert fetched.payload == b"b"


def test_a_file_that_is_being_written_is_left_for_the_next_fetch(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a")
    original, calls = os.fstat, []

    def growing(handle):
        calls.append(handle)
        if len(calls) == 2:
            (tmp_path / "a.txt").write_text("aa")
        return original(handle)

    monkeypatch.setattr(os, "fstat", growing)
    (failure,) = FilesChannel(f"{tmp_path}/*.txt").fetch({})
    assert failure.reason == "object_still_changing"


def test_a_format_of_the_source_overrules_the_ending(tmp_path):
    (tmp_path / "export.dat").write_text("text\nhello\n")
    (fetched,) = FilesChannel(f"{tmp_path}/*", format="csv").fetch({})
    assert fetched.media_type == "text/csv"


@pytest.mark.parametrize("pattern", ["missing/*.jsonl", "missing/deep/**/*.jsonl", "missing.jsonl"])
def test_a_missing_folder_is_an_error_of_the_source(tmp_path, pattern):
    with pytest.raises(SourceError, match=r"expected something to collect at .*missing.*, found nothing there"):
        list(FilesChannel(f"{tmp_path}/{pattern}").fetch({}))


def test_an_unreadable_folder_is_an_error_of_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match=r"expected to be allowed to read .*, found that this account is not"):
        list(FilesChannel(f"{tmp_path}/*").fetch({}))


def test_an_empty_folder_is_no_error(tmp_path):
    assert list(FilesChannel(f"{tmp_path}/*.jsonl").fetch({})) == []


def test_a_compressed_file_is_opened_and_known_by_what_it_was(tmp_path):
    line = '{"text": "你好"}\n'.encode()
    (tmp_path / "a.JSONL.gz").write_bytes(gzip.compress(line) + gzip.compress(line))
    cursor = {}
    (found,) = collect(FilesChannel(f"{tmp_path}/*.gz"), cursor)
    assert (found.payload, found.media_type) == (line * 2, "application/x-ndjson")
    os.utime(tmp_path / "a.JSONL.gz", ns=(1, 1))
    assert [type(each) for each in collect(FilesChannel(f"{tmp_path}/*.gz"), cursor)] == [CursorMove]
    (forced,) = collect(FilesChannel(f"{tmp_path}/*.gz", "text"), {})
    assert (forced.payload, forced.media_type) == (line * 2, "text/plain")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"no gzip", "broken_compression"),
        (gzip.compress(b"text" * 100)[:-9], "broken_compression"),
        (gzip.compress(b""), "empty_object"),
        (gzip.compress(bytes(3_000_000)), "object_too_large"),
    ],
)
def test_a_compressed_file_that_cannot_be_opened_is_a_failure(tmp_path, payload, reason):
    (tmp_path / "a.csv.gz").write_bytes(payload)
    (found,) = collect(FilesChannel(f"{tmp_path}/*", max_object_bytes=1_000_000), {})
    assert (type(found), found.reason) == (FetchFailure, reason)

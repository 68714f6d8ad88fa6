"""The audit log: whoever changes it without the key is found out, and so is whoever cuts it short."""

import re
import sqlite3
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from resources.access_store import AccessKey
from resources.audit_log import ATTEMPTS, Access, AuditError, AuditLog

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "k" * 32


class Folder:
    """A log in a folder, and an intruder who can write its database."""

    def __init__(self, path, entries=0):
        self.path, self.file, self.head = path, path / "access.sqlite", path / "audit.head"
        for number in range(entries):
            self.log().append(access(number), lambda: NOW)

    def log(self, key=KEY):
        return AuditLog(f"sqlite:///{self.file}", AccessKey(self.path / "key", key), self.head)

    def tamper(self, *statements):
        connection = sqlite3.connect(self.file)
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER audit_entries_no_{verb}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()


def access(number, **values):
    given = {"token_id": "t1", "name": "amy", "role": "viewer", "client": "127.0.0.1", "method": "GET", "path": f"/documents/{number}"}
    return Access(**given | {"query": "q=酒店", "status": 200} | values)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path, entries=5)


def test_a_whole_log_has_no_problems_and_a_head(folder):
    report = folder.log().verify()
    assert (report.entries, report.problems) == (5, [])
    assert report.head == folder.head.read_text().strip()
    assert re.fullmatch("5:[0-9a-f]{64}", report.head)
    assert folder.log().verify(report.head).problems == []


def test_an_empty_log_is_whole(tmp_path):
    assert Folder(tmp_path).log().verify().problems == []


def test_entries_keep_what_was_asked(folder):
    folder.log().append(access(6, token_id=None, name=None, role=None, status=401), lambda: NOW)
    newest = folder.log().newest(1)[0]
    kept = {name: newest[name] for name in ("sequence", "at", "token_id", "path", "query", "status")}
    assert kept == {
        "sequence": 6, "at": NOW.isoformat(), "token_id": None, "path": "/documents/6", "query": "q=酒店", "status": 401,
    }  # fmt: skip


COPY = "sequence, at, token_id, name, role, client, method, path, query, status, previous, digest"


@pytest.mark.parametrize(
    ("statements", "problems"),
    [
        (["UPDATE audit_entries SET path = '/labels' WHERE sequence = 3"], ["entry 3: expected the digest of what it says"]),
        (["UPDATE audit_entries SET name = '王伟' WHERE sequence = 5"], ["entry 5: expected the digest of what it says"]),
        (["UPDATE audit_entries SET at = '2027' WHERE sequence = 1"], ["entry 1: expected the digest of what it says"]),
        (["DELETE FROM audit_entries WHERE sequence = 2"], ["entry 2: expected it before entry 3, found none"]),
        (["DELETE FROM audit_entries WHERE sequence = 1"], ["entry 1: expected it before entry 2, found none"]),
        (["DELETE FROM audit_entries WHERE sequence >= 4"], ["entry 5: expected it, as it was seen before"]),
        (["DELETE FROM audit_entries"], ["entry 5: expected it, as it was seen before"]),
        (
            [
                "DELETE FROM audit_entries WHERE sequence = 2",
                "UPDATE audit_entries SET sequence = 2 WHERE sequence = 3",
                "UPDATE audit_entries SET sequence = 3 WHERE sequence = 4",
                "UPDATE audit_entries SET sequence = 4 WHERE sequence = 5",
            ],
            [
                "entry 2: expected it to follow the digest before it",
                "entry 2: expected the digest of what it says",
                "entry 3: expected the digest of what it says",
                "entry 4: expected the digest of what it says",
                "entry 5: expected it, as it was seen before",
            ],
        ),
        (
            [
                f"INSERT INTO audit_entries ({COPY}) SELECT 6, at, token_id, name, role, client, method, path, query, status, "
                "digest, digest FROM audit_entries WHERE sequence = 5"
            ],
            ["entry 6: expected the digest of what it says"],
        ),
    ],
)
def test_tampering_is_found_and_named(folder, statements, problems):
    folder.tamper(*statements)
    found = folder.log().verify().problems
    assert [problem[: len(expected)] for problem, expected in zip(found, problems, strict=True)] == problems


def test_an_end_cut_off_with_an_older_head_is_found_by_a_head_noted_elsewhere(folder):
    third = "3:" + folder.log().newest(3)[-1]["digest"]
    noted = folder.log().verify().head
    folder.tamper("DELETE FROM audit_entries WHERE sequence > 3")
    folder.head.write_text(third)
    assert folder.log().verify().problems == []  # nothing in the folder itself can tell
    (problem,) = folder.log().verify(noted).problems
    assert problem.startswith("entry 5: expected it, as it was seen before")


def test_a_missing_head_file_is_a_problem(folder):
    folder.head.unlink()
    (problem,) = folder.log().verify().problems
    assert problem == f"expected {folder.head} with how far the log was seen, found none"


def test_a_crash_between_entry_and_head_is_none(folder):
    before = folder.head.read_text()
    folder.log().append(access(6))
    folder.head.write_text(before)
    assert folder.log().verify().problems == []


def test_another_key_fits_no_entry(folder):
    assert len(folder.log(key="x" * 32).verify().problems) == 5


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET status = 500", "DELETE FROM audit_entries"])
def test_the_database_itself_refuses_changes(folder, statement):
    connection = sqlite3.connect(folder.file)
    with pytest.raises(sqlite3.IntegrityError, match="the audit log is append-only"):
        connection.execute(statement)
    connection.close()


def test_many_writers_make_one_chain(tmp_path):
    logs = [Folder(tmp_path).log() for _ in range(4)]
    writers = [threading.Thread(target=lambda log=log: [log.append(access(number)) for number in range(10)]) for log in logs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    report = Folder(tmp_path).log().verify()
    assert (report.entries, report.problems) == (40, [])


def test_an_entry_that_cannot_be_added_is_an_error(folder, monkeypatch):
    def taken(*_):
        raise IntegrityError("INSERT", {}, Exception("taken"))

    log = folder.log()
    monkeypatch.setattr(log, "_chain", taken)
    with pytest.raises(AuditError, match=f"within {ATTEMPTS} tries, found it taken each time"):
        log.append(access(6))

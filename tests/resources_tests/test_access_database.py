"""The database of tokens and audit log follows the code, whatever release made it."""

import subprocess
import sys
import uuid
from contextlib import contextmanager

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from resources.access_database import HEAD, METADATA, MIGRATIONS, VERSION_TABLE, AccessDatabaseError, open_access_database
from resources.access_store import AccessKey, AccessStore
from resources.audit_log import Access, AuditLog

OLD_TOKENS = """
CREATE TABLE access_tokens (token_id VARCHAR(32) NOT NULL, name VARCHAR(200) NOT NULL, role VARCHAR(20) NOT NULL, sources TEXT,
    token_sha256 VARCHAR(64) NOT NULL, created_at VARCHAR(40) NOT NULL, expires_at VARCHAR(40) NOT NULL, revoked_at VARCHAR(40),
    PRIMARY KEY (token_id), UNIQUE (token_sha256))"""
OLD_ENTRIES = """
CREATE TABLE audit_entries (sequence INTEGER NOT NULL, at VARCHAR(40) NOT NULL, token_id VARCHAR(32), name VARCHAR(200), role VARCHAR(20),
    client VARCHAR(100) NOT NULL, method VARCHAR(20) NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL, status INTEGER NOT NULL,
    previous VARCHAR(64) NOT NULL, digest VARCHAR(64) NOT NULL, PRIMARY KEY (sequence))"""
OLD_TOKEN = (
    "INSERT INTO access_tokens VALUES ('t1', '王伟', 'viewer', NULL, 'abc', '2026-01-01T00:00:00+00:00', '2027-01-01T00:00:00+00:00', NULL)"
)
OLD_ENTRY = "INSERT INTO audit_entries VALUES (1, 'now', NULL, NULL, NULL, 'c', 'GET', '/', '', 401, '0', '1')"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/100%/access.sqlite"
        return
    given = request.getfixturevalue("local_servers").variables()["TEXTMILL_ACCESS_STORE_URL"]
    name = f"access_{uuid.uuid4().hex[:12]}"
    run(given, f"CREATE SCHEMA {name}")
    yield make_url(given).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


def run(url, *statements):
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


@contextmanager
def opened(url):
    """A connection to the database, brought up to date."""
    engine = open_access_database(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def names_of(url):
    store = AccessStore(url)
    try:
        return [identity.name for identity in store.list()]
    finally:
        store.close()


def test_a_new_database_has_the_tables_that_the_code_asks_for(url):
    for _ in range(2):
        with opened(url) as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            assert (context.get_current_revision(), compare_metadata(context, METADATA)) == ("0002", [])


@pytest.mark.parametrize("statements", [(OLD_TOKENS, OLD_TOKEN), (OLD_ENTRIES, OLD_ENTRY), (OLD_TOKENS, OLD_TOKEN, OLD_ENTRIES, OLD_ENTRY)])
def test_a_database_of_the_first_release_keeps_what_it_holds(tmp_path, url, statements):
    (tmp_path / "100%").mkdir()
    run(url, *statements)
    with opened(url) as connection:
        assert {"access_tokens", "audit_entries"} <= set(inspect(connection).get_table_names())
        assert connection.execute(text("SELECT count(*) FROM audit_entries")).scalar() == (OLD_ENTRY in statements)
    assert names_of(url) == ["王伟"] * (OLD_TOKEN in statements)


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET status = 200", "DELETE FROM audit_entries"])
def test_entries_of_the_audit_log_cannot_be_changed_by_accident(url, statement):
    with opened(url):
        run(url, OLD_ENTRY)
    with pytest.raises(DatabaseError, match="append-only"):
        run(url, statement)


def test_a_database_of_a_newer_release_is_refused_and_left_alone(url):
    assert names_of(url) == []
    run(url, "UPDATE access_revision SET version_num = '9999'")
    with pytest.raises(AccessDatabaseError, match="at revision 0002 or before, found 9999: a newer release"):
        names_of(url)
    run(url, "UPDATE access_revision SET version_num = '0002'")
    assert names_of(url) == []


def test_processes_that_open_a_new_database_at_once_all_succeed(url):
    code = f"from resources.access_store import AccessStore; assert AccessStore({url!r}).list() == []"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]


def test_migrations_can_be_taken_back(url):
    with opened(url) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == [VERSION_TABLE]


def test_a_log_of_before_goes_on_after_the_migration(tmp_path):
    def log():
        return AuditLog(
            f"sqlite:///{tmp_path}/access.sqlite", AccessKey(tmp_path / "key", "a-secret-of-enough-characters"), tmp_path / "head"
        )

    log().append(Access(None, None, None, "c", "GET", "/", "", 401))
    run(f"sqlite:///{tmp_path}/access.sqlite", "DROP TABLE access_revision")
    log().append(Access(None, None, None, "c", "GET", "/x", "", 401))
    report = log().verify()
    assert (report.entries, report.problems) == (2, [])


def test_the_newest_migration_is_the_head():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_what_others_record_in_the_same_database_is_left_alone(url, tmp_path):
    (tmp_path / "100%").mkdir()
    run(url, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)", "INSERT INTO alembic_version VALUES ('29b539ebc72a')")
    with opened(url) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "29b539ebc72a"
    assert names_of(url) == []

"""What was erased is in no byte of the installation, stays away when it is collected again, and leaves a proof without it."""

import json
import shutil
import sqlite3

import pytest
from typer.testing import CliRunner

from assets.answers import DOCUMENT_ID_FIELD
from assets.collection.gathering import parse, stored_objects
from assets.label_studio import title_of
from assets.labeling.given_answers import Answer
from dagster_project.cli import app
from dagster_project.environments import read_environment
from resources.tombstones import read_proofs, read_tombstones
from services import erasure
from services.erasure import erase, erase_again
from services.erasure_plan import ErasureError, Subject, plan_erasure
from services.queries import find_documents
from tests.copies import copied

SECRET = "Zanzibarian lamp number seven burnt down the garage of Mrs Quillfeather."
GEHEIM = "张小花说这家酒店的翡翠浴缸漏水，要求全额退款，再也不来了。"
ENGLISH = [
    {"id": "1", "text": "I love this phone, the screen is wonderful and bright.", "ratings": [3, 4, 3, 2]},
    {"id": "2", "text": SECRET, "ratings": [-3, -2, -4, -3]},
    {"id": "3", "text": "The parcel arrived on Tuesday in a brown cardboard box.", "ratings": [0, 0, 1, 0]},
    {"id": "4", "text": "Write to me at quill@example.com about the broken desk lamp.", "ratings": [0, 0, 1, 0]},
    {"id": "8", "text": "Thank you so much!"},
]
REFUSED = [
    {"id": ["no id"], "text": SECRET},
    {"id": [SECRET], "text": "Somebody else wrote this about nothing at all."},
    {"id": 2, "text": ["the same record", "Quillfeather"]},
    json.dumps({"id": "90", "text": f"{SECRET} It was cut off"})[:-9],
]
"""Records that make no document; the second quotes the text in what is told of its refusal."""
CHINESE = [
    {"id": "甲", "text": "这家酒店的服务很好,房间干净,强烈推荐。", "ratings": [3, 3, 4]},
    {"id": "乙", "text": GEHEIM, "ratings": [-3, -2, -3]},
]
NEEDLES = ("Zanzibar", "Quillfeather", "zanzibar", "quillfeath", "翡翠浴缸", "张小花")


def environment_in(folder):
    """Home and backups below a folder."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    return read_environment(
        {
            "TEXTMILL_HOME": str(folder / "home"),
            "TEXTMILL_BACKUP_URL": (folder / "elsewhere").as_uri(),
            "TEXTMILL_MASTER_KEY": "a-master-secret-0001",
        }
    )


@pytest.fixture(scope="module")
def prepared(shared_platform, shared_files_source, project_of):
    """A platform with an English and a Chinese source, refreshed and backed up once."""
    shared_platform.environment = environment_in(shared_platform.environment.home.parent)
    shop = shared_files_source("shop", ENGLISH)
    shared_files_source("shop", REFUSED, file="refused.jsonl")
    shared_platform.configure(project_of([shop, shared_files_source("hotel", CHINESE)]))
    assert shared_platform.run("refresh").failed_steps == {}
    tokens = shared_platform.resources["compute"].folder / "tokens"
    tokens.mkdir(parents=True)
    (tokens / "ids.npy").write_bytes(b"Zanzibar")
    assert shared_platform.run("back_up").succeeded
    return shared_platform


@pytest.fixture
def filled(platform, prepared, tmp_path):
    """A copy of it with its backups."""
    platform.environment = environment_in(tmp_path)
    with copied(prepared, platform):
        yield platform


def id_of(platform, external_id):
    ((found,),) = platform.rows(f"raw_documents WHERE external_id = '{external_id}'", "document_id")
    return found


def erased(platform, *external_ids, reason="request 12"):
    for external_id in external_ids:
        proof = erase(platform.resources, plan_erasure(platform.resources, Subject("document", id_of(platform, external_id))), reason, "op")
    return proof


def places_with(platform, needles):
    """Every file, opened object and table that holds one of some words; backups, too."""
    found = []
    folders = [platform.environment.home, platform.environment.home.parent / "elsewhere"]
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found += [f"{path}: {needle}" for needle in needles if needle.encode() in content]
    for store in (platform.resources["object_store"], platform.resources["backups"].store):
        for stored in store.list():
            content = store.get(stored.key)
            found += [f"{stored.key}: {needle}" for needle in needles if needle.encode() in content]
    with platform.lakehouse.session() as connection:
        for table in platform.lakehouse.tables:
            for needle in needles:
                sql = f"SELECT count(*) FROM lake.main.{table} t WHERE contains(t::VARCHAR, ?)"
                found += [f"table {table}: {needle}"] * connection.execute(sql, [needle]).fetchone()[0]
        named = {name for table in platform.lakehouse.tables for name in files_of(connection, table)}
        snapshots = connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone()[0]
    data = {path.name for path in (platform.lakehouse.folder / "data").rglob("*.parquet")}
    return found, data - named, snapshots


def files_of(connection, table):
    rows = connection.execute(f"SELECT data_file, delete_file FROM ducklake_list_files('lake', '{table}', schema => 'main')").fetchall()
    assert not [row for row in rows if row[1]], "rows that are only hidden"
    return [str(row[0]).rsplit("/", 1)[-1] for row in rows]


def test_no_byte_of_an_erased_text_is_left_and_the_others_are_whole(filled, labeling_server, shared_files_source):
    shared_files_source("shop", ENGLISH[::-1])  # the same records in other bytes: fetched again, and not one document is new
    filled.desk.keep([Answer(id_of(filled, "2"), "Ann", "negative"), Answer(id_of(filled, "1"), "Ann", "positive")], "test")
    assert filled.run("refresh").failed_steps == {}
    filled.desk.keep([Answer(id_of(filled, "2"), "Bob", "negative")], "test")
    assert places_with(filled, ["Zanzibar", "翡翠浴缸"])[0]
    server = filled.resources["labeling_server"] = labeling_server
    server.titles.append(title_of(filled.project))
    server.add_tasks(1, [{"data": {"text": "…", "source": "shop", DOCUMENT_ID_FIELD: id_of(filled, name)}} for name in ("1", "2", "3")])
    before = filled.rows("clean_documents WHERE external_id NOT IN ('2', '乙')", "external_id", "text", "cluster_id")
    labels = "labeled_documents JOIN clean_documents USING (document_id)"
    labelled = filled.rows(f"{labels} WHERE external_id NOT IN ('2', '乙')", "external_id", "label", "votes_count")
    assert len(filled.rows("rejected_records WHERE source = 'shop'", "locator")) == 4
    proofs = [erased(filled, "2"), erased(filled, "乙")]
    assert {reason for (reason,) in filled.rows("rejected_records WHERE source = 'shop'", "reason")} == {"malformed_json"}, "without a text"
    found, strangers, snapshots = places_with(filled, NEEDLES)
    assert (found, strangers, snapshots) == ([], set(), 1)
    assert filled.rows("clean_documents", "external_id", "text", "cluster_id") == before
    assert filled.rows(labels, "external_id", "label", "votes_count") == labelled
    assert bytes_are_there(filled)
    assert list(server.found) == [1, 3]

    assert (proofs[0].documents, proofs[0].kind, proofs[0].reason, proofs[0].erased_by) == (1, "document", "request 12", "op")
    assert proofs[0].finished_at >= proofs[0].began_at
    assert proofs[0].removed["rows of raw_documents"] == 1
    assert proofs[0].removed["rows of rejected_records"] == 3
    assert (proofs[0].removed["raw objects, rewritten without them"], proofs[0].without_bytes) == (3, 0), proofs[0].removed
    assert proofs[0].removed["files of answers"] == 2
    assert proofs[0].removed["tasks of the labeling server"] == 1
    assert read_proofs(filled.resources["object_store"]) == proofs
    assert not [needle for needle in (*NEEDLES, id_of(filled, "1")) if needle in proofs[0].model_dump_json()]

    assert filled.run("refresh").failed_steps == {}
    assert filled.resources["index"].count() == 5
    assert not find_documents(filled.lakehouse, filled.resources["index"], "Zanzibarian", 5).total
    filled.lakehouse.close()
    with sqlite3.connect(filled.lakehouse.folder / "catalog.sqlite") as catalog:
        values = catalog.execute("SELECT min_value, max_value FROM ducklake_table_column_stats").fetchall()
    assert not [value for pair in values for value in pair if value and any(needle in value for needle in NEEDLES)]
    assert filled.rows("clean_documents WHERE text LIKE 'I love%'", "external_id") == [("1",)]


def test_what_was_erased_does_not_come_back(filled, shared_files_source):
    erased(filled, "2", "乙", "8")
    shared_files_source("shop", [*ENGLISH, {"id": "5", "text": "A brand new lamp for the desk in the corner."}])
    shared_files_source("shop", [{"id": "77", "text": f"  {SECRET.upper()}"}, {"id": "9", "text": "Thank you so much!"}], file="copy.jsonl")
    shared_files_source("shop", [{"id": ["no id"], "text": SECRET}, {"id": ["nor this"], "text": "Kept."}], file="refused-again.jsonl")
    shared_files_source("hotel", [*CHINESE, {"id": "乙", "text": "改了文字的同一条记录，也不应该回来，无论写什么。"}], file="two.jsonl")
    outcome = filled.run("refresh")
    assert outcome.failed_steps == {}
    assert filled.rows("clean_documents", "external_id") == [("1",), ("3",), ("4",), ("5",), ("9",), ("甲",)]
    assert filled.rows("raw_documents WHERE external_id IN ('8', '9')", "external_id") == [("9",)], "a short text is anybody's"
    assert {reason for (reason,) in filled.rows("rejected_records", "reason")} >= {"erased"}
    assert places_with(filled, ["Zanzibar", "ZANZIBAR", "翡翠浴缸", "改了文字"])[0] == []
    assert filled.run("refresh", replay_sources=["shop"]).failed_steps == {}
    assert filled.rows("clean_documents", "external_id") == [("1",), ("3",), ("4",), ("5",), ("9",), ("甲",)]


def bytes_are_there(platform):
    """Whether every document that is left names an object that the store has."""
    known = {sha256 for (sha256,) in platform.rows("raw_objects", "raw_sha256")}
    named = {sha256 for (sha256,) in platform.rows("raw_documents", "raw_sha256")}
    return named <= known and all(platform.resources["object_store"].get_content(sha256) for sha256 in known)


def test_an_author_by_the_pseudonym_then_a_whole_source(filled, shared_files_source):
    ((text,),) = filled.rows("clean_documents WHERE external_id = '4'", "text")
    pseudonym = text.split(" at ")[1].split(" about")[0]
    plan = plan_erasure(filled.resources, Subject.parse(f"author:{pseudonym}"))
    assert plan.documents["external_id"].tolist() == ["4"]
    erase(filled.resources, plan, "request", "op")
    assert places_with(filled, ["quill@example.com", pseudonym])[0] == []

    shared_files_source("hotel", [{"id": ["x"], "text": "被拒绝的记录也属于这个来源。"}], file="refused.jsonl")
    assert filled.collect().failed_steps == {}
    assert places_with(filled, ["被拒绝的记录"])[0]
    plan = plan_erasure(filled.resources, Subject("source", "hotel"))
    assert erase(filled.resources, plan, "licence ended", "op").documents == 2
    assert not filled.rows("rejected_records WHERE source = 'hotel'", "locator")
    shared_files_source("hotel", [{"id": ["y"], "text": "被拒绝的记录又来了一条。"}], file="refused.jsonl")
    shared_files_source("hotel", [{"id": "丙", "text": "这是同一来源的一条新评论，也不能再被收集。"}], file="two.jsonl")
    assert filled.run("refresh").failed_steps == {}
    assert {source for (source,) in filled.rows("clean_documents", "source")} == {"shop"}
    assert places_with(filled, [*NEEDLES[4:], "强烈推荐", "新评论", "被拒绝的记录"])[0] == []


def test_an_erasure_that_was_killed_again_and_again_is_finished(filled, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    resources, subject = filled.resources, Subject("document", id_of(filled, "2"))
    for owner, name in (
        (erasure, "redact_answers"),
        (erasure, "delete_documents"),
        (erasure, "finish"),
        (erasure, "scrub"),
        (type(resources["backups"]), "prune"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, die)
            with pytest.raises(KeyboardInterrupt):
                erase(resources, plan_erasure(resources, subject), "request 12", "op")
        assert not read_tombstones(resources["object_store"], resources["pseudonym_key"].read).is_empty
    erase(resources, plan_erasure(resources, subject), "request 12", "op")
    assert places_with(filled, NEEDLES[:4])[0] == []
    assert bytes_are_there(filled)
    assert all(proof.finished_at and not proof.objects for proof in read_proofs(resources["object_store"]))
    with pytest.raises(ErasureError, match="found none; `textmill search` prints ids"):
        erase(resources, plan_erasure(resources, subject), "request 12", "op")


def test_a_lakehouse_restored_from_an_older_copy_is_erased_again(filled, tmp_path):
    filled.lakehouse.close()
    shutil.copytree(filled.lakehouse.folder, tmp_path / "older")
    erased(filled, "2")
    erase(filled.resources, plan_erasure(filled.resources, Subject("source", "hotel")), "licence ended", "op")
    filled.lakehouse.close()
    shutil.rmtree(filled.lakehouse.folder)
    shutil.move(tmp_path / "older", filled.lakehouse.folder)
    assert filled.rows("clean_documents WHERE external_id = '2'", "external_id")
    assert erase_again(filled.resources) == 3
    assert places_with(filled, NEEDLES)[0] == []
    assert {source for (source,) in filled.rows("raw_objects", "source")} == {"shop"}
    assert erase_again(filled.resources) == 0


def texts_in_objects(platform, source):
    """What is still parsed from the stored bytes of a source."""
    found = stored_objects(platform.lakehouse, platform.resources["object_store"], source)
    return sorted(parse(found, source).documents["text"])


def test_messages_of_a_mailbox_go_one_by_one_and_the_others_can_be_parsed_again(platform, project_of, tmp_path):
    texts = ["one", SECRET, "three"]
    mails = "\n".join(f"From amy\nMessage-ID: <{number}@x>\nSubject: mail\n\n{text}\n" for number, text in enumerate(texts))
    (tmp_path / "box.mbox").write_text(mails)
    platform.configure(project_of([{"kind": "mailbox", "name": "mails", "path": str(tmp_path / "*.mbox")}]))
    assert platform.collect().failed_steps == {}
    (document_id,) = [row[0] for row in platform.rows("raw_documents", "document_id", "text") if row[1] == SECRET]
    (tmp_path / "box.mbox").unlink()
    proof = erase(platform.resources, plan_erasure(platform.resources, Subject("document", document_id)), "request 12", "op")
    assert (proof.removed["raw objects, rewritten without them"], proof.without_bytes) == (1, 0)
    assert texts_in_objects(platform, platform.project.sources[0]) == ["one", "three"]
    store = platform.resources["object_store"]
    assert not [stored.key for stored in store.list() if b"Zanzibar" in store.get(stored.key)]


def test_an_object_that_goes_whole_is_told_of_with_how_many_lose_their_bytes(platform, files_source, project_of):
    shop, hotel = files_source("shop", ENGLISH), files_source("hotel", CHINESE)
    platform.configure(project_of([shop, hotel]))
    assert platform.collect().failed_steps == {}
    platform.configure(project_of([hotel]))  # nothing says any more how the objects of the other are read
    plan = plan_erasure(platform.resources, Subject("document", id_of(platform, "2")))
    assert plan.without_bytes == 4
    proof = erase(platform.resources, plan, "request 12", "op")
    assert (proof.removed["raw objects, whole"], proof.without_bytes) == (1, 4)
    assert [row[0] for row in platform.rows("raw_documents WHERE source = 'shop'", "external_id")] == ["1", "3", "4", "8"]
    assert platform.rows("raw_objects WHERE source = 'shop'", "uri") == []


def test_an_author_is_nowhere_by_name_and_can_be_erased_for_good(platform, files_source, project_of, tmp_path, monkeypatch):
    posts = [
        {"id": "1", "text": "The new screen is wonderful, bright and far better than the old one.", "by": "Mira Quillfeather"},
        {"id": "2", "text": "酒店的早餐很丰盛，服务员也很热情，下次还会再来。", "by": {"name": "mira  quillfeather"}},
        {"id": "3", "text": "The parcel arrived on Tuesday in a brown cardboard box.", "by": "张小花"},
    ]
    source = files_source("shop", posts) | {"fields": {"authors": "by"}}
    platform.configure(project_of([source]))
    assert platform.run("refresh").failed_steps == {}
    with platform.lakehouse.session() as connection:
        for table in platform.lakehouse.tables:
            rows = connection.execute(f"SELECT lower(t::VARCHAR) FROM lake.main.{table} t").fetchall()
            assert not [row for row in rows if "quillfeather" in row[0] or "张小花" in row[0]], table
    config = tmp_path / "project.json"
    config.write_text(platform.project.model_dump_json())
    monkeypatch.setenv("TEXTMILL_HOME", str(platform.environment.home))
    monkeypatch.setenv("TEXTMILL_CONFIG", str(config))
    platform.lakehouse.close()
    told = CliRunner().invoke(app, ["pseudonym", "--json"], input="Mira Quillfeather\n")
    found = json.loads(told.stdout[told.stdout.index("[") :])
    assert [row["documents"] for row in found] == [2], told.output
    assert {name for (name,) in platform.rows("clean_documents WHERE external_id IN ('1', '2')", "authors")} == {
        found[0]["subject"].removeprefix("author:")
    }
    subject = Subject.parse(found[0]["subject"])
    assert erase(platform.resources, plan_erasure(platform.resources, subject), "request 14", "op").documents == 2
    assert platform.rows("clean_documents", "external_id") == [("3",)]
    files_source(
        "shop", [{"id": "9", "text": "She writes again, about something else altogether.", "by": "@Mira Quillfeather"}], file="b.jsonl"
    )
    assert platform.run("refresh").failed_steps == {}
    assert platform.rows("clean_documents", "external_id") == [("3",)]
    assert platform.rows("rejected_records", "reason") == [("erased",)]


@pytest.mark.parametrize("words", ["nonsense", "document:", "person:x"])
def test_a_subject_that_is_none_is_refused(words):
    with pytest.raises(ErasureError, match="expected document:ID, author:PSEUDONYM or source:NAME"):
        Subject.parse(words)


def test_the_command_asks_first_and_prints_the_proof(filled, monkeypatch, tmp_path):
    document_id = id_of(filled, "2")
    config = tmp_path / "project.json"
    config.write_text(filled.project.model_dump_json())
    monkeypatch.setenv("TEXTMILL_HOME", str(filled.environment.home))
    monkeypatch.setenv("TEXTMILL_MASTER_KEY", "a-master-secret-0001")
    monkeypatch.setenv("TEXTMILL_CONFIG", str(config))
    filled.lakehouse.close()
    run = CliRunner()
    asked = run.invoke(app, ["erase", f"document:{document_id}", "--reason", "request 12"], input="n\n")
    assert asked.exit_code == 1
    assert "1 documents in 2 raw objects" in asked.output
    assert filled.rows("raw_documents WHERE external_id = '2'", "external_id")
    filled.lakehouse.close()
    done = run.invoke(app, ["erase", f"document:{document_id}", "--reason", "request 12", "--yes"])
    assert done.exit_code == 0, done.output
    assert run.invoke(app, ["erase", "--list"]).output.count("request 12") == 1
    (listed,) = json.loads(run.invoke(app, ["erase", f"document:{document_id}", "--list", "--json"]).stdout)
    assert (listed["kind"], listed["documents"], listed["objects_to_go"], len(listed["subject"])) == ("document", 1, 0, 16)
    assert "1 rows of raw_documents" in listed["removed"]
    assert document_id not in json.dumps(listed)
    assert json.loads(run.invoke(app, ["erase", f"source:{document_id}", "--list", "--json"]).stdout) == []
    assert run.invoke(app, ["erase", f"document:{document_id}"]).exit_code == 2
    assert not filled.rows("raw_documents WHERE external_id = '2'", "external_id")

"""The graph from sources to queue and index, on small real files: increments, refusals, recovery, partial failure."""

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from services.queries import find_documents
from tests.copies import copied

ENGLISH = [
    {"id": "1", "text": "I love this phone, the screen is wonderful and bright.", "ratings": [3, 4, 3, 2]},
    {"id": "2", "text": "The battery died after two days, what a waste of money.", "ratings": [-3, -2, -4, -3]},
    {"id": "3", "text": "The parcel arrived on Tuesday in a brown cardboard box.", "ratings": [0, 0, 1, 0]},
]
CHINESE = [
    {"id": "甲", "text": "这家酒店的服务很好,房间干净,强烈推荐。", "ratings": [3, 3, 4]},
    {"id": "乙", "text": "快递太慢了,包装也破了,非常失望。", "ratings": [-3, -2, -3]},
]


def states(platform, asset):
    return [increment.state for increment in platform.lakehouse.increments(asset)]


@pytest.fixture(scope="module")
def settled(shared_platform, shared_files_source, project_of):
    """A platform with one English and one Chinese source, refreshed once; shared by the tests that change nothing."""
    shared_platform.configure(project_of([shared_files_source("shop", ENGLISH), shared_files_source("hotel", CHINESE)]))
    outcome = shared_platform.run("refresh")
    assert outcome.succeeded, outcome
    return shared_platform


@pytest.fixture
def drop(settled):
    """The folder with the folders of its sources."""
    return Path(settled.project.sources[0].path).parents[1]


@pytest.fixture
def small(platform, settled):
    """A copy of it."""
    with copied(settled, platform):
        yield platform


def test_texts_in_both_languages_are_collected_cleaned_labelled_and_found(settled):
    assert settled.rows("clean_documents", "external_id", "language") == [
        ("1", "en"), ("2", "en"), ("3", "en"), ("乙", "zh"), ("甲", "zh"),
    ]  # fmt: skip
    assert settled.rows("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "label", "is_confident") == [
        ("1", "positive", True), ("2", "negative", True), ("3", "neutral", True), ("乙", "negative", True), ("甲", "positive", True),
    ]  # fmt: skip
    assert settled.resources["index"].count() == 5


def test_search_finds_chinese_and_english(settled):
    for query, beginning in (("wonderful screens", "I love"), ("酒店服务", "这家酒店")):
        (text,) = find_documents(settled.lakehouse, settled.resources["index"], query, 5).rows["text"]
        assert text.startswith(beginning)


def test_a_second_run_finds_nothing_new_and_writes_nothing(settled):
    before = {asset: states(settled, asset) for asset in ("raw_documents", "clean_documents", "labeled_documents", "search_index")}
    outcome = settled.run("refresh")
    assert outcome.succeeded
    assert {step.summary for step in outcome.steps} == {"nothing new"}
    assert {asset: states(settled, asset) for asset in before} == before


def test_new_and_changed_records_flow_on_alone(small, shared_files_source):
    shared_files_source("shop", [ENGLISH[0], {**ENGLISH[1], "text": "The battery died after three weeks and nobody helped."}, *ENGLISH[2:]])
    shared_files_source("shop", [{"id": "4", "text": "A brand new lamp for the desk.", "ratings": [1, 1, 2]}], file="two.jsonl")
    outcome = small.run("refresh")
    assert outcome.succeeded
    summaries = {step.asset: step.summary for step in outcome.steps}
    assert summaries["raw_documents[shop]"] == "4 in, 2 out, 0 rejected, 2 skipped"
    assert summaries["raw_documents[hotel]"] == "nothing new"
    assert summaries["clean_documents"] == "2 in, 2 out, 0 rejected, 0 skipped"
    assert small.rows("raw_documents WHERE external_id = '2'", "revision") == [(1,), (2,)]


def test_a_new_label_reaches_the_index_and_nothing_else_is_told_again(small, shared_files_source):
    def found(label):
        return set(find_documents(small.lakehouse, small.resources["index"], f"label:{label}", 9).rows["external_id"])

    assert (found("positive"), found("neutral")) == ({"1", "甲"}, {"3"})
    shared_files_source("shop", [*ENGLISH[:2], {**ENGLISH[2], "ratings": [4, 4, 3, 4]}])
    outcome = small.run("refresh")
    assert outcome.succeeded, outcome
    assert {step.asset: step.summary for step in outcome.steps}["search_index"] == "1 in, 1 out, 0 rejected, 0 skipped"
    assert (found("positive"), found("neutral")) == ({"1", "3", "甲"}, set())
    assert small.resources["index"].count() == 5
    assert small.rows("search_index", "label").count(("positive",)) == 3


def test_an_index_that_is_lost_is_made_anew(small):
    small.resources["index"].erase()
    outcome = small.run("refresh")
    assert outcome.succeeded, outcome
    assert {step.asset: step.summary for step in outcome.steps}["search_index"] == "rebuilt: 5 in, 5 out, 0 rejected, 0 skipped"
    assert small.resources["index"].count() == 5


def test_every_row_of_every_stage_is_accounted_for(settled):
    for asset in ("raw_documents", "raw_annotations", "clean_documents", "tokens", "annotations", "rule_votes", "labeled_documents"):
        for increment in settled.lakehouse.increments(asset):
            assert increment.counts.rows_unaccounted == 0, asset
            assert increment.counts.rows_in > 0, asset


def test_a_broken_source_does_not_stop_the_others(platform, files_source, project_of, tmp_path):
    missing = {"kind": "files", "name": "gone", "path": str(tmp_path / "nowhere" / "*.jsonl")}
    platform.configure(project_of([missing, files_source("shop", ENGLISH)]))
    outcome = platform.run("refresh")
    assert outcome.failed_steps == {}
    assert "raw_documents: every_source_was_read (WARN)" in outcome.failed_checks
    assert len(platform.rows("clean_documents", "document_id")) == 3
    summaries = {step.asset: step.summary for step in outcome.steps}
    assert "FAILED, nothing written: SourceError" in summaries["raw_documents[gone]"]


def test_when_every_source_is_broken_the_run_fails(platform, project_of, tmp_path):
    platform.configure(project_of([{"kind": "files", "name": "gone", "path": str(tmp_path / "nowhere" / "*.jsonl")}]))
    outcome = platform.collect()
    assert not outcome.succeeded
    assert "clean_documents" not in {step.asset for step in outcome.steps}


BAD_LINES = [
    ("{not json", "malformed_json"),
    (json.dumps(["a", "list"]), "not_an_object"),
    (json.dumps({"id": "5", "text": ""}), "missing_text"),
    (json.dumps({"id": "6", "text": float("nan")}), "missing_text"),
    (json.dumps({"id": "7"}), "missing_text"),
    (json.dumps({"id": "8", "text": 12}), "text_not_a_string"),
    (json.dumps({"id": "1", "text": "The same id again with another text."}), "duplicate_id"),
]


def test_bad_lines_are_refused_with_a_reason_and_nothing_is_lost(platform, files_source, project_of):
    platform.configure(project_of([files_source("shop", [*ENGLISH, *(line for line, _ in BAD_LINES)])]))
    assert platform.collect().succeeded
    reasons = [row[0] for row in platform.rows("rejected_records", "reason")]
    assert sorted(reasons) == sorted(reason for _, reason in BAD_LINES)
    (increment,) = platform.lakehouse.increments("raw_documents")
    assert (increment.counts.rows_in, increment.counts.rows_out, increment.counts.rows_rejected) == (10, 3, 7)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("gb18030", "这家酒店的服务很好,房间干净,强烈推荐给大家。"), ("latin-1", "Le café était très agréable, déjà vu près de l'hôtel.")],
)
def test_files_in_other_encodings_come_out_right(platform, project_of, tmp_path, encoding, text):
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "one.txt").write_bytes(text.encode(encoding))
    platform.configure(project_of([{"kind": "files", "name": "texts", "path": str(folder / "*.txt")}]))
    platform.collect()
    assert [row[0] for row in platform.rows("raw_documents", "text")] == [text]


def test_an_empty_file_is_a_recorded_refusal(platform, files_source, project_of, tmp_path):
    source = files_source("shop", ENGLISH)
    (tmp_path / "drop" / "shop" / "empty.jsonl").write_bytes(b"")
    platform.configure(project_of([source]))
    assert platform.collect().succeeded
    assert platform.rows("rejected_records", "reason") == [("empty_object",)]


def test_a_line_of_200_megabytes_is_refused_and_its_neighbours_are_kept(platform, files_source, project_of, tmp_path):
    source = files_source("shop", ENGLISH) | {"max_object_bytes": 300_000_000}
    with (tmp_path / "drop" / "shop" / "long.jsonl").open("wb") as file:
        file.write(b'{"id": "long", "text": "' + b"a" * 200_000_000 + b'"}\n')
        file.write(b'{"id": "short", "text": "A short text after the long one."}\n')
    platform.configure(project_of([source]))
    assert platform.collect().succeeded
    assert platform.rows("rejected_records", "reason") == [("record_too_long",)]
    assert "short" in [row[0] for row in platform.rows("raw_documents", "external_id")]


def test_ratings_outside_the_scale_are_kept_with_their_reason(platform, files_source, project_of):
    platform.configure(project_of([files_source("shop", [{**ENGLISH[0], "ratings": [3, 4, 3, 9]}, *ENGLISH[1:]])]))
    assert platform.run("refresh").succeeded
    assert platform.rows("rejected_votes", "reason") == [("rating_outside_scale",)]


def test_labels_outside_the_task_are_kept_with_their_reason(platform, files_source, project_of):
    records = [{"id": "1", "text": "A text that three people labelled by hand.", "ratings": ["positive", "positive", "正面"]}]
    platform.configure(project_of([files_source("shop", records)]))
    platform.run("refresh")
    assert platform.rows("rejected_votes", "reason") == [("label_outside_task",)]
    assert platform.rows("annotations", "label") == [("positive",), ("positive",)]


def test_a_rejected_increment_stays_out_of_sight_until_the_rule_is_fixed(small, shared_files_source, project_of):
    strict = project_of(small.project.model_dump(mode="json")["sources"], labeling={"min_agreement": 1.0, "min_human_votes": 3})
    shared_files_source("shop", [{"id": "4", "text": "A lamp that some like and some do not.", "ratings": [4, -4, 3]}], file="two.jsonl")
    small.configure(strict)
    for _ in range(2):
        outcome = small.run("refresh")
        assert not outcome.succeeded
        assert "labeled_documents: annotators_agree (ERROR)" in outcome.failed_checks
        assert len(small.rows("labeled_documents", "document_id")) == 5
        assert "labeling_queue" not in {step.asset for step in outcome.steps}
    small.configure(project_of(small.project.model_dump(mode="json")["sources"], labeling={"min_agreement": -1}))
    assert small.run("refresh").succeeded
    assert len(small.rows("labeled_documents", "document_id")) == 6


def test_a_manual_click_on_a_later_asset_sees_approved_rows_only(small, shared_files_source):
    shared_files_source("shop", [{"id": "4", "text": "A lamp for the desk, quite bright.", "ratings": [1, 1, 1]}], file="two.jsonl")
    job = small.definitions().resolve_implicit_global_asset_job_def()
    own_check = dg.AssetCheckKey(dg.AssetKey("raw_documents"), "every_source_was_read")
    collected = job.get_subset(asset_selection={dg.AssetKey("raw_documents")}, asset_check_selection={own_check})
    assert collected.execute_in_process(instance=small.instance, partition_key="shop").success
    assert states(small, "raw_documents").count("staged") == 1
    clicked = job.get_subset(asset_selection={dg.AssetKey("clean_documents"), dg.AssetKey("rejected_documents")})
    assert clicked.execute_in_process(instance=small.instance).success
    assert len(small.rows("clean_documents", "document_id")) == 5


def test_full_refresh_supersedes_and_gives_the_same_rows(small):
    before = small.rows("clean_documents", "document_id", "text", "cluster_id")
    assert small.run("refresh", full_refresh=True).succeeded
    assert states(small, "clean_documents") == ["superseded", "approved"]
    assert small.rows("clean_documents", "document_id", "text", "cluster_id") == before


def test_replay_parses_stored_bytes_with_todays_settings_and_no_request(small, drop):
    for path in drop.rglob("*.jsonl"):
        path.unlink()
    (drop / "shop").rmdir()
    shorter = small.project.model_copy(
        update={"sources": (small.project.sources[0].model_copy(update={"max_text_chars": 54}), small.project.sources[1])}
    )
    small.configure(shorter)
    outcome = small.run("refresh", replay_sources=["shop"])
    assert outcome.succeeded
    assert {step.asset: step.summary for step in outcome.steps}["raw_documents[shop]"] == "3 in, 0 out, 2 rejected, 1 skipped"
    assert not [name for name in outcome.failed_checks if name.startswith("clean_documents")], "nothing to clean is no loss"


def test_a_document_can_be_traced_to_its_bytes_votes_and_code(settled):
    from services.queries import trace_document

    document_id = settled.rows("clean_documents WHERE external_id = '甲'", "document_id")[0][0]
    trace = trace_document(settled.lakehouse, document_id)
    assert len(trace["annotations"]) == 3
    assert trace["rule_votes"][0]["annotator_id"] == "rule:lexicon"
    raw = settled.resources["object_store"].get_content(trace["raw_documents"][0]["raw_sha256"])
    assert "这家酒店" in raw.decode()
    assert {increment["asset"] for increment in trace["increments"]} >= {"raw_documents", "clean_documents", "labeled_documents"}


def test_an_unknown_document_says_where_to_look(settled):
    from services.queries import trace_document

    with pytest.raises(LookupError, match=r"Expected a document id, found 'nobody' in none of .* `textmill search` prints ids"):
        trace_document(settled.lakehouse, "nobody")


def test_sql_rows_arrive_in_batches_and_only_once(platform, project_of, tmp_path):
    database = tmp_path / "crm.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE tickets (id INTEGER, body TEXT)")
        connection.executemany(
            "INSERT INTO tickets VALUES (?, ?)", [(i, f"Ticket number {i} about the printer on floor {i}.") for i in range(1, 8)]
        )
    connection.close()
    source = {
        "kind": "sql", "name": "tickets", "url": f"sqlite:///{database}", "cursor_column": "id", "batch_rows": 3,
        "query": "SELECT id, body FROM tickets WHERE id > :cursor ORDER BY id", "fields": {"external_id": "id", "text": "body"},
    }  # fmt: skip
    platform.configure(project_of([source]))
    platform.collect()
    assert len(platform.rows("raw_documents", "document_id")) == 7
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO tickets VALUES (8, 'A new ticket about the coffee machine.')")
    connection.close()
    summaries = {step.asset: step.summary for step in platform.collect().steps}
    assert summaries["raw_documents[tickets]"] == "1 in, 1 out, 0 rejected, 0 skipped"


FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><link>{base}</link><description>d</description>
<item><guid isPermaLink="false">a</guid><title>Good page</title><link>{base}/good.html</link></item>
<item><guid isPermaLink="false">b</guid><title>Broken page</title><link>{base}/broken.html</link></item></channel></rss>"""
PAGE = (
    "<html><body><article><h1>Title</h1><p>"
    + "The council met on Monday to speak about the new bridge over the river. " * 6
    + "</p></article></body></html>"
)


class HalfBroken(BaseHTTPRequestHandler):
    def do_GET(self):
        base = f"http://{self.headers['Host']}"
        body = {"/feed.xml": FEED.format(base=base), "/good.html": PAGE}.get(self.path)
        self.send_response(200 if body else 404 if self.path == "/robots.txt" else 500)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *_arguments):
        pass


def test_a_half_broken_feed_gives_its_good_pages_and_a_refusal_for_the_bad_one(platform, project_of):
    server = ThreadingHTTPServer(("127.0.0.1", 0), HalfBroken)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        feed = {"kind": "feed", "name": "news", "url": f"http://127.0.0.1:{server.server_port}/feed.xml"}
        feed |= {"allow_private_hosts": ["127.0.0.1"], "requests_per_second": 1000, "retries": 0}
        platform.configure(project_of([feed]))
        assert platform.collect().succeeded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert platform.rows("raw_documents", "external_id") == [("a",)]
    assert platform.rows("rejected_records", "reason") == [("fetch_failed",)]


def test_a_nul_in_ids_names_and_texts_stops_nothing(platform, files_source, project_of):
    text = "\0The battery died after three weeks and nobody\0 helped.\0"
    records = [
        {"id": "\0a", "thread": "t\0", "title": "\0", "text": text, "by": "\0Ann", "votes": [{"annotator": "\0bo", "value": -3}]},
        {"id": "b", "text": "I love this phone, the screen is wonderful and bright.", "votes": [{"annotator": "bo", "value": 3}]},
    ]
    source = files_source("shop", records) | {"fields": {"parent_id": "thread", "title": "title", "authors": "by", "votes": "votes"}}
    platform.configure(project_of([source]))
    assert platform.run("refresh").failed_steps == {}
    files_source("shop", [{**records[0], "text": text + " Again.", "votes": [{"annotator": "\0bo", "value": -2}]}], file="two.jsonl")
    assert platform.run("refresh").failed_steps == {}
    assert platform.rows("raw_documents", "external_id", "revision") == [("b", 1), ("\ufffda", 1), ("\ufffda", 2)]
    assert platform.rows("clean_documents WHERE external_id <> 'b'", "contains(text, chr(0))") == [(False,), (False,)]
    assert len(platform.rows("annotations", "vote_id")) == 3


def test_a_first_run_that_finds_nothing_to_read_says_so(platform, project_of, tmp_path):
    (tmp_path / "空").mkdir()
    source = {"kind": "files", "name": "shop", "path": str(tmp_path / "空" / "*.jsonl"), "fields": {"external_id": "id"}}
    platform.configure(project_of([source]))
    outcome = platform.run("refresh")
    assert not outcome.succeeded
    (message,) = outcome.check_messages
    assert message.startswith(
        "Expected an approved increment of raw_documents, found that none was ever approved: there was nothing to read yet"
    )

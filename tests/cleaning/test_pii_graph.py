"""Personal data through the whole graph: replaced before anything is built on it, in texts, titles, votes, search and refusals."""

import json

import pandas as pd
import pytest

from assets.cleaning.expectations import clean_documents
from assets.quality.validation import validate

EMAIL, PHONE, CARD = "ann.lee@example.com", "13800138000", "4111 1111 1111 1111"
RECORDS = [
    {"id": "1", "title": f"From {EMAIL}", "text": f"Ann  Lee writes from {EMAIL}, she lives in Leeds.", "spans": []},
    {"id": "2", "title": "电话", "text": f"王小明的电话是{PHONE}，他住在上海。", "spans": []},
    {"id": "3", "title": "", "text": f"Card {CARD} was refused; call {PHONE}.", "spans": [[0, 4, "PERSON"], [900, 901, "PLACE"]]},
    {"id": "4", "title": "", "text": "Nobody was there on that rainy evening.", "spans": []},
]
MARKED = {
    "1": (("Ann  Lee", "PERSON"), (EMAIL, "PERSON"), ("Leeds", "PLACE")),
    "2": (("王小明", "PERSON"), (PHONE, "PERSON"), ("上海", "PLACE")),
}


def records():
    for record in RECORDS:
        text = record["text"]
        spans = [[text.index(word), text.index(word) + len(word), label] for word, label in MARKED.get(record["id"], ())]
        yield record | {"spans": spans or record["spans"]}


@pytest.fixture
def reading(platform, tmp_path, write_jsonl, project_of):
    """A platform that collects the records and the spans that somebody marked in them."""
    write_jsonl(tmp_path / "drop" / "one.jsonl", list(records()))
    fields = {"spans": "spans", "annotator": "wang", "title": "title"}
    project = project_of([{"kind": "files", "name": "news", "path": f"{tmp_path}/drop/*.jsonl", "fields": fields}])
    content = project.model_dump(mode="json") | {"task": {"kind": "token_classification", "labels": ["PERSON", "PLACE"]}}
    content["labeling"] |= {"min_human_votes": 1, "min_agreement": 0}
    platform.configure(type(project).model_validate(content))
    return platform


def test_personal_data_stays_in_the_raw_tables_and_marked_spans_keep_their_places(reading):
    outcome = reading.run("refresh")
    assert outcome.succeeded, outcome
    pages = {row[0]: row[1:] for row in reading.rows("clean_documents", "external_id", "title", "text", "replacements")}
    (email,) = {pages["1"][0].removeprefix("From ")}
    assert pages["1"][1] == f"Ann Lee writes from {email}, she lives in Leeds."
    (phone,) = [pages["2"][1].removeprefix("王小明的电话是").removesuffix("，他住在上海。")]
    assert pages["3"][1].endswith(f" was refused; call {phone}.")
    assert pages["4"][2] is None or pages["4"][2] != pages["4"][2]

    answers = {
        name: [text[span["start"] : span["end"]] for span in json.loads(label)]
        for name, text, label in reading.rows("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "text", "label")
        if isinstance(label, str)
    }
    assert (answers["1"], answers["2"]) == (["Ann Lee", email, "Leeds"], ["王小明", phone, "上海"])

    (increment,) = reading.lakehouse.increments("clean_documents")
    facts = reading.lakehouse.facts(increment)
    assert (facts["replaced_email"], facts["replaced_phone"], facts["replaced_card"]) == (2.0, 2.0, 1.0)
    assert (reading.environment.home / "lake" / "pseudonym.key").stat().st_mode & 0o077 == 0

    tables = reading.lakehouse.read("SELECT table_name FROM information_schema.tables WHERE table_schema = 'published'")["table_name"]
    for table in sorted(set(tables) - {"raw_documents", "raw_annotations"}):
        content = reading.lakehouse.read(f"SELECT * FROM {table}").astype(str).to_csv()
        assert not [value for value in (EMAIL, PHONE, CARD) if value in content], table


def test_clean_rows_with_personal_data_fail_the_check_which_names_document_and_kind_only(project_of):
    suite = clean_documents(project_of([{"kind": "files", "name": "news", "path": "x"}]))
    (promise,) = [each for each in suite.expectations if each.name == "no_personal_data"]
    rows = {"document_id": ["d1", "d2"], "text": [f"Mail {EMAIL}", "没有"], "title": ["[EMAIL_abcdefghij]", f"手机{PHONE}"]}
    (verdict,) = validate(pd.DataFrame(rows), [promise])
    assert not verdict.passed
    assert verdict.problem == "found email in text of document d1, phone in title of document d2"
    assert verdict.counts == {"element_count": 2.0, "unexpected_count": 2.0}
    assert promise.severity == "ERROR"


def test_what_the_project_keeps_is_not_promised(project_of):
    sources = [{"kind": "files", "name": "news", "path": "x"}]
    kept = clean_documents(project_of(sources, cleaning={"pii": {"keep": ["email"]}}))
    (promise,) = [each for each in kept.expectations if each.name == "no_personal_data"]
    (verdict,) = validate(pd.DataFrame({"document_id": ["d1"], "text": [EMAIL], "title": [""]}), [promise])
    assert verdict.passed
    none = clean_documents(project_of(sources, cleaning={"pii": {"replace": []}}))
    assert "no_personal_data" not in [each.name for each in none.expectations]

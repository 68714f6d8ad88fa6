"""Votes on spans through the whole graph: placed in cleaned texts, decided, queued or frozen; nothing is lost on the way."""

import json

import pytest

RECORDS = [
    {"id": "1", "text": "  Ann&amp;Bob   live in\u00a0 Leeds  now.", "spans": [[2, 13, "PERSON"], [25, 30, "PLACE"]]},
    {"id": "2", "text": "Nobody was there on that rainy evening.", "spans": []},
    {"id": "3", "text": "王小明 \n\n 住在上海,他很喜欢那里的冬天。", "spans": [[0, 3, "PERSON"], [9, 11, "PLACE"]]},
    {"id": "4", "text": "x", "spans": [[0, 1, "PERSON"]]},
    {"id": "5", "text": "The caf\u00c3\u00a9 of Zo\u00c3\u00ab opens at nine.", "spans": [[13, 17, "PERSON"]]},
]


@pytest.fixture
def reading(platform, tmp_path, write_jsonl, project_of):
    """A platform with people's spans on texts that cleaning changes, and the lengths it refuses."""
    write_jsonl(tmp_path / "drop" / "one.jsonl", RECORDS)
    source = {"kind": "files", "name": "news", "path": f"{tmp_path}/drop/*.jsonl", "fields": {"spans": "spans", "annotator": "wang"}}
    project = project_of([source])
    task = {"kind": "token_classification", "labels": ["PERSON", "PLACE"]}
    content = project.model_dump(mode="json") | {"task": task}
    content["labeling"] |= {"min_human_votes": 1, "min_agreement": 0}
    platform.configure(type(project).model_validate(content))
    return platform


def quoted_answers(platform):
    """What the spans of every consensus cover, by external id."""
    rows = platform.rows("labeled_documents JOIN clean_documents USING (document_id)", "external_id", "text", "label", "is_confident")
    return {
        name: (
            [(text[span["start"] : span["end"]], span["label"]) for span in json.loads(label)] if isinstance(label, str) else None,
            bool(is_confident),
        )
        for name, text, label, is_confident in rows
    }


def test_spans_of_people_are_found_in_the_cleaned_text_and_every_vote_is_accounted_for(reading):
    outcome = reading.run("refresh")
    assert outcome.succeeded, outcome
    answers = quoted_answers(reading)
    assert answers["1"] == ([("Ann&Bob", "PERSON"), ("Leeds", "PLACE")], True)
    assert answers["2"] == ([], True)
    assert answers["3"] == ([("王小明", "PERSON"), ("上海", "PLACE")], True)
    # the vote on the repaired name cannot be placed: refused with its reason, and the document waits for another
    assert reading.rows("rejected_votes", "reason") == [("span_not_found",)]
    assert answers["5"] == (None, False)
    assert reading.rows("labeling_queue", "reason") == [("no_votes",)]
    (increment,) = reading.lakehouse.increments("annotations")
    # 4 votes on clean documents; the vote on the refused document, and no document without a vote, are skipped
    assert (increment.counts.rows_in, increment.counts.rows_out, increment.counts.rows_rejected, increment.counts.rows_skipped) == (
        5,
        3,
        1,
        1,
    )

    # with rules that allow short texts the waiting vote finds its document
    content = reading.project.model_dump(mode="json")
    content["cleaning"] |= {"min_chars": 1}
    reading.configure(type(reading.project).model_validate(content))
    assert reading.run("refresh", full_refresh=True).succeeded
    assert quoted_answers(reading)["4"] == ([("x", "PERSON")], True)

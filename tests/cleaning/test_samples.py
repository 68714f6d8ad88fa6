"""Samples: what rules did, shown with or without people's words."""

import json

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from assets.cleaning.samples import changed_samples, first_of_each, refused_samples, rules_table, samples_table
from dagster_project.cli import app
from services.queries import sample_rules

MEASURED = pd.DataFrame(
    {
        "document_id": ["d0", "d1", "d2", "d3"],
        "text": ["café", "call [PHONE_abc]", "写信给 [EMAIL_abc] é", "plain"],
        "is_repaired": [True, False, True, False],
        "replacements": [None, "[]", "[]", None],
    }
)
RAW = pd.DataFrame({"text": ["cafÃ©", "call 555", "写信给 a@b.cn Ã©", "plain"]})


def test_a_text_before_its_repair_is_shown_only_without_personal_data():
    shown = changed_samples(RAW, MEASURED, 10)
    assert shown[["rule", "document_id", "before", "after"]].fillna("").to_numpy().tolist() == [
        ["repaired", "d0", "cafÃ©", "café"],
        ["personal_data", "d1", "", "call [PHONE_abc]"],
        ["personal_data", "d2", "", "写信给 [EMAIL_abc] é"],
    ]


def test_so_many_samples_of_each_rule_are_kept_and_the_earliest_ones():
    refused = pd.DataFrame(
        {"document_id": ["d3", "d0", "d1"], "reason": ["too_short", "too_short", "too_long"], "detail": "expected, found"}
    )
    found = refused_samples(MEASURED, refused, 1)
    assert found[["rule", "document_id", "before"]].to_numpy().tolist() == [
        ["too_short", "d3", "plain"],
        ["too_long", "d1", "call [PHONE_abc]"],
    ]
    assert len(first_of_each([found, found], 2)) == 4
    assert first_of_each([], 2).empty


def test_tables_show_words_only_where_they_may():
    samples = changed_samples(RAW, MEASURED.assign(text=MEASURED["text"] + "\nnext | line " + "很" * 200), 10)
    hidden, shown = samples_table(samples, shows_texts=False), samples_table(samples, shows_texts=True)
    assert "café" not in hidden
    assert "| repaired | d0 |  |" in hidden
    assert "| repaired | cafÃ© | café ⏎ next \\| line 很" in shown
    assert "很" * 121 not in shown
    assert "| too_short | 1 | 3 | 30.00% |" in rules_table({"too_short": 3}, 10)
    assert "| near_duplicate | 2 | 0 | 0.00% |" in rules_table({}, 0)


@pytest.mark.parametrize("shows_texts", [False, True])
def test_the_graph_shows_what_rules_did(platform, files_source, project_of, shows_texts, monkeypatch):
    texts = [
        "ok",
        "系统默认好评！",
        "The cafÃ© serves a good lunch to us",
        "写信到 amy@example.com 就可以了",
        "这本书很好看，值得一读",
        "这本书很好看，值得一读",
    ]
    records = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    platform.configure(project_of([files_source("shop", records)], cleaning={"shows_texts": shows_texts}))
    assert platform.run("refresh").failed_steps == {}
    metadata = platform.instance.get_latest_materialization_event(dg.AssetKey("rejected_documents")).asset_materialization.metadata
    assert "| exact_duplicate | 2 | 1 | 16.67% |" in metadata["rules"].md_str
    assert ("系统默认好评" in metadata["samples"].md_str) is shows_texts
    assert "amy@example.com" not in metadata["samples"].md_str

    rows = sample_rules(platform.lakehouse, None, 10)
    assert [(row["rule"], row["after"]) for row in rows] == [
        ("automatic_text", ""),
        ("exact_duplicate", ""),
        ("personal_data", next(row["after"] for row in rows if row["rule"] == "personal_data")),
        ("repaired", "The café serves a good lunch to us"),
        ("too_short", ""),
    ]
    assert [row["before"] for row in sample_rules(platform.lakehouse, "too_short", 10)] == ["ok"]
    with pytest.raises(LookupError, match=r"Expected a rule out of repaired, personal_data, missing_text, .*, found 'dull'"):
        sample_rules(platform.lakehouse, "dull", 10)
    monkeypatch.setattr("dagster_project.cli.resource", lambda role: platform.resources[role])
    assert [row["before"] for row in json.loads(CliRunner().invoke(app, ["samples", "automatic_text", "--json"]).output)] == [
        "系统默认好评！"
    ]

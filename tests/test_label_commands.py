"""Labeling without a server, from the queue through sheet or terminal to the consensus, on the real graph."""

import csv

import pytest
import yaml
from typer.testing import CliRunner

from assets.labeling.given_answers import Answer
from dagster_project.cli import app
from tests.copies import copied

RECORDS = [
    {"id": "1", "text": "The lamp stands on the desk beside the window.", "ratings": []},
    {"id": "2", "text": "这台灯放在窗边的桌子上。", "ratings": []},
    {"id": "3", "text": "+1 for the second lamp on that shelf.", "ratings": [{"annotator": "bo", "label": "positive"}]},
]


@pytest.fixture(scope="module")
def prepared(shared_platform, shared_files_source, project_of):
    """Three documents that nobody labelled well enough."""
    lamps = shared_files_source("lamps", RECORDS)
    shared_platform.configure(project_of([lamps], labeling={"min_human_votes": 2, "rules": {"enabled": []}}))
    assert shared_platform.run("refresh").succeeded
    return shared_platform


@pytest.fixture
def lamps(platform, prepared, tmp_path, monkeypatch):
    """A copy of that platform; the command sees the same home and project."""
    with copied(prepared, platform):
        config = tmp_path / "project.yaml"
        content = platform.project.model_dump(mode="json", exclude_unset=True)
        config.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        monkeypatch.setenv("TEXTMILL_HOME", str(platform.environment.home))
        monkeypatch.setenv("TEXTMILL_CONFIG", str(config))
        yield platform


def command(*arguments, typed=None, fails=None):
    """Output of a command that succeeds, or whose error matches."""
    result = CliRunner().invoke(app, ["label", *map(str, arguments)], input=typed)
    if fails:
        assert result.exit_code != 0
        assert fails in str(result.exception)
    else:
        assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def fill_in(path, target, answers):
    """Write a sheet with answers by external id, as a spreadsheet would."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        text = row["text"].lstrip("'")
        row["answer"] = next((answer for name, answer in answers.items() if text == RECORDS[int(name) - 1]["text"]), "")
    with target.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def labels_of(platform):
    return dict(platform.rows("labeled_documents JOIN clean_documents USING (document_id) WHERE is_confident", "external_id", "label"))


def votes_of(platform):
    return platform.rows("annotations JOIN clean_documents USING (document_id)", "external_id", "annotator_id", "annotations.label")


def test_a_sheet_goes_out_comes_back_and_becomes_labels(lamps, tmp_path):
    command("export", tmp_path / "queue.csv")
    fill_in(tmp_path / "queue.csv", tmp_path / "李雷.csv", {"1": "neutral", "2": "neutral", "3": "positive"})
    fill_in(tmp_path / "queue.csv", tmp_path / "ann.csv", {"1": "neutral"})
    command("import", tmp_path / "李雷.csv", "--annotator", "李雷")
    command("import", tmp_path / "ann.csv", "--annotator", "ann")
    command("import", tmp_path / "ann.csv", "--annotator", "ann")
    assert lamps.run("refresh").failed_steps == {}
    assert votes_of(lamps) == [
        ("1", "ann", "neutral"), ("1", "李雷", "neutral"), ("2", "李雷", "neutral"), ("3", "bo", "positive"), ("3", "李雷", "positive"),
    ]  # fmt: skip
    assert labels_of(lamps) == {"1": "neutral", "3": "positive"}
    outcome = lamps.run("refresh")
    assert {step.summary for step in outcome.steps} == {"nothing new"}
    for asset in ("raw_documents", "raw_annotations"):
        assert [found.counts.rows_unaccounted for found in lamps.lakehouse.increments(asset)] == [0, 0]


def test_the_terminal_asks_once_and_its_answers_become_votes(lamps):
    output = command("--annotator", "ann", typed="2\nb\n3\ns\nq\n")
    assert "1 answers of ann kept, 3 asked for" in output
    assert "1 of 2" in command("--annotator", "ann", typed="q\n")
    assert "1 of 3" in command("--annotator", "bea", typed="q\n")
    assert lamps.run("refresh").failed_steps == {}
    assert [(annotator, label) for _, annotator, label in votes_of(lamps) if annotator == "ann"] == [("ann", "positive")]
    assert "1 of 2" in command("--annotator", "ann", typed="")


def test_a_document_that_changed_meanwhile_is_asked_again(lamps, shared_files_source, tmp_path):
    command("export", tmp_path / "queue.csv")
    fill_in(tmp_path / "queue.csv", tmp_path / "done.csv", {"1": "neutral"})
    shared_files_source("lamps", [{**RECORDS[0], "text": "The lamp on the desk is broken and nobody mends it."}], file="two.jsonl")
    assert lamps.run("refresh").failed_steps == {}
    command("import", tmp_path / "done.csv", "--annotator", "ann")
    assert lamps.run("refresh").failed_steps == {}
    assert lamps.rows("annotations JOIN clean_documents USING (document_id)", "annotator_id", "revision") == [("ann", 1), ("bo", 1)]
    assert ("1", 2) in lamps.rows("labeling_queue JOIN clean_documents USING (document_id)", "external_id", "revision")


def test_mistakes_take_nothing_and_are_told(lamps, tmp_path):
    command("export", tmp_path / "queue.csv")
    command("export", tmp_path / "queue.csv", fails="choose another name")
    command("export", tmp_path / "none" / "queue.csv", fails="expected to be able to write it")
    command("import", tmp_path / "missing.csv", fails="expected a sheet, found: No such file")
    fill_in(tmp_path / "queue.csv", tmp_path / "bad.csv", {"1": "neutral", "2": "wonderful"})
    command("import", tmp_path / "bad.csv", "--annotator", "ann", fails="nothing was taken")
    (tmp_path / "gbk.csv").write_bytes("document_id,answer\n中文,好\n".encode("gbk"))
    command("import", tmp_path / "gbk.csv", fails="expected UTF-8")
    assert list(lamps.resources["object_store"].list("labels/")) == []


def test_answers_for_a_source_that_left_the_project_are_refused(lamps, tmp_path, files_source, project_of, monkeypatch):
    command("export", tmp_path / "queue.csv")
    fill_in(tmp_path / "queue.csv", tmp_path / "done.csv", {"1": "neutral"})
    other = project_of([files_source("chairs", RECORDS)])
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    monkeypatch.setenv("TEXTMILL_CONFIG", str(tmp_path / "other.yaml"))
    command("import", tmp_path / "done.csv", "--annotator", "ann", fails="expected documents of the sources ['chairs']")


def test_the_newest_answer_counts_whatever_was_answered_before_and_when_all_is_made_anew(platform, files_source, project_of):
    shelves = [{"id": name, "text": f"The lamp stands on shelf {number * 7} beside window {number * 11}.", "ratings": []}
               for number, name in enumerate(("np", "pn", "npn", "nnp", "pun", "upn"))]  # fmt: skip
    platform.configure(project_of([files_source("lamps", shelves)], labeling={"min_human_votes": 1, "rules": {"enabled": []}}))
    assert platform.run("refresh").failed_steps == {}
    ids = dict(platform.rows("clean_documents", "external_id", "document_id"))
    labels = {"n": "negative", "u": "neutral", "p": "positive"}

    def answer(name, initial):
        platform.desk.keep([Answer(ids[name], "安", labels[initial])], "test")

    def latest():
        rows = platform.rows("annotations JOIN clean_documents USING (document_id)", "external_id", "annotations.label")
        return {name: label for name, label in rows}

    for turn in range(3):
        for name in ids:
            if turn < len(name):
                answer(name, name[turn])
    assert platform.run("refresh").failed_steps == {}
    assert latest() == {name: labels[name[-1]] for name in ids}
    for name in ids:
        answer(name, {"n": "p", "p": "n"}[name[-1]])
        answer(name, name[-1])
    assert platform.run("refresh").failed_steps == {}
    assert latest() == {name: labels[name[-1]] for name in ids}
    answer("np", "u")
    assert platform.run("refresh").failed_steps == {}
    expected = {name: labels[name[-1]] for name in ids} | {"np": "neutral"}
    assert latest() == expected
    assert platform.run("refresh", full_refresh=True).failed_steps == {}
    assert latest() == expected

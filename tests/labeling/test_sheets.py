"""The queue as a sheet, and the answers in it."""

import csv
import io
import json

import pandas as pd
import pytest

from assets.labeling.given_answers import Answer
from assets.labeling.sheets import SheetError, read_sheet, write_sheet
from assets.project import Task

ONE = Task(labels=("坏", "good"))
SEVERAL = Task(kind="multi_label_classification", labels=("价格", "quality"))
SPANS = Task(kind="token_classification", labels=("LOC", "人"))
TEXTS = {"d1": "这台灯很亮", "d2": "=SUM(A1), 'quoted', a\nline\u2028more", "d3": "-5 stars"}
QUEUE = pd.DataFrame(
    [(name, "shop", "zh", text, suggestion) for (name, text), suggestion in zip(TEXTS.items(), ["good", None, "坏"], strict=True)],
    columns=["document_id", "source", "language", "text", "suggestion"],
)


def csv_sheet(*rows):
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


@pytest.mark.parametrize("name", ["queue.csv", "queue.JSONL"])
@pytest.mark.parametrize("task", [ONE, SEVERAL])
def test_a_sheet_that_nobody_filled_in_has_no_answers(name, task):
    assert read_sheet(write_sheet(QUEUE, name, task), name, task, "ann") == []


def test_a_csv_sheet_opens_in_a_spreadsheet_as_text():
    sheet = write_sheet(QUEUE, "queue.csv", ONE)
    assert sheet.startswith("\ufeffdocument_id,")
    rows = list(csv.DictReader(io.StringIO(sheet.removeprefix("\ufeff"), newline="")))
    assert [row["text"] for row in rows] == [TEXTS["d1"], "'" + TEXTS["d2"], "'" + TEXTS["d3"]]
    assert [row["suggestion"] for row in rows] == ["good", "", "坏"]


def test_a_json_sheet_holds_the_texts_as_they_are():
    lines = write_sheet(QUEUE, "queue.jsonl", SPANS).split("\n")
    assert [json.loads(line)["text"] for line in lines if line] == list(TEXTS.values())


@pytest.mark.parametrize(
    ("task", "given", "answer"),
    [
        (ONE, "good", "good"),
        (ONE, " 坏 ", "坏"),
        (SEVERAL, "quality; 价格", '["价格","quality"]'),
        (SEVERAL, '["quality"]', '["quality"]'),
        (SEVERAL, "[]", "[]"),
    ],
)
def test_answers_in_csv_are_read_whatever_the_spelling(task, given, answer):
    sheet = csv_sheet(["document_id", "answer", "annotator", "note"], ["d1", given, "李雷", "x"], ["d2", "", "李雷", ""])
    assert read_sheet(sheet, "a.csv", task, None) == [Answer("d1", "李雷", answer, "line 2")]


def test_answers_in_json_may_be_lists():
    rows = [{"document_id": "d1", "answer": [{"start": 0, "end": 2, "label": "LOC"}]}, {"document_id": "d2", "answer": None}]
    sheet = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    assert read_sheet(sheet, "a.jsonl", SPANS, "ann") == [Answer("d1", "ann", '[{"start":0,"end":2,"label":"LOC"}]', "line 1")]


@pytest.mark.parametrize(
    ("name", "sheet", "message"),
    [
        ("a.xlsx", "", "expected a name that ends with .csv or .jsonl, found .xlsx"),
        ("a", "", "found no ending"),
        ("a.csv", "", "expected columns document_id, answer, found none"),
        ("a.csv", "id,answer\n1,good\n", "expected columns document_id, answer, found id, answer"),
        ("a.csv", "document_id,answer\nd1,great\n", r"line 2: expected labels? out of .*found.*great"),
        ("a.csv", "document_id,answer\n,good\n", "line 2: expected a document_id, found ''"),
        ("a.csv", "document_id,answer\nd1,good\nd1,坏\n", "line 3: expected one answer of ann to a document, found another at line 2"),
        ("a.jsonl", "{no json", "line 1: expected a JSON object, found none"),
        ("a.jsonl", "[1]", "line 1: expected a JSON object, found list"),
    ],
)
def test_what_is_wrong_with_a_sheet_is_said_with_its_place(name, sheet, message):
    with pytest.raises(SheetError, match=message):
        read_sheet(sheet, name, ONE, "ann")


def test_who_answered_must_be_known():
    with pytest.raises(SheetError, match="add a column `annotator`, or name them with --annotator"):
        read_sheet("document_id,answer\nd1,good\n", "a.csv", ONE, None)


def test_spans_have_no_place_in_a_spreadsheet():
    with pytest.raises(SheetError, match=r"expected \.jsonl for token_classification"):
        write_sheet(QUEUE, "a.csv", SPANS)


def test_many_mistakes_are_counted_and_the_first_ones_told():
    sheet = csv_sheet(["document_id", "answer"], *[[f"d{number}", "great"] for number in range(25)])
    with pytest.raises(SheetError, match=r"nothing was taken(?s:.*)line 11(?s:.*)and 15 more"):
        read_sheet(sheet, "a.csv", ONE, "ann")

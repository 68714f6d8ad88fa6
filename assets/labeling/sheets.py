"""Sheets: the queue as a file that people fill in with whatever they like to use, and their answers read back.

A sheet is CSV (for spreadsheets; a task with spans has no place there) or JSON lines. One row per document: `document_id`, `source`,
`language`, `text`, `suggestion` (the present consensus, may be wrong), and `answer`, which people fill in; a column `annotator` may say who
did. An answer is a label; for tasks with any number of labels a JSON list of labels, or labels separated by `;`; for spans a JSON list of
`{"start", "end", "label"}` in characters of `text`. An empty answer is no answer; `[]` says that nothing fits.

Does not belong here: what becomes of answers (`given_answers.py`), where they go from here (`services/labeling_desk.py`).
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import pandas as pd

from assets.answers import AnswerError, canonical_answer, encode_labels
from assets.labeling.given_answers import Answer, AnswersRefusedError, records_of, refuse, second_answers
from assets.project import Task

SHEET_COLUMNS = ("document_id", "source", "language", "text", "suggestion", "answer")
NEEDED_COLUMNS = ("document_id", "answer")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Cells that begin so are formulas to spreadsheets; they get an apostrophe in front (OWASP, CSV injection)."""
BYTE_ORDER_MARK = "\ufeff"
"""At the start of a CSV file: without it, spreadsheets do not read UTF-8."""

# The queue with the present consensus, most useful first. Of gold questions that would be the answer, and of doubted labels it would be
# repeated: neither is shown.
QUEUE_SQL = """
SELECT q.position, q.document_id, q.source, q.language, q.text,
    CASE WHEN q.strategy NOT IN ('gold', 'label_issue') THEN l.label END AS suggestion
FROM labeling_queue q LEFT JOIN (SELECT document_id, label FROM labeled_documents) l USING (document_id)
ORDER BY q.position
"""
# What `$annotator` answered, but for labels that were doubted afterwards.
ANSWERED_SQL = """
SELECT document_id FROM annotations WHERE annotator_id = $annotator
EXCEPT
SELECT q.document_id FROM labeling_queue q
JOIN (SELECT document_id, min(found_at) AS found_at FROM lake.history.label_issues GROUP BY document_id) i USING (document_id)
JOIN raw_annotations r USING (document_id)
WHERE q.strategy = 'label_issue' AND r.annotator_id = $annotator AND r.collected_at <= i.found_at
"""


class SheetError(AnswersRefusedError):
    """A sheet cannot be used; nothing of it was taken."""


def write_sheet(queue: pd.DataFrame, name: str, task: Task) -> str:
    """The text of a sheet.

    Args:
        queue: One row per document: columns of `QUEUE_SQL`.
        name: Name of the file; its ending says the format.
        task: The task that is asked about.

    Raises:
        SheetError: The ending is none of those known, or CSV for a task with spans.
    """
    rows = [
        {**row, "suggestion": row["suggestion"] if isinstance(row["suggestion"], str) else "", "answer": ""} for row in records_of(queue)
    ]
    if _format_of(name, task) == "jsonl":
        return "".join(json.dumps({column: row[column] for column in SHEET_COLUMNS}, ensure_ascii=False) + "\n" for row in rows)
    written = io.StringIO(newline="")
    table = csv.writer(written, lineterminator="\r\n")
    table.writerow(SHEET_COLUMNS)
    table.writerows([_safe(str(row[column])) for column in SHEET_COLUMNS] for row in rows)
    return BYTE_ORDER_MARK + written.getvalue()


def read_sheet(text: str, name: str, task: Task, annotator: str | None) -> list[Answer]:
    """The answers in a sheet; rows without one are passed over.

    Args:
        text: Of the file.
        name: Name of the file; its ending says the format.
        task: The task that was asked about.
        annotator: Who answered, where the sheet does not say it.

    Raises:
        SheetError: Something is wrong with the sheet or a row; the message names the first ones.
    """
    answers: list[Answer] = []
    problems: list[str] = []
    for place, row in _rows_of(text, name, task):
        try:
            answers += _read_row(row, place, task, annotator)
        except AnswerError as error:
            problems.append(f"{place}: {error}")
    refuse(name, [*problems, *second_answers(answers)], SheetError)
    return answers


def parse_answer(given: str, task: Task) -> str:
    """The canonical answer that a person's words are.

    Raises:
        AnswerError: They are no answer of the task.
    """
    if task.kind == "multi_label_classification" and not given.startswith("["):
        return encode_labels([label.strip() for label in given.split(";") if label.strip()], task.labels)
    return canonical_answer(given, task)


def _read_row(row: Mapping[str, Any], place: str, task: Task, annotator: str | None) -> Iterator[Answer]:
    given, document_id = row.get("answer"), row.get("document_id")
    if given is None or given == "":
        return
    if not isinstance(document_id, str) or not document_id:
        raise AnswerError(f"expected a document_id, found {document_id!r}")
    who = row.get("annotator") or annotator
    if not isinstance(who, str) or not who.strip():
        raise AnswerError("expected to know who answered; add a column `annotator`, or name them with --annotator")
    words = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    yield Answer(document_id, who.strip(), parse_answer(words.strip(), task), place)


def _rows_of(text: str, name: str, task: Task) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = text.removeprefix(BYTE_ORDER_MARK)
    if _format_of(name, task) == "jsonl":
        yield from _json_rows(text, name)
        return
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in NEEDED_COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise SheetError(f"{name}: expected columns {', '.join(NEEDED_COLUMNS)}, found {', '.join(reader.fieldnames or ()) or 'none'}")
    for row in reader:
        yield f"line {reader.line_num}", {key: _unsafe(value) for key, value in row.items() if isinstance(key, str) and value is not None}


def _json_rows(text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SheetError(f"{name}: line {number}: expected a JSON object, found none: {error}") from error
        if not isinstance(row, dict):
            raise SheetError(f"{name}: line {number}: expected a JSON object, found {type(row).__name__}")
        yield f"line {number}", row


def _format_of(name: str, task: Task) -> str:
    ending = PurePath(name).suffix.lower()
    if ending not in (".csv", ".jsonl"):
        raise SheetError(f"{name}: expected a name that ends with .csv or .jsonl, found {ending or 'no ending'}")
    if ending == ".csv" and task.has_spans:
        raise SheetError(f"{name}: expected .jsonl for {task.kind}, whose answers are places in the text, found .csv")
    return ending[1:]


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _unsafe(cell: str) -> str:
    """A cell without the apostrophe that `_safe` put there."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell

"""What people answered, whoever asked them: checked against the task and the texts, and written as the votes that collection reads.

Does not belong here: how they were asked (`sheets.py`, `asking.py`, `services/label_endpoints.py`), where their answers are handed in
(`services/labeling_desk.py`), what a vote is worth (`consensus.py`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD, AnswerError, canonical_answer
from assets.labeling.votes import labels_of_ratings
from assets.project import Task

SHOWN_PROBLEMS = 10
# What answers must be about: clean documents.
KNOWN_SQL = "SELECT document_id, source, text FROM clean_documents SEMI JOIN wanted USING (document_id)"


class AnswersRefusedError(ValueError):
    """Something is wrong with answers; none of them was taken."""


class UnknownDocumentError(AnswersRefusedError):
    """An answer is about no clean document, or about one that is not for whoever answers."""


@dataclass(frozen=True)
class Answer:
    """What one person says of one document.

    Attributes:
        document_id: The document.
        annotator: Who.
        answer: Canonical answer of the task; None for a rating.
        place: Where it stands, for messages.
        rating: A number on the task's scale, in place of an answer.
        seconds: How long the person took; None where nobody measured.
        guideline: Version of the guideline that the person was shown; None where there was none.
    """

    document_id: str
    annotator: str
    answer: str | None
    place: str = ""
    rating: float | None = None
    seconds: float | None = None
    guideline: str | None = None


def second_answers(answers: Iterable[Answer]) -> list[str]:
    """What is wrong with answers of somebody who answered the same document before."""
    problems: list[str] = []
    first: dict[tuple[str, str], str] = {}
    for answer in answers:
        place = first.setdefault((answer.document_id, answer.annotator), answer.place)
        if place != answer.place:
            problems.append(f"{answer.place}: expected one answer of {answer.annotator} to a document, found another at {place}")
    return problems


def votes_by_source(answers: Sequence[Answer], known: pd.DataFrame, task: Task, name: str) -> dict[str, str]:
    """Answers as files of votes, JSON lines by source, as collection reads them.

    Args:
        answers: What was answered.
        known: One row per clean document among those answered that the person may see: `document_id`, `source`, `text`.
        task: The task that was asked about.
        name: Of what they came in, for messages.

    Raises:
        UnknownDocumentError: An answer is about none of the documents.
        AnswersRefusedError: An answer is none of the task's, or its spans lie outside the text.
    """
    documents = {row["document_id"]: row for row in records_of(known)}
    unknown = [answer for answer in answers if answer.document_id not in documents]
    expected = "expected the id of a clean document that you may see"
    refuse(name, [f"{answer.place}: {expected}, found {answer.document_id!r}" for answer in unknown], UnknownDocumentError)
    problems, votes = [], dict[str, list[dict[str, Any]]]()
    for answer in answers:
        try:
            check_answer(answer, task, len(documents[answer.document_id]["text"]))
        except AnswerError as error:
            problems.append(f"{answer.place}: {error}")
        else:
            votes.setdefault(answer.document_id, []).append(to_vote(answer, task))
    refuse(name, problems)
    lines: dict[str, list[str]] = {}
    for document_id, given in sorted(votes.items()):
        row = documents[document_id]
        record = {DOCUMENT_ID_FIELD: document_id, "text": row["text"], "votes": given}
        lines.setdefault(row["source"], []).append(json.dumps(record, ensure_ascii=False) + "\n")
    return {source: "".join(found) for source, found in sorted(lines.items())}


def check_answer(answer: Answer, task: Task, text_chars: int) -> None:
    """Make sure that an answer is one of the task's to a text of that many characters.

    Raises:
        AnswerError: It is not.
    """
    if answer.answer is not None:
        canonical_answer(answer.answer, task, text_chars)
        return
    scale = task.rating
    if scale is None:
        raise AnswerError(f"expected an answer of the task, which has no rating scale, found the rating {answer.rating}")
    if labels_of_ratings(pd.Series([answer.rating]), scale).isna().all():
        lowest = max(scale.minimum, min(scale.thresholds.values()))
        raise AnswerError(f"expected a rating from {lowest:g} to {scale.maximum:g}, found {answer.rating:g}")


def to_vote(answer: Answer, task: Task) -> dict[str, Any]:
    """An answer in the shape that collection reads, with how it came about as far as that is known."""
    circumstances = {"seconds": answer.seconds, "guideline": answer.guideline}
    known = {name: value for name, value in circumstances.items() if value is not None}
    return {"annotator": answer.annotator, **content_of(answer, task), **known}


def content_of(answer: Answer, task: Task) -> dict[str, Any]:
    """What a vote says, without who says it."""
    if answer.answer is None:
        return {"value": answer.rating}
    if task.has_spans:
        return {"spans": json.loads(answer.answer)}
    return {"labels": json.loads(answer.answer)} if task.has_lists else {"label": answer.answer}


def refuse(name: str, problems: Sequence[str], error: type[AnswersRefusedError] = AnswersRefusedError) -> None:
    """Raise if there are problems, with the first ones.

    Raises:
        AnswersRefusedError: There are, of the class `error`.
    """
    if problems:
        more = f"\n… and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise error(f"{name}: nothing was taken; correct these and try again:\n" + "\n".join(problems[:SHOWN_PROBLEMS]) + more)


def records_of(frame: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """One mapping per row."""
    return ({str(key): value for key, value in row.items()} for row in frame.to_dict("records"))

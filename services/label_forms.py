"""In which forms people answer over HTTP, and what these are as answers of the project's task."""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from assets.answers import AnswerError, canonical_answer
from assets.labeling.given_answers import Answer, refuse, second_answers
from assets.project import Task

Form = Literal["label", "labels", "spans", "rating"]
FORMS: tuple[Form, ...] = ("label", "labels", "spans", "rating")
MOST_ANSWERS = 1000
"""In one request."""


class GivenSpan(BaseModel):
    """A labelled stretch of the text, in characters (Unicode code points)."""

    model_config = ConfigDict(extra="forbid", strict=True)
    start: int = Field(description="First character, from 0.")
    end: int = Field(description="After the last character.")
    label: str


class GivenAnswer(BaseModel):
    """What somebody says of one document, in the form that the task wants."""

    model_config = ConfigDict(extra="forbid", strict=True)
    document_id: str = Field(min_length=1, max_length=200)
    label: str | None = Field(None, description="For tasks with one label, and relations.")
    labels: list[str] | None = Field(None, description="For tasks with any number of labels; `[]` says that none fits.")
    spans: list[GivenSpan] | None = Field(None, description="For spans and questions; `[]` says that there is none.")
    rating: float | None = Field(None, allow_inf_nan=False, description="In place of a label, where the task has a scale.")
    seconds: float | None = Field(None, ge=0, allow_inf_nan=False, description="How long it took.")


class GivenAnswers(BaseModel):
    """Answers of one person: all are taken, or none."""

    model_config = ConfigDict(extra="forbid", strict=True)
    answers: list[GivenAnswer] = Field(min_length=1, max_length=MOST_ANSWERS)
    guideline: str | None = Field(None, max_length=64, description="Version of the guideline that the person was shown, if there is one.")


def forms_of(task: Task) -> tuple[Form, ...]:
    """In which form an answer to the task is given."""
    if task.has_spans:
        return ("spans",)
    if task.has_lists:
        return ("labels",)
    return ("label", "rating") if task.rating is not None else ("label",)


def read_answers(given: GivenAnswers, annotator: str, task: Task, name: str) -> list[Answer]:
    """What was given, as answers of the task.

    Args:
        given: What was given.
        annotator: Who answered.
        task: The task that was asked about.
        name: Of what the answers came in, for messages.

    Raises:
        AnswersRefusedError: Something is none, or a second one to the same document.
    """
    answers, problems = list[Answer](), list[str]()
    for number, one in enumerate(given.answers):
        place = f"answers.{number}"
        try:
            answer = content_of(one, task)
        except AnswerError as error:
            problems.append(f"{place}: {error}")
        else:
            answers.append(Answer(one.document_id, annotator, answer, place, one.rating, one.seconds, given.guideline))
    refuse(name, [*problems, *second_answers(answers)])
    return answers


def content_of(given: GivenAnswer, task: Task) -> str | None:
    """The canonical answer of the task; None for a rating.

    Raises:
        AnswerError: It is none, or not in one form of those that the task wants.
    """
    wanted = forms_of(task)
    found = [form for form in FORMS if getattr(given, form) is not None]
    if len(found) != 1 or found[0] not in wanted:
        raise AnswerError(f"expected {' or '.join(wanted)}, found {' and '.join(found) or 'none'}")
    if given.rating is not None:
        return None
    content = given.model_dump()[found[0]]
    return canonical_answer(content if found[0] == "label" else json.dumps(content), task)

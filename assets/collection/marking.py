"""Texts of relations and questions: the same text with its entities marked, or behind its question (see `assets/answers.py`)."""

from collections.abc import Mapping
from typing import Any

from assets.answers import AnswerError, mark_entities, mark_question
from assets.collection.charset import storable_text
from assets.collection.vote_shapes import MalformedVoteError, VotedText, read_bounds
from assets.project import ANSWER_LABEL
from assets.source_settings import FieldMapping


class MarkingError(Exception):
    """A record lacks what its text should be marked with: its reason and detail."""


def mark_text(text: str, row: Mapping[str, Any], names: FieldMapping) -> VotedText:
    """The text as the document will hold it, and how the places of votes in it are read.

    Args:
        text: The record's text.
        row: The record's fields.
        names: Which field holds what; without entities and question the text stays as it is.

    Raises:
        MarkingError: An entity or the question is missing or malformed.
    """
    if names.head and names.tail:
        try:
            return VotedText(mark_entities(text, read_bounds(row.get(names.head)), read_bounds(row.get(names.tail))))
        except (MalformedVoteError, AnswerError) as error:
            raise MarkingError("malformed_entity", str(error)) from error
    if names.question:
        question = row.get(names.question)
        if not isinstance(question, str) or not question.strip():
            raise MarkingError("missing_question", f"expected a question, found {question!r:.60}")
        marked, shift = mark_question(storable_text(question), text)
        return VotedText(marked, shift, ANSWER_LABEL)
    return VotedText(text)

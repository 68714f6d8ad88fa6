"""Questions to one person in a terminal, one document after the other.

Does not belong here: where questions come from and answers go (`services/labeling_desk.py`); sheets (`sheets.py`).
"""

from collections.abc import Callable, Sequence

import pandas as pd

from assets.answers import AnswerError, encode_labels
from assets.labeling.given_answers import Answer
from assets.labeling.sheets import SheetError
from assets.project import Task

SKIP, BACK, STOP = "s", "b", "q"


def ask_all(
    queue: pd.DataFrame,
    task: Task,
    annotator: str,
    prompt: Callable[[str], str],
    show: Callable[[str], object],
    keep: Callable[[Answer], object],
) -> int:
    """Ask about every document, until the person stops; returns how many answers were kept.

    An answer is kept when the next question is answered or skipped, or at the end: until then the person can go back to it.

    Args:
        queue: One row per document, in the order of asking: columns of `sheets.QUEUE_SQL`.
        task: The task that is asked about.
        annotator: Who answers.
        prompt: Shows a line and returns what the person typed.
        show: Shows a line.
        keep: Takes an answer.

    Raises:
        SheetError: Answers of the task are places in a text.
    """
    if task.has_spans:
        raise SheetError(f"expected a task whose answers are labels, found {task.kind}; use `textmill label export` and `import`")
    rows = queue[["document_id", "source", "text", "suggestion"]].to_dict("records")
    position, kept = 0, 0
    last: tuple[int, Answer] | None = None
    show(menu(task.labels))
    while position < len(rows):
        row = rows[position]
        show(f"\n[{position + 1} of {len(rows)}, {row['source']}]\n{printable(row['text'])}")
        suggestion = row["suggestion"] if isinstance(row["suggestion"], str) else None
        choice = _ask(task, suggestion, prompt, show)
        if choice == STOP:
            break
        if choice == BACK:
            position, last = (last[0], None) if last else (position, None)
            continue
        if last:
            keep(last[1])
            kept, last = kept + 1, None
        if choice != SKIP:
            last = (position, Answer(str(row["document_id"]), annotator, choice, "terminal"))
        position += 1
    if last:
        keep(last[1])
        kept += 1
    return kept


def menu(labels: Sequence[str]) -> str:
    """What can be typed."""
    numbered = "   ".join(f"{number} {label}" for number, label in enumerate(labels, start=1))
    return f"{numbered}\n{SKIP} skip   {BACK} back to the last answer   {STOP} stop"


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _ask(task: Task, suggestion: str | None, prompt: Callable[[str], str], show: Callable[[str], object]) -> str:
    """A canonical answer, or one of `SKIP`, `BACK`, `STOP`."""
    several = task.kind == "multi_label_classification"
    wanted = "numbers, 0 for none" if several else "number"
    while True:
        typed = prompt(f"{wanted}{f' (suggested: {suggestion})' if suggestion else ''}").strip()
        if typed.lower() in (SKIP, BACK, STOP):
            return typed.lower()
        try:
            chosen = _labels_of(typed, task.labels)
            if several:
                return encode_labels(chosen, task.labels)
            if len(chosen) == 1:
                return chosen[0]
            show(f"expected one label, found {len(chosen)}")
        except AnswerError as error:
            show(str(error))


def _labels_of(typed: str, labels: Sequence[str]) -> list[str]:
    """The labels that were typed, by number or name, separated by spaces or commas; `0` is none.

    Raises:
        AnswerError: There is no such label.
    """
    if typed in labels:
        return [typed]
    words = typed.replace(",", " ").replace("，", " ").split()
    if words == ["0"]:
        return []
    numbers = {str(number): label for number, label in enumerate(labels, start=1)}
    unknown = [word for word in words if word not in numbers and word not in labels]
    if unknown or not words:
        raise AnswerError(f"expected numbers from 1 to {len(labels)}, {SKIP}, {BACK} or {STOP}, found {typed!r}")
    return [numbers.get(word, word) for word in words]

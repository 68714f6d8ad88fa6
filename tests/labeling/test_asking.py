"""Questions in a terminal."""

import pandas as pd
import pytest

from assets.labeling.asking import ask_all, printable
from assets.labeling.sheets import SheetError
from assets.project import Task

ONE = Task(labels=("坏", "good"))
SEVERAL = Task(kind="multi_label_classification", labels=("价格", "quality"))
QUEUE = pd.DataFrame(
    [("d1", "shop", "这台灯很亮", "good"), ("d2", "shop", "Broken\x1b[2J again", None), ("d3", "shop", "Fine", None)],
    columns=["document_id", "source", "text", "suggestion"],
)


def answer(typed, task=ONE):
    """What a person who types this is shown, and the answers kept."""
    words, shown, kept = iter(typed), [], []

    def prompt(line):
        shown.append(line)
        return next(words)

    count = ask_all(QUEUE, task, "李雷", prompt, shown.append, kept.append)
    assert count == len(kept)
    assert {found.annotator for found in kept} <= {"李雷"}
    return [(found.document_id, found.answer) for found in kept], "\n".join(shown)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["1", "2", "good"], [("d1", "坏"), ("d2", "good"), ("d3", "good")]),
        (["s", "2", "s"], [("d2", "good")]),
        (["1", "q"], [("d1", "坏")]),
        (["q"], []),
        (["1", "b", "2", "q"], [("d1", "good")]),
        (["1", "s", "b", "q"], [("d1", "坏")]),
        (["b", "1", "q"], [("d1", "坏")]),
        (["7", "", "maybe", "1 2", " 2 ", "Q"], [("d1", "good")]),
    ],
)
def test_answers_are_kept_and_the_last_one_can_be_taken_back(typed, kept):
    assert answer(typed)[0] == kept


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["1 2", "0", "quality"], [("d1", '["价格","quality"]'), ("d2", "[]"), ("d3", '["quality"]')]),
        (["2，1", "q"], [("d1", '["价格","quality"]')]),
    ],
)
def test_several_labels_are_typed_as_several_numbers(typed, kept):
    assert answer(typed, SEVERAL)[0] == kept


def test_what_is_shown_says_what_can_be_typed_and_what_is_wrong():
    shown = answer(["9", "1", "q"])[1]
    assert "1 坏   2 good" in shown
    assert "number (suggested: good)" in shown
    assert "expected numbers from 1 to 2, s, b or q, found '9'" in shown
    assert "[2 of 3, shop]" in shown


def test_a_text_cannot_move_the_cursor():
    assert "\x1b" not in answer(["1", "q"])[1]
    assert printable("两行\n\x1b[31m红\u202e") == "两行\n\ufffd[31m红\ufffd"


def test_spans_are_not_asked_here():
    with pytest.raises(SheetError, match="use `textmill label export` and `import`"):
        ask_all(QUEUE, Task(kind="token_classification", labels=("LOC",)), "ann", input, print, print)

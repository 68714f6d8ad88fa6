import random

import pytest

from assets.answers import Span
from assets.training.gate.edits import (
    Edit,
    add_white_space,
    append_emoji,
    apply_edits,
    change_case,
    make_typos,
    move_span,
    swap_names,
    swap_punctuation,
)


def edited(editor, text, seed=1):
    return apply_edits(text, editor(text, random.Random(seed)))


@pytest.mark.parametrize(
    ("editor", "text", "expected"),
    [
        (swap_punctuation, "Great, really. 3.50 :-) is fine!", "Great， really。 3.50 :-) is fine！"),
        (swap_punctuation, "好看，真的。", "好看,真的."),
        (swap_punctuation, "no marks", "no marks"),
        (swap_punctuation, "see https://a.example/b?c now", "see https://a.example/b?c now"),
        (change_case, "The FILM in 上海", "the film in 上海"),
        (change_case, "the film in 上海", "The Film In 上海"),
        (change_case, "[E1]Maria[/E1] met [E2]Bo[/E2]", "[E1]maria[/E1] met [E2]bo[/E2]"),
        (change_case, "[Q] Who? [C] 王伟 and Bo", "[Q] who? [C] 王伟 and bo"),
        (append_emoji("😊"), "好", "好 😊"),
        (make_typos, "a big table", "a big tbale"),
        (make_typos, "好看", "好好看看"),
        (make_typos, "a b 12", "a b 12"),
        (make_typos, "see #harvest", "see #harvest"),
        (add_white_space, "好看", "好看 \n"),
        (add_white_space, "a film", "a  film \n"),
    ],
)
def test_edits_change_what_they_should_and_nothing_else(editor, text, expected):
    assert edited(editor, text) == expected


@pytest.mark.parametrize("text", ["Maria met Peter, and Maria left.", "李娜见到王伟，李娜走了。"])
def test_the_same_name_becomes_the_same_other_name(text):
    swapped = edited(swap_names, text)
    first = text[:5] if text[0] == "M" else text[:2]
    other = swapped.split(" met")[0] if text[0] == "M" else swapped[:2]
    assert other != first
    assert swapped.count(other) == 2
    assert first not in swapped


def test_a_name_within_a_word_is_no_name():
    assert edited(swap_names, "Annapolis and Mariannas") == "Annapolis and Mariannas"


@pytest.mark.parametrize("editor", [make_typos, swap_names, add_white_space])
def test_edits_are_the_same_for_the_same_seed(editor):
    text = "Maria wrote several letters to Peter. 王伟写了信。"
    assert edited(editor, text, 5) == edited(editor, text, 5)


@pytest.mark.parametrize(
    ("span", "edit", "moved"),
    [
        ((4, 8), Edit(0, 2, "xxxx"), (6, 10)),
        ((4, 8), Edit(4, 8, "王伟"), (4, 6)),
        ((4, 8), Edit(5, 6, "yyy"), (4, 10)),
        ((4, 8), Edit(9, 10, ""), (4, 8)),
        ((4, 8), Edit(4, 4, " "), (5, 9)),
        ((4, 8), Edit(8, 8, " "), (4, 8)),
        ((4, 8), Edit(6, 6, "好"), (4, 9)),
        ((4, 8), Edit(2, 6, "zz"), (2, 6)),
        ((4, 8), Edit(6, 10, "z"), (4, 7)),
        ((4, 8), Edit(2, 10, "z"), (2, 3)),
    ],
    ids=["before", "whole", "within", "after", "insert at start", "insert at end", "insert within", "over start", "over end", "around"],
)
def test_spans_move_with_the_text(span, edit, moved):
    assert move_span(Span(*span, "PERSON"), [edit]) == Span(*moved, "PERSON")


def test_a_moved_span_covers_the_same_words():
    text = "据王伟说，Maria 在上海。"
    edits = swap_names(text, random.Random(3))
    after = apply_edits(text, edits)
    (name, other) = [edit.new for edit in edits]
    first, second = (move_span(Span(text.index(word), text.index(word) + len(word), "PERSON"), edits) for word in ("王伟", "Maria"))
    assert (after[first.start : first.end], after[second.start : second.end]) == (name, other)
    place = move_span(Span(text.index("上海"), text.index("上海") + 2, "PLACE"), edits)
    assert after[place.start : place.end] == "上海"

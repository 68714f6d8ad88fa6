import pytest

from assets.cleaning.decisive import says_something_else

LONG = "word " * 60


@pytest.mark.parametrize(
    ("left", "right", "differs"),
    [
        ("I rate it 3/10 today", "I rate it 8/10 today", True),
        ("three stars from me", "five stars from me", True),
        ("我给三分", "我给八分", True),
        ("１０分", "10分", False),
        ("I do like it", "I do not like it", True),
        ("I can't go", "I can go", True),
        ("I can’t go", "I can't go", False),
        ("这个好", "这个不好", True),
        ("off to work :)", "off to work :(", True),
        ("上班去了😀", "上班去了😡", True),
        ("上班去了：）", "上班去了：（", True),
        ("so good!!!", "SO GOOD", False),
        ("真不错。", "真不错", False),
        ("see http://t.co/1", "see http://t.co/2", False),
        (LONG + "updated 12:03", LONG + "updated 14:10", False),
        (LONG + "not", LONG, False),
        ("not good, not bad", "not good, bad", True),
        ("[Q] Who wrote it? [C] " + LONG, "[Q] When was it written? [C] " + LONG, True),
        ("[Q] Who wrote it? [C] " + LONG, "[Q] who wrote it [C] " + LONG, False),
        ("[Q] 谁写的？ [C] 鲁迅写的。", "[Q] 何时写的？ [C] 鲁迅写的。", True),
        ("[Q] Who wrote it? [C] " + LONG, LONG, True),
        (f"{LONG}[E1]Ann[/E1] met [E2]Bob[/E2] and Cy", f"{LONG}[E1]Ann[/E1] met Bob and [E2]Cy[/E2]", True),
        (f"{LONG}[E1]Ann[/E1] met [E2]Bob[/E2]", f"{LONG}[E2]Ann[/E2] met [E1]Bob[/E1]", True),
        ("[E1]李雷[/E1]认识[E2]韩梅梅[/E2]和林涛", "[E1]李雷[/E1]认识韩梅梅和[E2]林涛[/E2]", True),
        (f"{LONG}[E1]Ann[/E1] met [E2]Ann[/E2], Ann", f"{LONG}[E1]Ann[/E1] met Ann, [E2]Ann[/E2]", True),
        (f"{LONG}[E1]Ann[/E1] met [E2]Bob[/E2]", f"RT {LONG}[E1]Ann[/E1] met [E2]Bob[/E2]", False),
    ],
)
def test_similar_texts_say_something_else_by_what_is_marked_and_by_numbers_negations_and_emoticons(left, right, differs):
    assert says_something_else(left, right) is differs
    assert says_something_else(right, left) is differs

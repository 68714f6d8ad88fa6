import pytest

from assets.cleaning.decisive import differs_in_decisive_words

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
    ],
)
def test_short_texts_differ_by_numbers_negations_and_emoticons(left, right, differs):
    assert differs_in_decisive_words(left, right) is differs
    assert differs_in_decisive_words(right, left) is differs

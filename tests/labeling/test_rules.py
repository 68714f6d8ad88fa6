"""Labeling functions vote on what they see and abstain otherwise."""

from pathlib import Path

import pandas as pd
import pytest

from assets.labeling.rule_kit import Document
from assets.labeling.rules import apply_rules, chosen_rules, emoticon, lexicon
from assets.project import RuleSettings, Task

TASK = Task(labels=("negative", "neutral", "positive"), positive_label="positive", negative_label="negative")
TASK_ZH = Task(labels=("差评", "好评"), positive_label="好评", negative_label="差评")
TOPICS = Task(labels=("sport", "politics"))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I love this wonderful phone", "positive"),
        ("What a horrible waste of money", "negative"),
        ("It is not bad", "positive"),
        ("I don't love it", "negative"),
        ("good but boring", None),
        ("The meeting is on Monday", None),
    ],
)
def test_lexicon_votes_on_english_words(text, label):
    assert lexicon(Document(text, "en", TASK)) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [("这家酒店很好,推荐", "好评"), ("太差了,非常失望", "差评"), ("不喜欢这本书", "差评"), ("今天是星期一", None), ("不错,但是失望", None)],
)
def test_lexicon_votes_on_chinese_words(text, label):
    assert lexicon(Document(text, "zh", TASK_ZH)) == label


@pytest.mark.parametrize(
    ("text", "label"), [("see you :)", "positive"), ("今天 😭", "negative"), ("well :) :(", None), ("ratio 3:(4)", None), ("ok", None)]
)
def test_emoticon_votes_on_faces(text, label):
    assert emoticon(Document(text, "en", TASK)) == label


def test_rules_abstain_where_the_task_has_no_polarity():
    assert lexicon(Document("I love it :)", "en", TOPICS)) is None


def documents(*texts):
    return pd.DataFrame({"document_id": [f"d{i}" for i in range(len(texts))], "source": "s", "text": texts, "language": "en"}).assign(
        external_id="x", parent_id="x", title=""
    )


def test_an_abstention_is_no_row():
    found = apply_rules(documents("love it :)", "Monday"), chosen_rules(RuleSettings(enabled=("lexicon", "emoticon")), TASK, Path()), TASK)
    assert found[["document_id", "annotator_id", "label"]].to_numpy().tolist() == [
        ["d0", "rule:lexicon", "positive"],
        ["d0", "rule:emoticon", "positive"],
    ]


def test_an_unknown_rule_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"expected names out of \['emoticon', 'lexicon'\] for text_classification, found \['sarcasm'\]"):
        chosen_rules(RuleSettings(enabled=("lexicon", "sarcasm")), TASK, Path())


def test_a_rule_that_leaves_the_task_is_an_error():
    with pytest.raises(ValueError, match=r"labels out of \['negative', 'neutral', 'positive'\], found \['great'\]"):
        apply_rules(documents("anything"), {"broken": lambda _document: "great"}, TASK)

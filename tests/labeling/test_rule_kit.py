"""Labeling functions of one's own: decorated, from the project file, from a Python file."""

from pathlib import Path

import pytest

from assets.labeling.rule_kit import ABSTAIN, REGISTRY, Document, RuleError, labeling_function, load_functions, make_rule
from assets.labeling.rules import chosen_rules
from assets.project import CustomRule, RuleSettings, Task

TOPICS = Task(labels=("投诉", "praise"))
SEVERAL = Task(kind="multi_label_classification", labels=("投诉", "praise"))
SPANS = Task(kind="token_classification", labels=("ORDER", "人"))


@pytest.fixture(autouse=True)
def registry():
    """What tests register is forgotten."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def see(text, language="en", task=TOPICS, **seen):
    return Document(text, language, task, **seen)


def test_a_decorated_function_is_asked_about_its_languages_only():
    @labeling_function(languages=("zh",))
    def complains(document):
        return "投诉" if "退款" in document.text else ABSTAIN

    assert complains.name == "complains"
    assert complains(see("我要退款", "zh")) == "投诉"
    assert complains(see("很好", "zh")) is ABSTAIN
    assert complains(see("退款", "en")) is ABSTAIN
    assert REGISTRY["complains"] is complains


def test_names_have_letters_and_belong_to_one_function(tmp_path):
    with pytest.raises(RuleError, match="expected a labeling function's name of letters, digits and underscores, found 'no name'"):
        labeling_function("no name")(lambda _document: ABSTAIN)
    with pytest.raises(
        RuleError, match=r"expected distinct names of labeling functions, found 'lexicon' in .*rules\.py and .*test_rule_kit\.py"
    ):
        labeling_function("lexicon")(lambda _document: ABSTAIN)


@pytest.mark.parametrize(
    ("rule", "document", "votes"),
    [
        ({"regex": "退款|refund"}, see("我要退款", "zh"), True),
        ({"regex": "退款|refund"}, see("Refund me"), True),
        ({"regex": "退款|refund"}, see("fine"), False),
        ({"words": ["bad", "太差"]}, see("Too BAD."), True),
        ({"words": ["bad", "太差"]}, see("badminton"), False),
        ({"words": ["bad", "太差"]}, see("这个太差了", "zh"), True),
        ({"words": ["c++"]}, see("I like C++!"), True),
        ({"words": ["bad"], "languages": ["en"]}, see("bad", "zh"), False),
        ({"source": "tickets"}, see("any", source="tickets"), True),
        ({"source": "tickets"}, see("any", source="tweets"), False),
        ({"title": "^re:"}, see("any", title="Re: order"), True),
        ({"min_chars": 5}, see("12345"), True),
        ({"max_chars": 4}, see("12345"), False),
        ({"words": ["bad"], "source": "tickets"}, see("bad", source="tweets"), False),
    ],
)
def test_a_rule_of_the_project_file_votes_where_every_condition_holds(rule, document, votes):
    function = make_rule(CustomRule(name="own", label="投诉", **rule), TOPICS)
    assert function(document) == ("投诉" if votes else ABSTAIN)


def test_answers_have_the_shape_of_the_task():
    rule = CustomRule(name="own", label="投诉", words=("退款",))
    assert make_rule(rule, SEVERAL)(see("我要退款", "zh", SEVERAL)) == '["投诉"]'
    order = CustomRule(name="orders", label="ORDER", regex=r"[A-Z]{2}\d{4}")
    found = make_rule(order, SPANS)(see("订单 AB1234 和 CD5678", "zh", SPANS))
    assert found == '[{"start":3,"end":9,"label":"ORDER"},{"start":12,"end":18,"label":"ORDER"}]'
    assert make_rule(order, SPANS)(see("nothing", task=SPANS)) is ABSTAIN


@pytest.mark.parametrize(
    ("rule", "task", "complaint"),
    [
        ({"label": "other", "words": ["x"]}, TOPICS, r"own: expected a label out of \['投诉', 'praise'\], found 'other'"),
        ({"label": "人", "source": "s"}, SPANS, "own: expected `regex` or `words` to mark spans with, found neither"),
    ],
)
def test_a_rule_that_does_not_fit_the_task_is_refused(rule, task, complaint):
    with pytest.raises(RuleError, match=complaint):
        make_rule(CustomRule(name="own", **rule), task)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({}, "expected a condition: regex, words, title, source, min_chars or max_chars; found none"),
        ({"regex": "("}, r"expected a regular expression, found '\('"),
        ({"regex": "a", "words": ["b"]}, "expected either `regex` or `words`, found both"),
        ({"words": [" "]}, "expected words with letters, found an empty one"),
        ({"name": "a b", "words": ["x"]}, "String should match pattern"),
    ],
)
def test_a_rule_that_says_nothing_sensible_is_refused(rule, complaint):
    with pytest.raises(ValueError, match=complaint):
        CustomRule(**({"name": "own", "label": "投诉"} | rule))


OWN = """
from assets.labeling.rule_kit import ABSTAIN, Document, labeling_function

@labeling_function(languages=("zh", "en"))
def thanks(document: Document) -> str | None:
    return "praise" if "谢谢" in document.text or "thanks" in document.text.lower() else ABSTAIN
"""


def test_functions_of_a_file_vote_beside_the_others(tmp_path):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    custom = CustomRule(name="refund", label="投诉", words=("refund",))
    for _ in range(2):  # as when the graph runs twice in one process
        rules = chosen_rules(RuleSettings(enabled=(), custom=(custom,), modules=("own.py",)), TOPICS, tmp_path)
        assert sorted(rules) == ["refund", "thanks"]
    assert rules["thanks"](see("谢谢！", "zh")) == "praise"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "expected a Python file at .*own.py, found none"),
        ("1 / 0", "to run, found ZeroDivisionError: division by zero"),
        ("x = 1", "to have functions with @labeling_function, found none"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "own.py").write_text(content, encoding="utf-8")
    with pytest.raises(RuleError, match=complaint):
        load_functions(tmp_path / "own.py")


def test_two_functions_of_one_name_are_refused():
    twice = (CustomRule(name="own", label="投诉", words=("a",)), CustomRule(name="own", label="praise", words=("b",)))
    with pytest.raises(RuleError, match=r"expected distinct names of labeling functions, found \['own'\] more than once"):
        chosen_rules(RuleSettings(custom=twice), TOPICS, Path())

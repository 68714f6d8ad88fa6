"""Span rules find what they say, in English and Chinese, and vote on every document."""

from pathlib import Path

import pandas as pd
import pytest

from assets.answers import decode_spans
from assets.labeling.rule_kit import Document
from assets.labeling.rules import apply_rules, chosen_rules
from assets.labeling.span_rules import SPAN_RULES
from assets.project import RuleSettings, Task
from assets.quality.suites import expect_task_answers
from assets.quality.validation import validate
from dagster_project.configuration import load_project
from dagster_project.environments import REPOSITORY

LABELS = ("DATE", "MONEY", "HANDLE", "URL", "HASHTAG", "NAME")
ENTITIES = Task(kind="token_classification", labels=LABELS)


def found_by(rule, text):
    return [text[span.start : span.end] for span in SPAN_RULES[rule].find(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Due Jan. 7, 1990 or 12 July 2011.", ["Jan. 7, 1990", "12 July 2011"]),
        ("on September 1st, in October 2008 and in 1998", ["September 1st", "October 2008", "1998"]),
        ("2024-03-05, 08/03/11, the 1990s, Friday, today", ["2024-03-05", "08/03/11", "1990s", "Friday", "today"]),
        ("I may march on 5/6 of it, in 2000 ways", ["2000"]),
        ("version 1.2.2024 costs 1999 and 24/7 support", []),
        ("2024年3月5日开会,五月一号放假,周一见", ["2024年3月5日", "五月一号", "周一"]),
        ("二〇二四年五月,98年,星期天,昨天", ["二〇二四年五月", "98年", "星期天", "昨天"]),
        ("每周一次,一周三次,三个月,十年", []),
    ],
)
def test_dates(text, found):
    assert found_by("dates", text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It cost $20,000, then $ 49.99 or 30 bucks", ["$20,000", "$ 49.99", "30 bucks"]),
        ("£3.5 million, €5, 25 cents, US$10bn, $25K", ["£3.5 million", "€5", "25 cents", "US$10bn", "$25K"]),
        ("100 percent of 20 people, dollars", []),
        ("卖2,599元,约¥3.5万,花了三百块钱", ["2,599元", "¥3.5万", "三百块钱"]),
        ("5亿美元,20万元", ["5亿美元", "20万元"]),
        ("元旦吃3元宵,5元素", []),
    ],
)
def test_money(text, found):
    assert found_by("money", text) == found


@pytest.mark.parametrize(
    ("rule", "text", "found"),
    [
        ("handles", "@bob: hi, (@Ann_1)! a@b.com @", ["@bob", "@Ann_1"]),
        ("handles", "谢谢@用户名 和@李雷, @bob你好", ["@用户名", "@李雷", "@bob"]),
        ("urls", "see http://t.co/a?b=1, www.x.org/y). bit.ly/x!", ["http://t.co/a?b=1", "www.x.org/y", "bit.ly/x"]),
        ("urls", "me@mail.com e.g. this, 3.5 Mr.Co", []),
        ("urls", "看https://例 和http://t.cn/A6x,真的;https://b23.tv/abc。", ["http://t.cn/A6x", "https://b23.tv/abc"]),
        ("hashtags", "#fb (#Prop8) #1 C# a#b &#39;", ["#fb", "#Prop8"]),
        ("hashtags", "#双十一#快到了 #新闻 #", ["#双十一#", "#新闻"]),
    ],
)
def test_handles_addresses_and_hashtags(rule, text, found):
    assert found_by(rule, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Yesterday we met Ann Lee and President Reagan in New York.", ["Ann Lee", "Reagan", "New York"]),
        ("The Bank of America's offer, says Mr. O'Brien", ["Bank of America", "O'Brien"]),
        ("books by J. K. Rowling, and the New York Mets", ["J. K. Rowling", "New York Mets"]),
        ("@ann Thanks for this. Great work! Really", []),
        ("It is a good thing that I went on Monday", []),
        ("Ten Ways To Make Money With Your Blog", []),
        ("王小明先生和李老师见了欧阳娜教授", ["王小明", "李老师", "欧阳娜"]),
        ("我很高兴老师来了,方便先生吗", []),
    ],
)
def test_names(text, found):
    assert found_by("capitalized_names", text) == found


def documents(*texts):
    return pd.DataFrame(
        {"document_id": [f"d{number}" for number in range(len(texts))], "source": "s", "text": texts, "language": "en"}
    ).assign(external_id="x", parent_id="x", title="")


def test_a_rule_votes_on_every_document_with_what_it_found_or_nothing():
    rules = chosen_rules(RuleSettings(enabled=("dates", "handles")), ENTITIES, Path())
    votes = apply_rules(documents("@bob left on Friday", "没有"), rules, ENTITIES)
    assert votes[["document_id", "annotator_id", "label"]].to_numpy().tolist() == [
        ["d0", "rule:dates", '[{"start":13,"end":19,"label":"DATE"}]'],
        ["d0", "rule:handles", '[{"start":0,"end":4,"label":"HANDLE"}]'],
        ["d1", "rule:dates", "[]"],
        ["d1", "rule:handles", "[]"],
    ]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (ENTITIES, list(SPAN_RULES)),
        (Task(kind="token_classification", labels=("DATE", "人名")), ["dates"]),
        (Task(labels=("差", "好")), ["lexicon", "emoticon"]),
        (Task(kind="multi_label_classification", labels=("差", "好")), []),
        (Task(kind="question_answering", labels=("answer",)), []),
        (Task(kind="relation_extraction", labels=("差", "好")), []),
    ],
)
def test_unless_named_all_rules_that_fit_the_task_vote(task, names):
    assert list(chosen_rules(RuleSettings(), task, Path())) == names


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("lexicon", ENTITIES, r"for token_classification, found \['lexicon'\]"),
        ("money", Task(kind="token_classification", labels=("DATE",)), r"out of \['dates'\] for token_classification, found \['money'\]"),
        ("dates", Task(labels=("差", "好")), r"out of \['emoticon', 'lexicon'\] for text_classification, found \['dates'\]"),
    ],
)
def test_a_rule_of_another_task_is_named_in_the_error(name, task, message):
    with pytest.raises(ValueError, match=message):
        chosen_rules(RuleSettings(enabled=(name,)), task, Path())


@pytest.mark.parametrize("rule", SPAN_RULES)
def test_every_rule_finds_its_own_types_and_stays_quick_on_hostile_text(rule):
    text = (
        "@a #b http://x.com/y $5 on Friday with Ann Lee 王小明先生 " * 40
        + "A. " * 2000
        + "1" * 5000
        + "," * 2000
        + "@" * 2000
        + "Aa" * 2000
    )
    answer = chosen_rules(RuleSettings(enabled=(rule,)), ENTITIES, Path())[rule](Document(text, "en", ENTITIES))
    spans = decode_spans(answer, sorted(SPAN_RULES[rule].types), len(text))
    assert len(spans) >= 40


def test_every_label_of_the_demo_for_names_has_a_rule_that_looks_for_it():
    home = {"TEXTMILL_HOME": "/data"}
    project = load_project(REPOSITORY / "config" / "demo_ner.yaml", home)
    rules = chosen_rules(project.labeling.rules, project.task, Path())
    assert set().union(*(SPAN_RULES[name].types for name in rules)) == set(project.task.labels)
    assert not any(source.fields.votes or source.fields.spans for source in project.sources)


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        (ENTITIES, '[{"start":0,"end":2,"label":"NAME"}]', "NAME"),
        (Task(kind="multi_label_classification", labels=("政治", "sport")), '["政治"]', "政治"),
    ],
)
def test_suites_promise_the_shape_of_lists_and_count_what_is_outside_the_task(task, good, bad):
    shape, outside = expect_task_answers(task)
    assert (shape.looks_at, outside.looks_at, outside.columns) == ("rows", "facts", ["answers_outside_task"])
    verdicts = [validate(pd.DataFrame({"label": [answer, None]}), [shape])[0].passed for answer in (good, bad)]
    assert verdicts == [True, False]

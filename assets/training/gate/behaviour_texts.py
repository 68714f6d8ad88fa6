"""Texts made for behavioural tests, in English and Chinese: plain sentences with names, and negations.

They hold nothing of anybody's. Does not belong here: what is done with them (`behaviours.py`).
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from assets.answers import CONTEXT_MARKER, HEAD_MARKERS, QUESTION_MARKER, TAIL_MARKERS
from assets.project import Task

Negated = Literal["praise", "blame"]

SENTENCES = {
    "en": (
        ("Maria", "Peter", "{0} met {1} at the station, and they took the train to London."),
        ("James", "Emma", "{0} thanked {1} for the excellent work; the report was a joy to read."),
        ("Sarah", "David", "According to {0}, the phone that {1} bought broke after two days!"),
        ("Aisha", "Carlos", "{0} will send {1} the invoice on Monday, is that fine?"),
        ("Anna", "Michael", "{0} and {1} waited for an hour: the service was terrible."),
        ("Linda", "Thomas", "{0} loves the film, but {1} fell asleep in the middle of it."),
    ),
    "zh": (
        ("王伟", "李娜", "{0}在车站见到了{1}，他们坐火车去了上海。"),
        ("张敏", "刘洋", "{0}感谢{1}的出色工作；这份报告读起来很愉快。"),
        ("陈静", "杨帆", "据{0}说，{1}买的手机两天就坏了！"),
        ("赵磊", "黄丽", "{0}星期一把发票寄给{1}，可以吗？"),
        ("周杰", "吴倩", "{0}和{1}等了一个小时：服务太差了。"),
        ("王伟", "张敏", "{0}很喜欢这部电影，但是{1}看到一半睡着了。"),
    ),
}
QUESTIONS = {"en": "Who is meant first?", "zh": "首先提到的是谁？"}
THINGS = {"en": ("film", "phone", "service", "book", "hotel"), "zh": ("电影", "手机", "服务", "书", "酒店")}
PATTERNS: dict[str, tuple[tuple[Negated, str], ...]] = {
    "en": (
        ("praise", "This is not a good {0}."),
        ("praise", "I don't like this {0}."),
        ("praise", "I can't say that I enjoyed the {0}."),
        ("praise", "Nobody would call this {0} great."),
        ("blame", "The {0} isn't bad."),
        ("blame", "I don't hate this {0}."),
    ),
    "zh": (
        ("praise", "这{0}不好。"),
        ("praise", "我不喜欢这{0}。"),
        ("praise", "我不觉得这{0}很棒。"),
        ("praise", "没有人会说这{0}好。"),
        ("blame", "这{0}不差。"),
        ("blame", "我并不讨厌这{0}。"),
    ),
}


def templates(task: Task, languages: Sequence[str]) -> list[tuple[str, str]]:
    """Name and text of every plain sentence, marked as the kind of task needs it."""
    found = []
    for language in _known(languages):
        for number, (first, second, sentence) in enumerate(SENTENCES[language]):
            if task.kind == "relation_extraction":
                text = sentence.format(first.join(HEAD_MARKERS), second.join(TAIL_MARKERS))
            else:
                text = sentence.format(first, second)
            if task.kind == "question_answering":
                text = f"{QUESTION_MARKER} {QUESTIONS[language]} {CONTEXT_MARKER} {text}"
            found.append((f"template-{language}-{number}", text))
    return found


def negations(languages: Sequence[str]) -> Iterator[tuple[str, str, Negated]]:
    """Name, text, and what is negated in it."""
    for language in _known(languages):
        for number, (negated, pattern) in enumerate(PATTERNS[language]):
            for thing_number, thing in enumerate(THINGS[language]):
                yield f"{language}-{number}-{thing_number}", pattern.format(thing), negated


def _known(languages: Sequence[str]) -> list[str]:
    """The languages that there are sentences in; English where there is none."""
    return [language for language in SENTENCES if language in languages] or ["en"]

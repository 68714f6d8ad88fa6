"""The built-in labeling functions, which of them vote on a task, and their votes.

To add one, decorate a function (`rule_kit.py`), here or in a file of the project's own. Functions that find spans are in `span_rules.py`;
they vote here beside the others.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from assets.answers import count_outside_task, encode_spans
from assets.labeling.rule_kit import ABSTAIN, Document, LabelingFunction, RuleError, labeling_function, load_functions, make_rule
from assets.labeling.span_rules import SPAN_RULES, SpanRule
from assets.project import CustomRule, RuleSettings, Task
from assets.schemas import RULE_VOTES

SEEN_COLUMNS = ("text", "language", "source", "external_id", "parent_id", "title")
"""Columns of `clean_documents` that labeling functions see."""

POSITIVE_WORDS = frozenset(
    """amazing awesome beautiful best brilliant charming delight delightful enjoy enjoyable enjoyed excellent fantastic favorite fun
    glad good great happy impressive love loved lovely perfect pleased recommend superb terrific thanks wonderful yay""".split()
)
NEGATIVE_WORDS = frozenset(
    """angry annoying awful bad boring broken cheap crap dead died disappointed disappointing disappointment dull fail failed fails
    hate hated horrible killed lame mess poor poorly sad stupid sucks terrible ugly useless waste worse worst""".split()
)
NEGATIONS = frozenset("no not never hardly without cannot don't doesn't didn't isn't wasn't won't can't couldn't".split())
POSITIVE_WORDS_ZH = ("喜欢", "很好", "不错", "满意", "推荐", "精彩", "优秀", "漂亮", "开心", "太棒", "好看", "值得")
NEGATIVE_WORDS_ZH = (
    "失望",
    "糟糕",
    "差劲",
    "垃圾",
    "讨厌",
    "难看",
    "后悔",
    "太差",
    "很差",
    "无聊",
    "骗人",
    "不好",
    "不值得",
    "不喜欢",
    "不推荐",
    "不满意",
)
POSITIVE_EMOTICONS = re.compile(r"(?:^|\s)(?::-?\)|;-?\)|:-?D|<3|\^_\^|=\))(?=\s|$)|[😀😃😄😁😊😍🥰👍🎉❤]")
NEGATIVE_EMOTICONS = re.compile(r"(?:^|\s)(?::-?\(|:'\(|:-?/|>:\(|T_T|=\()(?=\s|$)|[😞😢😭😠😡👎💔]")
WORDS = re.compile(r"[a-z]+(?:'[a-z]+)?")


@labeling_function()
def lexicon(document: Document) -> str | None:
    """Votes when clearly more pleased than displeased words occur, or the reverse; a negation just before a word turns it."""
    if document.language == "zh":
        return polarity_label(lexicon_score_zh(document.text), document.task)
    words = WORDS.findall(document.text.lower().replace("’", "'"))
    score = 0
    for position, word in enumerate(words):
        value = (word in POSITIVE_WORDS) - (word in NEGATIVE_WORDS)
        is_turned = any(previous in NEGATIONS for previous in words[max(0, position - 2) : position])
        score += -value if is_turned else value
    return polarity_label(score, document.task)


def lexicon_score_zh(text: str) -> int:
    """Pleased minus displeased words in a Chinese text; a displeased phrase hides the pleased word inside it."""
    negative = 0
    for word in sorted(NEGATIVE_WORDS_ZH, key=len, reverse=True):
        negative += text.count(word)
        text = text.replace(word, " ")
    return sum(text.count(word) for word in POSITIVE_WORDS_ZH) - negative


@labeling_function()
def emoticon(document: Document) -> str | None:
    """Votes when only happy, or only unhappy, emoticons and emoji occur."""
    happy = bool(POSITIVE_EMOTICONS.search(document.text))
    unhappy = bool(NEGATIVE_EMOTICONS.search(document.text))
    return polarity_label(happy - unhappy, document.task)


BUILT_IN = (lexicon, emoticon)


def polarity_label(score: int, task: Task) -> str | None:
    """The task's positive or negative label for a score above or below 0; abstains at 0 and where the task has no polarity."""
    if score > 0:
        return task.positive_label
    if score < 0:
        return task.negative_label
    return ABSTAIN


def chosen_rules(settings: RuleSettings, task: Task, folder: Path) -> dict[str, LabelingFunction]:
    """The labeling functions that vote on a task: those enabled, and all of the project's own.

    Args:
        settings: Which; `enabled: null` takes all built-in ones that can vote on the task.
        task: The task.
        folder: Paths of the project's own files count from here.

    Raises:
        ValueError: One that is enabled does not exist for this kind of task, or finds none of its labels; the message lists those that do.
        RuleError: A file or a rule of the project's own cannot be used, or two functions have one name.
    """
    own = [function for name in settings.modules for function in load_functions(folder / Path(name).expanduser())]
    own += [make_rule(rule, task) for rule in settings.custom]
    fitting = fitting_rules(task)
    unknown = sorted(set(settings.enabled or ()) - set(fitting))
    if unknown:
        raise ValueError(f"labeling.rules.enabled: expected names out of {sorted(fitting)} for {task.kind}, found {unknown}.")
    chosen = fitting if settings.enabled is None else {name: fitting[name] for name in settings.enabled}
    doubled = sorted({function.name for function in own} & set(chosen))
    names = [function.name for function in own]
    doubled += sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise RuleError(f"labeling.rules: expected distinct names of labeling functions, found {doubled} more than once")
    return chosen | {function.name: function for function in own if task.kind in function.kinds}


def fitting_rules(task: Task) -> dict[str, LabelingFunction]:
    """Every built-in labeling function that can vote on a task: by polarity for one label, by type for named entities."""
    if task.kind == "text_classification":
        return {function.name: function for function in BUILT_IN}
    if task.kind == "token_classification":
        return {name: vote_with(name, rule) for name, rule in SPAN_RULES.items() if rule.types & set(task.labels)}
    return {}


def vote_with(name: str, rule: SpanRule) -> LabelingFunction:
    """A span rule as a labeling function: always votes, with the spans that are the task's."""

    def vote(document: Document) -> str:
        return encode_spans(span for span in rule.find(document.text) if span.label in document.task.labels)

    return LabelingFunction(name, vote, kinds=frozenset({"token_classification"}))


def competence_of_rules(custom: Sequence[CustomRule] = ()) -> Mapping[str, frozenset[str]]:
    """Labels that each span rule looks for, by annotator id, those of the project file too; voters that are not named look for all."""
    own = {f"rule:{rule.name}": frozenset({rule.label}) for rule in custom}
    return {f"rule:{name}": rule.types for name, rule in SPAN_RULES.items()} | own


def apply_rules(documents: pd.DataFrame, rules: dict[str, LabelingFunction], task: Task) -> pd.DataFrame:
    """Votes of labeling functions.

    Args:
        documents: One row per document: `document_id` and `SEEN_COLUMNS`.
        rules: Labeling functions by name.
        task: The task whose labels they may give.

    Returns:
        One row per vote, columns of `rule_votes`; an abstention is no row.

    Raises:
        ValueError: A labeling function gave a label outside the task.
    """
    rows = []
    for document_id, *seen in documents[["document_id", *SEEN_COLUMNS]].itertuples(index=False):
        document = Document(task=task, **dict(zip(SEEN_COLUMNS, seen, strict=True)))
        for name, rule in rules.items():
            label = rule(document)
            if label is not ABSTAIN:
                rows.append(
                    (vote_id(document_id, f"rule:{name}", label), document_id, document.source, f"rule:{name}", "rule", label, None)
                )
    votes = pd.DataFrame(rows, columns=RULE_VOTES.column_names()).astype({"value": "float64"})
    unknown = sorted({label for label in votes["label"].unique() if count_outside_task([label], task)})
    if unknown:
        raise ValueError(f"Expected labeling functions to give labels out of {list(task.labels)}, found {unknown[:3]}.")
    return votes


def vote_id(document_id: str, annotator_id: str, answer: str) -> str:
    """Hash that identifies a vote."""
    return hashlib.sha256(f"{document_id}\0{annotator_id}\0{answer}".encode()).hexdigest()[:32]

"""Behavioural tests: what a model must do on texts made for the purpose, whatever its score on the test split.

Source: Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL 2020. Three kinds of cases: a minimum
functionality test knows the right answers (negation, cases of one's own), an invariance test edits a text in a way that must not change
the answer (typos, names, punctuation, case, white space), a directional test says which way the valence must not move (emoji).

On the defaults of `promotion.min_behaviour_pass_rate`: 0.7 refuses a model that changes more than three answers in ten over a slip of
the keyboard, and leaves room for texts that are near the border of two labels; a model fine-tuned on 15 % of the demo passed 0.86 of the
typos and 0.97 or more of the rest. Two tests are only reported. Negation: in the study above good commercial models failed most of such
cases, and the demo's model passed 0.37; a threshold that everything passes would be no threshold, and an honest one would refuse all.
Emoji: many vocabularies hold none, and one unknown token cannot point both ways; the demo's model passed 0.73, half of it for free.

Does not belong here: the edits (`edits.py`), scoring the texts (a process of its own), the decision (`criteria.py`).
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from assets.answers import AnswerError, Span, canonical_answer, decode_spans, encode_spans
from assets.project import Task
from assets.training.gate.behaviour_texts import negations, templates
from assets.training.gate.edits import (
    EMOJI,
    Edit,
    Editor,
    add_white_space,
    append_emoji,
    apply_edits,
    change_case,
    make_typos,
    move_span,
    swap_names,
    swap_punctuation,
)
from assets.training_settings import Promotion

Expected = Literal["same", "not_lower", "not_higher", "one_of"]
ORIGINAL, CASE = "behaviour:original", "behaviour:case"
VALENCE_TOLERANCE = 0.1
"""A valence (of -1 to 1) that moves less than this has not moved."""
EXAMPLES = 5
INVARIANCES: dict[str, Editor] = {
    "typos": make_typos,
    "names": swap_names,
    "punctuation": swap_punctuation,
    "casing": change_case,
    "whitespace": add_white_space,
}


class BehaviourFileError(ValueError):
    """A file of behavioural cases is not as expected."""


@dataclass(frozen=True)
class Case:
    """One thing to try.

    Attributes:
        suite: The behavioural test it belongs to.
        name: Identifies it within the suite; of a test document, its id.
        text: What the model is given.
        expected: `same` answer as on `original`, valence `not_lower` or `not_higher` than there, or `one_of` the `answers`.
        original: The text before the edits; None without one.
        edits: What was changed, to map spans.
        answers: Right answers, as `assets/answers.py` writes them.
    """

    suite: str
    name: str
    text: str
    expected: Expected
    original: str | None = None
    edits: tuple[Edit, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class SuiteResult:
    """How a model did on one behavioural test.

    Attributes:
        suite: Its name.
        cases: How many were tried.
        failures: How many failed.
        pass_rate: Share that passed, 0 to 1; None without cases.
        examples: Names of a few failed cases; never texts.
    """

    suite: str
    cases: int
    failures: int
    pass_rate: float | None
    examples: tuple[str, ...]


def suits(suite: str, task: Task) -> bool:
    """Whether a built-in test makes sense for a task: negation needs a valence, and case is a signal where spans are looked for."""
    if suite == "negation":
        return task.valences is not None
    return not (suite == "casing" and task.has_spans)


def make_cases(settings: Promotion, task: Task, languages: Sequence[str], test: pd.DataFrame, seed: int) -> list[Case]:
    """The built-in cases of a project.

    Args:
        settings: Which tests, and how many texts each.
        task: Kind and labels.
        languages: Of the templates: `en` and `zh` have some; other projects get the English ones.
        test: One row per test document; read: `document_id`, `text`. The texts to edit are drawn from it.
        seed: Of the draw and of the edits.
    """
    drawn = test.sample(min(len(test), settings.behaviour_cases), random_state=seed)
    texts = list(zip(drawn["document_id"], drawn["text"], strict=True)) + templates(task, languages)
    cases: list[Case] = []
    for suite in settings.behaviours:
        if not suits(suite, task):
            continue
        if suite == "negation":
            cases += _negation_cases(task, languages)
        elif suite == "emoji":
            cases += _emoji_cases(texts, task, seed)
        else:
            cases += _edited(suite, INVARIANCES[suite], texts, seed)
    return cases


def read_cases(path: Path, task: Task) -> list[Case]:
    """Cases from a file: YAML with a list, or JSONL. Each has `suite`, `text`, and `answer` (or a list `answers`), or `same_as` (a text).

    Raises:
        BehaviourFileError: The file cannot be read, or a case is not as expected; names the file and the case.
    """
    try:
        content = path.read_text(encoding="utf-8")
        records = _json_lines(content) if path.suffix == ".jsonl" else yaml.safe_load(content)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BehaviourFileError(f"{path}: expected behavioural cases in YAML or JSONL (UTF-8), found {type(error).__name__}") from error
    if not isinstance(records, list) or not records:
        raise BehaviourFileError(f"{path}: expected a list of behavioural cases, found {type(records).__name__} with none")
    return [_read_case(record, number, path, task) for number, record in enumerate(records, 1)]


def texts_of(cases: Iterable[Case]) -> pd.DataFrame:
    """One row per text to score: `document_id` (of originals and cases), `text`; an original that several cases share comes once."""
    rows: dict[str, str] = {}
    for case in cases:
        rows[case_id(case)] = case.text
        if case.original is not None:
            rows[original_id(case)] = case.original
    return pd.DataFrame({"document_id": list(rows), "text": list(rows.values())}, dtype="object")


def case_id(case: Case) -> str:
    """Id of a case among the scored texts."""
    return f"{CASE}/{case.suite}/{case.name}"


def original_id(case: Case) -> str:
    """Id of the text that a case edits; cases of the built-in tests share theirs."""
    is_shared = case.suite in INVARIANCES or case.suite == "emoji"
    return f"{ORIGINAL}/{case.name.partition('+')[0]}" if is_shared else f"{ORIGINAL}/{case.suite}/{case.name}"


def judge_cases(cases: Sequence[Case], scored: pd.DataFrame, task: Task) -> list[SuiteResult]:
    """How a model did, per test in order of first appearance.

    Args:
        cases: What was tried.
        scored: One row per text of `texts_of`, in any order: `document_id`, `label`, and `valence` where the task has one. A text that is
            missing, or has no answer, fails its case.
        task: Kind and labels.
    """
    answers = {str(row["document_id"]): {str(key): value for key, value in row.items()} for row in scored.to_dict("records")}
    names = dict.fromkeys(case.suite for case in cases)
    return [_judge_suite(name, [case for case in cases if case.suite == name], answers, task) for name in names]


def _judge_suite(name: str, cases: Sequence[Case], answers: Mapping[str, Mapping[str, Any]], task: Task) -> SuiteResult:
    failed = [case.name for case in cases if not _passes(case, answers, task)]
    rate = 1 - len(failed) / len(cases) if cases else None
    return SuiteResult(name, len(cases), len(failed), rate, tuple(failed[:EXAMPLES]))


def _passes(case: Case, answers: Mapping[str, Mapping[str, Any]], task: Task) -> bool:
    found = answers.get(case_id(case), {})
    label = found.get("label")
    if not isinstance(label, str):
        return False
    if case.expected == "one_of":
        return label in case.answers
    before = answers.get(original_id(case), {})
    if not isinstance(before.get("label"), str):
        return False
    if case.expected == "same":
        return label == _moved(before["label"], case.edits, task)
    change = _number(found.get("valence")) - _number(before.get("valence"))
    return change >= -VALENCE_TOLERANCE if case.expected == "not_lower" else change <= VALENCE_TOLERANCE


def _moved(answer: str, edits: Sequence[Edit], task: Task) -> str:
    """The answer on the edited text that says the same as this one on the original."""
    if not task.has_spans:
        return answer
    spans: list[Span] = [move_span(span, edits) for span in decode_spans(answer, task.labels)]
    return encode_spans(spans)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _edited(
    suite: str, editor: Editor, texts: Sequence[tuple[str, str]], seed: int, expected: Expected = "same", mark: str = ""
) -> list[Case]:
    cases = []
    for name, text in texts:
        edits = tuple(editor(text, random.Random(f"{seed}/{suite}/{name}")))
        if edits:
            cases.append(Case(suite, f"{name}{mark}", apply_edits(text, edits), expected, text, edits))
    return cases


def _emoji_cases(texts: Sequence[tuple[str, str]], task: Task, seed: int) -> list[Case]:
    """A friendly emoji must not lower the valence nor an angry one raise it; without valence, one without feelings changes nothing."""
    if task.valences is None:
        return _edited("emoji", append_emoji(EMOJI["neutral"]), texts, seed)
    friendly = _edited("emoji", append_emoji(EMOJI["positive"]), texts, seed, "not_lower", "+positive")
    return friendly + _edited("emoji", append_emoji(EMOJI["negative"]), texts, seed, "not_higher", "+negative")


def _negation_cases(task: Task, languages: Sequence[str]) -> list[Case]:
    """Negated praise must not be called positive, negated blame not negative."""
    valences = dict(zip(task.labels, task.valences or (), strict=True))
    right = {
        "praise": tuple(label for label, valence in valences.items() if valence <= 0),
        "blame": tuple(label for label, valence in valences.items() if valence >= 0),
    }
    return [Case("negation", name, text, "one_of", answers=right[negated]) for name, text, negated in negations(languages)]


def _json_lines(content: str) -> list[Any]:
    return [json.loads(line) for line in content.splitlines() if line.strip()]


def _read_case(record: object, number: int, path: Path, task: Task) -> Case:
    fields = record if isinstance(record, dict) else {}
    suite, text, original = fields.get("suite"), fields.get("text"), fields.get("same_as")
    answers = fields.get("answers", [fields["answer"]] if "answer" in fields else [])
    unknown = set(fields) - {"suite", "text", "same_as", "answer", "answers"}
    has_aim = isinstance(answers, list) and bool(answers) != isinstance(original, str)
    if unknown or not (isinstance(suite, str) and suite and isinstance(text, str) and has_aim):
        raise BehaviourFileError(
            f"{path}: case {number}: expected suite, text and one of answer, answers, same_as, found keys {sorted(map(str, fields))}"
        )
    if task.has_spans and original is not None:
        raise BehaviourFileError(f"{path}: case {number}: expected answer, not same_as: the spans of two texts cannot be compared")
    try:
        right = tuple(canonical_answer(_as_text(answer), task, len(text)) for answer in answers)
    except AnswerError as error:
        raise BehaviourFileError(f"{path}: case {number}: {error}") from error
    return Case(suite, f"case-{number}", text, "one_of" if right else "same", original, answers=right)


def _as_text(answer: object) -> str:
    """Labels and spans may be written as YAML lists instead of as one text."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)

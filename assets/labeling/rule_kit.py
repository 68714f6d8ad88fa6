"""What labeling functions are made of: the document they see, the decorator that registers them, and rules made without code.

    @labeling_function(languages=("en",))
    def mentions_refund(document: Document) -> str | None:
        return "complaint" if "refund" in document.text.lower() else ABSTAIN

The name of a function is part of its annotator's id, so renaming it makes a new voter. Rules without code come from the project file
(`labeling.rules.custom`): a label, and conditions that must all hold. Does not belong here: the built-in functions (`rules.py`).
"""

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.answers import Span, encode_labels, encode_spans
from assets.project import CustomRule, Task

ABSTAIN = None


@dataclass(frozen=True)
class Document:
    """What a labeling function sees of a clean document."""

    text: str
    language: str
    task: Task
    source: str = ""
    external_id: str = ""
    parent_id: str = ""
    title: str = ""


Vote = Callable[[Document], str | None]


@dataclass(frozen=True)
class LabelingFunction:
    """A named function that looks at one document and votes, or abstains.

    Attributes:
        name: Letters, digits and underscores; `rule:<name>` is the annotator.
        vote: The answer, as the task writes answers; None abstains.
        languages: Languages that it is asked about; None for all.
        kinds: Kinds of tasks that it can vote on.
    """

    name: str
    vote: Vote
    languages: frozenset[str] | None = None
    kinds: frozenset[str] = frozenset({"text_classification"})

    def __call__(self, document: Document) -> str | None:
        """Vote on a document; abstain in other languages."""
        is_asked = self.languages is None or document.language in self.languages
        return self.vote(document) if is_asked else ABSTAIN


class RuleError(ValueError):
    """A labeling function cannot be used."""


REGISTRY: dict[str, LabelingFunction] = {}
"""Every function that was decorated, by name."""


def labeling_function(
    name: str | None = None, languages: Sequence[str] | None = None, kinds: Sequence[str] = ("text_classification", "relation_extraction")
) -> Callable[[Vote], LabelingFunction]:
    """Make a labeling function of a function and register it.

    Args:
        name: Its name; by default the function's.
        languages: ISO 639-1 codes of the languages that it is asked about; by default all.
        kinds: Kinds of tasks that it can vote on.

    Raises:
        RuleError: The name is taken by another function, or no name.
    """

    def register(vote: Vote) -> LabelingFunction:
        chosen = name or str(getattr(vote, "__name__", ""))
        if not re.fullmatch(r"\w+", chosen):
            raise RuleError(f"expected a labeling function's name of letters, digits and underscores, found {chosen!r}")
        known = REGISTRY.get(chosen)
        if known is not None and _origin(known.vote) != _origin(vote):
            raise RuleError(f"expected distinct names of labeling functions, found {chosen!r} in {_origin(known.vote)} and {_origin(vote)}")
        REGISTRY[chosen] = LabelingFunction(chosen, vote, None if languages is None else frozenset(languages), frozenset(kinds))
        return REGISTRY[chosen]

    return register


def load_functions(path: Path) -> list[LabelingFunction]:
    """Run a Python file of the project's own and return the labeling functions that it registers.

    Raises:
        RuleError: There is no such file, it fails, or it registers none.
    """
    if not path.is_file():
        raise RuleError(f"labeling.rules.modules: expected a Python file at {path}, found none")
    spec = importlib.util.spec_from_file_location(f"labeling_functions_of_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RuleError(f"labeling.rules.modules: expected a file that ends with .py, found {path}")
    before = dict(REGISTRY)
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:
        raise RuleError(f"labeling.rules.modules: expected {path} to run, found {type(error).__name__}: {error}") from error
    found = [function for name, function in REGISTRY.items() if before.get(name) is not function]
    if not found:
        raise RuleError(f"labeling.rules.modules: expected {path} to have functions with @labeling_function, found none")
    return found


def make_rule(rule: CustomRule, task: Task) -> LabelingFunction:
    """A labeling function from the project file. For tasks with spans, what its pattern or its words match is marked.

    Raises:
        RuleError: Its label is not the task's, or there is nothing to mark.
    """
    if rule.label not in task.labels:
        raise RuleError(f"labeling.rules.custom: {rule.name}: expected a label out of {list(task.labels)}, found {rule.label!r}")
    pattern = compile_pattern(rule)
    if task.has_spans and pattern is None:
        raise RuleError(f"labeling.rules.custom: {rule.name}: expected `regex` or `words` to mark spans with, found neither")

    def vote(document: Document) -> str | None:
        if not holds(rule, pattern, document):
            return ABSTAIN
        if task.has_spans and pattern is not None:
            return encode_spans(Span(*found.span(), rule.label) for found in pattern.finditer(document.text) if found.group())
        return encode_labels([rule.label], task.labels) if task.kind == "multi_label_classification" else rule.label

    languages = None if rule.languages is None else frozenset(rule.languages)
    return LabelingFunction(rule.name, vote, languages, frozenset({task.kind}))


def compile_pattern(rule: CustomRule) -> re.Pattern[str] | None:
    """What a rule looks for in the text; words of Latin letters only where they stand alone; None where it looks for nothing."""
    if rule.regex is not None:
        return re.compile(rule.regex, re.IGNORECASE)
    if not rule.words:
        return None
    return re.compile("|".join(_bounded(word) for word in sorted(rule.words, key=len, reverse=True)), re.IGNORECASE)


def holds(rule: CustomRule, pattern: re.Pattern[str] | None, document: Document) -> bool:
    """Whether every condition of a rule holds."""
    checks = (
        rule.source is None or rule.source == document.source,
        rule.title is None or re.search(rule.title, document.title, re.IGNORECASE) is not None,
        rule.min_chars is None or len(document.text) >= rule.min_chars,
        rule.max_chars is None or len(document.text) <= rule.max_chars,
    )
    return all(checks) and (pattern is None or pattern.search(document.text) is not None)


def _bounded(word: str) -> str:
    """A pattern for a word: alone where it begins or ends with a letter of a script that puts spaces between words."""
    starts, ends = ("\\b" if _has_bounds(character) else "" for character in (word[0], word[-1]))
    return f"{starts}{re.escape(word)}{ends}"


def _has_bounds(character: str) -> bool:
    return character.isalnum() and not "\u2e80" <= character <= "\u9fff"


def _origin(vote: Vote) -> str:
    code = getattr(vote, "__code__", None)
    return str(code.co_filename) if code is not None else repr(vote)

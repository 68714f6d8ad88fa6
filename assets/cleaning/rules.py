"""The quality rules: each refuses documents for one reason, by one threshold.

Repairing does not belong here (see `repair.py`), nor does measuring (see `statistics.py`), nor do duplicates (see `duplicates.py`).

A rule is a plain function from measured documents to a `Verdict`. `RULES` lists them in the order in which they speak: a document
that several rules would refuse is refused by the first, so every rejected row has one reason. The order goes from "there is nothing
to judge" over causes to symptoms (a text full of replacement characters also has many symbols). To add a rule, write the function
and put it into `RULES` under its reason; reasons are stable because reports count them. Who changes what a rule refuses raises its
version, which every refused row carries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.cleaning.language import UNDETERMINED
from assets.cleaning_settings import Cleaning

# A tenth of a text unreadable: beyond a few characters of another code page, its words can no longer be guessed.
MAX_REPLACEMENT_RATIO = 0.1
# Identifiers are sure of themselves and wrong on texts of a few words ("Hello?" is Italian), so those are not refused for it.
MIN_WORDS_TO_JUDGE_LANGUAGE = 5


@dataclass(frozen=True)
class Verdict:
    """What one rule says about every document.

    Attributes:
        is_refused: One boolean per document.
        expected: What the rule asks for, in words, with its threshold.
        found: What each document has instead: a number or a code, never its text.
        form: How what a refused document has is written.
    """

    is_refused: npt.NDArray[np.bool_]
    expected: str
    found: pd.Series
    form: str = "{}"


@dataclass(frozen=True)
class Limits:
    """Everything a rule may compare with: the project's thresholds and its languages."""

    cleaning: Cleaning
    languages: tuple[str, ...]


Judge = Callable[[pd.DataFrame, Limits], Verdict]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        judge: What it says about measured documents.
        version: Rises whenever the rule refuses other texts at the same threshold.
    """

    judge: Judge
    version: int = 1


def missing_text(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses documents without a text, or whose text is empty once repaired."""
    del limits
    return Verdict(_mask(documents["text_chars"] == 0), "a text", pd.Series("none", index=documents.index))


def undecodable(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts in which more than a tenth of the characters could not be decoded (U+FFFD)."""
    del limits
    ratio = documents["replacement_ratio"]
    return Verdict(_mask(ratio > MAX_REPLACEMENT_RATIO), f"at most {MAX_REPLACEMENT_RATIO:.0%} undecodable characters", ratio, "{:.1%}")


def too_short(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts with fewer than `min_chars` characters."""
    least = limits.cleaning.min_chars
    return Verdict(_mask(documents["text_chars"] < least), f"at least {least} characters", documents["text_chars"])


def too_long(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts with more than `max_chars` characters."""
    most = limits.cleaning.max_chars
    return Verdict(_mask(documents["text_chars"] > most), f"at most {most} characters", documents["text_chars"])


def too_few_words(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts with fewer than `min_words` words; Chinese counts characters."""
    least = limits.cleaning.min_words
    return Verdict(_mask(documents["text_words"] < least), f"at least {least} words", documents["text_words"])


def too_many_symbols(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts in which more than `max_symbol_ratio` of the characters are symbols."""
    most = limits.cleaning.max_symbol_ratio
    ratio = documents["symbol_ratio"]
    return Verdict(_mask(ratio > most), f"at most {most:.1%} symbols", ratio, "{:.1%}")


def other_language(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses, when the project asks for it, texts of five words or more in a language that the project does not name.

    An undetermined language is no reason: it stays.
    """
    language = documents["language"]
    is_foreign = ~language.isin([*limits.languages, UNDETERMINED]) & (documents["text_words"] >= MIN_WORDS_TO_JUDGE_LANGUAGE)
    return Verdict(_mask(is_foreign & limits.cleaning.refuse_other_languages), f"one of {', '.join(limits.languages)}", language)


def automatic_text(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts that a program wrote: notices of services, answering machines, reviews that a shop fills in."""
    del limits
    return Verdict(_mask(documents["is_automatic"]), "a text that a person wrote", pd.Series("a template", index=documents.index))


def links_only(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts in which nothing is left beside addresses and handles."""
    del limits
    return Verdict(_mask(~documents["says_something"]), "something beside links and handles", pd.Series("nothing", index=documents.index))


def at_most(measure: str, threshold: str, what: str, form: str = "{:.0%}") -> Judge:
    """A rule that refuses texts whose measure is above a threshold of `cleaning.quality`; a missing measure is no reason."""
    return _bounded("at most", pd.Series.gt, measure, threshold, what, form)


def at_least(measure: str, threshold: str, what: str, form: str = "{:.0%}") -> Judge:
    """A rule that refuses texts whose measure is below a threshold of `cleaning.quality`; a missing measure is no reason."""
    return _bounded("at least", pd.Series.lt, measure, threshold, what, form)


def _bounded(words: str, is_beyond: Callable[[pd.Series, float], pd.Series], measure: str, threshold: str, what: str, form: str) -> Judge:
    def judge(documents: pd.DataFrame, limits: Limits) -> Verdict:
        bound, found = getattr(limits.cleaning.quality, threshold), documents[measure]
        return Verdict(_mask(is_beyond(found, bound)), f"{words} {form.format(bound)} {what}", found, form)

    return judge


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "missing_text": Rule(missing_text),
        "undecodable": Rule(undecodable),
        "too_short": Rule(too_short),
        "too_long": Rule(too_long),
        "too_few_words": Rule(too_few_words),
        "too_many_symbols": Rule(too_many_symbols),
        "automatic_text": Rule(automatic_text),
        "links_only": Rule(links_only),
        "advertising": Rule(at_most("advertising_signs", "max_advertising_signs", "kinds of signs of advertising", "{:.0f}")),
        "boilerplate": Rule(at_most("boilerplate_ratio", "max_boilerplate_ratio", "of the text in lines of boilerplate")),
        "repeated_words": Rule(at_least("distinct_word_ratio", "min_distinct_word_ratio", "of the words distinct")),
        "repeated_lines": Rule(at_most("repeated_line_ratio", "max_repeated_line_ratio", "of the lines repeated")),
        "repeated_phrase": Rule(at_most("top_ngram_ratio", "max_top_ngram_ratio", "of the words in one phrase")),
        "repeated_passages": Rule(at_most("doubled_ngram_ratio", "max_doubled_ngram_ratio", "of the words in repeated passages")),
        "short_words": Rule(at_least("word_chars", "min_word_chars", "characters a word", "{:.1f}")),
        "long_words": Rule(at_most("word_chars", "max_word_chars", "characters a word", "{:.1f}")),
        "few_letters": Rule(at_least("alphabetic_word_ratio", "min_alphabetic_word_ratio", "of the words with a letter")),
        "few_stop_words": Rule(at_least("stop_words", "min_stop_words", "different stop words", "{:.0f}")),
        "list_of_bullets": Rule(at_most("bullet_line_ratio", "max_bullet_line_ratio", "of the lines with a bullet")),
        "cut_off_lines": Rule(at_most("ellipsis_line_ratio", "max_ellipsis_line_ratio", "of the lines with an ellipsis at their end")),
        "unfinished_lines": Rule(at_least("finished_line_ratio", "min_finished_line_ratio", "of the lines with punctuation at their end")),
        "short_lines": Rule(at_most("short_line_ratio", "max_short_line_ratio", "of the lines under 30 characters")),
        "other_language": Rule(other_language),
    }
)


def find_reasons(documents: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """Applies every rule and keeps the first objection.

    Args:
        documents: One row per document, with `text_chars`, `text_words`, `symbol_ratio`, `replacement_ratio`, `language` and the fields
            of `statistics.Statistics`.
        limits: Thresholds and languages, and which rules are silent.

    Returns:
        One row per document, same index: `reason`, `detail` and `rule_version`, missing (None) where no rule objects.
    """
    reasons = pd.DataFrame({"reason": None, "detail": None, "rule_version": None}, index=documents.index, dtype=object)
    is_open = np.ones(len(documents), dtype=bool)
    for reason, rule in RULES.items():
        if reason in limits.cleaning.skip_rules:
            continue
        verdict = rule.judge(documents, limits)
        is_new = verdict.is_refused & is_open
        if not is_new.any():
            continue
        found = verdict.found[is_new].map(verdict.form.format)
        reasons.loc[is_new, "reason"] = reason
        reasons.loc[is_new, "detail"] = f"expected {verdict.expected}, found " + found
        reasons.loc[is_new, "rule_version"] = rule.version
        is_open &= ~verdict.is_refused
    return reasons


def _mask(condition: pd.Series) -> npt.NDArray[np.bool_]:
    return condition.to_numpy(dtype=bool)

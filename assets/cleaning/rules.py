"""The quality rules: each refuses documents for one reason, by one threshold.

Repairing does not belong here (see `repair.py`), nor do duplicates (see `duplicates.py`).

A rule is a plain function from measured documents to a `Verdict`. `RULES` lists them in the order in which they speak: a document
that several rules would refuse is refused by the first, so every rejected row has one reason. The order goes from "there is nothing
to judge" over causes to symptoms (a text full of replacement characters also has many symbols). To add a rule, write the function
and put it into `RULES` under its reason; reasons are stable because reports count them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.cleaning.language import UNDETERMINED
from assets.project import Cleaning

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
    """

    is_refused: npt.NDArray[np.bool_]
    expected: str
    found: pd.Series


@dataclass(frozen=True)
class Limits:
    """Everything a rule may compare with: the project's thresholds and its languages."""

    cleaning: Cleaning
    languages: tuple[str, ...]


Rule = Callable[[pd.DataFrame, Limits], Verdict]


def missing_text(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses documents without a text, or whose text is empty once repaired."""
    del limits
    return Verdict(_mask(documents["text_chars"] == 0), "a text", pd.Series("none", index=documents.index))


def undecodable(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses texts in which more than a tenth of the characters could not be decoded (U+FFFD)."""
    del limits
    ratio = documents["replacement_ratio"]
    return Verdict(
        _mask(ratio > MAX_REPLACEMENT_RATIO), f"at most {MAX_REPLACEMENT_RATIO:.0%} undecodable characters", ratio.map("{:.1%}".format)
    )


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
    return Verdict(_mask(ratio > most), f"at most {most:.1%} symbols", ratio.map("{:.1%}".format))


def other_language(documents: pd.DataFrame, limits: Limits) -> Verdict:
    """Refuses, when the project asks for it, texts of five words or more in a language that the project does not name.

    An undetermined language is no reason: it stays.
    """
    language = documents["language"]
    is_foreign = ~language.isin([*limits.languages, UNDETERMINED]) & (documents["text_words"] >= MIN_WORDS_TO_JUDGE_LANGUAGE)
    return Verdict(_mask(is_foreign & limits.cleaning.refuse_other_languages), f"one of {', '.join(limits.languages)}", language)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "missing_text": missing_text,
        "undecodable": undecodable,
        "too_short": too_short,
        "too_long": too_long,
        "too_few_words": too_few_words,
        "too_many_symbols": too_many_symbols,
        "other_language": other_language,
    }
)


def find_reasons(documents: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """Applies every rule and keeps the first objection.

    Args:
        documents: One row per document, with `text_chars`, `text_words`, `symbol_ratio`, `replacement_ratio` and `language`.
        limits: Thresholds and languages.

    Returns:
        One row per document, same index: `reason` and `detail`, both missing (None) where no rule objects.
    """
    reasons = pd.DataFrame({"reason": None, "detail": None}, index=documents.index, dtype=object)
    is_open = np.ones(len(documents), dtype=bool)
    for reason, rule in RULES.items():
        verdict = rule(documents, limits)
        is_new = verdict.is_refused & is_open
        found = verdict.found[is_new].astype(str)
        reasons.loc[is_new, "reason"] = reason
        reasons.loc[is_new, "detail"] = f"expected {verdict.expected}, found " + found
        is_open &= ~verdict.is_refused
    return reasons


def _mask(condition: pd.Series) -> npt.NDArray[np.bool_]:
    return condition.to_numpy(dtype=bool)

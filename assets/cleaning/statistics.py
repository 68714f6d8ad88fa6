"""Measures texts for the quality rules: repetition, lines, letters, addresses, advertising.

Thresholds and refusing do not belong here (see `rules.py`). A measure that means nothing for a text is NaN, so that no rule judges by
it: shares of lines want five lines, statistics of prose want 50 words (the shortest document that Gopher keeps; shorter ones are
ordinary here). Chinese counts characters as words; a pair of them is about a word, so prose of Chinese has 100 and its n-grams are twice
as long.

Sources: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A1; Raffel et al. 2020,
"Exploring the Limits of Transfer Learning" (C4), section 2.2; Penedo et al. 2024, "The FineWeb Datasets", section 3.6.
"""

import re
import string
from collections import Counter
from collections.abc import Iterator
from itertools import filterfalse
from math import nan
from typing import NamedTuple

from assets.cleaning.phrases import AUTOMATIC, BOILERPLATE, CONTACT, OFFER, STOP_WORDS, URGENCY
from assets.cleaning.words import URL, find_and_count_words

LINES_TO_JUDGE = 5
WORDS_OF_PROSE = 50
WORDS_TO_JUDGE_VARIETY = 20
MAX_AUTOMATIC_CHARS = 300
TOP_NGRAM, DOUBLED_NGRAM = 3, 5
"""Words in a row: whose commonest run is weighed, and of which runs that occur twice are weighed."""
SHORT_LINE_CHARS = 30
BOILERPLATE_LINE_CHARS = 100

_BULLET = re.compile(r"\s*(?:[-*•·●▪◦‣–—]|\d{1,3}[.)、])\s*\S")
_ELLIPSIS_END = ("...", "…", "……")
_SENTENCE_END = tuple(".!?\"'”’。！？」』…;；:：)）")
# Every character that has another case, and many without: no ideograph.
_CASED = re.compile("[A-Z\xb5-\u2dff\ua640-\uabff\ufb00-\ufb17\uff21-\uff3a\U00010000-\U0001ffff]")
_HANDLE = re.compile(r"@\w+")
_SEPARATORS = re.compile(r"[\s.,;|/…，。、·-]+")
_LATIN_LETTERS = frozenset(string.ascii_letters)
_LATIN_LETTER = re.compile(r"[A-Za-z]")
_LETTER = re.compile(r"[^\W\d_]")


class Statistics(NamedTuple):
    """What the rules look at, of one text. Ratios go from 0 to 1; NaN where the text is too short to judge by them.

    Attributes:
        text_words: How many words it has.
        is_automatic: A program wrote it: the whole text is a known template.
        says_something: Something beside addresses, handles and separators is there; emoticons and hashtags are something.
        advertising_signs: How many of the kinds contact, offer and urgency occur.
        boilerplate_ratio: Share of the characters in lines up to 100 characters that hold words of boilerplate.
        distinct_word_ratio: Distinct words over words; of 20 to 1,000 words.
        repeated_line_ratio: Share of the lines that repeat an earlier one.
        bullet_line_ratio: Share of the lines that begin with a bullet or a number.
        ellipsis_line_ratio: Share of the lines that end with an ellipsis.
        finished_line_ratio: Share of the lines that end with punctuation.
        short_line_ratio: Share of the lines under 30 characters.
        top_ngram_ratio: Share of the words within the commonest run of three words.
        doubled_ngram_ratio: Share of the words within runs of five words that occurred before.
        word_chars: Mean length of a word in characters; of texts in Latin script.
        alphabetic_word_ratio: Share of the words that hold a letter.
        stop_words: How many different stop words occur; of English and Chinese.
        is_code_switched: Chinese and words in Latin script both make up a fifth or more.
    """

    text_words: int
    is_automatic: bool
    says_something: bool
    advertising_signs: float
    boilerplate_ratio: float
    distinct_word_ratio: float = nan
    repeated_line_ratio: float = nan
    bullet_line_ratio: float = nan
    ellipsis_line_ratio: float = nan
    finished_line_ratio: float = nan
    short_line_ratio: float = nan
    top_ngram_ratio: float = nan
    doubled_ngram_ratio: float = nan
    word_chars: float = nan
    alphabetic_word_ratio: float = nan
    stop_words: float = nan
    is_code_switched: bool = False


STATISTICS = Statistics._fields
CODE_SWITCHED_SHARE = 0.2


def measure_text(text: str, language: str) -> Statistics:
    """The statistics of one repaired text in a language."""
    words, ideographs = find_and_count_words(text)
    folded = _folded(text, words)
    distinct = set(folded)
    lines = text.split("\n") if "\n" in text else [text]
    return Statistics(
        text_words=len(words),
        is_automatic=len(text) <= MAX_AUTOMATIC_CHARS and AUTOMATIC.fullmatch(text) is not None,
        says_something=_says_something(text),
        advertising_signs=_advertising_signs(text),
        boilerplate_ratio=_boilerplate_chars(lines) / max(len(text), 1),
        is_code_switched=_is_code_switched(text, words, ideographs),
        **_variety(folded, distinct),
        **_lines(lines),
        **_prose(words, folded, distinct, ideographs, language),
    )


def _folded(text: str, words: list[str]) -> list[str]:
    """The words of a text case-folded, one by one; in one piece, as the calls take longer than the work."""
    return " ".join(words).casefold().split(" ") if _CASED.search(text) else words


def _advertising_signs(text: str) -> float:
    """Kinds of signs that occur; none without a contact."""
    lower = text.lower()
    return 1.0 + sum(pattern.search(lower) is not None for pattern in (OFFER, URGENCY)) if CONTACT.search(lower) else 0.0


def _boilerplate_chars(lines: list[str]) -> int:
    """Characters of boilerplate lines; a longer line that holds such words is a paragraph about something."""
    return sum(len(line) for line in lines if len(line) <= BOILERPLATE_LINE_CHARS and BOILERPLATE.search(line.lower()))


def _says_something(text: str) -> bool:
    if "://" not in text and "www." not in text and "@" not in text:
        return True
    return _SEPARATORS.sub("", _HANDLE.sub(" ", URL.sub(" ", text))) != ""


def _is_code_switched(text: str, words: list[str], ideographs: int) -> bool:
    """Whether Chinese and Latin words mix; two characters weigh as much as one word in Latin script."""
    if not ideographs or not _LATIN_LETTER.search(text):
        return False
    chinese = ideographs / 2
    latin = sum(word[0] in _LATIN_LETTERS for word in words)
    return min(chinese, latin) >= CODE_SWITCHED_SHARE * (chinese + latin)


def _variety(folded: list[str], distinct: set[str]) -> dict[str, float]:
    """Variety of case-folded words; it falls with length by itself, so texts of more than 1,000 words are not judged by it."""
    if not WORDS_TO_JUDGE_VARIETY <= len(folded) <= 1000:
        return {}
    return {"distinct_word_ratio": len(distinct) / len(folded)}


def _lines(lines: list[str]) -> dict[str, float]:
    if len(lines) < LINES_TO_JUDGE:
        return {}
    count = len(lines)
    return {
        "repeated_line_ratio": 1 - len(set(lines)) / count,
        "bullet_line_ratio": sum(_BULLET.match(line) is not None for line in lines) / count,
        "ellipsis_line_ratio": sum(line.endswith(_ELLIPSIS_END) for line in lines) / count,
        "finished_line_ratio": sum(line.endswith(_SENTENCE_END) for line in lines) / count,
        "short_line_ratio": sum(len(line) < SHORT_LINE_CHARS for line in lines) / count,
    }


def _prose(words: list[str], folded: list[str], distinct: set[str], ideographs: int, language: str) -> dict[str, float]:
    factor = 2 if ideographs * 2 > len(words) else 1
    if len(words) < WORDS_OF_PROSE * factor:
        return {}
    top = _top_ngram_ratio(folded, TOP_NGRAM * factor)
    found = {
        "top_ngram_ratio": top,
        "doubled_ngram_ratio": _doubled_ngram_ratio(folded, DOUBLED_NGRAM * factor) if top else 0.0,  # a longer run holds shorter ones
        "alphabetic_word_ratio": _words_with_letters(words) / len(words),
    }
    if not ideographs:
        found["word_chars"] = sum(map(len, words)) / len(words)
    if language in STOP_WORDS:
        found["stop_words"] = float(len(STOP_WORDS[language] & distinct))
    return found


def _words_with_letters(words: list[str]) -> int:
    others = list(filterfalse(str.isalpha, words))
    return len(words) - len(others) + sum(_LETTER.search(word) is not None for word in others)


def _top_ngram_ratio(words: list[str], size: int) -> float:
    """Share of the words that the commonest run of `size` words takes up, each word counted once; 0 where no run occurs twice."""
    if not _any_twice(words, size):
        return 0.0
    grams = list(_runs(words, size))
    gram = Counter(grams).most_common(1)[0][0]
    return _covered([place for place, each in enumerate(grams) if each == gram], size) / len(words)


def _doubled_ngram_ratio(words: list[str], size: int) -> float:
    """Share of the words within runs of `size` words that occurred before, each word counted once."""
    if not _any_twice(words, size):
        return 0.0
    seen: set[tuple[str, ...]] = set()
    places = []
    for place, gram in enumerate(_runs(words, size)):
        if gram in seen:
            places.append(place)
        seen.add(gram)
    return _covered(places, size) / len(words)


def _runs(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every run of `size` words, by where it begins."""
    return zip(*(words[start:] for start in range(size)), strict=False)


def _any_twice(words: list[str], size: int) -> bool:
    return len(set(_runs(words, size))) < len(words) - size + 1


def _covered(places: list[int], size: int) -> int:
    """How many positions windows of a size cover that begin at ascending places."""
    covered, end = 0, 0
    for place in places:
        covered += place + size - max(place, end)
        end = place + size
    return covered

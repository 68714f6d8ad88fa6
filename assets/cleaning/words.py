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
SPACED_WORD = re.compile(rf"{RUN}(?:['’]{RUN})*")
IDEOGRAPHS = re.compile(f"{IDEOGRAPH}+")
# Ideographs in one piece, which is a third of the work where most words are one of them.
_PIECE = re.compile(f"({IDEOGRAPHS.pattern})|({SPACED_WORD.pattern})")
# The same for ASCII, at half the time.
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z0-9]+)*")
_SYMBOLS = re.compile(r"(?:[^\w\s]|_)+")
_REPEATED = re.compile(r"([^ ])\1+")
# The symbols of English and Chinese, none of which is a combining mark; asking Unicode about each takes longer than all the rest.
_NO_MARKS = re.compile("[ -~\xa1-\xbf\u2010-\u205e\u3001-\u3020\uff01-\uff65]*")

# Words that turn a statement around: never dropped, never stemmed, never "a small difference".
NEGATIONS = frozenset(
    "no not never none nothing nobody nowhere neither nor without hardly barely cannot cant dont doesnt didnt wont wouldnt isnt arent "
    "wasnt werent hasnt havent hadnt couldnt shouldnt aint "
    "不 没 没有 不是 不会 不能 不要 别 未 无 無 非 莫 勿 "
    "nicht kein nein nie pas non ne jamais sans no ni nunca sin não nem nunca sem нет не ни".split()
)


def find_words(text: str) -> list[str]:
    """The words of `text` in order, as written; Han characters and kana one by one."""
    return find_and_count_words(text)[0]


def find_and_count_words(text: str) -> tuple[list[str], int]:
    """The words as `find_words` gives them, and how many of them are Han characters and kana."""
    if text.isascii():
        return _ASCII_WORD.findall(text), 0
    words: list[str] = []
    ideographs = 0
    for piece, run in _PIECE.findall(text):
        ideographs += len(piece)
        words.extend(piece or (run,))
    return words, ideographs


def symbol_ratio(text: str) -> float:
    """Share (0 to 1) of the characters that are neither letters, digits nor white space; 0 for an empty text.

    A run of one symbol counts once: "Why is it not here?????????" is emphatic, not noise. Combining marks belong to their letter.
    """
    runs = _SYMBOLS.findall(text)
    if not runs:
        return 0.0
    symbols = " ".join(runs)
    squeezed = _REPEATED.sub(r"\1", symbols)
    count = len(squeezed) - len(runs) + 1
    if not _NO_MARKS.fullmatch(squeezed):
        count -= sum(unicodedata.category(symbol)[0] == "M" for symbol in squeezed)
    return count / (len(text) - len(symbols) + len(squeezed))

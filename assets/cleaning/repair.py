"""Repairs one text: decoding damage, HTML entities, Unicode form, invisible characters, white space.

Deciding whether a text is good enough does not belong here (see `rules.py`), nor does decoding bytes: that needs the transport's
headers and happens at collection.

Decisions that hold for all text:
- NFC, not NFKC: full-width punctuation is how Chinese is written, and NFKC would turn `½` into `1⁄2` and `㎡` into `m2`.
- Quotes and dashes stay as they were written.
- `ftfy` runs only where its own test for mojibake fires; it is a hundred times slower than the test.
"""

import html
import re
import unicodedata
from dataclasses import dataclass

from ftfy import fix_encoding
from ftfy.badness import is_bad

# Printable ASCII without an ampersand, common Han characters and their punctuation, with single spaces and line feeds: most text, and
# nothing to repair.
_VISIBLE = "[!-%'-~\u4e00-\u9fff\u3001\u3002\u3008-\u3011\uff01-\uff5e]++"
_ROUTINE = re.compile(rf"{_VISIBLE}(?:[ \n]{_VISIBLE})*+|")
# Only with the semicolon: `?a=1&copy=2` in an address is no copyright sign.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ESCAPED_AMPERSAND = re.compile(r"&(?:amp;|AMP;|#0{0,4}38;|#[xX]0{0,4}26;)+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What `is_bad` looks for holds one of these; Chinese text seldom does, and reading over them costs a thirtieth of the whole test.
_MAY_BE_MOJIBAKE = re.compile("[\x80-\u2fff\uf8ff\ufb01\ufb02\ufffd]")

_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Every run of white space but a single space or line feed, which is already right.
_SPACES = re.compile(r"\s{2,}|[^\S \n]")

_JOINING = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af"
_PICTURES = "\u00a9\u00ae\u203c-\u3299\ufe0f\U0001f000-\U0001faff"
# Zero-width joiners mean something only between letters of joining scripts and inside emoji sequences.
_ALWAYS_INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"
)
_MAY_BE_INVISIBLE = re.compile(f"[{_ALWAYS_INVISIBLE}\u200c\u200d]")
_INVISIBLE = re.compile(
    f"[{_ALWAYS_INVISIBLE}]"
    rf"|(?<![{_JOINING}{_PICTURES}])\u200d|\u200d(?![{_JOINING}{_PICTURES}])"
    rf"|(?<![{_JOINING}])\u200c|\u200c(?![{_JOINING}])"
)

# Each round can uncover work for the next (an entity that stood for a control character, mojibake behind an entity). Real text is
# stable after two; the bound keeps a text made to defeat it from costing more than this.
_MAX_ROUNDS = 8


@dataclass(frozen=True)
class Repaired:
    """A text after repair.

    Attributes:
        text: The repaired text; empty when nothing visible was left.
        is_repaired: Whether it had been decoded wrongly (mojibake, lone surrogates) and was mended. Entities, white space and
            Unicode form are routine and do not count.
    """

    text: str
    is_repaired: bool


def repair_text(text: str) -> Repaired:
    """Repairs one text until another round would change nothing.

    Args:
        text: Any text, also with lone surrogates as JSON can produce them.

    Returns:
        The text in NFC without control or invisible characters, runs of white space folded to one space or, where they hold a line
        break, to one line feed; and whether decoding damage was mended.
    """
    if _ROUTINE.fullmatch(text):
        return Repaired(text, is_repaired=False)
    is_repaired = False
    for _ in range(_MAX_ROUNDS):
        decoded = _mend_decoding(_unescape(text))
        is_repaired |= decoded.is_repaired
        composed = unicodedata.normalize("NFC", decoded.text)
        result = fold_space(_INVISIBLE.sub("", composed) if _MAY_BE_INVISIBLE.search(composed) else composed)
        if result == text:
            break
        text = result
    return Repaired(text, is_repaired)


def fold_space(text: str) -> str:
    """White space folded: one line feed for a run that holds a line break, one space for any other run, none at the ends."""
    words = text.split()
    gaps = max(len(words) - 1, 0)
    if sum(map(len, words)) + gaps == len(text) and text.count(" ") + text.count("\n") == gaps:
        return text
    return _SPACES.sub(lambda run: "\n" if _LINE_BREAK.search(run[0]) else " ", text.strip())


def _unescape(text: str) -> str:
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda match: html.unescape(match[0]), _ESCAPED_AMPERSAND.sub("&", text))


def _mend_decoding(text: str) -> Repaired:
    if text.isascii():
        return Repaired(text, is_repaired=False)
    mended = text
    if _SURROGATE.search(text):
        mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if _MAY_BE_MOJIBAKE.search(mended) and is_bad(mended):
        mended = fix_encoding(mended)
    return Repaired(mended, mended != text)

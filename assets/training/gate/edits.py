"""Small changes to a text that leave its answer as it is, and where a span lies after them.

Belongs here: edits, the rules that make typos, swap names, punctuation, case and white space. Does not belong here: which texts are
edited and what a model should answer then (`behaviours.py`). All choices come from the random source that is passed in.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assets.answers import Span

EMOJI = {"neutral": "📎", "positive": "😊", "negative": "😡"}
ENGLISH_NAMES = (
    "Maria",
    "Peter",
    "Emma",
    "James",
    "Sarah",
    "David",
    "Aisha",
    "Carlos",
    "Mary",
    "John",
    "Anna",
    "Michael",
    "Linda",
    "Thomas",
)
CHINESE_NAMES = ("王伟", "李娜", "张敏", "刘洋", "陈静", "杨帆", "赵磊", "黄丽", "周杰", "吴倩")
NAMES = re.compile(rf"\b(?:{'|'.join(ENGLISH_NAMES)})\b|{'|'.join(CHINESE_NAMES)}")
# Markers of entities, questions and contexts, addresses, mentions, hashtags: a change there would be another text, not the same one.
PROTECTED = re.compile(r"\[/?E[12]\]|\[[QC]\]|https?://\S+|\S+@\S+|[@#]\w+")
WORD = re.compile(r"[A-Za-z]{4,}")
HAN = re.compile(r"[\u4e00-\u9fff]")
TO_FULL_WIDTH = {",": "，", ".": "。", "?": "？", "!": "！", ";": "；", ":": "："}
TO_ASCII = {full: plain for plain, full in TO_FULL_WIDTH.items()}
# After a letter and before a space or the end: the point of 3.50 and the colon of :-) are not punctuation of a sentence.
PLAIN_MARK = re.compile(r"(?<=[^\W\d_])[,.?!;:](?=\s|$)")
FULL_MARK = re.compile("[" + "".join(TO_ASCII) + "]")
MOST_EDITS = 2


@dataclass(frozen=True)
class Edit:
    """Replace the characters from `start` to `end` by `new`; an insertion has `start == end`."""

    start: int
    end: int
    new: str


Editor = Callable[[str, random.Random], Sequence[Edit]]
"""Makes the edits of a text, in order and without overlap; none when the rule does not apply to it."""


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The edited text; `edits` in order and without overlap, all in characters of the original."""
    parts, position = [], 0
    for edit in edits:
        parts += [text[position : edit.start], edit.new]
        position = edit.end
    return "".join([*parts, text[position:]])


def move_span(span: Span, edits: Sequence[Edit]) -> Span:
    """Where a span of the original lies in the edited text.

    A replacement within the span, or of all of it, belongs to it; an insertion right before or after it does not.
    """
    start, end = span.start, span.end
    for edit in edits:
        growth = len(edit.new) - (edit.end - edit.start)
        if edit.end <= span.start:
            start, end = start + growth, end + growth
        elif edit.start < span.end:
            start -= max(0, span.start - edit.start)
            end += growth + max(0, edit.end - span.end)
    return Span(start, end, span.label)


def make_typos(text: str, random_source: random.Random) -> list[Edit]:
    """Slips of a hurried typist: two inner letters of a Latin word change places; a Chinese character is typed twice."""
    words = list(_free(WORD, text))
    found = [Edit(at, at + 2, text[at + 1] + text[at]) for word in words for at in [_inner_pair(word, text)] if at >= 0]
    if not found:
        found = [Edit(mark.end(), mark.end(), mark.group()) for mark in _free(HAN, text)]
    return _choose(found, random_source)


def swap_names(text: str, random_source: random.Random) -> list[Edit]:
    """Every name of the lists becomes another one of its language that the text has not: the same name the same one, others others."""
    found = list(dict.fromkeys(match.group() for match in NAMES.finditer(text)))
    others: dict[str, str] = {}
    for name in found:
        names = ENGLISH_NAMES if name in ENGLISH_NAMES else CHINESE_NAMES
        free = [other for other in names if other not in found and other not in others.values()]
        others[name] = random_source.choice(free or [other for other in names if other != name])
    return [Edit(match.start(), match.end(), others[match.group()]) for match in NAMES.finditer(text)]


def swap_punctuation(text: str, _random_source: random.Random) -> list[Edit]:
    """Full-width punctuation becomes ASCII; a text without any gets full-width punctuation, as a Chinese keyboard types it."""
    marks, table = list(_free(FULL_MARK, text)), TO_ASCII
    if not marks:
        marks, table = list(_free(PLAIN_MARK, text)), TO_FULL_WIDTH
    return [Edit(mark.start(), mark.end(), table[mark.group()]) for mark in marks]


def change_case(text: str, _random_source: random.Random) -> list[Edit]:
    """All Latin letters in lower case; a text that has no capital gets one at the start of every word."""
    capitals = re.compile(r"[A-Z]")
    found = list(_free(capitals, text)) or list(_free(re.compile(r"\b[a-z]"), text))
    return [Edit(match.start(), match.end(), match.group().swapcase()) for match in found]


def add_white_space(text: str, random_source: random.Random) -> list[Edit]:
    """Doubled spaces, and a space and a line break at the end, as copying from a page leaves them."""
    spaces = [Edit(match.end(), match.end(), " ") for match in _free(re.compile(r"(?<=\S) (?=\S)"), text)]
    return [*_choose(spaces, random_source), Edit(len(text), len(text), " \n")]


def append_emoji(emoji: str) -> Editor:
    """The editor that puts an emoji behind the text."""

    def edit(text: str, _random_source: random.Random) -> list[Edit]:
        return [Edit(len(text), len(text), f" {emoji}")]

    return edit


def _inner_pair(word: re.Match[str], text: str) -> int:
    """Where the first two different neighbours after a word's first letter and before its last begin; -1 without any."""
    places = (at for at in range(word.start() + 1, word.end() - 2) if text[at].lower() != text[at + 1].lower())
    return next(places, -1)


def _free(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches outside the protected parts."""
    protected = [match.span() for match in PROTECTED.finditer(text)]
    for match in pattern.finditer(text):
        if not any(start < match.end() and match.start() < end for start, end in protected):
            yield match


def _choose(edits: Sequence[Edit], random_source: random.Random) -> list[Edit]:
    chosen = random_source.sample(range(len(edits)), min(MOST_EDITS, len(edits)))
    return [edits[number] for number in sorted(chosen)]

"""CoNLL files: one token and its tag per line, a blank line after each sentence. One record per sentence, with its spans.

The tag schemes BIO (IOB2), IOB1, BIOES and BILOU are read by one rule that needs not know which it is: the one of `conlleval`
(Tjong Kim Sang & Buchholz, CoNLL-2000), under which a malformed sequence still has a meaning: I- after O opens a span. What a
record becomes is decided in `parsing.py`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from assets.collection.formats import Record, Refusal

TAG = re.compile(r"O|([BIESUL])-(\S+)")
COMMENT_FACT = re.compile(r"#\s*([\w ]+?)\s*=\s*(.*)")
DOCUMENT_LINE = "-DOCSTART-"
# Ideographs, kana, bopomofo, CJK and full-width punctuation: scripts written without spaces.
CJK = re.compile("[\u2e80-\u303f\u3040-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]")
# A span of one token (S-, U-) is over with it, and so is one whose last token (E-, L-) was read.
_ENDINGS = frozenset("ESUL")
_BEGINNINGS = frozenset("BSU")


@dataclass
class _Sentence:
    """The lines of a sentence so far."""

    first_line: int = 0
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    refusal: Refusal | None = None


def read_conll(text: str, name: str, annotator: str) -> Iterator[Record | Refusal]:
    """One outcome per sentence.

    Columns are separated by tabs, or by spaces in a line without tabs; the first is the token, the last its tag. A comment
    `# id = x` names the sentence (else its text does), `# annotator = x` says who tagged it. `-DOCSTART-` and `# newdoc` begin a
    document, which is then the parent of its sentences; sentences without one stand alone.

    Args:
        text: The whole object.
        name: Its name; ids of documents within it begin with this.
        annotator: Who made the tags, where no comment says.

    Returns:
        Records with the fields id, text, parent and votes (one vote, whose spans may be none).
    """
    sentence, parent, documents = _Sentence(), None, 0
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        line = line.strip("\r")
        if not line.strip():
            yield from _finish(sentence, parent, annotator)
            sentence = _Sentence()
        elif _begins_document(line):
            yield from _finish(sentence, parent, annotator)
            sentence, documents = _Sentence(), documents + 1
            parent = f"{name}#{documents}"
        elif _is_comment(line):
            fact = COMMENT_FACT.fullmatch(line)
            sentence.facts |= {fact[1]: fact[2].strip()} if fact else {}
        else:
            _take(sentence, line, number)


def without_sentences(text: str, goes: Callable[[Record | Refusal], bool]) -> str:
    """The file with the lines of some sentences blank, comments included; others keep their lines, and documents their numbers."""
    lines = text.split("\n")
    for outcome in read_conll(text, "", ""):
        if goes(outcome):
            first = last = int(outcome.locator.removeprefix("line ")) - 1
            while first and _is_of_sentence(lines[first - 1]):
                first -= 1
            while last + 1 < len(lines) and _is_of_sentence(lines[last + 1]):
                last += 1
            lines[first : last + 1] = [""] * (last + 1 - first)
    return "\n".join(lines)


def _is_of_sentence(line: str) -> bool:
    return bool(line.strip()) and not _begins_document(line)


def _begins_document(line: str) -> bool:
    return line.startswith((DOCUMENT_LINE, "# newdoc"))


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text of some tokens, and where in it each is: a space between tokens, none beside a Chinese or Japanese character."""
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    length = 0
    for position, token in enumerate(tokens):
        if position and not (CJK.match(token[0]) or CJK.match(tokens[position - 1][-1])):
            pieces.append(" ")
            length += 1
        pieces.append(token)
        places.append((length, length + len(token)))
        length += len(token)
    return "".join(pieces), places


def spans_of_tags(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """First token, token after the last, and type of every span that the tags of a sentence write.

    Args:
        tags: `O` or a letter of BIESUL, a hyphen and a type.
    """
    spans: list[tuple[int, int, str]] = []
    start, previous_mark, previous_type = 0, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        mark, _, span_type = tag.partition("-")
        is_open = previous_mark != "O"
        begins = mark != "O" and (not is_open or mark in _BEGINNINGS or previous_mark in _ENDINGS or span_type != previous_type)
        if is_open and (begins or mark == "O"):
            spans.append((start, position, previous_type))
        if begins:
            start = position
        previous_mark, previous_type = mark, span_type
    return spans


def _is_comment(line: str) -> bool:
    """`# …`, unless it is the token `#` with its tag."""
    if line.rstrip() == "#":
        return True
    return line.startswith("# ") and (COMMENT_FACT.fullmatch(line) is not None or not TAG.fullmatch(line.split()[-1]))


def _take(sentence: _Sentence, line: str, number: int) -> None:
    """Add a token; the first line of a sentence that cannot be read refuses all of it."""
    columns = [column.strip() for column in line.split("\t")] if "\t" in line else line.split()
    sentence.first_line = sentence.first_line or number
    token, tag = columns[0], columns[-1]
    if len(columns) < 2 or not token:
        found = f"found {len(columns)} column(s)" if token else "found no token"
        _refuse(sentence, "malformed_row", f"expected a token and its tag in line {number}, {found}")
    elif not TAG.fullmatch(tag):
        _refuse(sentence, "malformed_tag", f"expected O or B-, I-, E-, S-, U- or L- with a type in line {number}, found {tag[:60]!r}")
    else:
        sentence.tokens.append(token)
        sentence.tags.append(tag)


def _refuse(sentence: _Sentence, reason: str, detail: str) -> None:
    sentence.refusal = sentence.refusal or Refusal(f"line {sentence.first_line}", reason, detail)


def _finish(sentence: _Sentence, parent: str | None, annotator: str) -> Iterator[Record | Refusal]:
    """The outcome of a sentence; none for blank lines and comments alone."""
    if sentence.refusal:
        yield sentence.refusal
    elif sentence.tokens:
        text, places = join_tokens(sentence.tokens)
        spans = [
            {"start": places[first][0], "end": places[after - 1][1], "label": span_type}
            for first, after, span_type in spans_of_tags(sentence.tags)
        ]
        facts = sentence.facts
        vote = {"annotator": facts.get("annotator", annotator), "spans": spans}
        name = facts.get("id", facts.get("sent_id"))
        yield Record(f"line {sentence.first_line}", {"id": name, "text": text, "parent": parent, "votes": [vote]})

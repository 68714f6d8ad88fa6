"""The query language of search: what people write becomes a tree that every engine can answer.

What belongs here: reading a query, and what its parts mean. How texts become tokens is the caller's business, with the function that cut
the documents; answering is the engines' (`search_index.py`).

- Words are all wanted: `battery life`. When a query is nothing but words and no document has all, documents that have any are found.
- `"battery life"` or `“电池寿命”`: in this order. Stop words count nowhere, so that they do not come between either.
- `AND`, `OR`, `NOT` in capitals, `-word` for `NOT word`, and parentheses; `AND` binds closer than `OR`.
- `source:shop`, `label:negative`, `language:zh`: the whole value, in quotation marks where it holds spaces.
- `date:2026-03-01`, `date:2026-03`, `date:2026`, `date:2026-01..2026-03`, `date:..2025`: days, months or years in UTC, both ends included;
  when a document was published, or else collected.

Full-width quotation marks, parentheses and colons do as well.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

FIELDS = ("source", "label", "language")
MAX_PARTS = 100
MAX_DEPTH = 20
Cut = Callable[[str, str], Sequence[str]]
"""Tokens of a text in a language, as documents were cut."""


class SearchQueryError(ValueError):
    """The query cannot be understood."""


@dataclass(frozen=True)
class Term:
    """Documents that hold a token."""

    token: str


@dataclass(frozen=True)
class Phrase:
    """Documents that hold tokens in a row; at least two."""

    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Equals:
    """Documents whose field, one of `FIELDS`, has a value; without weight in the score."""

    field: str
    value: str


@dataclass(frozen=True)
class Between:
    """Documents of a time, from `begin` on and before `end`; without weight in the score. At least one of both is given."""

    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Not:
    """Documents that another query does not find."""

    part: "Query"


@dataclass(frozen=True)
class All:
    """Documents that every part finds; without parts, every document."""

    parts: tuple["Query", ...]


@dataclass(frozen=True)
class Either:
    """Documents that some part finds; without parts, none."""

    parts: tuple["Query", ...]


Query = Term | Phrase | Equals | Between | Not | All | Either


@dataclass(frozen=True)
class Filters:
    """What is looked for beside a query; None for everything.

    Attributes:
        sources: Documents of one of these sources.
        label: Documents whose consensus is this label.
        language: Documents in this language, an ISO 639-1 code.
        since: Documents of this day or later.
        until: Documents of this day or earlier.
    """

    sources: Collection[str] | None = None
    label: str | None = None
    language: str | None = None
    since: date | None = None
    until: date | None = None

    def applied_to(self, query: Query) -> Query:
        """The query, answered by these documents only."""
        parts: list[Query] = []
        if self.sources is not None:
            parts.append(Either(tuple(Equals("source", source) for source in sorted(self.sources))))
        parts += [Equals(name, value) for name, value in (("label", self.label), ("language", self.language)) if value is not None]
        after = None if self.until is None or self.until == date.max else self.until + timedelta(days=1)
        if self.since is not None or after is not None:
            parts.append(Between(_midnight(self.since), _midnight(after)))
        return All((query, *parts)) if parts else query


EVERYTHING = Filters()


@dataclass(frozen=True)
class _Lexeme:
    kind: str  # one of the groups of _LEXEME
    text: str
    place: int
    field: str = ""


_LEXEME = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<open>[(（])"
    r"|(?P<close>[)）])"
    r"|(?P<not>-(?=[^\s\-])|NOT(?=[\s(（]))"
    r"|(?P<or>OR(?=[\s(（]|$))"
    r"|(?P<and>AND(?=[\s(（]|$))"
    rf"|(?P<field>(?:{'|'.join((*FIELDS, 'date'))})[:：](?:\"[^\"]*\"|“[^”]*”|[^\s()（）\"“”]*))"
    r"|(?P<phrase>\"[^\"]*\"|“[^”]*”)"
    r"|(?P<quote>[\"“])"
    r"|(?P<word>[^\s()（）\"“]+)"
)
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def parse_query(text: str, cut: Cut) -> Query:
    """The tree of a query.

    Args:
        text: What was asked.
        cut: Makes tokens of its words. The language is the one that the query asks for with `language:`, else `und`.

    Raises:
        SearchQueryError: Quotation marks or parentheses do not close, an operator lacks what it works on, a date is none, nothing is
            left when stop words are gone, or it is too long.
    """
    lexemes = [lexeme for lexeme in _lexemes(text) if lexeme.kind != "space"]
    if len(lexemes) > MAX_PARTS:
        raise SearchQueryError(f"Expected a query of at most {MAX_PARTS} parts, found {len(lexemes)}.")
    languages = {lexeme.text for lexeme in lexemes if lexeme.field == "language"}
    parser = _Parser(lexemes, cut, languages.pop() if len(languages) == 1 else "und")
    query = parser.either(0)
    if parser.here is not None:
        raise SearchQueryError(f"Expected an opening parenthesis for the closing one at character {parser.here.place + 1}, found none.")
    if query is None:
        raise SearchQueryError("Expected a query with at least one word that is not a stop word, found none.")
    return query


def any_word(query: Query) -> Query | None:
    """For a query of several words and nothing else, the one that is content with any of them; None for every other."""
    if isinstance(query, All) and len(query.parts) > 1 and all(isinstance(part, Term) for part in query.parts):
        return Either(query.parts)
    return None


def tokens_of(query: Query) -> set[str]:
    """The tokens that documents are wanted for: what can be marked in them."""
    match query:
        case Term(token):
            return {token}
        case Phrase(tokens):
            return set(tokens)
        case All(parts) | Either(parts):
            return {token for part in parts for token in tokens_of(part)}
        case _:
            return set()


def words_of(text: str) -> str:
    """What a query says in words, for a reader of sentences: without operators and conditions, and without what is not wanted.

    Raises:
        SearchQueryError: A quotation mark does not close.
    """
    said, depths, is_unwanted = [], [False], False
    for lexeme in _lexemes(text):
        if lexeme.kind == "open":
            depths.append(depths[-1] or is_unwanted)
        elif lexeme.kind == "close" and len(depths) > 1:
            depths.pop()
        elif lexeme.kind in ("word", "phrase") and not (is_unwanted or depths[-1]):
            said.append(lexeme.text)
        is_unwanted = lexeme.kind == "not" or (is_unwanted and lexeme.kind == "space")
    return " ".join(said)


def _lexemes(text: str) -> Iterator[_Lexeme]:
    place = 0
    while place < len(text):
        found = _LEXEME.match(text, place)
        if found is None or found.lastgroup is None:
            raise AssertionError(f"unreachable: every character begins something, {text[place]!r} does not")
        kind, shown = found.lastgroup, found[0]
        if kind == "quote":
            raise SearchQueryError(f"Expected the quotation mark at character {place + 1} to be closed, found no other.")
        lexeme = _Lexeme(kind, shown.strip('"“”') if kind == "phrase" else shown, place)
        if kind == "field":
            name, _, value = shown.replace("：", ":", 1).partition(":")
            lexeme = replace(lexeme, field=name, text=value.strip('"“”'))
            if not lexeme.text.strip():
                raise SearchQueryError(f"Expected a value after {name}:, found none.")
        yield lexeme
        place = found.end()


class _Parser:
    """Reads lexemes from left to right; a part of stop words alone is None, and left out of what holds it."""

    def __init__(self, lexemes: list[_Lexeme], cut: Cut, language: str) -> None:
        self._lexemes, self._cut, self._language, self._next = lexemes, cut, language, 0

    @property
    def here(self) -> _Lexeme | None:
        return self._lexemes[self._next] if self._next < len(self._lexemes) else None

    def _is_at(self, *kinds: str) -> bool:
        return self.here is not None and self.here.kind in kinds

    def either(self, depth: int) -> Query | None:
        parts = [self._all(depth)]
        while self._is_at("or"):
            self._next += 1
            parts.append(self._all(depth))
        return _joined([part for part in parts if part is not None], Either)

    def _all(self, depth: int) -> Query | None:
        parts = [self._one(depth)]
        while self.here is not None and not self._is_at("or", "close"):
            if self._is_at("and"):
                self._next += 1
            parts.append(self._one(depth))
        return _joined([part for part in parts if part is not None], All)

    def _one(self, depth: int) -> Query | None:
        if depth > MAX_DEPTH:
            raise SearchQueryError(f"Expected at most {MAX_DEPTH} parentheses or NOT inside each other, found more.")
        lexeme = self.here
        if lexeme is None or lexeme.kind in ("or", "and", "close"):
            found = "the end" if lexeme is None else f"{lexeme.text!r} at character {lexeme.place + 1}"
            raise SearchQueryError(f"Expected a word, a phrase in quotation marks or a parenthesis, found {found}.")
        self._next += 1
        if lexeme.kind == "not":
            part = self._one(depth + 1)
            return None if part is None else Not(part)
        return self._inside(lexeme, depth) if lexeme.kind == "open" else self._meaning(lexeme)

    def _inside(self, opening: _Lexeme, depth: int) -> Query | None:
        inside = self.either(depth + 1)
        if not self._is_at("close"):
            raise SearchQueryError(f"Expected the parenthesis at character {opening.place + 1} to be closed, found the end.")
        self._next += 1
        return inside

    def _meaning(self, lexeme: _Lexeme) -> Query | None:
        """Of a word, a phrase, or a condition."""
        if lexeme.field:
            return _between(lexeme.text) if lexeme.field == "date" else Equals(lexeme.field, lexeme.text)
        tokens = tuple(self._cut(lexeme.text, self._language))
        if lexeme.kind == "phrase" and len(tokens) > 1:
            return Phrase(tokens)
        return _joined([Term(token) for token in dict.fromkeys(tokens)], All)


def _joined(parts: Sequence[Query], kind: type[All] | type[Either]) -> Query | None:
    """One part as it is, several in one tree without trees of the same kind inside."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, kind) else (part,))]
    if not flat:
        return None
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _between(text: str) -> Between:
    first, dots, last = text.partition("..")
    if dots and not first and not last:
        raise SearchQueryError("Expected a date such as 2026-03-01 or 2026-01..2026-03, found two dots alone.")
    begin = _span(first)[0] if first else None
    end = _span(last)[1] if last else None if dots else _span(first)[1]
    if begin is not None and end is not None and end <= begin:
        raise SearchQueryError(f"Expected a first day that is not after the last one, found {text}.")
    return Between(_midnight(begin), _midnight(end))


def _span(text: str) -> tuple[date, date]:
    """The first day of a day, month or year, and the day after its last."""
    found = _DAY.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        year, month, day = (int(part) if part else None for part in found.groups())
        begin = date(year or 0, month or 1, day or 1)
        if day is not None:
            return begin, begin + timedelta(days=1)
        return begin, date(begin.year + 1, 1, 1) if month is None else date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
    except (ValueError, OverflowError) as error:
        raise SearchQueryError(f"Expected a date such as 2026-03-01, 2026-03 or 2026, found {text!r}.") from error


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)

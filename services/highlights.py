"""Marks in a text what a query found it by; the same for every engine, since tokens are made here as they were for the index."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence

SHOWN_CHARS = 160
Span = tuple[int, int]


def find_highlights(text: str, tokens: Collection[str], language: str) -> list[Span]:
    """Where words of a text stand whose tokens a query asked for.

    Args:
        text: A clean text.
        tokens: Of the query (`search_query.tokens_of`).
        language: Of the text, as it was cut for the index.

    Returns:
        First character, and the one after the last, of each stretch; in order, without overlaps.
    """
    return list(_merged(sorted(_marked(text, tokens, language))))


def marked_excerpt(text: str, spans: Sequence[Span], mark: Callable[[str], str]) -> str:
    """What is around the first span of a text, or its beginning, in one line; `…` for what is left out.

    Args:
        text: A text.
        spans: What stands out, in order.
        mark: Makes a stretch of it stand out.
    """
    first = spans[0][0] if spans else 0
    begin = 0 if first < SHOWN_CHARS // 2 else max(min(first - SHOWN_CHARS // 4, len(text) - SHOWN_CHARS), 0)
    end = min(begin + SHOWN_CHARS, len(text))
    parts, place = ["… " if begin else ""], begin
    for start, stop in spans:
        if start < begin or stop > end:
            continue
        parts += [text[place:start], mark(text[start:stop])]
        place = stop
    return " ".join("".join([*parts, text[place:end], " …" if end < len(text) else ""]).split("\n"))


def shorten(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " …"


def _marked(text: str, tokens: Collection[str], language: str) -> Iterator[Span]:
    from assets.cleaning.tokens import tokenize_text
    from assets.cleaning.words import IDEOGRAPHS, SPACED_WORD

    known: dict[str, bool] = {}
    for match in SPACED_WORD.finditer(text):
        word = match[0]
        if word not in known:
            known[word] = not set(tokenize_text(word, language)).isdisjoint(tokens)
        if known[word]:
            yield match.span()
    for token in tokens:
        if IDEOGRAPHS.match(token):
            yield from (match.span() for match in re.finditer(re.escape(token), text))


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    """Spans that overlap or touch as one."""
    begin = end = -1
    for start, stop in spans:
        if start > end:
            if end >= 0:
                yield begin, end
            begin, end = start, stop
        end = max(end, stop)
    if end >= 0:
        yield begin, end

"""Finds spans of a collected text again in the cleaned text.

Cleaning folds white space, decodes entities and removes invisible characters, so the places of a vote's spans are no longer right. Each
span was kept with what it covers and with the number of visible characters before it (`QuotedSpan`); the occurrence of that quote
nearest to that place is the span. White space and invisible characters are not compared.

Where cleaning put a pseudonym, the value's characters are unknown, but how many they were is known: they count as so many characters
that could be any. A quote that stands nowhere else and reaches into them is found there, and its span then covers the whole pseudonym.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from assets.answers import QuotedSpan, Span, require_within
from assets.replacements import Replacement

HIDDEN = "\x00"
"""A character that a pseudonym stands for; no cleaned text holds one."""

# Hidden characters fit every quote, so a place in them counts only near where the quote was; entities and markup move it by so much.
_MAX_DRIFT = 16


@dataclass(frozen=True)
class FoldedText:
    """A cleaned text as it is searched.

    Attributes:
        folded: Its visible characters; `HIDDEN` for each that a pseudonym stands for.
        places: Where in the text each of them is; for a hidden one, its pseudonym.
        ends: After each of them; for a hidden one, after its pseudonym.
        text_chars: Length of the text.
    """

    folded: str
    places: tuple[int, ...]
    ends: tuple[int, ...]
    text_chars: int


class SpanNotFoundError(ValueError):
    """What a span covered is not in the cleaned text."""


def fold_text(text: str, replacements: Sequence[Replacement] = ()) -> FoldedText:
    """Prepares a cleaned text for `anchor_span`; `replacements` are the pseudonyms in it, in order."""
    found: list[tuple[str, int, int]] = []
    place = 0
    for each in replacements:
        found += _visible(text, place, each.start)
        found += [(HIDDEN, each.start, each.end)] * each.visible_chars
        place = each.end
    found += _visible(text, place, len(text))
    folded, places, ends = zip(*found, strict=True) if found else ((), (), ())
    return FoldedText("".join(folded), places, ends, len(text))


def anchor_span(quoted: QuotedSpan, text: FoldedText) -> Span:
    """The span in the cleaned text; one without a quote refers to the cleaned text already.

    Raises:
        SpanNotFoundError: The quote does not occur in the text.
        SpanOutsideTextError: A span without a quote does not lie within the text.
    """
    if quoted.quote is None or quoted.visible_before is None:
        require_within(quoted.span, text.text_chars)
        return quoted.span
    quote = "".join(filter(_is_visible, unicodedata.normalize("NFC", html.unescape(quoted.quote))))
    start = _nearest(text.folded, quote, quoted.visible_before)
    start = _nearest_hidden(text.folded, quote, quoted.visible_before) if start is None else start
    if start is None:
        place = f"{len(quoted.quote)} characters that it covers from {quoted.span.start} on"
        raise SpanNotFoundError(f"expected the {place} in the cleaned text, found them nowhere")
    return Span(text.places[start], text.ends[start + len(quote) - 1], quoted.span.label)


def _visible(text: str, start: int, end: int) -> list[tuple[str, int, int]]:
    """The visible characters from `start` to `end`, each with where it is."""
    return [(text[place], place, place + 1) for place in range(start, end) if _is_visible(text[place])]


def _nearest_hidden(text: str, quote: str, wanted: int) -> int | None:
    """The place nearest to the wanted one where the quote fits if hidden characters may be any; None where there is none."""
    if not quote or HIDDEN not in text:
        return None
    pattern = re.compile("(?=" + "".join(f"[{HIDDEN}{re.escape(character)}]" for character in quote) + ")")
    found = [match.start() for match in pattern.finditer(text) if abs(match.start() - wanted) <= _MAX_DRIFT]
    return min(found, key=lambda place: abs(place - wanted)) if found else None


def _nearest(text: str, quote: str, wanted: int) -> int | None:
    """The occurrence whose start is nearest to the wanted place, the earlier of two; None where there is none."""
    if not quote:
        return None
    before = text.rfind(quote, 0, max(wanted, 0) + len(quote))
    after = text.find(quote, before + 1)
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - wanted)) if found else None


def _is_visible(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc")

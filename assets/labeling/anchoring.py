"""Finds spans of a collected text again in the cleaned text.

Cleaning folds white space, decodes entities and removes invisible characters, so the places of a vote's spans are no longer right. Each
span was kept with what it covers and with the number of visible characters before it (`QuotedSpan`); the occurrence of that quote
nearest to that place is the span. White space and invisible characters are not compared.
"""

import html
import unicodedata
from dataclasses import dataclass

from assets.answers import QuotedSpan, Span, require_within


@dataclass(frozen=True)
class FoldedText:
    """A cleaned text as it is searched.

    Attributes:
        folded: Its visible characters.
        places: Where in the text each of them is.
        text_chars: Length of the text.
    """

    folded: str
    places: tuple[int, ...]
    text_chars: int


class SpanNotFoundError(ValueError):
    """What a span covered is not in the cleaned text."""


def fold_text(text: str) -> FoldedText:
    """Prepares a cleaned text for `anchor_span`."""
    places = tuple(place for place, character in enumerate(text) if _is_visible(character))
    return FoldedText("".join(text[place] for place in places), places, len(text))


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
    if start is None:
        raise SpanNotFoundError(f"expected {quoted.quote[:60]!r} in the cleaned text, found it nowhere")
    return Span(text.places[start], text.places[start + len(quote) - 1] + 1, quoted.span.label)


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

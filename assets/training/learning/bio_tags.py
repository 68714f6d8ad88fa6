"""Between labelled spans of a text and one BIO tag per token.

Tag 0 is O (outside); label t of the task has tags `1 + 2 t` (B, begins) and `2 + 2 t` (I, inside): Ramshaw and Marcus, 1995, in the
variant of CoNLL-2003 known as IOB2. Tokens of any sub-word scheme will do: only their characters count.
Does not belong here: networks and losses (`span_objectives.py`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assets.answers import Span
from assets.training.judging.metrics import Floats

Ints = npt.NDArray[np.int64]
IGNORED = -100
"""Tag of a token that is no part of its text: torch's cross-entropy passes over it."""


def tag_tokens(offsets: npt.NDArray[np.int32], spans: Sequence[Span], labels: Sequence[str]) -> Ints:
    """BIO tag of every token: (tokens,); `IGNORED` for tokens without characters.

    A token belongs to a span when they share a character. Tags cannot say that spans overlap: of two that do, the longer one is kept.

    Args:
        offsets: (tokens, 2) first and last-plus-one character of each token, ascending.
        spans: The text's spans.
        labels: The task's labels.
    """
    tags = np.where(offsets[:, 0] < offsets[:, 1], 0, IGNORED)
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        inside = np.flatnonzero((offsets[:, 0] < span.end) & (offsets[:, 1] > span.start) & (tags != IGNORED))
        if len(inside) and not (tags[inside] > 0).any():
            tags[inside] = 2 + 2 * labels.index(span.label)
            tags[inside[0]] -= 1
    return tags.astype(np.int64)


def read_tags(probabilities: Floats, offsets: npt.NDArray[np.int32], text: str, labels: Sequence[str]) -> list[tuple[Span, float]]:
    """The spans that the tags of a text say, each with its confidence: the mean probability of its label over its tokens.

    A sub-word that goes on with a word goes on with its tag, so that no span ends inside a word. An I that follows no span of its label
    opens one, as conlleval reads it (Tjong Kim Sang and De Meulder, CoNLL 2003).

    Args:
        probabilities: (tokens, tags) of the text's tokens.
        offsets: (tokens, 2), ascending; tokens without characters left out.
        text: The text.
        labels: The task's labels.
    """
    tags = probabilities.argmax(1)
    by_label = probabilities[:, 1::2] + probabilities[:, 2::2]  # (tokens, labels)
    found: list[list[int]] = []  # label, first token, last token
    previous = -1
    for token, tag in enumerate(tags):
        label = (int(tag) - 1) // 2 if tag else -1
        if token and _goes_on(text, int(offsets[token - 1, 1]), int(offsets[token, 0])):
            label, begins = previous, False
        else:
            begins = label >= 0 and (tag % 2 == 1 or label != previous)
        if begins:
            found.append([label, token, token])
        elif label >= 0:
            found[-1][2] = token
        previous = label
    bounds = [_trim(text, int(offsets[first, 0]), int(offsets[last, 1])) for _, first, last in found]
    scores = [float(by_label[first : last + 1, label].mean()) for label, first, last in found]
    spans = zip(found, bounds, scores, strict=True)
    return [(Span(start, end, labels[label]), score) for (label, _, _), (start, end), score in spans if start < end]


def merge_windows(text_of: Ints, offsets: npt.NDArray[np.int32], depth: Ints) -> Ints:
    """The tokens to read where windows overlap: one of each text and place, the one that is deepest inside its window.

    Args:
        text_of: (tokens,) text of each token.
        offsets: (tokens, 2) characters of each token.
        depth: (tokens,) tokens between it and the nearer end of its window.

    Returns:
        Numbers of tokens in order of text and place, tokens without characters left out.
    """
    order = np.lexsort((-depth, offsets[:, 1], offsets[:, 0], text_of))
    order = order[offsets[order, 0] < offsets[order, 1]]
    keys = np.column_stack([text_of, offsets])[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (keys[1:] != keys[:-1]).any(1)
    chosen: Ints = order[is_first]
    return chosen


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch of text without white space at its ends: some tokenizers count the space before a word to the word."""
    stretch = text[start:end]
    start += len(stretch) - len(stretch.lstrip())
    return start, max(start, start + len(stretch.strip()))


def _goes_on(text: str, end: int, start: int) -> bool:
    """Whether a token that starts here continues the word that the token before it, which ends there, is part of."""
    return end == start and 0 < start < len(text) and _is_word(text[start - 1]) and _is_word(text[start])


def _is_word(character: str) -> bool:
    """Letters and digits of scripts that write words apart: those with upper and lower case, and the digits."""
    return character.isdigit() or character.lower() != character.upper()

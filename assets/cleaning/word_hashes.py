"""Finds and hashes the words of many texts at once: what `words.find_words` finds, as arrays in place of strings.

What a word is, is in `words.py` alone: the classes of the characters below are made from its patterns. What is made of the hashes is in
`shingles.py`.

All texts lie in one UTF-8 buffer with a byte between them that UTF-8 never uses. Each byte gets the class of its character: by a table
of 256 where the text is ASCII, by a table of all code points elsewhere. A word begins and ends where the class changes, and around each
ideograph.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from assets.cleaning.words import IDEOGRAPH, RUN

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))

_RUN, _IDEOGRAPH, _APOSTROPHE, _SPACE, _OTHER_SPACE = (np.uint8(1 << bit) for bit in range(5))
_WORD = _RUN | _IDEOGRAPH
_END_OF_TEXT = b"\xff"
_WORD_BYTES = 8
# Behind the last text, so that eight bytes can be read from each position.
_PADDING = bytes(2 * _WORD_BYTES)
# Longer words are no words of a language: they are hashed one by one.
_MAX_WORD_BYTES = 64
_CODE_POINTS = 0x110000
_NO_POSITIONS: Positions = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class WordHashes:
    """The words of some texts, in order.

    Attributes:
        hashes: One 64-bit hash per word of all texts, the same on every machine and in every release.
        counts: How many words each text has.
        has_odd_spaces: Per text whether it holds white space other than single spaces between other characters; also true of any text with
            a character outside ASCII, of which this is not known.
    """

    hashes: Hashes
    counts: Positions
    has_odd_spaces: npt.NDArray[np.bool_]


def hash_words(texts: Sequence[bytes]) -> WordHashes:
    """Hashes the words of texts.

    Args:
        texts: UTF-8, with `'` for every apostrophe (see `shingles.fold_text`); about a million words together at most, since the arrays
            made here take some 60 bytes a word.
    """
    joined = _END_OF_TEXT + _END_OF_TEXT.join([*texts, b""]) + _PADDING
    data = np.frombuffer(joined, dtype=np.uint8)
    classes = np.frombuffer(bytearray(joined.translate(_ascii_classes())), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1)
    leads = _NO_POSITIONS if all(map(bytes.isascii, texts)) else np.flatnonzero((data >= 0xC2) & (data < 0xFF))
    has_odd_spaces = _odd_spaces(classes, leads, ends)
    starts, stops = _spans(classes, _ideographs(data, classes, leads))
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
    return WordHashes(_hash_spans(data, starts, stops), counts, has_odd_spaces)


def mix(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64: every bit of the result depends on every bit of the value."""
    values = values + _GOLDEN
    values ^= values >> np.uint64(30)
    values *= _MIX[0]
    values ^= values >> np.uint64(27)
    values *= _MIX[1]
    values ^= values >> np.uint64(31)
    return values


def stir(values: Hashes) -> Hashes:
    """Half of `mix`, in place: enough where the values are multiplied and summed after it, at half the time."""
    values ^= values >> np.uint64(32)
    values *= _MIX[0]
    values ^= values >> np.uint64(29)
    return values


def odd_numbers(count: int, seed: int) -> Hashes:
    """Odd 64-bit numbers without a pattern, the same everywhere: the first ones of SplitMix64 from a seed."""
    return mix(np.uint64(seed) + np.arange(count, dtype=np.uint64) * _GOLDEN) | np.uint64(1)


@cache
def _ascii_classes() -> bytes:
    """The class of each byte; bytes of other characters have none yet. The end of a text counts as a space."""
    table = bytearray(256)
    for byte in range(128):
        character = chr(byte)
        table[byte] = _RUN if re.fullmatch(RUN, character) else _OTHER_SPACE if character.isspace() else 0
    table[ord(" ")] = table[_END_OF_TEXT[0]] = _SPACE
    table[ord("'")] = _APOSTROPHE
    return bytes(table)


@cache
def _classes() -> Bytes:
    """The class of each code point: 1.1 MB."""
    characters = np.arange(_CODE_POINTS, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    table = np.zeros(_CODE_POINTS, dtype=np.uint8)
    for pattern, found in ((RUN, _RUN), (f"{IDEOGRAPH}+", _IDEOGRAPH)):
        for match in re.finditer(pattern, characters):
            table[match.start() : match.end()] = found
    table[ord("'")] = _APOSTROPHE
    return table


def _odd_spaces(classes: Bytes, leads: Positions, ends: Positions) -> npt.NDArray[np.bool_]:
    """Which texts have two spaces in a row, one at either end, white space of another kind, or characters outside ASCII."""
    is_odd = (classes == _OTHER_SPACE)[1:]
    is_odd |= (classes[1:] & classes[:-1] & _SPACE) != 0
    found = np.zeros(len(ends) + 1, dtype=np.bool_)
    for positions in (np.flatnonzero(is_odd) + 1, leads):
        found[np.searchsorted(ends, positions)] = True
    return found[:-1]


def _ideographs(data: Bytes, classes: Bytes, leads: Positions) -> tuple[Positions, Positions]:
    """Writes the classes of the characters outside ASCII, which begin at `leads`; where ideographs begin and end."""
    if not len(leads):
        return leads, leads
    first, second, third, fourth = (data[leads + place].astype(np.int32) for place in range(4))
    point = ((first & 0x1F) << 6) | (second & 0x3F)
    size = 2 + (first >= 0xE0) + (first >= 0xF0)
    point = np.where(size == 3, ((first & 0x0F) << 12) | ((second & 0x3F) << 6) | (third & 0x3F), point)
    if size.max() == 4:
        large = ((first & 0x07) << 18) | ((second & 0x3F) << 12) | ((third & 0x3F) << 6) | (fourth & 0x3F)
        point = np.where(size == 4, large, point)
    found = _classes()[point]
    classes[leads] = classes[leads + 1] = found
    for least in (3, 4):
        longer = size >= least
        classes[leads[longer] + least - 1] = found[longer]
    is_ideograph = found == _IDEOGRAPH
    begins = leads[is_ideograph]
    return begins, begins + size[is_ideograph]


def _spans(classes: Bytes, ideographs: tuple[Positions, Positions]) -> tuple[Positions, Positions]:
    """Where words start and stop, in bytes."""
    _join_at_apostrophes(classes)
    is_word = (classes & _WORD) != 0
    changes = np.empty(len(is_word), dtype=np.bool_)
    changes[0] = False
    np.not_equal(is_word[1:], is_word[:-1], out=changes[1:])
    begins, ends = ideographs
    if not len(begins):
        bounds = np.flatnonzero(changes)
        return bounds[::2], bounds[1::2]
    changes[begins] = changes[ends] = True
    bounds = np.flatnonzero(changes)
    starts = np.flatnonzero(is_word[bounds])
    return bounds[starts], bounds[starts + 1]


def _join_at_apostrophes(classes: Bytes) -> None:
    """Makes an apostrophe between two characters of runs one of them."""
    places = np.flatnonzero(classes == _APOSTROPHE)
    before, after = places - 1, places + 1
    classes[places[(classes[before] & classes[after] & _RUN) != 0]] = _RUN


def _hash_spans(data: Bytes, starts: Positions, stops: Positions) -> Hashes:
    eights: Hashes = np.ndarray((len(data) - _WORD_BYTES,), dtype="<u8", buffer=data.data, strides=(1,))
    sizes = stops - starts
    hashes = stir(_read(eights, starts, sizes))
    longer = np.flatnonzero(sizes > _WORD_BYTES)
    for offset in range(_WORD_BYTES, _MAX_WORD_BYTES, _WORD_BYTES):
        hashes[longer] = stir(hashes[longer] ^ _read(eights, starts[longer] + offset, sizes[longer] - offset))
        longer = longer[sizes[longer] > offset + _WORD_BYTES]
    for word in longer.tolist():
        digest = hashlib.blake2b(data[starts[word] : stops[word]].tobytes(), digest_size=_WORD_BYTES).digest()
        hashes[word] = int.from_bytes(digest, "little")
    return hashes


def _read(eights: Hashes, starts: Positions, sizes: Positions) -> Hashes:
    """The first eight bytes at each position, or as many as its size."""
    spare = np.maximum(_WORD_BYTES - sizes, 0)
    spare <<= 3
    found = eights[starts].astype(np.uint64, copy=False)
    found <<= spare.view(np.uint64)
    return found

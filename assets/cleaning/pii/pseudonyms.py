"""Replaces personal data in texts by stable keyed pseudonyms: `[EMAIL_kbnagpdhce]`.

What is personal data is decided in `finding.py`; how a pseudonym is made, in `assets/pseudonyms.py`. Its form goes through everything after
it: no digits (texts that differ in it alone do not differ "in a number"), one word for shingles and tokens, square brackets, which neither
HTML nor Markdown swallows, and nothing that a finder takes for personal data again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from assets.cleaning.pii.finding import find_personal_data, without_overlaps
from assets.cleaning.pii.found import Found
from assets.cleaning.pii.names import NameFinder, NoNames
from assets.pseudonyms import PSEUDONYM, make_pseudonym
from assets.replacements import Replacement

_Piece = tuple[int, int, str, str]  # start and end in the original text, kind, pseudonym
# What is replaced moves the words before a number nearer together, which can show another number; a text made to defeat this costs no more.
_MAX_ROUNDS = 8


@dataclass(frozen=True)
class Replaced:
    """A text without its personal data, and what was replaced in it, in order."""

    text: str
    replacements: tuple[Replacement, ...] = ()

    @property
    def kinds(self) -> list[str]:
        """What each of the replaced values was."""
        return [replacement.kind for replacement in self.replacements]

    @property
    def without_pseudonyms(self) -> str:
        """The text with a space in place of each pseudonym: what a language identifier should see."""
        return PSEUDONYM.sub(" ", self.text) if self.replacements else self.text


@dataclass(frozen=True)
class Pseudonymizer:
    """Replaces the personal data of texts.

    Attributes:
        kinds: Which kinds are replaced.
        regions: Countries whose national telephone numbers are looked for.
        key: The secret of the installation.
        names: Finds names of people.
    """

    kinds: Collection[str]
    regions: Sequence[str]
    key: bytes = field(repr=False)
    names: NameFinder = field(default_factory=NoNames)

    def replace_all(self, texts: Sequence[str]) -> list[Replaced]:
        """Every text without its personal data, in the same order."""
        return [self.replace(text, names) for text, names in zip(texts, self.names.find(texts), strict=True)]

    def replace(self, text: str, names: Sequence[Found] = ()) -> Replaced:
        """The text with a pseudonym in place of everything of the wanted kinds that is found in it, until nothing is.

        Args:
            text: A repaired text.
            names: Names of people in it.
        """
        pieces: list[_Piece] = []
        result = Replaced(text)
        found = find_personal_data(text, self.regions)
        found = without_overlaps([*names, *found]) if names else found
        for _ in range(_MAX_ROUNDS):
            wanted = [each for each in found if each.kind in self.kinds]
            if not wanted:
                break
            pieces = sorted([*pieces, *((*_in_original(each, result, pieces), each.kind, self.pseudonym(each)) for each in wanted)])
            result = _render(text, pieces)
            found = find_personal_data(result.text, self.regions)
        return result

    def pseudonym(self, found: Found) -> str:
        """The pseudonym of a value."""
        return make_pseudonym(self.key, found.kind, found.value)


def _in_original(found: Found, result: Replaced, pieces: Sequence[_Piece]) -> tuple[int, int]:
    """Where something that was found in the replaced text stands in the original; pseudonyms are never part of a find."""
    moved = sum(
        (end - start) - (replacement.end - replacement.start)
        for (start, end, _, _), replacement in zip(pieces, result.replacements, strict=True)
        if replacement.end <= found.start
    )
    return found.start + moved, found.end + moved


def _render(text: str, pieces: Sequence[_Piece]) -> Replaced:
    """The text with its pieces replaced."""
    parts: list[str] = []
    replacements = []
    place = chars = 0
    for start, end, kind, pseudonym in pieces:
        chars += start - place
        parts += [text[place:start], pseudonym]
        replacements.append(Replacement(chars, chars + len(pseudonym), kind, len("".join(text[start:end].split()))))
        place, chars = end, chars + len(pseudonym)
    return Replaced("".join([*parts, text[place:]]), tuple(replacements))

"""What cleaning replaced in a text, as the column `replacements` holds it: cleaning writes it, placing votes in a text reads it.

Finding and replacing personal data is in `assets/cleaning/pii`. A replaced value itself is nowhere but in the raw tables.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Replacement:
    """One value that a pseudonym stands for.

    Attributes:
        start: Where the pseudonym begins in the clean text.
        end: After the pseudonym.
        kind: One of `assets.project.PERSONAL_DATA`.
        visible_chars: How many characters that are not white space the value had.
    """

    start: int
    end: int
    kind: str
    visible_chars: int


def encode_replacements(replacements: Iterable[Replacement]) -> str | None:
    """The replacements of a text as JSON; None when there are none."""
    content = [asdict(replacement) for replacement in replacements]
    return json.dumps(content, separators=(",", ":")) if content else None


def decode_replacements(written: object) -> tuple[Replacement, ...]:
    """The replacements that `encode_replacements` wrote; none for a missing value."""
    return tuple(Replacement(**fields) for fields in json.loads(written)) if isinstance(written, str) else ()

"""What a finder hands on: a stretch of a text, the kind of personal data it is, and its canonical form."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data in a text.

    Attributes:
        start: First character, from 0.
        end: After the last character.
        kind: One of `assets.project.PERSONAL_DATA`.
        value: Canonical form: equal for two ways of writing the same thing. Never shown.
    """

    start: int
    end: int
    kind: str
    value: str = field(repr=False)

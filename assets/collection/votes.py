"""From the votes field of a record to single votes. Which document they belong to is found in `assets/collection/records.py`."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from assets.collection.charset import join_surrogates

COLUMNS = ["external_id", "parent_id", "text", "occurrence", "annotator_id", "value", "label", "locator", "uri", "raw_sha256"]
_ANONYMOUS = [f"anonymous:{position:02d}" for position in range(1, 1000)]


class MalformedVoteError(Exception):
    """A vote, or a whole votes field, is of no known shape."""


@dataclass
class VoteColumns:
    """The columns of a votes frame while it grows, and the votes refused. `origin` is the present object's uri and content hash.

    A vote belongs to the record with `external_id`, or, where that is None, to the `occurrence`-th text (from 0) equal to
    `text` within `parent_id`.
    """

    external_id: list[str | None] = field(default_factory=list)
    parent_id: list[str | None] = field(default_factory=list)
    text: list[str | None] = field(default_factory=list)
    occurrence: list[int] = field(default_factory=list)
    annotator_id: list[str] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    locator: list[str] = field(default_factory=list)
    uri: list[str] = field(default_factory=list)
    raw_sha256: list[str] = field(default_factory=list)
    rejected: list[tuple[str, ...]] = field(default_factory=list)
    origin: tuple[str, str] = ("", "")

    def add(self, target: tuple[str | None, str | None, str | None, int], raw: object, locator: str) -> None:
        """Adds the votes of one record; those that are no votes are kept as rejected.

        Args:
            target: External id, parent id, text and occurrence of the record's document.
            raw: The votes field as it came.
            locator: Where the record is.
        """
        try:
            votes = read_votes_field(raw)
        except MalformedVoteError as error:
            self.refuse(f"{locator} votes", "malformed_vote", str(error))
            return
        start = len(self.locator)
        for position, vote in enumerate(votes):
            try:
                annotator, value, label = read_vote(vote, position)
            except MalformedVoteError as error:
                self.refuse(f"{locator} vote {position + 1}", "malformed_vote", str(error))
                continue
            self.annotator_id.append(annotator)
            self.value.append(value)
            self.label.append(label)
            self.locator.append(f"{locator} vote {position + 1}")
        self._fill_target(target, len(self.locator) - start)

    def refuse(self, locator: str, reason: str, detail: str) -> None:
        """Keeps a vote, or a whole record of votes, as rejected."""
        self.rejected.append((locator, reason, detail, *self.origin))

    def frame(self) -> pd.DataFrame:
        """One row per vote; the columns of `COLUMNS`."""
        types = {"occurrence": "int64", "value": "float64"}
        return pd.DataFrame({name: pd.Series(getattr(self, name), dtype=types.get(name, "str")) for name in COLUMNS})

    def _fill_target(self, target: tuple[str | None, str | None, str | None, int], count: int) -> None:
        external_id, parent_id, text, occurrence = target
        self.external_id.extend([external_id] * count)
        self.parent_id.extend([parent_id] * count)
        self.text.extend([text] * count)
        self.occurrence.extend([occurrence] * count)
        self.uri.extend(self.origin[:1] * count)
        self.raw_sha256.extend(self.origin[1:] * count)


def read_votes_field(raw: object) -> Sequence[object]:
    """The votes in a field: a list, JSON of a list, or nothing.

    Raises:
        MalformedVoteError: It is something else.
    """
    if isinstance(raw, str) and raw.strip():
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise MalformedVoteError(f"expected a list of votes or JSON of one, found text that is no JSON: {error}") from error
    if raw is None or raw == "" or (isinstance(raw, str) and not raw.strip()) or (isinstance(raw, float) and math.isnan(raw)):
        return []
    if isinstance(raw, list):
        return raw
    raise MalformedVoteError(f"expected a list of votes, found {type(raw).__name__}")


def read_vote(vote: object, position: int) -> tuple[str, float | None, str | None]:
    """Annotator, rating and label of one vote.

    Args:
        vote: A number, a label, or an object with `annotator` and `value` or `label`.
        position: Place in its list from 0; names an annotator whom the source does not identify.

    Raises:
        MalformedVoteError: It is none of these, or not finite.
    """
    anonymous = _ANONYMOUS[position] if position < len(_ANONYMOUS) else f"anonymous:{position + 1}"
    if not isinstance(vote, dict):
        return (anonymous, *_read_answer(vote))
    annotator = vote.get("annotator", vote.get("annotator_id"))
    name = anonymous if annotator is None or annotator == "" else join_surrogates(str(annotator))
    value, label = vote.get("value"), vote.get("label")
    if value is None:
        return (name, *_read_answer(label))
    rating, _ = _read_answer(value)
    if rating is None or not (label is None or isinstance(label, str)):
        raise MalformedVoteError(f"expected a number as value and a text as label, found {value!r:.60} and {label!r:.60}")
    return name, rating, join_surrogates(label) if label else None


def _read_answer(answer: object) -> tuple[float | None, str | None]:
    if isinstance(answer, str) and answer.strip():
        return None, join_surrogates(answer)
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        try:
            rating = float(answer)
        except OverflowError:
            rating = math.inf
        if math.isfinite(rating):
            return rating, None
    raise MalformedVoteError(f"expected a finite number or a label, found {type(answer).__name__} {answer!r:.60}")

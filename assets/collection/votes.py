"""A frame of votes while it grows. What shapes a vote may have is in `vote_shapes.py`, which document it is about in `records.py`."""

from dataclasses import dataclass, field

import pandas as pd

from assets.collection.vote_shapes import MalformedVoteError, VotedText, read_circumstances, read_vote, read_votes_field

TARGET_COLUMNS = ["document_id", "external_id", "parent_id", "text", "occurrence"]
COLUMNS = [*TARGET_COLUMNS, "annotator_id", "value", "label", "seconds", "guideline", "locator", "uri", "raw_sha256"]


@dataclass(frozen=True)
class VoteTarget:
    """Which document votes are about: the first of these that is there says it.

    Attributes:
        document_id: One revision of a document.
        external_id: The newest revision of the record with this id.
        text: The `occurrence`-th text equal to this one within `parent_id`.
        parent_id: See `text`.
        occurrence: From 0.
    """

    document_id: str | None = None
    external_id: str | None = None
    text: str | None = None
    parent_id: str | None = None
    occurrence: int = 0


@dataclass
class VoteColumns:
    """The columns of a votes frame while it grows, and the votes refused. `origin` is the present object's uri and content hash."""

    document_id: list[str | None] = field(default_factory=list)
    external_id: list[str | None] = field(default_factory=list)
    parent_id: list[str | None] = field(default_factory=list)
    text: list[str | None] = field(default_factory=list)
    occurrence: list[int] = field(default_factory=list)
    annotator_id: list[str] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    seconds: list[float | None] = field(default_factory=list)
    guideline: list[str | None] = field(default_factory=list)
    locator: list[str] = field(default_factory=list)
    uri: list[str] = field(default_factory=list)
    raw_sha256: list[str] = field(default_factory=list)
    rejected: list[tuple[str, ...]] = field(default_factory=list)
    origin: tuple[str, str] = ("", "")

    def add(self, target: VoteTarget, raw: object, locator: str, about: VotedText) -> None:
        """Adds the votes of one record; those that are no votes are kept as rejected.

        Args:
            target: The record's document.
            raw: The votes field as it came.
            locator: Where the record is.
            about: The text that spans are in.
        """
        try:
            votes = read_votes_field(raw)
        except MalformedVoteError as error:
            self.refuse(f"{locator} votes", "malformed_vote", str(error))
            return
        start = len(self.locator)
        for position, vote in enumerate(votes):
            try:
                annotator, value, label = read_vote(vote, position, about)
                circumstances = read_circumstances(vote)
            except MalformedVoteError as error:
                self.refuse(f"{locator} vote {position + 1}", "malformed_vote", str(error))
                continue
            self.annotator_id.append(annotator)
            self.value.append(value)
            self.label.append(label)
            self.seconds.append(circumstances.seconds)
            self.guideline.append(circumstances.guideline)
            self.locator.append(f"{locator} vote {position + 1}")
        self._fill_target(target, len(self.locator) - start)

    def refuse(self, locator: str, reason: str, detail: str) -> None:
        """Keeps a vote, or a whole record of votes, as rejected."""
        self.rejected.append((locator, reason, detail, *self.origin))

    def frame(self) -> pd.DataFrame:
        """One row per vote; the columns of `COLUMNS`."""
        types = {"occurrence": "int64", "value": "float64", "seconds": "float64"}
        return pd.DataFrame({name: pd.Series(getattr(self, name), dtype=types.get(name, "str")) for name in COLUMNS})

    def _fill_target(self, target: VoteTarget, count: int) -> None:
        self.document_id.extend([target.document_id] * count)
        self.external_id.extend([target.external_id] * count)
        self.parent_id.extend([target.parent_id] * count)
        self.text.extend([target.text] * count)
        self.occurrence.extend([target.occurrence] * count)
        self.uri.extend(self.origin[:1] * count)
        self.raw_sha256.extend(self.origin[1:] * count)

"""Where people are asked and hand in their answers, whatever they use: the terminal, sheets or the data access API.

Answers become files of votes in the object store under `labels/`, which the next `textmill run refresh` collects once, as it collects any
other votes: raw bytes are kept, checks run, the consensus follows (`assets/collection/receiving.py`). Does not belong here: what a good
answer is (`assets/labeling/given_answers.py`), who may ask and answer over HTTP (`label_endpoints.py`).
"""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD
from assets.collection.receiving import FILES
from assets.labeling.given_answers import KNOWN_SQL, Answer, AnswersRefusedError, content_of, votes_by_source
from assets.labeling.sheets import ANSWERED_SQL, QUEUE_SQL
from assets.project import Project
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore

# What is open to somebody who answered the documents of the frame `answered`.
OPEN_SQL = f"""
SELECT * FROM ({QUEUE_SQL}) ANTI JOIN answered USING (document_id)
WHERE position > $after AND list_contains($sources::VARCHAR[], source) AND ($language IS NULL OR language = $language)
ORDER BY position LIMIT $limit
"""
COLLECTED_SQL = f"SELECT cursor_key FROM collection_cursors WHERE starts_with(cursor_key, '{FILES}')"
CIRCUMSTANCES = ("annotator", "seconds", "guideline")
"""What a vote says of itself; the rest is what it says of the document."""


Votes = dict[tuple[str, str], dict[str, Any]]
"""By document and annotator."""


class WaitingFiles:
    """Files of votes that no run has collected yet. Each is read once, and again when an erasure has changed it."""

    def __init__(self, store: ObjectStore) -> None:
        """Nothing is read yet."""
        self._store = store
        self._read: dict[tuple[str, str], Votes] = {}

    def votes(self, collected: Collection[str]) -> Votes:
        """The newest vote of each document and annotator.

        Args:
            collected: Keys of files that do not wait any more.
        """
        known, present = self._read, [(file.key, file.fingerprint) for file in self._store.list(FILES) if file.key not in collected]
        read = {file: known[file] if file in known else votes_in(self._store.get(file[0]).decode()) for file in present}
        self._read, newest = read, Votes()
        for votes in read.values():  # of a source, in the order of time
            newest |= votes
        return newest


class LabelingDesk:
    """The queue, and the one door by which answers come in."""

    def __init__(self, lakehouse: Lakehouse, store: ObjectStore, project: Project) -> None:
        """Nothing is read yet.

        Args:
            lakehouse: Holds the queue, and what was collected.
            store: Where answers wait.
            project: Says what the task is, and which sources there are.
        """
        self.lakehouse, self.store, self.project = lakehouse, store, project
        self._waiting = WaitingFiles(store)

    @property
    def sources(self) -> list[str]:
        """Sources whose documents can be answered: others are collected no more."""
        return [source.name for source in self.project.sources]

    def questions(
        self,
        annotator: str | None,
        limit: int,
        *,
        after: int = 0,
        sources: Collection[str] | None = None,
        language: str | None = None,
    ) -> pd.DataFrame:
        """What the queue asks somebody, most useful first: nothing that they answered already, collected or not.

        Args:
            annotator: Who is asked; None for nobody in particular, who answered nothing.
            limit: Most documents.
            after: Only behind this position.
            sources: Only of these; None for all of the project.
            language: Only in this language; None for all.

        Returns:
            One row per document: columns of `sheets.QUEUE_SQL`.
        """
        answered = pd.DataFrame({"document_id": sorted(self.answered_by(annotator)) if annotator else []}, dtype="str")
        asked = {"limit": limit, "after": after, "sources": sorted(self.sources if sources is None else sources), "language": language}
        return self.lakehouse.read(OPEN_SQL, asked, {"answered": answered})

    def answered_by(self, annotator: str) -> set[str]:
        """Documents that a person answered, answers included that no run has collected yet, but for labels doubted afterwards."""
        found = set(self.lakehouse.read(ANSWERED_SQL, {"annotator": annotator})["document_id"])
        return found | {document_id for document_id, name in self.waiting_votes() if name == annotator}

    def waiting_votes(self) -> Votes:
        """The newest vote of each document and annotator in files that no run has collected yet."""
        return self._waiting.votes(set(self.lakehouse.read(COLLECTED_SQL)["cursor_key"]))

    def prepare(self, answers: Sequence[Answer], name: str, sources: Collection[str] | None = None) -> dict[str, bytes]:
        """Check answers, and write them as files by key, named by the time: the newest count. What waits already is left out.

        Args:
            answers: What was answered; all of it is taken, or nothing.
            name: Of what they came in, for messages.
            sources: Only documents of these may be answered; None for all.

        Raises:
            UnknownDocumentError: An answer is about no clean document of these sources.
            AnswersRefusedError: One is none of the task's, or about a document whose source is no longer in the project.
        """
        named = {answer.document_id for answer in answers if "\0" not in answer.document_id}  # which DuckLake cannot look for
        wanted = pd.DataFrame({"document_id": sorted(named)}, dtype="str")
        known = self.lakehouse.read(KNOWN_SQL, frames={"wanted": wanted})
        known = known if sources is None else known[known["source"].isin(sources)]
        task, waiting = self.project.task, self.waiting_votes()
        votes_by_source(answers, known, task, name)
        new = [answer for answer in answers if content_of(answer, task) != said_by(waiting.get((answer.document_id, answer.annotator)))]
        votes = votes_by_source(new, known, task, name)
        gone = sorted(set(votes) - set(self.sources))
        if gone:
            raise AnswersRefusedError(f"{name}: nothing was taken; expected documents of the sources {self.sources}, found some of {gone}")
        at = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        return {f"{FILES}{source}/{at}-{uuid.uuid4().hex[:8]}.jsonl": lines.encode() for source, lines in votes.items()}

    def hand_in(self, files: Mapping[str, bytes]) -> None:
        """Put prepared files where collection finds them. If that fails in between, handing the answers in again adds what is missing."""
        for key, payload in files.items():
            self.store.put(key, payload)

    def keep(self, answers: Sequence[Answer], name: str) -> None:
        """Check answers and hand them in; errors are those of `prepare`."""
        self.hand_in(self.prepare(answers, name))


def votes_in(lines: str) -> Votes:
    """The votes in a file."""
    records = [json.loads(line) for line in lines.split("\n") if line]
    return {(record[DOCUMENT_ID_FIELD], vote["annotator"]): vote for record in records for vote in record["votes"]}


def said_by(vote: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a vote says of its document; nothing where there is none."""
    return {name: value for name, value in (vote or {}).items() if name not in CIRCUMSTANCES}

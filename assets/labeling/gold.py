"""Gold questions: documents whose answer is known because somebody gave it whose word is taken for it.

Such an answer is the label, whatever others say, and everybody else's answers to the same document are measured by it. Where gold
annotators disagree, nothing is known. An answer that is a list is right to a degree: the F1 of its labels or spans against the known ones.

Does not belong here: which gold questions are asked again (`queue.py`), what is kept of each annotator (`track_record.py`).
"""

from collections.abc import Callable, Sequence
from functools import cache

import pandas as pd

from assets.answers import decode_labels, decode_spans, labels_of_answer
from assets.project import Task

# One row per document that `$gold` annotators agree on.
GOLD_SQL = """
SELECT document_id, any_value(label) AS answer FROM annotations
WHERE list_contains($gold::VARCHAR[], annotator_id) GROUP BY document_id HAVING count(DISTINCT label) = 1
"""


def known_answers(votes: pd.DataFrame, gold_annotators: Sequence[str]) -> pd.Series:
    """The known answer of each document that has one, by document id.

    Args:
        votes: One row per vote: `document_id`, `annotator_id`, `label`.
        gold_annotators: Whose answers are taken for the truth.
    """
    given = votes[votes["annotator_id"].isin(gold_annotators)].groupby("document_id")["label"]
    return given.first()[given.min() == given.max()]


def decide_by_gold(decided: pd.DataFrame, votes: pd.DataFrame, task: Task, gold_annotators: Sequence[str]) -> pd.DataFrame:
    """Consensus with the known answers in place of what the votes say: certain, whatever the quorum.

    Args:
        decided: One row per document, columns of `labeled_documents`.
        votes: One row per vote on these documents.
        task: The task.
        gold_annotators: Whose answers are taken for the truth.
    """
    known = decided["document_id"].map(known_answers(votes, gold_annotators))
    is_known = known.notna()
    if not is_known.any():
        return decided
    decided = decided.assign(label=decided["label"].where(~is_known, known), confidence=decided["confidence"].where(~is_known, 1.0))
    shares = [
        certainty(answer, task) if found else share for answer, found, share in zip(known, is_known, decided["distribution"], strict=True)
    ]
    reason = decided["reason"].where(~is_known, None)
    return decided.assign(distribution=pd.Series(shares, index=decided.index), reason=reason, is_confident=reason.isna())


def certainty(answer: str, task: Task) -> list[float]:
    """The distribution of an answer beyond doubt."""
    if task.has_spans:
        return [1.0] * len(decode_spans(answer, task.labels))
    chosen = labels_of_answer(answer, task)
    return [float(label in chosen) for label in task.labels]


def rightness(given: pd.Series, known: pd.Series, task: Task) -> pd.Series:
    """How right each answer is, 0 to 1, row by row."""
    alike = similarity(task)
    return pd.Series([alike(one, other) for one, other in zip(given, known, strict=True)], index=given.index, dtype=float)


def similarity(task: Task) -> Callable[[str, str], float]:
    """How alike two answers of a task are, 0 to 1: equal or not for one label, else the F1 of one list against the other."""
    if not task.has_lists:
        return lambda one, other: float(one == other)

    @cache
    def members(answer: str) -> frozenset[object]:
        return frozenset(decode_spans(answer, task.labels) if task.has_spans else decode_labels(answer, task.labels))

    def f1(one: str, other: str) -> float:
        count = len(members(one)) + len(members(other))
        return 2 * len(members(one) & members(other)) / count if count else 1.0

    return f1


def measure_gold(votes: pd.DataFrame, task: Task, gold_annotators: Sequence[str]) -> tuple[int, float]:
    """How many answers people gave to gold questions, and how many of them were right (parts count where answers are lists)."""
    is_asked = (votes["voter_kind"] == "human") & ~votes["annotator_id"].isin(gold_annotators)
    asked = votes[is_asked].assign(known=votes["document_id"].map(known_answers(votes, gold_annotators)))
    asked = asked[asked["known"].notna()]
    return len(asked), float(rightness(asked["label"], asked["known"], task).sum())

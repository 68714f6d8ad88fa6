"""What is probably wrong, row by row, each with its reason in words: labels, labels of near duplicates, single votes.

- `model_disagrees`: models that did not learn from the document say otherwise (`label_errors.py`);
- `duplicates_differ`: an almost identical text has another label; the more doubtful of the two is named;
- `vote_contradicted`: somebody's vote is neither the label nor what the model says, which agree.

A score is how much the given answer is to be doubted, 0 to 1 (`label_errors.doubt`; for votes 1 less the vote's probability). Does not
belong here: predictions (`label_errors.py`), asking people again (`queue.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from assets.label_studio import Language
from assets.labeling.issue_words import say, sentence
from assets.labeling.label_errors import Floats, Ints
from assets.markdown import markdown_table
from assets.schemas import LABEL_ISSUES

Place = int | np.integer
NEIGHBOURS = 5
DUPLICATE_COSINE = 0.95
"""From this cosine on, texts of one sentence differ in a word or two."""
CONTRADICTED_BELOW = 0.1
"""A vote for a label that the model gives no more probability than this is contradicted."""


@dataclass(frozen=True)
class Evidence:
    """What is known of some documents beside their labels.

    Attributes:
        documents: One row per document: `document_id`, `source`, `label`, `is_confident`, `people` (votes of people), `agreed` (those of
            them for the label).
        names: The task's labels, in order.
        labels: Places of the documents' labels among them, (documents,).
        doubt: How much each label is to be doubted, 0 to 1, (documents,).
        probabilities: Of every label by a model that did not learn from the document, (documents, labels).
        neighbours: Places of the nearest documents, nearest first, (documents, n).
        cosines: Of those, (documents, n).
        language: Of the explanations.
    """

    documents: pd.DataFrame
    names: tuple[str, ...]
    labels: Ints
    doubt: Floats
    probabilities: Floats
    neighbours: Ints
    cosines: Floats
    language: Language

    @property
    def best(self) -> Ints:
        """The most probable label that was not given, (documents,)."""
        others = self.probabilities.copy()
        others[np.arange(len(self.labels)), self.labels] = -1
        return np.asarray(others.argmax(axis=1))


def doubted_labels(evidence: Evidence, limit: int) -> pd.DataFrame:
    """The most doubtful labels that the model contradicts: columns of `label_issues` but `found_at`.

    Args:
        evidence: What is known.
        limit: Most rows.
    """
    is_contradicted = evidence.probabilities.argmax(axis=1) != evidence.labels
    places = np.flatnonzero(is_contradicted & evidence.documents["is_confident"].to_numpy(dtype=bool))
    places = places[np.argsort(-evidence.doubt[places], kind="stable")][:limit]
    best = evidence.best
    explanations = [
        sentence([_people(evidence, place), *_model_and_neighbours(evidence, place, best[place])], evidence.language) for place in places
    ]
    return _rows(evidence, places, best[places], "model_disagrees", explanations)


def differing_duplicates(evidence: Evidence, limit: int) -> pd.DataFrame:
    """Labels that differ from that of an almost identical text and are less probable than it: as `doubted_labels`."""
    confident = evidence.documents["is_confident"].to_numpy(dtype=bool)
    is_twin = (evidence.cosines >= DUPLICATE_COSINE) & (evidence.labels[evidence.neighbours] != evidence.labels[:, None])
    is_twin &= confident[:, None] & confident[evidence.neighbours]
    is_twin &= evidence.doubt[:, None] > evidence.doubt[evidence.neighbours]
    places = np.flatnonzero(is_twin.any(axis=1))
    places = places[np.argsort(-evidence.doubt[places], kind="stable")][:limit]
    twins = evidence.neighbours[places, is_twin[places].argmax(axis=1)]
    cosines = evidence.cosines[places, is_twin[places].argmax(axis=1)]
    ids = evidence.documents["document_id"].to_numpy()
    explanations = [
        sentence([_people(evidence, place), _duplicate(evidence, str(ids[twin]), cosine, evidence.labels[twin])], evidence.language)
        for place, twin, cosine in zip(places, twins, cosines, strict=True)
    ]
    return _rows(evidence, places, evidence.labels[twins], "duplicates_differ", explanations)


def contradicted_votes(evidence: Evidence, votes: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Single votes that are neither the label nor what the model says: as `doubted_labels`; the given label is the vote's.

    Args:
        evidence: What is known.
        votes: One row per vote of a named person on these documents: `document_id`, `annotator_id`, `label`.
        limit: Most rows.
    """
    place = pd.Index(evidence.documents["document_id"]).get_indexer(pd.Index(votes["document_id"]))
    given = pd.Index(evidence.names).get_indexer(pd.Index(votes["label"]))
    confident = evidence.documents["is_confident"].to_numpy(dtype=bool)
    is_known = (place >= 0) & (given >= 0)
    place, given, voters = place[is_known], given[is_known], votes["annotator_id"].to_numpy()[is_known]
    probability = evidence.probabilities[place, given]
    said = evidence.probabilities.argmax(axis=1)[place]
    wrong = confident[place] & (given != evidence.labels[place]) & (said == evidence.labels[place]) & (probability <= CONTRADICTED_BELOW)
    order = np.flatnonzero(wrong)
    order = order[np.argsort(probability[order], kind="stable")][:limit]
    explanations = [sentence([_vote(evidence, str(voters[number]), given[number], place[number])], evidence.language) for number in order]
    rows = _rows(evidence, place[order], evidence.labels[place[order]], "vote_contradicted", explanations)
    names = np.array(evidence.names, dtype=object)
    return rows.assign(given_label=names[given[order]], annotator_id=voters[order], score=1 - probability[order])


def to_table(parts: Sequence[pd.DataFrame], found_at: datetime) -> pd.DataFrame:
    """All issues as rows of `label_issues`."""
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(found_at=pd.Timestamp(found_at))[LABEL_ISSUES.column_names()]


def _rows(evidence: Evidence, places: Sequence[int] | Ints, suggested: Ints, kind: str, explanations: list[str]) -> pd.DataFrame:
    found = evidence.documents.iloc[np.asarray(places, dtype=np.int64)]
    names = np.array(evidence.names, dtype=object)
    columns = {
        "document_id": found["document_id"].to_numpy(),
        "source": found["source"].to_numpy(),
        "kind": kind,
        "annotator_id": "",
        "given_label": found["label"].to_numpy(),
        "suggested_label": names[np.asarray(suggested, dtype=np.int64)],
        "score": evidence.doubt[np.asarray(places, dtype=np.int64)],
        "explanation": explanations,
    }
    return pd.DataFrame(columns)


def _people(evidence: Evidence, place: Place) -> str:
    row = evidence.documents.iloc[place]
    if not row["people"]:
        return say("nobody", evidence.language, label=row["label"])
    return say("people", evidence.language, agreed=int(row["agreed"]), voted=int(row["people"]), label=row["label"])


def _model_and_neighbours(evidence: Evidence, place: Place, other: Place) -> list[str]:
    names, label = evidence.names, evidence.labels[place]
    shares = evidence.probabilities[place]
    clauses = [say("model", evidence.language, other=names[other], probability=shares[other], label=names[label], own=shares[label])]
    around = evidence.labels[evidence.neighbours[place]]
    if len(around):
        counts = {"count": len(around), "alike": int((around == label).sum()), "others": int((around == other).sum())}
        clauses.append(say("neighbours", evidence.language, label=names[label], other=names[other], **counts))
    return clauses


def _duplicate(evidence: Evidence, twin: str, cosine: float, other: Place) -> str:
    return say("duplicate", evidence.language, twin=twin, cosine=cosine, other=evidence.names[other])


def _vote(evidence: Evidence, annotator: str, given: Place, place: Place) -> str:
    label = evidence.labels[place]
    facts = {"label": evidence.names[given], "other": evidence.names[label], "probability": evidence.probabilities[place, label]}
    return say("vote", evidence.language, annotator=annotator, **facts)


def issue_table(issues: pd.DataFrame, shown: int = 20) -> str:
    """The worst issues as a Markdown table, without texts."""
    worst = issues.sort_values("score", ascending=False, kind="stable").head(shown)
    rows = (
        (row["document_id"], row["source"], str(row["kind"]).replace("_", " "), f"{row['score']:.2f}", row["explanation"])
        for row in worst.to_dict("records")
    )
    return markdown_table(("document", "source", "kind", "score", "why"), rows)

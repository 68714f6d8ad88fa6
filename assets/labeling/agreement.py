"""How much annotators agree: Krippendorff's alpha per source.

Interval alpha where votes are numeric ratings, nominal alpha where they are labels (Krippendorff, Content Analysis, 4th ed., ch.
12; computed by the `krippendorff` package). Large sources are estimated on a fixed sample of documents.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

Level = Literal["interval", "nominal"]
MAX_UNITS_PER_SOURCE = 50_000
MAX_DISTINCT_VALUES = 200

# One row per document, answer and source with the number of human votes; the newest vote of an annotator counts.
VOTE_COUNTS_SQL = f"""
SELECT source, document_id, label, value, count(*) AS votes
FROM annotations
WHERE voter_kind = 'human' AND document_id IN (
    SELECT document_id FROM (
        SELECT source, document_id, row_number() OVER (PARTITION BY source ORDER BY hash(document_id)) AS position
        FROM clean_documents)
    WHERE position <= {MAX_UNITS_PER_SOURCE})
GROUP BY ALL
ORDER BY ALL
"""


@dataclass(frozen=True)
class Agreement:
    """Agreement on one source.

    Attributes:
        source: The source.
        alpha: Krippendorff's alpha, at most 1; 0 is chance.
        level: `interval` for ratings, `nominal` for labels.
        documents: Documents with at least two votes.
        votes: Votes on them.
    """

    source: str
    alpha: float
    level: Level
    documents: int
    votes: int


def measure_agreement(vote_counts: pd.DataFrame) -> list[Agreement]:
    """Alpha of every source that has a document with two votes and more than one answer.

    Args:
        vote_counts: One row per source, document and answer: `source`, `document_id`, `label`, `value`, `votes`.
    """
    measured = [_measure_source(str(source), frame) for source, frame in vote_counts.groupby("source", sort=True)]
    return [agreement for agreement in measured if agreement is not None]


def _measure_source(source: str, frame: pd.DataFrame) -> Agreement | None:
    import krippendorff  # not while definitions load

    is_rated = bool(frame["value"].notna().all()) and frame["value"].nunique() <= MAX_DISTINCT_VALUES
    answers = frame["value"] if is_rated else frame["label"]
    table = frame.assign(answer=answers).pivot_table(index="document_id", columns="answer", values="votes", aggfunc="sum", fill_value=0)
    table = table[table.sum(axis=1) >= 2]
    if table.empty or (table.sum(axis=0) > 0).sum() < 2:
        return None
    counts = table.to_numpy(dtype=np.int64)
    level: Level = "interval" if is_rated else "nominal"
    domain = table.columns.to_numpy(dtype=float) if is_rated else np.arange(table.shape[1])
    alpha = krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level)
    return Agreement(source, float(alpha), level, len(table), int(counts.sum()))

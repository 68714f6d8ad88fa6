"""How many documents come in every week, and how many are to be expected: a straight line through the full weeks, no more.

The first week is left out, since it holds what had gathered before; so is the present one, which is not over.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

LEAST_WEEKS = 3
# Collection only appends: what cleaning or labels rebuild does not count again.
WEEKLY_SQL = """
SELECT date_trunc('week', created_at) AS week, sum(rows_out)::BIGINT AS documents
FROM lake.main.increments WHERE asset = 'raw_documents' AND state = 'approved' GROUP BY 1 ORDER BY 1"""


@dataclass(frozen=True)
class Line:
    """Documents of week n, n counted from the first full week: `start + slope * n`.

    Attributes:
        start: Documents of the first week on the line.
        slope: How many more each week.
        spread: Standard deviation of the weeks from the line, with n - 2 degrees of freedom.
        weeks: How many weeks it was drawn through.
    """

    start: float
    slope: float
    spread: float
    weeks: int

    def expected(self, weeks_ahead: int) -> float:
        """Documents of all the coming weeks together, never negative in one."""
        return sum(max(0.0, self.start + self.slope * (self.weeks - 1 + ahead)) for ahead in range(1, weeks_ahead + 1))

    def spread_of_sum(self, weeks_ahead: int) -> float:
        """Standard deviation of that sum if weeks differ from the line independently; that the line may be wrong is not in it."""
        return self.spread * math.sqrt(weeks_ahead)


def full_weeks(weekly: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """One row per week between the first and the present one, weeks without documents included: `week` (its Monday), `documents`.

    Args:
        weekly: Weeks with documents: `week`, `documents`.
        now: The present.
    """
    if weekly.empty:
        return weekly
    present = pd.Timestamp(now - timedelta(days=now.weekday())).normalize()
    weeks = pd.date_range(weekly["week"].min() + timedelta(days=7), present - timedelta(days=7), freq="7D")
    counts = weekly.set_index("week")["documents"].reindex(weeks, fill_value=0)
    return pd.DataFrame({"week": weeks, "documents": counts.to_numpy()})


def fit_line(documents: Sequence[float]) -> Line | None:
    """The least-squares line through the documents of consecutive weeks; None with fewer than three."""
    if len(documents) < LEAST_WEEKS:
        return None
    numbers = np.arange(len(documents), dtype=float)
    values = np.asarray(documents, dtype=float)
    slope = float(np.sum((numbers - numbers.mean()) * (values - values.mean())) / np.sum((numbers - numbers.mean()) ** 2))
    start = float(values.mean() - slope * numbers.mean())
    left = values - start - slope * numbers
    return Line(start, slope, math.sqrt(float(left @ left) / (len(values) - 2)), len(values))

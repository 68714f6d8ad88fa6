"""The gate: whether a challenger replaces the champion, judged on the same frozen test rows. What cannot be judged is refused.

The rule. A first model is promoted when its numbers are complete. A later one must not lose:
- overall, it loses when its metric is lower than the champion's by more than `max_overall_loss`: nobody wants the better-measured of two
  models replaced, however small the difference, so no interval excuses it;
- on a source, it loses when its metric is lower by more than `max_slice_loss` AND the 95 % interval of the paired bootstrap lies wholly
  below 0: a source has few rows, and chance alone would refuse almost every challenger on one of many.

Does not belong here: scoring the two models (`scoring.py`), recording the decision (the stage's `assets.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from assets.project import Promotion
from assets.training.evaluation import OVERALL, number_groups, slices_of
from assets.training.metrics import Floats, bootstrap_metrics, bootstrap_weights, compute_metrics, interval
from assets.training.predictions import Predictions, PredictionsError, require_rows, statistics_of


@dataclass(frozen=True)
class Decision:
    """What the gate decided.

    Attributes:
        decision: `promoted` or `refused`.
        reason: Why, in words.
        evidence: `metric`, `rows`, `bootstrap_samples`, the thresholds, and per slice challenger, champion, difference, low, high, rows.
    """

    decision: Literal["promoted", "refused"]
    reason: str
    evidence: dict[str, Any]


def judge(
    challenger: Predictions | None,
    champion: Predictions | None,
    test: pd.DataFrame,
    labels: Sequence[str],
    settings: Promotion,
    seed: int,
    is_first: bool = False,
) -> Decision:
    """Compare challenger and champion on the frozen test rows.

    Args:
        challenger: Its predictions in the order of the test rows; None when it could not be scored.
        champion: The champion's on the same rows; None when there is no champion or it could not be scored.
        test: One row per document; read: `source`, `group_id`, `label`, `mean_rating`.
        labels: The task's labels.
        settings: Metric, thresholds and bootstrap samples.
        seed: Of the bootstrap.
        is_first: There is no champion yet. A champion that could not be scored is no reason to promote.
    """
    evidence: dict[str, Any] = {
        "metric": settings.metric,
        "rows": len(test),
        "bootstrap_samples": settings.bootstrap_samples,
        "max_overall_loss": settings.max_overall_loss,
        "max_slice_loss": settings.max_slice_loss,
        "slices": {},
    }
    if challenger is None or (champion is None and not is_first):
        missing = "challenger" if challenger is None else "champion"
        return Decision("refused", f"Expected predictions of challenger and champion, found none of the {missing}.", evidence)
    if test.empty:
        return Decision("refused", "Expected test rows to compare on, found none.", evidence)
    try:
        evidence["slices"] = _compare(challenger, champion, test, labels, settings, seed)
    except PredictionsError as error:
        return Decision("refused", f"The comparison is impossible: {error}.", evidence)
    return _decide(evidence, settings, is_first=champion is None)


def _decide(evidence: dict[str, Any], settings: Promotion, is_first: bool) -> Decision:
    slices = evidence["slices"]
    needed = ("challenger",) if is_first else ("challenger", "champion", "difference", "low", "high")
    missing = [f"{name} ({key})" for name, entry in slices.items() for key in needed if entry[key] is None]
    if missing:
        return Decision("refused", f"Expected {settings.metric} on every slice, found no number for {', '.join(missing)}.", evidence)
    if is_first:
        return Decision("promoted", f"First model: {settings.metric} {slices[OVERALL]['challenger']:.4f} overall.", evidence)
    losses = [_describe(name, entry, settings.metric) for name, entry in slices.items() if _is_lost(name, entry, settings)]
    if losses:
        return Decision("refused", f"The challenger loses: {'; '.join(losses)}.", evidence)
    return Decision("promoted", f"The challenger does not lose: {_describe(OVERALL, slices[OVERALL], settings.metric)}.", evidence)


def _is_lost(name: str, entry: dict[str, Any], settings: Promotion) -> bool:
    if name == OVERALL:
        return bool(entry["difference"] < -settings.max_overall_loss)
    return bool(entry["difference"] < -settings.max_slice_loss and entry["high"] < 0)


def _describe(name: str, entry: dict[str, Any], metric: str) -> str:
    values = f"{metric} {entry['challenger']:.4f} against {entry['champion']:.4f}"
    return f"{name}: {values} (difference {entry['difference']:+.4f}, 95 % interval {entry['low']:+.4f} to {entry['high']:+.4f})"


def _compare(
    challenger: Predictions, champion: Predictions | None, test: pd.DataFrame, labels: Sequence[str], settings: Promotion, seed: int
) -> dict[str, dict[str, float | int | None]]:
    """Per slice both values, their difference and its paired bootstrap interval; None where a number is missing."""
    for predictions in (challenger, champion):
        _require_complete(predictions, test)
    found: dict[str, dict[str, float | int | None]] = {}
    for name, mask in slices_of(test):
        part = test[mask]
        ours = _measure(challenger.take(mask), part, labels, settings, seed)
        entry: dict[str, float | int | None] = {"rows": int(mask.sum()), "challenger": _number(ours[0])}
        if champion is not None:
            theirs = _measure(champion.take(mask), part, labels, settings, seed)
            low, high = interval(ours[1] - theirs[1])
            entry |= {
                "champion": _number(theirs[0]),
                "difference": _number(ours[0] - theirs[0]),
                "low": _number(low),
                "high": _number(high),
            }
        found[name] = entry
    return found


def _require_complete(predictions: Predictions | None, test: pd.DataFrame) -> None:
    if predictions is None:
        return
    require_rows(predictions, len(test))
    for name, values in (("probabilities", predictions.probabilities), ("valence", predictions.valence)):
        if values is not None and (len(values) != len(test) or not np.isfinite(values).all()):
            raise PredictionsError(f"{predictions.scorer}: expected {name} for every test row, found missing or infinite numbers")


def _measure(predictions: Predictions, test: pd.DataFrame, labels: Sequence[str], settings: Promotion, seed: int) -> tuple[float, Floats]:
    """The metric, and its values on the bootstrap samples; the same seed draws the same groups for both models: the pairs."""
    statistics = statistics_of(predictions, test, labels)
    groups = statistics.by_group(number_groups(test))
    drawn = bootstrap_metrics(groups, bootstrap_weights(len(groups.labels), settings.bootstrap_samples, seed))
    nothing = np.full(settings.bootstrap_samples, np.nan)
    return float(compute_metrics(statistics.total()).get(settings.metric, np.nan)), drawn.get(settings.metric, nothing)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

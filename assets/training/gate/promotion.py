"""The gate: whether a challenger replaces the champion, judged on the same frozen test rows. What cannot be judged is refused.

The rule. Every champion, the first too, meets the absolute criteria of the policy (`criteria.py`) and was served without a fault. A
later one must besides not lose:
- overall, it loses when its metric is lower than the champion's by more than `max_overall_loss`: nobody wants the better-measured of two
  models replaced, however small the difference, so no interval excuses it;
- on a source, it loses when its metric is lower by more than `max_slice_loss` AND the 95 % interval of the paired bootstrap lies wholly
  below 0: a source has few rows, and chance alone would refuse almost every challenger on one of many.

Does not belong here: scoring the two models and trying the challenger (`promoting.py`), recording the decision (`registry.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from assets.project import Task
from assets.training.gate.criteria import Criterion, Trial, list_criteria
from assets.training.judging.evaluation import OVERALL, number_groups, slices_of
from assets.training.judging.metrics import Floats, bootstrap_metrics, bootstrap_weights, compute_metrics, interval
from assets.training.judging.predictions import Predictions, PredictionsError, require_rows, statistics_of
from assets.training_settings import Promotion

Slices = dict[str, dict[str, float | int | None]]


@dataclass(frozen=True)
class Decision:
    """What the gate decided.

    Attributes:
        decision: `promoted` or `refused`.
        reason: Why, in words.
        evidence: `metric`, `rows`, `bootstrap_samples`, the thresholds; per slice challenger, champion, difference, low, high, rows; every
            criterion with what was found; results of the behavioural tests and of the serving app; what the wiring knows besides.
    """

    decision: Literal["promoted", "refused"]
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class _Measured:
    """One model on one slice: every metric, and the compared one on each bootstrap sample."""

    metrics: dict[str, float]
    drawn: Floats


def judge(
    challenger: Predictions | None,
    champion: Predictions | None,
    test: pd.DataFrame,
    task: Task,
    settings: Promotion,
    seed: int,
    is_first: bool = False,
    trial: Trial | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Decision:
    """Compare challenger and champion on the frozen test rows, and the challenger with the policy.

    Args:
        challenger: Its predictions in the order of the test rows; None when it could not be scored.
        champion: The champion's on the same rows; None when there is no champion or it could not be scored.
        test: One row per document; read: `source`, `group_id`, `label`, `mean_rating`.
        task: Kind and labels.
        settings: Metric, thresholds and bootstrap samples.
        seed: Of the bootstrap.
        is_first: There is no champion yet. A champion that could not be scored is no reason to promote.
        trial: What was measured of the challenger alone; None measures nothing, which fails every criterion about it.
        facts: More evidence, as it is: hash of the test file, leakage; `problems` says why predictions are missing.
    """
    tried = trial or Trial()
    evidence = _describe_terms(settings, len(test)) | dict(facts or {}) | _describe_trial(tried)
    why = "".join(f" {problem}" for problem in evidence.get("problems", ()))
    if test.empty:
        return Decision("refused", f"Expected test rows to compare on, found none.{why}", evidence)
    if challenger is None or (champion is None and not is_first):
        missing = "challenger" if challenger is None else "champion"
        return Decision("refused", f"Expected predictions of challenger and champion, found none of the {missing}.{why}", evidence)
    try:
        ours = _measure_slices(challenger, test, task, settings, seed)
        theirs = _measure_slices(champion, test, task, settings, seed) if champion is not None else None
    except PredictionsError as error:
        return Decision("refused", f"The comparison is impossible: {error}.", evidence)
    evidence["slices"] = _compare(ours, theirs, test, settings.metric)
    criteria = list_criteria({name: found.metrics for name, found in ours.items()}, OVERALL, tried, settings, task)
    evidence["criteria"] = [asdict(criterion) | {"is_met": criterion.is_met} for criterion in criteria]
    return _decide(evidence, criteria, tried, settings, is_first=champion is None)


def _describe_terms(settings: Promotion, rows: int) -> dict[str, Any]:
    terms = {name: getattr(settings, name) for name in ("metric", "bootstrap_samples", "max_overall_loss", "max_slice_loss")}
    return {**terms, "rows": rows, "slices": {}, "criteria": []}


def _describe_trial(trial: Trial) -> dict[str, Any]:
    behaviours = {result.suite: {key: value for key, value in asdict(result).items() if key != "suite"} for result in trial.behaviours}
    return {"behaviours": behaviours, "serving": asdict(trial.smoke) if trial.smoke else None, "model_bytes": trial.model_bytes}


def _decide(evidence: dict[str, Any], criteria: list[Criterion], trial: Trial, settings: Promotion, is_first: bool) -> Decision:
    slices = evidence["slices"]
    needed = ("challenger",) if is_first else ("challenger", "champion", "difference", "low", "high")
    missing = [f"{name} ({key})" for name, entry in slices.items() for key in needed if entry[key] is None]
    if missing:
        return Decision("refused", f"Expected {settings.metric} on every slice, found no number for {', '.join(missing)}.", evidence)
    losses = (
        [] if is_first else [_describe(name, entry, settings.metric) for name, entry in slices.items() if _is_lost(name, entry, settings)]
    )
    failed = [criterion.describe() for criterion in criteria if not criterion.is_met]
    served = [] if trial.smoke is None or not trial.smoke.problem else [f"Serving: {trial.smoke.problem}."]
    reasons = [
        *([f"The challenger loses: {'; '.join(losses)}."] if losses else []),
        *([f"It does not meet the policy: {'; '.join(failed)}."] if failed else []),
        *(served if trial.smoke is not None else ["Serving: expected a smoke test of the serving app, found none."]),
    ]
    if reasons:
        return Decision("refused", " ".join(reasons), evidence)
    if is_first:
        return Decision("promoted", f"First model: {settings.metric} {slices[OVERALL]['challenger']:.4f} overall.", evidence)
    return Decision("promoted", f"The challenger does not lose: {_describe(OVERALL, slices[OVERALL], settings.metric)}.", evidence)


def _is_lost(name: str, entry: dict[str, Any], settings: Promotion) -> bool:
    if name == OVERALL:
        return bool(entry["difference"] < -settings.max_overall_loss)
    return bool(entry["difference"] < -settings.max_slice_loss and entry["high"] < 0)


def _describe(name: str, entry: dict[str, Any], metric: str) -> str:
    values = f"{metric} {entry['challenger']:.4f} against {entry['champion']:.4f}"
    return f"{name}: {values} (difference {entry['difference']:+.4f}, 95 % interval {entry['low']:+.4f} to {entry['high']:+.4f})"


def _compare(ours: dict[str, _Measured], theirs: dict[str, _Measured] | None, test: pd.DataFrame, metric: str) -> Slices:
    """Per slice both values, their difference and its paired bootstrap interval; None where a number is missing."""
    found: Slices = {}
    for name, mask in slices_of(test):
        own = ours[name].metrics.get(metric, np.nan)
        entry: dict[str, float | int | None] = {"rows": int(mask.sum()), "challenger": _number(own)}
        if theirs is not None:
            other = theirs[name].metrics.get(metric, np.nan)
            low, high = interval(ours[name].drawn - theirs[name].drawn)
            entry |= {"champion": _number(other), "difference": _number(own - other), "low": _number(low), "high": _number(high)}
        found[name] = entry
    return found


def _require_complete(predictions: Predictions, test: pd.DataFrame) -> None:
    require_rows(predictions, len(test))
    for name, values in (("probabilities", predictions.probabilities), ("valence", predictions.valence)):
        if values is not None and (len(values) != len(test) or not np.isfinite(values).all()):
            raise PredictionsError(f"{predictions.scorer}: expected {name} for every test row, found missing or infinite numbers")


def _measure_slices(predictions: Predictions, test: pd.DataFrame, task: Task, settings: Promotion, seed: int) -> dict[str, _Measured]:
    _require_complete(predictions, test)
    return {name: _measure(predictions.take(mask), test[mask], task, settings, seed) for name, mask in slices_of(test)}


def _measure(predictions: Predictions, test: pd.DataFrame, task: Task, settings: Promotion, seed: int) -> _Measured:
    """Every metric, and the compared one on the bootstrap samples; the same seed draws the same groups for both models: the pairs."""
    statistics = statistics_of(predictions, test, task)
    groups = statistics.by_group(number_groups(test))
    drawn = bootstrap_metrics(groups, bootstrap_weights(len(groups.labels), settings.bootstrap_samples, seed))
    nothing = np.full(settings.bootstrap_samples, np.nan)
    metrics = {name: float(value) for name, value in compute_metrics(statistics.total()).items()}
    return _Measured(metrics, drawn.get(settings.metric, nothing))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

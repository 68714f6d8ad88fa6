"""What every champion must be able to do, beside winning: absolute scores, calibration, behaviour, serving, size. Nothing is assumed.

Each criterion compares one number with one limit of the project's promotion policy. A number that is missing or is not finite fails.
Does not belong here: measuring (`behaviours.py`, `smoke.py`, the wiring), the comparison with the champion (`promotion.py`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from assets.project import Task
from assets.training.gate.behaviours import SuiteResult, suits
from assets.training.gate.smoke import SmokeResult
from assets.training_settings import Promotion

BUILT_IN = ("typos", "names", "emoji", "punctuation", "casing", "whitespace", "negation")


@dataclass(frozen=True)
class Trial:
    """What was measured of the challenger alone.

    Attributes:
        behaviours: Its results on the behavioural tests.
        smoke: What the serving app did; None when it was not tried.
        model_bytes: Size of its files together; None when not known.
    """

    behaviours: tuple[SuiteResult, ...] = ()
    smoke: SmokeResult | None = None
    model_bytes: int | None = None


@dataclass(frozen=True)
class Criterion:
    """One number beside its limit.

    Attributes:
        name: What was measured, for example `macro_f1 (source=news)`.
        bound: Whether the limit is the lowest or the highest value allowed.
        limit: The limit.
        found: The number; None when it is missing or not finite.
    """

    name: str
    bound: Literal["at least", "at most"]
    limit: float
    found: float | None

    @property
    def is_met(self) -> bool:
        """The number is there and within its limit."""
        if self.found is None:
            return False
        return self.found >= self.limit if self.bound == "at least" else self.found <= self.limit

    def describe(self) -> str:
        """The criterion in words."""
        found = "no number" if self.found is None else f"{self.found:.6g}"
        return f"{self.name}: expected {self.bound} {self.limit:g}, found {found}"


def list_criteria(
    slices: Mapping[str, Mapping[str, float]], overall: str, trial: Trial, settings: Promotion, task: Task
) -> list[Criterion]:
    """Every criterion of the policy with what was found.

    Args:
        slices: Metrics of the challenger by slice and name.
        overall: Name of the slice of all rows.
        trial: What else was measured.
        settings: The policy.
        task: Kind and labels: spans have no calibration, and some behavioural tests do not suit some tasks.
    """
    return [*_scores(slices, overall, settings, task), *_behaviours(trial.behaviours, settings, task), *_serving(trial, settings)]


def _scores(slices: Mapping[str, Mapping[str, float]], overall: str, settings: Promotion, task: Task) -> Iterator[Criterion]:
    for metric, limit in settings.min_scores.items():
        yield Criterion(f"{metric} ({overall})", "at least", limit, _finite(slices[overall].get(metric)))
    for name in slices:
        for metric, limit in settings.min_slice_scores.items() if name != overall else ():
            yield Criterion(f"{metric} ({name})", "at least", limit, _finite(slices[name].get(metric)))
    if settings.max_ece is not None and not task.has_spans:
        yield Criterion(f"ece ({overall})", "at most", settings.max_ece, _finite(slices[overall].get("ece")))


def _behaviours(results: Sequence[SuiteResult], settings: Promotion, task: Task) -> Iterator[Criterion]:
    found = {result.suite: result.pass_rate for result in results}
    for suite, limit in settings.min_behaviour_pass_rate.items():
        is_left_out = suite in BUILT_IN and suite not in found and (suite not in settings.behaviours or not suits(suite, task))
        if not is_left_out:
            yield Criterion(f"share of passed cases ({suite})", "at least", limit, _finite(found.get(suite)))


def _serving(trial: Trial, settings: Promotion) -> Iterator[Criterion]:
    if settings.max_latency_ms is not None:
        p95 = trial.smoke.p95_ms if trial.smoke else None
        yield Criterion("milliseconds of a request, 95th percentile", "at most", settings.max_latency_ms, _finite(p95))
    if settings.max_model_bytes is not None:
        yield Criterion("bytes of the model", "at most", settings.max_model_bytes, _finite(trial.model_bytes))


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)

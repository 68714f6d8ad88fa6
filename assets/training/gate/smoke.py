"""The smoke test of a served model: does the real serving app answer, as the batch scorer does, and how fast.

Belongs here: what is asked, the comparison, the latencies. Does not belong here: starting the app (`resources/compute.py`), HTTP
(`resources/prediction_api.py`), the limits (`criteria.py`).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.answers import CONTEXT_MARKER, QUESTION_MARKER, decode_spans
from assets.project import Project, Task

Ask = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""Sends texts to the serving app; its answers, one per text in order: `answer`, `probabilities` by label or None."""

SMOKE = "smoke"
LONG_CHARS = 10_000
WARM_UP_REQUESTS = 5
TIMED_REQUESTS = 60
TOLERANCES = {"fp32": 1e-3, "int8": 0.1}
ROUGH_TOLERANCE = 0.03
"""Largest difference of a probability: in numbers with fewer digits the other texts of a batch show in the result, with int8 the most."""
SHARED_SPANS = 0.5
"""Of the spans that either way finds, in numbers with fewer digits; in fp32 all are shared."""


@dataclass(frozen=True)
class SmokeResult:
    """What the serving app did.

    Attributes:
        problem: Why it cannot be trusted; empty if it answered as the batch scorer did.
        requests: Requests timed.
        p50_ms: Median time of a request with one text, as a client sees it; None when it was not measured.
        p95_ms: 95th percentile of the same.
    """

    problem: str
    requests: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


def serving_job(project: Project, folder: Path, host: str = "127.0.0.1", port: int = 0) -> dict[str, Any]:
    """The job of the serving app: a text that cleaning lets through is one that the app answers."""
    longest = max(20_000, project.cleaning.max_chars)
    limits = {"max_text_chars": longest, "max_body_bytes": max(2_000_000, 8 * longest)}
    return {"model_folder": str(folder), "host": host, "port": port, "limits": limits}


def smoke_texts(task: Task) -> pd.DataFrame:
    """One row per text to try: `document_id`, `text`: English, Chinese, empty, very long, emoji only."""
    sentence = "The quick brown fox jumps over the lazy dog. 敏捷的棕色狐狸跳过了懒狗。"
    texts = {
        "english": "The delivery was quick, and the film is great.",
        "chinese": "送货很快，这部电影很好看。",
        "empty": "",
        "long": (sentence * (LONG_CHARS // len(sentence) + 1))[:LONG_CHARS],
        "emoji": "😀👍🏽🎉",
    }
    if task.kind == "question_answering":
        texts = {name: f"{QUESTION_MARKER} What is it? {CONTEXT_MARKER} {text}" for name, text in texts.items()}
    return pd.DataFrame({"document_id": [f"{SMOKE}/{name}" for name in texts], "text": list(texts.values())}, dtype="object")


def try_server(
    ask: Ask,
    reference: pd.DataFrame,
    texts: Sequence[str],
    task: Task,
    precision: str,
    clock: Callable[[], float] = time.perf_counter,
) -> SmokeResult:
    """Compare the app's answers with the batch scorer's, then time requests with one text each.

    Args:
        ask: The app.
        reference: One row per text of `smoke_texts` as batch scoring answers it: `document_id`, `text`, `label`, `probabilities`.
        texts: Texts of real length to time; taken in turn.
        task: Kind and labels.
        precision: Number format the app computes in; decides how close probabilities must be.
        clock: Seconds.
    """
    answers = ask(reference["text"].tolist())
    if len(answers) != len(reference):
        return SmokeResult(f"expected {len(reference)} answers of the serving app, found {len(answers)}")
    tolerance = TOLERANCES.get(precision, ROUGH_TOLERANCE)
    differing = [
        f"{row['document_id']} ({difference})"
        for row, answer in zip(reference.to_dict("records"), answers, strict=True)
        if (difference := _difference({str(key): value for key, value in row.items()}, answer, task, tolerance))
    ]
    if differing:
        return SmokeResult(f"expected the serving app to answer as batch scoring does, found another answer on {', '.join(differing)}")
    for number in range(WARM_UP_REQUESTS):
        ask([texts[number % len(texts)]])
    times = [_time(ask, texts[number % len(texts)], clock) for number in range(TIMED_REQUESTS)]
    p50, p95 = np.percentile(times, [50, 95])
    return SmokeResult("", len(times), float(p50), float(p95))


def _time(ask: Ask, text: str, clock: Callable[[], float]) -> float:
    start = clock()
    ask([text])
    return 1000 * (clock() - start)


def _difference(expected: Mapping[str, Any], answer: Mapping[str, Any], task: Task, tolerance: float) -> str:
    """How an answer differs from the batch scorer's; empty if it does not."""
    if task.has_spans:
        return _span_difference(str(expected["label"]), answer.get("answer"), task, is_exact=tolerance == TOLERANCES["fp32"])
    given = answer.get("probabilities")
    if not isinstance(given, Mapping) or set(given) != set(task.labels):
        return "no probabilities"
    shares = dict(zip(task.labels, map(float, expected["probabilities"]), strict=True))
    largest = max(abs(shares[label] - float(given[label])) for label in task.labels)
    if not math.isfinite(largest) or largest > tolerance:
        return f"a probability differs by {largest:.4f}, allowed {tolerance:g}"
    is_same = answer.get("answer") == expected["label"] or _is_tie(shares, answer.get("answer"), expected["label"], tolerance)
    return "" if is_same else "another label"


def _is_tie(shares: Mapping[str, float], found: object, expected: str, tolerance: float) -> bool:
    """Two labels whose probabilities are closer than the tolerance may change places."""
    return found in shares and expected in shares and abs(shares[str(found)] - shares[expected]) <= 2 * tolerance


def _span_difference(expected: str, found: object, task: Task, *, is_exact: bool) -> str:
    if found == expected:
        return ""
    if is_exact or not isinstance(found, str):
        return "other spans"
    ours, theirs = set(decode_spans(expected, task.labels)), set(decode_spans(found, task.labels))
    return "" if len(ours & theirs) >= SHARED_SPANS * len(ours | theirs) else "other spans"

"""Tables of the evaluation report in Markdown, from an evaluation frame. Nothing is computed here, and no text of a document is shown.

Does not belong here: the order of the report and its sentences (`report.py`), drawing (`figures.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.answers import decode_spans
from assets.project import Task
from assets.training.judging.evaluation import COMPARED_METRICS, OVERALL, value_of
from assets.training.judging.metrics import Floats
from assets.training.judging.predictions import Predictions
from assets.training.judging.span_metrics import word_tags

METRIC_NAMES = {
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "token_macro_f1": "macro F1 of words",
    "pearson_r": "Pearson r",
    "ece": "ECE",
    "brier": "Brier",
}
AVERAGES = ("micro", "macro", "weighted")
LONGEST_ANSWER = 80
"""Characters of an answer shown in a table."""


def headline_metrics(frame: pd.DataFrame) -> dict[str, str]:
    """The metrics of the headline and their names: those that any scorer has, without doubles.

    Where a row has one label micro F1 is the accuracy; for answers to questions exact match is what accuracy is elsewhere.
    """
    found = set(frame["metric"])
    doubles = {"micro_f1"} if frame["metric"].str.startswith("confusion/").any() else set()
    doubles |= {"accuracy"} if "exact_match" in found else set()
    return {metric: name for metric, name in METRIC_NAMES.items() if metric in found - doubles}


def headline_table(frame: pd.DataFrame) -> str:
    """One row per scorer, overall values with intervals."""
    metrics = headline_metrics(frame)
    rows = [[scorer, *(with_interval(*value_of(frame, scorer, metric)) for metric in metrics)] for scorer in scorers_of(frame)]
    return table(["scorer", *metrics.values()], rows)


def source_sections(frame: pd.DataFrame) -> list[str]:
    """One table per metric that any scorer has: scorers down, sources across."""
    slices = [name for name in frame["slice"].unique() if name != OVERALL]
    sections = []
    for metric in ("pearson_r", "macro_f1"):
        if (frame["metric"] == metric).any():
            rows = [[scorer, *(with_interval(*value_of(frame, scorer, metric, name)) for name in slices)] for scorer in scorers_of(frame)]
            text = table(["scorer", *(escape(name.removeprefix("source=")) for name in slices)], rows)
            sections.append(f"## {METRIC_NAMES[metric]} by source\n\n{text}")
    return sections


def comparison_sections(frame: pd.DataFrame, scorer: str) -> list[str]:
    """One table per compared metric: how far the scorer is above each other one, with the p value, by slice."""
    slices = list(frame["slice"].unique())
    sections = []
    for metric in COMPARED_METRICS:
        prefix = f"difference/{metric}/"
        rivals = [name.removeprefix(prefix) for name in frame["metric"].unique() if name.startswith(prefix)]
        rows = [[rival, *(_difference(frame, scorer, metric, rival, name) for name in slices)] for rival in rivals]
        if rows:
            text = table([f"{scorer} minus", *(escape(name.removeprefix("source=")) for name in slices)], rows)
            sections.append(f"## Difference of {METRIC_NAMES[metric]}\n\n{text}")
    return sections


def label_table(frame: pd.DataFrame, scorer: str, labels: Sequence[str], prefix: str = "") -> str:
    """Precision, recall, F1 and support of every label, then their averages.

    Args:
        frame: An evaluation frame.
        scorer: Whose.
        labels: Labels, or tags of words.
        prefix: Of the metrics' names.
    """
    columns = ("precision", "recall", "f1")
    supports = [value_of(frame, scorer, f"{prefix}support/{label}")[0] for label in labels]
    rows = [
        [escape(label), *(number(value_of(frame, scorer, f"{prefix}{metric}/{label}")[0]) for metric in columns), _count(support)]
        for label, support in zip(labels, supports, strict=True)
    ]
    for average in AVERAGES:
        cells = [number(value_of(frame, scorer, f"{prefix}{average}_{metric}")[0]) for metric in columns]
        rows.append([f"*{average} average*", *cells, _count(float(np.nansum([*supports])))])
    return table(["label", "precision", "recall", "F1", "support"], rows)


def word_table(frame: pd.DataFrame, scorer: str, labels: Sequence[str]) -> str:
    """The label table over words: B and I of every label, averages over those, and the words outside all spans by themselves."""
    *tags, outside = word_tags(labels)
    inside = label_table(frame, scorer, tags, "token_")
    alone = label_table(frame, scorer, [outside], "token_").splitlines()[2]
    accuracy = number(value_of(frame, scorer, "token_accuracy")[0])
    return f"{inside}\n{alone}\n\nAccuracy over all words: {accuracy}."


def error_table(frame: pd.DataFrame) -> str:
    """Wrong and missed spans of every scorer by kind."""
    kinds = [name.removeprefix("errors/") for name in frame["metric"].unique() if name.startswith("errors/")]
    rows = [[scorer, *(_count(value_of(frame, scorer, f"errors/{kind}")[0]) for kind in kinds)] for scorer in scorers_of(frame)]
    return table(["scorer", *(kind.replace("_", " ") for kind in kinds)], rows)


def wrong_rows_table(model: Predictions, test: pd.DataFrame, is_right: npt.NDArray[np.bool_], task: Task, most: int = 10) -> str:
    """The documents that the model is wrong about and most sure of, by id and without their texts; empty when there are none.

    Args:
        model: The model's predictions.
        test: One row per document; read: `document_id`, `source`, `label`.
        is_right: (n,) whether the whole answer is right.
        task: Its kind says what confidence is: the highest probability, the mean over decisions on labels, or over spans.
        most: Rows shown.
    """
    sureness = _sureness(model, task)
    wrong = np.flatnonzero(~is_right)
    chosen = wrong[np.argsort(-sureness[wrong], kind="stable")][:most]
    if len(chosen) == 0 or "document_id" not in test:
        return ""
    found = test.iloc[chosen]
    rows = [
        [document, escape(source), _show(label, task), _show(model.labels[row], task), number(float(sureness[row]))]
        for document, source, label, row in zip(found["document_id"], found["source"], found["label"], chosen, strict=True)
    ]
    return table(["document", "source", "consensus", "predicted", "confidence"], rows)


def export_table(exports: Sequence[Mapping[str, Any]]) -> str:
    """What the encoder was exported to, how near each is to torch in fp32, how fast on the machine that trained, and which one scores.

    Args:
        exports: The manifest's `export`: fields of `exporting.Measured`; what was not measured shows a dash.
    """
    rows = [
        [
            escape(str(entry["backend"])),
            escape(str(entry["precision"])),
            _figure(entry["cosine_mean"], "{:.5f}"),
            _figure(entry["cosine_low"], "{:.5f}"),
            _figure(entry["equal_answers"], "{:.2%}"),
            _figure(entry["texts_per_second"], "{:,.0f}"),
            _figure(entry["bytes"], "{:,.0f}"),
            escape(f"{'**scores**: ' if entry['is_chosen'] else ''}{entry['reason']}"),
        ]
        for entry in exports
    ]
    head = ["backend", "precision", "mean cosine of outputs", "first percentile", "same answers", "texts/s", "bytes", ""]
    return table(head, rows)


def scorers_of(frame: pd.DataFrame) -> list[str]:
    """Scorers in the order of the frame."""
    return list(frame["scorer"].unique())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Text as a cell shows it."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def number(value: float) -> str:
    """Three digits after the point; a dash for NaN."""
    return "–" if np.isnan(value) else f"{value:.3f}"


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval where there is one."""
    return number(value) if np.isnan(value) or np.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _difference(frame: pd.DataFrame, scorer: str, metric: str, rival: str, slice_name: str) -> str:
    value, low, high = value_of(frame, scorer, f"difference/{metric}/{rival}", slice_name)
    chance = value_of(frame, scorer, f"p_value/{metric}/{rival}", slice_name)[0]
    if np.isnan(value) or np.isnan(low) or np.isnan(chance):
        return "–" if np.isnan(value) else f"{value:+.3f}"
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}] p = {chance:.3f}"


def _sureness(model: Predictions, task: Task) -> Floats:
    if model.span_scores is not None:
        return np.array([np.mean(row) if len(row) else np.nan for row in model.span_scores], dtype=np.float64)
    if model.probabilities is None:
        return np.full(len(model.labels), np.nan)
    if task.kind == "multi_label_classification":
        means: Floats = np.maximum(model.probabilities, 1 - model.probabilities).mean(axis=1)
        return means
    highest: Floats = model.probabilities.max(axis=1)
    return highest


def _show(answer: object, task: Task) -> str:
    """An answer in a few words: spans by place and label, never by their text."""
    text = str(answer)
    if task.has_spans:
        text = "; ".join(f"{span.label} {span.start}–{span.end}" for span in decode_spans(text, task.labels)) or "none"
    return escape(text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}…")


def _count(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0f}"


def _figure(value: float | None, shape: str) -> str:
    return "–" if value is None or np.isnan(value) else shape.format(value)

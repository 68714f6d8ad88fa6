"""The evaluation report in words: Markdown with tables and pictures, JSON, and the headline for the terminal. Nothing is computed here.

Does not belong here: numbers (`evaluation.py`), drawing (`figures.py`).
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from assets.training.evaluation import OVERALL, Evaluation, value_of
from assets.training.figures import choose_names, draw_confusion, draw_reliability, draw_sources, draw_training, draw_valence
from assets.training.predictions import HUMAN, VADER, Predictions, label_numbers

HEADLINE_METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "pearson_r": "Pearson r", "ece": "ECE"}
HUMAN_NOTE = (
    "The human rater is one rating per text, drawn at random. It is part of the consensus that it is judged by, which flatters it; "
    "raters are not the same person from text to text."
)
SOFT_LABEL_NOTE = (
    "The model is trained on the distribution of votes: its confidence says which share of people would agree, not how often the consensus "
    "is met, so ECE and the reliability picture, which compare it with the consensus, show it as too modest."
)
OVERLAP_NOTE = (
    "Movie-review sentences are cut from the reviews that SST and other public sets use too: a base model that has seen those texts "
    "has an easier task there."
)
ENGLISH_NOTE = "VADER is a lexicon made for English; on other languages its scores say little."


@dataclass(frozen=True)
class Report:
    """A report, in every form it is shown in.

    Attributes:
        markdown: Pictures as links to `<name>.png` beside it.
        markdown_with_embedded_pictures: The same with the pictures as data URIs.
        json: Facts, numbers and notes.
        pictures: PNG bytes by file name.
    """

    markdown: str
    markdown_with_embedded_pictures: str
    json: dict[str, Any]
    pictures: dict[str, bytes]


def render_report(
    evaluation: Evaluation,
    model: Predictions,
    test: pd.DataFrame,
    labels: Sequence[str],
    facts: dict[str, Any],
    history: Sequence[dict[str, float]],
    extra_notes: Sequence[str] = (),
) -> Report:
    """Put the report together.

    Args:
        evaluation: Numbers of the model and of the scorers beside it.
        model: The model's own predictions on the test rows, with probabilities.
        test: One row per document; read: `source`, `label`, `mean_rating`.
        labels: The task's labels in order.
        facts: The model's manifest: `model_id`, `dataset_version`, `base_model`, `hardware`, `training_seconds`, and so on.
        history: Evaluations on dev while training.
        extra_notes: Sentences to add under Notes.
    """
    pictures = _draw(evaluation.frame, model, test, labels, history)
    notes = [*_standing_notes(evaluation.frame), *extra_notes, *evaluation.notes]
    sections = [
        f"# Evaluation of {facts['model_id']}",
        _facts_section(facts, len(test)),
        "## Side by side\n\nThe same test rows for all; in brackets the 95 % interval of a bootstrap over groups.\n",
        headline_table(evaluation.frame),
        *_source_sections(evaluation.frame),
        "![by source](sources.png)\n",
        f"## Classification report of {model.scorer}\n\n{_label_table(evaluation.frame, model.scorer, labels)}",
        *(f"![{name.removesuffix('.png')}]({name})" for name in pictures if name != "sources.png"),
        *_legend(labels),
        "## Notes\n\n" + "\n".join(f"- {note}" for note in notes),
    ]
    markdown = "\n\n".join(sections) + "\n"
    embedded = markdown
    for name, picture in pictures.items():
        embedded = embedded.replace(f"]({name})", f"](data:image/png;base64,{base64.b64encode(picture).decode()})")
    return Report(markdown, embedded, _to_json(evaluation, facts, notes, history), pictures)


def headline(frame: pd.DataFrame) -> str:
    """The headline table as plain text for a terminal: one line per scorer, overall values without intervals."""
    rows = [["scorer", *HEADLINE_METRICS.values()]]
    rows += [[scorer, *(_number(value_of(frame, scorer, metric)[0]) for metric in HEADLINE_METRICS)] for scorer in _scorers(frame)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def headline_table(frame: pd.DataFrame) -> str:
    """The headline table in Markdown: one row per scorer, overall values with intervals."""
    return _table(
        ["scorer", *HEADLINE_METRICS.values()],
        [[scorer, *(_with_interval(*value_of(frame, scorer, metric)) for metric in HEADLINE_METRICS)] for scorer in _scorers(frame)],
    )


def _source_sections(frame: pd.DataFrame) -> list[str]:
    """One table per metric that any scorer has: scorers down, sources across."""
    slices = [name for name in frame["slice"].unique() if name != OVERALL]
    sections = []
    for metric in ("pearson_r", "macro_f1"):
        if (frame["metric"] == metric).any():
            rows = [[scorer, *(_with_interval(*value_of(frame, scorer, metric, name)) for name in slices)] for scorer in _scorers(frame)]
            table = _table(["scorer", *(name.removeprefix("source=") for name in slices)], rows)
            sections.append(f"## {HEADLINE_METRICS[metric]} by source\n\n{table}")
    return sections


def _facts_section(facts: dict[str, Any], test_rows: int) -> str:
    rows = [
        ["model", facts["model_id"]],
        ["base model", facts.get("base_model", "not recorded")],
        ["data set version", facts["dataset_version"]],
        ["trained on", f"{facts['train_rows']:,} rows: {facts['train_share']:.0%} of the train split"],
        ["test rows", f"{test_rows:,}"],
        [
            "hardware",
            f"{facts['hardware']} ({facts.get('device', '?')}, {facts.get('precision', '?')}, {facts.get('threads', '?')} threads)",
        ],
        ["training time", f"{facts['training_seconds']:.0f} s, {facts.get('tokens_per_second', 0):,.0f} tokens/s"],
        ["best epoch", f"{facts['best_epoch']:.2f}"],
        ["code version, seed", f"{facts['code_version']}, {facts['seed']}"],
    ]
    return _table(["", ""], [[_escape(str(cell)) for cell in row] for row in rows])


def _label_table(frame: pd.DataFrame, scorer: str, labels: Sequence[str]) -> str:
    columns = ("precision", "recall", "f1", "support")
    rows = []
    for label in labels:
        values = [value_of(frame, scorer, f"{metric}/{label}")[0] for metric in columns]
        rows.append([_escape(label), *(_number(value) for value in values[:3]), "–" if np.isnan(values[3]) else f"{values[3]:.0f}"])
    return _table(["label", "precision", "recall", "F1", "support"], rows)


def _draw(
    frame: pd.DataFrame, model: Predictions, test: pd.DataFrame, labels: Sequence[str], history: Sequence[dict[str, float]]
) -> dict[str, bytes]:
    sources = sorted(test["source"].unique())
    metric = "pearson_r" if (frame["metric"] == "pearson_r").any() else "macro_f1"
    cells = [[value_of(frame, model.scorer, f"confusion/{true}/{predicted}")[0] for predicted in labels] for true in labels]
    pictures = {
        "sources.png": draw_sources(frame, metric, _scorers(frame), sources, choose_names(sources)),
        "confusion.png": draw_confusion(np.nan_to_num(np.array(cells)), choose_names(labels)),
    }
    if model.probabilities is not None:
        truth = label_numbers(test["label"].to_numpy(dtype=object), labels, "consensus")
        pictures["reliability.png"] = draw_reliability(model.probabilities, truth)
    if history:
        pictures["training.png"] = draw_training(history)
    ratings = test["mean_rating"].to_numpy(dtype=np.float64, na_value=np.nan)
    if model.valence is not None and np.isfinite(ratings).any():
        pictures["valence.png"] = draw_valence(model.valence, ratings)
    return pictures


def _standing_notes(frame: pd.DataFrame) -> list[str]:
    scorers, slices = set(frame["scorer"]), set(frame["slice"])
    notes = [SOFT_LABEL_NOTE, *([HUMAN_NOTE] if HUMAN in scorers else [])]
    notes += [ENGLISH_NOTE] if VADER in scorers else []
    return notes + ([OVERLAP_NOTE] if any("movie" in name for name in slices) else [])


def _legend(labels: Sequence[str]) -> list[str]:
    legend = choose_names(labels).legend
    return ["Labels in the pictures: " + ", ".join(f"{number} = {_escape(name)}" for number, name in legend.items())] if legend else []


def _to_json(evaluation: Evaluation, facts: dict[str, Any], notes: Sequence[str], history: Sequence[dict[str, float]]) -> dict[str, Any]:
    rows = json.loads(evaluation.frame.to_json(orient="records", force_ascii=False))
    return {"facts": facts, "metrics": rows, "notes": list(notes), "history": list(history)}


def _scorers(frame: pd.DataFrame) -> list[str]:
    return list(frame["scorer"].unique())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _with_interval(value: float, low: float, high: float) -> str:
    return _number(value) if np.isnan(value) or np.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _width(text: str) -> int:
    """Columns in a terminal: East Asian characters take two."""
    return sum(2 if ord(character) >= 0x2E80 else 1 for character in text)

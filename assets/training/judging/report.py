"""The evaluation report in words: Markdown with tables and pictures, JSON, and the headline for the terminal. Nothing is computed here.

Texts of documents are never shown: a report goes further than the data. Does not belong here: numbers (`evaluation.py`), tables
(`report_tables.py`), drawing (`figures.py`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from assets.pictures import embed
from assets.project import Task
from assets.training.judging.evaluation import Evaluation, value_of
from assets.training.judging.figures import (
    choose_names,
    draw_confusion,
    draw_label_f1,
    draw_reliability,
    draw_sources,
    draw_training,
    draw_valence,
)
from assets.training.judging.predictions import HUMAN, VADER, Predictions, decisions_of, statistics_of
from assets.training.judging.report_tables import (
    comparison_sections,
    error_table,
    escape,
    export_table,
    headline_metrics,
    headline_table,
    label_table,
    number,
    scorers_of,
    source_sections,
    table,
    word_table,
    wrong_rows_table,
)

HUMAN_NOTE = (
    "The human rater is one rating per text, drawn at random. It is part of the consensus that it is judged by, which flatters it; "
    "raters are not the same person from text to text."
)
SOFT_LABEL_NOTE = (
    "The model is trained on the distribution of votes: its confidence says which share of people would agree, not how often the consensus "
    "is met, so ECE and the reliability picture, which compare it with the consensus, show it as too modest."
)
COMPARISON_NOTE = (
    "Differences are paired: both scorers are measured on the same drawn groups. p is the level at which the interval would just touch 0 "
    "(two-sided; Efron and Tibshirani 1993). It is not corrected for the number of comparisons."
)
KIND_NOTES = {
    "multi_label_classification": "Accuracy is the share of texts whose whole set of labels is right. ECE is that of every decision for or "
    "against a label; the Brier score is the mean over labels, from 0 to 1.",
    "token_classification": "A span is right when its start, end and label are. Accuracy is the share of texts whose spans are all right. "
    "In the table of words a word is a Chinese character, a run of other letters and digits, or any other single character; it does not "
    "depend on the model's tokenizer. Its averages leave out words outside all spans.",
    "question_answering": "Exact match and macro F1 (the mean overlap of words, of Chinese characters) are those of SQuAD; micro F1 counts "
    "spans with the right start and end.",
}
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
    task: Task,
    facts: dict[str, Any],
    history: Sequence[dict[str, float]],
    extra_notes: Sequence[str] = (),
) -> Report:
    """Put the report together.

    Args:
        evaluation: Numbers of the model and of the scorers beside it.
        model: The model's own predictions on the test rows.
        test: One row per document; read: `document_id`, `source`, `label`; `mean_rating` and `text` where the task needs them.
        task: Kind and labels.
        facts: The model's manifest: `model_id`, `dataset_version`, `base_model`, `hardware`, `training_seconds`, `export`, and so on.
        history: Evaluations on dev while training.
        extra_notes: Sentences to add under Notes.
    """
    pictures = _draw(evaluation.frame, model, test, task, history)
    notes = [*_standing_notes(evaluation.frame, task), *extra_notes, *evaluation.notes]
    sections = [
        f"# Evaluation of {facts['model_id']}",
        _facts_section(facts, len(test)),
        "## Side by side\n\nThe same test rows for all; in brackets the 95 % interval of a bootstrap over groups.\n",
        headline_table(evaluation.frame),
        *source_sections(evaluation.frame),
        "![by source](sources.png)\n",
        *comparison_sections(evaluation.frame, model.scorer),
        *_model_sections(evaluation.frame, model, test, task),
        *(f"![{name.removesuffix('.png')}]({name})" for name in pictures if name != "sources.png"),
        *_legend(task.labels),
        *([f"## Exports\n\n{export_table(facts['export'])}"] if facts.get("export") else []),
        "## Notes\n\n" + "\n".join(f"- {note}" for note in notes),
    ]
    markdown = "\n\n".join(sections) + "\n"
    return Report(markdown, embed(markdown, pictures), _to_json(evaluation, facts, notes, history), pictures)


def headline(frame: pd.DataFrame) -> str:
    """The headline table as plain text for a terminal: one line per scorer, overall values without intervals."""
    metrics = headline_metrics(frame)
    rows = [["scorer", *metrics.values()]]
    rows += [[scorer, *(number(value_of(frame, scorer, metric)[0]) for metric in metrics)] for scorer in scorers_of(frame)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


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
    return table(["", ""], [[escape(str(cell)) for cell in row] for row in rows])


def _model_sections(frame: pd.DataFrame, model: Predictions, test: pd.DataFrame, task: Task) -> list[str]:
    name = model.scorer
    sections = [f"## Classification report of {name}\n\n{label_table(frame, name, task.labels)}"]
    if task.kind == "token_classification":
        sections.append(f"## Words by tag\n\n{word_table(frame, name, task.labels)}")
    if task.has_spans:
        sections.append(f"## Wrong and missed spans\n\n{error_table(frame)}")
    wrong = wrong_rows_table(model, test, statistics_of(model, test, task).rows[:, 1] > 0, task)
    return sections + ([f"## Most confident errors\n\nWithout the texts; `textmill why <document>` shows one.\n\n{wrong}"] if wrong else [])


def _draw(frame: pd.DataFrame, model: Predictions, test: pd.DataFrame, task: Task, history: Sequence[dict[str, float]]) -> dict[str, bytes]:
    sources = sorted(test["source"].unique())
    metric = "pearson_r" if (frame["metric"] == "pearson_r").any() else "macro_f1"
    pictures = {"sources.png": draw_sources(frame, metric, scorers_of(frame), sources, choose_names(sources))}
    if frame["metric"].str.startswith("confusion/").any():
        cells = [[value_of(frame, model.scorer, f"confusion/{true}/{predicted}")[0] for predicted in task.labels] for true in task.labels]
        pictures["confusion.png"] = draw_confusion(np.nan_to_num(np.array(cells)), choose_names(task.labels))
    elif task.kind != "question_answering":
        pictures["labels.png"] = draw_label_f1(frame, scorers_of(frame), task.labels, choose_names(task.labels))
    decisions = decisions_of(model, test, task)
    if decisions is not None and len(decisions[0]):
        pictures["reliability.png"] = draw_reliability(*decisions)
    if history:
        pictures["training.png"] = draw_training(history)
    return pictures | _draw_valence(model, test)


def _draw_valence(model: Predictions, test: pd.DataFrame) -> dict[str, bytes]:
    if model.valence is None or "mean_rating" not in test:
        return {}
    ratings = test["mean_rating"].to_numpy(dtype=np.float64, na_value=np.nan)
    return {"valence.png": draw_valence(model.valence, ratings)} if np.isfinite(ratings).any() else {}


def _standing_notes(frame: pd.DataFrame, task: Task) -> list[str]:
    scorers, slices = set(frame["scorer"]), set(frame["slice"])
    notes = [KIND_NOTES.get(task.kind, SOFT_LABEL_NOTE), *([HUMAN_NOTE] if HUMAN in scorers else [])]
    notes += [COMPARISON_NOTE] if frame["metric"].str.startswith("difference/").any() else []
    notes += [ENGLISH_NOTE] if VADER in scorers else []
    return notes + ([OVERLAP_NOTE] if any("movie" in name for name in slices) else [])


def _legend(labels: Sequence[str]) -> list[str]:
    legend = choose_names(labels).legend
    return ["Labels in the pictures: " + ", ".join(f"{number} = {escape(name)}" for number, name in legend.items())] if legend else []


def _to_json(evaluation: Evaluation, facts: dict[str, Any], notes: Sequence[str], history: Sequence[dict[str, float]]) -> dict[str, Any]:
    rows = json.loads(evaluation.frame.to_json(orient="records", force_ascii=False))
    return {"facts": facts, "metrics": rows, "notes": list(notes), "history": list(history)}


def _width(text: str) -> int:
    """Columns in a terminal: East Asian characters take two."""
    return sum(2 if ord(character) >= 0x2E80 else 1 for character in text)

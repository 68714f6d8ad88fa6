import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.training.baselines import compute_baselines
from assets.training.evaluation import evaluate
from assets.training.figures import choose_names, draw_confusion, draw_training, draw_valence
from assets.training.predictions import predictions_of_probabilities
from assets.training.report import headline, render_report

CHINESE = {"negative": "负面", "neutral": "中性", "positive": "正面"}
FACTS = {
    "model_id": "m-1",
    "dataset_version": "d-1",
    "base_model": "all-MiniLM-L6-v2",
    "hardware": "Some CPU",
    "device": "cpu",
    "precision": "fp32",
    "threads": 2,
    "training_seconds": 61.4,
    "tokens_per_second": 1712.3,
    "train_rows": 12345,
    "train_share": 0.8,
    "best_epoch": 1.0,
    "code_version": "c1",
    "seed": 13,
}
HISTORY = [{"step": 10 * n, "epoch": n / 2, "train_loss": 1 / n, "dev_loss": 1.1 / n, "dev_macro_f1": 0.3 * n} for n in (1, 2, 3)]


@pytest.fixture(params=["english", "chinese"])
def parts(request, documents, task):
    train, test = documents(200, 0), documents(120, 1, "test")
    labels = task.labels
    if request.param == "chinese":
        train, test = (frame.assign(label=frame["label"].map(CHINESE)) for frame in (train, test))
        labels = tuple(CHINESE.values())
        scale = task.rating.model_copy(update={"thresholds": {CHINESE[name]: least for name, least in task.rating.thresholds.items()}})
        task = task.model_copy(update={"labels": labels, "positive_label": "正面", "negative_label": "负面", "rating": scale})
    logits = np.random.default_rng(0).normal(0, 1, (120, 3)) + 3 * np.eye(3)[pd.Index(labels).get_indexer(test["label"])]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    model = predictions_of_probabilities("fine-tuned model", probabilities, labels, labels[2], labels[0])
    evaluation = evaluate([model, *compute_baselines(train, test, task, 1)], test, task, "m-1", "d-1", 1, samples=50)
    return evaluation, model, test, task


def test_the_report_has_tables_facts_pictures_and_notes(parts):
    evaluation, model, test, task = parts
    report = render_report(evaluation, model, test, task, FACTS, HISTORY, ["One more thing."])
    assert set(report.pictures) == {"sources.png", "confusion.png", "reliability.png", "training.png", "valence.png"}
    for expected in (
        "12,345 rows: 80% of the train split",
        "Some CPU (cpu, fp32, 2 threads)",
        "| scorer | accuracy | macro F1 | weighted F1 | Pearson r | ECE | Brier |",
        "## Pearson r by source",
        "| scorer | movies | tweets |",
        "It is part of the consensus that it is judged by",
        "SST",
        "- One more thing.",
        "- majority class: ",
    ):
        assert expected in report.markdown
    for label in task.labels:
        assert f"\n| {label} | " in report.markdown
    for name in report.pictures:
        assert f"]({name})" in report.markdown


def test_pictures_are_small_png_files_and_embedded_within_400_kb(parts):
    report = render_report(*parts, FACTS, HISTORY)
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 100_000 for picture in report.pictures.values())
    assert len(report.markdown_with_embedded_pictures.encode()) < 400_000
    assert report.markdown_with_embedded_pictures.count("](data:image/png;base64,") == 5
    assert ".png)" not in report.markdown_with_embedded_pictures


def test_the_json_holds_every_number_and_reads_back(parts):
    evaluation = parts[0]
    found = json.loads(json.dumps(render_report(*parts, FACTS, HISTORY).json))
    assert len(found["metrics"]) == len(evaluation.frame)
    assert found["facts"] == FACTS
    assert found["history"] == HISTORY


def test_the_headline_has_one_line_per_scorer_and_a_dash_for_what_is_not_there(parts):
    lines = headline(parts[0].frame).splitlines()
    assert lines[0].split() == ["scorer", "accuracy", "macro", "F1", "weighted", "F1", "Pearson", "r", "ECE", "Brier"]
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "fine-tuned model",
        "majority class",
        "VADER",
        "TF-IDF + logistic regression",
        "one human rater",
    ]
    assert "–" in lines[3]
    assert len(lines) == 7


def test_a_task_without_ratings_has_a_report_without_valence(parts):
    _, model, test, task = parts
    plain = predictions_of_probabilities("fine-tuned model", model.probabilities, task.labels)
    unrated = test.assign(mean_rating=None)
    report = render_report(evaluate([plain], unrated, task, "m", "d", 1, samples=50), plain, unrated, task, FACTS, [])
    assert set(report.pictures) == {"sources.png", "confusion.png", "reliability.png"}
    assert "Pearson r by source" not in report.markdown


@pytest.mark.parametrize(
    ("names", "installed", "shown", "legend", "font"),
    [
        (["bad", "très bon"], frozenset(), ("bad", "très bon"), {}, None),
        (["负面", "正面"], frozenset(), ("1", "2"), {"1": "负面", "2": "正面"}, None),
        (["负面", "正面"], frozenset({"Noto Sans CJK SC"}), ("负面", "正面"), {}, "Noto Sans CJK SC"),
    ],
)
def test_names_that_no_font_can_draw_become_numbers_with_a_legend(names, installed, shown, legend, font):
    found = choose_names(names, installed)
    assert (found.shown, found.legend, found.font) == (shown, legend, font)


def test_pictures_of_the_same_numbers_are_the_same_bytes():
    names = choose_names(["a", "b"])
    assert draw_confusion(np.eye(2), names) == draw_confusion(np.eye(2), names)
    assert draw_confusion(np.eye(2), names) != draw_confusion(2 * np.eye(2), names)
    assert draw_training(HISTORY) != draw_training(HISTORY[:2])


def test_a_hundred_thousand_points_still_make_a_small_picture():
    random = np.random.default_rng(0)
    assert len(draw_valence(random.uniform(-1, 1, 100_000), random.uniform(-4, 4, 100_000))) < 100_000


def test_what_the_pipeline_process_needs_imports_no_torch():
    modules = "baselines evaluation promotion report manifests jobs sampling".split()
    imports = ", ".join(f"assets.training.{module}" for module in modules)
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2], check=False).returncode == 0

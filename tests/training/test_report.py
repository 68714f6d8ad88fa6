import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.answers import Span, encode_labels, encode_spans
from assets.project import Labeling, Project, Task
from assets.source_settings import FilesSource
from assets.training.judging.baselines import compute_baselines
from assets.training.judging.evaluation import evaluate
from assets.training.judging.figures import choose_names, draw_confusion, draw_label_f1, draw_reliability, draw_training, draw_valence
from assets.training.judging.predictions import Predictions, predictions_of_probabilities
from assets.training.judging.report import headline, render_report
from assets.training.judging.report_tables import export_table
from assets.training.judging.reporting import CHAMPION_NOTE, report_on
from assets.training.scoring.exporting import Export, Measured

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


@pytest.fixture(params=["english", "chinese"], scope="module")
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


EXPORTS = Export(
    (Measured("onnx-fp32", "fp32", 1.0, 1.0, 1.0, 50.0, 90_000_000, True, "the fastest that keeps parity"),), None, None
).as_rows()


@pytest.fixture(scope="module")
def rendered(parts):
    return render_report(*parts, FACTS | {"export": EXPORTS}, HISTORY, ["One more thing."])


def test_the_report_has_tables_facts_pictures_and_notes(parts, rendered):
    task, report = parts[3], rendered
    assert set(report.pictures) == {"sources.png", "confusion.png", "reliability.png", "training.png", "valence.png"}
    for expected in (
        "12,345 rows: 80% of the train split",
        "Some CPU (cpu, fp32, 2 threads)",
        "| scorer | accuracy | macro F1 | weighted F1 | Pearson r | ECE | Brier |",
        "## Pearson r by source",
        "| scorer | movies | tweets |",
        "## Exports\n\n| backend | precision | mean cosine of outputs |",
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


def test_pictures_are_small_png_files_and_embedded_within_400_kb(rendered):
    report = rendered
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 100_000 for picture in report.pictures.values())
    assert len(report.markdown_with_embedded_pictures.encode()) < 400_000
    assert report.markdown_with_embedded_pictures.count("](data:image/png;base64,") == 5
    assert ".png)" not in report.markdown_with_embedded_pictures


def test_the_json_holds_every_number_and_reads_back(parts, rendered):
    found = json.loads(json.dumps(rendered.json))
    assert len(found["metrics"]) == len(parts[0].frame)
    assert found["facts"] == FACTS | {"export": EXPORTS}
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
    modules = "judging.baselines judging.evaluation judging.report gate.promotion manifests jobs sampling".split()
    imports = ", ".join(f"assets.training.{module}" for module in modules)
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2], check=False).returncode == 0


@pytest.fixture
def without_pictures(monkeypatch):
    """Drawing takes most of a report's time, and the tests above look at it."""
    monkeypatch.setattr("assets.training.judging.report._draw", lambda *_: {})


TOPICS = Task(kind="multi_label_classification", labels=("sports", "钱"))
NAMES = Task(kind="token_classification", labels=("PER", "地点"))
QUESTIONS = Task(kind="question_answering", labels=("answer",))
RELATIONS = Task(kind="relation_extraction", labels=("works_for", "无"))
SECRET = "小明 lives in Bern"


def answers_of(task, random):
    """A random answer of the task about the secret text."""
    if task is TOPICS:
        return encode_labels([label for label in task.labels if random.random() < 0.5], task.labels)
    if task is RELATIONS:
        return str(random.choice(task.labels))
    chosen = [part for part in ((0, 2), (12, 16)) if random.random() < 0.6]
    return encode_spans(Span(*part, str(random.choice(task.labels))) for part in chosen[: 1 if task is QUESTIONS else 2])


def rows_of(task, seed, rows=60, text=SECRET):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "document_id": [f"id-{row}" for row in range(rows)],
            "source": ["shop" if row % 2 else "论坛" for row in range(rows)],
            "group_id": [f"g{row // 2}" for row in range(rows)],
            "text": text,
            "label": [answers_of(task, random) for _ in range(rows)],
            "split": "test",
            "ratings": [[] for _ in range(rows)],
            "mean_rating": np.nan,
        }
    )


def model_of(task, test, seed):
    other = rows_of(task, seed, len(test))["label"]
    labels = np.where(np.arange(len(test)) % 3 == 0, other, test["label"]).astype(object)
    if not task.has_spans:
        return Predictions("model", labels, np.random.default_rng(seed).dirichlet([1] * len(task.labels), len(test)))
    scores = np.empty(len(test), dtype=object)
    scores[:] = [[0.5 + row % 5 / 10] * answer.count("start") for row, answer in enumerate(labels)]
    return Predictions("model", labels, span_scores=scores)


@pytest.mark.parametrize(
    ("task", "pictures", "expected"),
    [
        (
            TOPICS,
            {"sources.png", "labels.png", "reliability.png", "training.png"},
            ["| scorer | accuracy | macro F1 | micro F1 |", "whole set of labels"],
        ),
        (
            NAMES,
            {"sources.png", "labels.png", "reliability.png", "training.png"},
            [
                "macro F1 of words",
                "## Words by tag",
                "| B-地点 | ",
                "| O | ",
                "| *micro average* | ",
                "## Wrong and missed spans",
                "| gazetteer ",
            ],
        ),
        (
            QUESTIONS,
            {"sources.png", "reliability.png", "training.png"},
            ["| scorer | exact match | macro F1 |", "SQuAD", "| first sentence "],
        ),
        (
            RELATIONS,
            {"sources.png", "confusion.png", "reliability.png", "training.png"},
            ["| scorer | accuracy | macro F1 | weighted F1 |"],
        ),
    ],
)
def test_every_kind_of_task_has_a_report_without_texts(task, pictures, expected):
    train, test = rows_of(task, 1), rows_of(task, 2)
    model = model_of(task, test, 3)
    evaluation = evaluate([model, *compute_baselines(train, test, task, 1)], test, task, "m-1", "d-1", 1, samples=50)
    report = render_report(evaluation, model, test, task, FACTS, HISTORY)
    assert set(report.pictures) == pictures
    for words in [*expected, "## Difference of macro F1", "## Most confident errors", "| id-", " p = "]:
        assert words in report.markdown
    assert SECRET not in report.markdown + json.dumps(report.json, ensure_ascii=False)
    assert "nan" not in report.markdown
    assert len(headline(evaluation.frame).splitlines()) == 2 + evaluation.frame["scorer"].nunique()


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("task", [TOPICS, NAMES, QUESTIONS, RELATIONS])
def test_one_row_makes_a_report(task):
    test = rows_of(task, 2, rows=1)
    model = model_of(task, test, 3)
    evaluation = evaluate([model], test, task, "m-1", "d-1", 1, samples=50)
    assert "nan" not in render_report(evaluation, model, test, task, FACTS, []).markdown


def test_no_span_anywhere_makes_a_report():
    test = rows_of(NAMES, 2).assign(label="[]")
    model = Predictions("model", np.array(["[]"] * len(test), dtype=object))
    evaluation = evaluate([model, *compute_baselines(test, test, NAMES, 1)], test, NAMES, "m-1", "d-1", 1, samples=50)
    report = render_report(evaluation, model, test, NAMES, FACTS, [])
    assert "macro_f1, weighted_f1" in report.markdown.split("model: ")[1].split("are not defined and left out")[0]
    assert "Most confident errors" not in report.markdown


def test_exports_are_shown_with_parity_speed_and_choice():
    measured = [
        Measured("onnx-int8", "int8", 0.99412, 0.91, 0.9683, 1234.5, 22_000_000, False, "loses parity"),
        Measured("torch", "bf16", None, None, None, 900.0, 90_000_000, True, "the fastest that keeps parity"),
    ]
    assert export_table(Export(tuple(measured), None, None).as_rows()).splitlines()[2:] == [
        "| onnx-int8 | int8 | 0.99412 | 0.91000 | 96.83% | 1,234 | 22,000,000 | loses parity |",
        "| torch | bf16 | – | – | – | 900 | 90,000,000 | **scores**: the fastest that keeps parity |",
    ]


def test_bars_and_reliability_are_drawn_for_any_number_of_labels(parts):
    labels = [f"label {number}" for number in range(9)]
    assert draw_label_f1(parts[0].frame, ["a", "b"], labels, choose_names(labels)).startswith(b"\x89PNG")
    assert draw_reliability(np.array([1.0]), np.array([False])).startswith(b"\x89PNG")


def stored_model(folder, of_task, test, model, **facts):
    """The files of a model that a report is made from."""
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(FACTS | {"train_share": 1.0, "labels": of_task.labels, **facts}))
    (folder / "history.json").write_text(json.dumps({"evaluations": HISTORY}))
    frame = test[["document_id", "split", "source", "label"]].assign(predicted=model.labels, valence=np.nan)
    frame["probabilities"] = None if model.probabilities is None else list(model.probabilities)
    frame["span_scores"] = model.span_scores
    frame.to_parquet(folder / "predictions.parquet", index=False)
    return folder


def project_of(task, **settings):
    sources = tuple(FilesSource(name=name, kind="files", path="/data/*.jsonl") for name in ("shop", "forum"))
    return Project(name="reviews", languages=("en", "zh"), sources=sources, task=task, **settings)


@pytest.mark.parametrize("task", [TOPICS, NAMES, QUESTIONS, RELATIONS])
@pytest.mark.usefixtures("without_pictures")
def test_a_stored_model_is_described_whatever_its_task(task, tmp_path):
    test = rows_of(task, 2)
    model = stored_model(tmp_path / "model", task, test, model_of(task, test, 3))
    described = report_on(model, rows_of(task, 1), test.sample(frac=1, random_state=1), project_of(task))
    assert described.report.json["scorer"] == described.evaluation.frame["scorer"].iloc[0] == "fine-tuned BERT"
    assert "# m-1" in described.card
    accuracy = described.evaluation.frame.query("scorer == 'fine-tuned BERT' and metric == 'accuracy' and slice == 'overall'")
    assert accuracy["value"].item() == pytest.approx(np.mean(model_of(task, test, 3).labels == test["label"]))


@pytest.mark.usefixtures("without_pictures")
def test_a_champion_with_the_same_test_rows_stands_beside_the_model(tmp_path):
    test = rows_of(NAMES, 2)
    model = stored_model(tmp_path / "model", NAMES, test, model_of(NAMES, test, 3))
    champion = stored_model(tmp_path / "champion", NAMES, test, model_of(NAMES, test, 4))
    described = report_on(model, rows_of(NAMES, 1), test, project_of(NAMES), champion=champion)
    assert "difference/macro_f1/champion until now" in set(described.evaluation.frame["metric"])
    assert CHAMPION_NOTE not in described.report.markdown


@pytest.mark.parametrize("change", [{"labels": ["地点", "PER"]}, {"task": {"kind": "question_answering"}}, {}])
@pytest.mark.usefixtures("without_pictures")
def test_a_champion_of_other_rows_or_another_task_is_left_out_and_said(change, tmp_path):
    test = rows_of(NAMES, 2)
    model = stored_model(tmp_path / "model", NAMES, test, model_of(NAMES, test, 3))
    rows = test if change else test.assign(split=["dev", *["test"] * 59])
    champion = stored_model(tmp_path / "champion", NAMES, rows, model_of(NAMES, test, 4), **change)
    described = report_on(model, rows_of(NAMES, 1), test, project_of(NAMES), champion=champion)
    assert "champion until now" not in set(described.evaluation.frame["scorer"])
    assert CHAMPION_NOTE in described.report.markdown


@pytest.mark.usefixtures("without_pictures")
def test_a_report_on_silver_labels_says_so(tmp_path):
    test = rows_of(NAMES, 2)
    model = stored_model(tmp_path / "model", NAMES, test, model_of(NAMES, test, 3))
    silver = report_on(model, test, test, project_of(NAMES, labeling=Labeling(min_human_votes=0)))
    assert "Labels come from labeling functions, not from people" in silver.report.markdown
    assert "Labels come from labeling functions" not in report_on(model, test, test, project_of(NAMES)).report.markdown


@pytest.mark.usefixtures("without_pictures")
def test_a_test_row_without_a_prediction_is_an_error(tmp_path):
    test = rows_of(NAMES, 2)
    model = stored_model(tmp_path / "model", NAMES, test[1:], model_of(NAMES, test[1:], 3))
    with pytest.raises(ValueError, match="expected a prediction for every test row, found 1 rows without"):
        report_on(model, test, test, project_of(NAMES))

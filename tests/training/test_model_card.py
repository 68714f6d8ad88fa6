import re

import numpy as np
import pandas as pd
import pytest
import yaml

from assets.project import Labeling, Project, Task
from assets.source_settings import FilesSource
from assets.training.judging.evaluation import evaluate
from assets.training.judging.model_card import SILVER_NOTE, render_model_card
from assets.training.judging.predictions import Predictions

MANIFEST = {
    "model_id": "model-1",
    "dataset_version": "d-1",
    "base_model": "/models/bert-base-chinese",
    "train_rows": 12345,
    "recipe": {"max_tokens": 96},
    "seed": 13,
    "code_version": "c1",
    "parameters": 22_713_216,
}


def project_of(task, **settings):
    sources = (
        FilesSource(name="shop", kind="files", path="/data/*.jsonl", licence="CC BY 4.0"),
        FilesSource(name="forum", kind="files", path="/data/*.csv"),
    )
    return Project(name="reviews", languages=("en", "zh"), sources=sources, task=task, **settings)


def measured(task, answers, said, text="小明 lives in Bern"):
    rows = len(answers)
    test = pd.DataFrame({"source": "shop", "group_id": [f"g{row}" for row in range(rows)], "text": text, "label": answers})
    scorers = [Predictions("model", np.array(said, dtype=object)), Predictions("baseline", np.array(answers[:1] * rows, dtype=object))]
    return evaluate(scorers, test, task, "model-1", "d-1", 1, samples=50).frame


def front_matter(card):
    _, block, _ = card.split("---\n", 2)
    return yaml.safe_load(block)


MOOD = Task(labels=("bad", "好"))


@pytest.fixture
def card():
    return render_model_card(
        MANIFEST, measured(MOOD, ["bad", "好"] * 10, ["bad"] * 5 + ["好", "好", "好", "bad", "好"] * 3), project_of(MOOD)
    )


def test_the_block_for_the_hub_reads_back(card):
    facts = front_matter(card)
    assert facts["language"] == ["en", "zh"]
    assert facts["base_model"] == "bert-base-chinese"
    assert facts["pipeline_tag"] == "text-classification"
    assert facts["datasets"] == ["reviews"]
    assert facts["metrics"] == ["accuracy", "f1"]
    (result,) = facts["model-index"][0]["results"]
    assert {entry["name"] for entry in result["metrics"]} == {"accuracy", "macro_f1", "weighted_f1"}
    assert result["dataset"] == {"name": "reviews d-1", "type": "reviews", "split": "test"}


def test_the_card_has_every_section_in_both_languages(card):
    headings = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert headings == [
        "Intended use · 用途",
        "Not intended for · 不适用",
        "Data · 数据",
        "Metrics · 指标",
        "Limits · 局限",
        "How to load · 加载方法",
        "Provenance · 出处",
    ]


def test_the_card_names_data_licences_metrics_by_slice_and_limits(card):
    for expected in (
        "| shop | files | CC BY 4.0 |",
        "| forum | files | not recorded |",
        "- Data set version: `d-1`",
        "- Rows trained on: 12,345",
        "- Labels need at least 5 human votes and confidence 0.6; labeling functions (all that can vote on the task) vote with weight 0.25",
        "| slice | rows | accuracy | macro F1 | weighted F1 |",
        "| overall | 20 |",
        "| source=shop | 20 |",
        "\n| 好 | ",
        "| baseline | ",
        "- Texts of more than 96 tokens are cut.",
        "- Not measured on forum: no test rows.",
        "- Licence of the texts of forum is not recorded.",
        'load_model(Path("model-1"))',
        "| parameters | 22713216 |",
    ):
        assert expected in card
    assert SILVER_NOTE not in card
    assert " nan" not in card


def test_a_model_that_was_not_measured_says_so():
    card = render_model_card({"model_id": "m", "dataset_version": "d"}, None, project_of(MOOD))
    assert "Not measured yet." in card
    assert "model-index" not in front_matter(card)
    assert "Not measured on" not in card


@pytest.mark.parametrize(
    ("task", "answers", "tag", "words"),
    [
        (
            Task(kind="token_classification", labels=("PER",)),
            ['[{"start":0,"end":2,"label":"PER"}]', "[]"],
            "token-classification",
            "spans",
        ),
        (
            Task(kind="question_answering", labels=("answer",)),
            ['[{"start":0,"end":2,"label":"answer"}]', "[]"],
            "question-answering",
            "question",
        ),
        (Task(kind="multi_label_classification", labels=("a", "钱")), ['["a"]', '["钱"]'], "text-classification", "any number of labels"),
        (Task(kind="relation_extraction", labels=("works_for", "无")), ["works_for", "无"], "text-classification", "relation"),
    ],
)
def test_every_kind_of_task_has_a_card(task, answers, tag, words):
    card = render_model_card(MANIFEST, measured(task, answers, answers), project_of(task))
    assert front_matter(card)["pipeline_tag"] == tag
    assert words in card.split("\n## ")[0]
    assert ("overlapping windows" in card) == task.has_spans


def test_labels_of_functions_alone_are_said_to_be_silver():
    task = Task(kind="token_classification", labels=("DATE",))
    card = render_model_card(MANIFEST, None, project_of(task, labeling=Labeling(min_human_votes=0)))
    assert SILVER_NOTE in card

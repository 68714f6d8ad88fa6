"""Answers that are lists, doubted label by label and span by span."""

import pandas as pd
import pytest

from assets.answers import Span, encode_labels, encode_spans
from assets.labeling.list_issues import doubted_answers
from assets.project import Task

TOPICS = Task(kind="multi_label_classification", labels=("体育", "money", "art"))
NAMES = Task(kind="token_classification", labels=("PERSON", "地点"))


def document(number, answer, distribution, **changes):
    known = {"document_id": f"d{number}", "source": "news", "label": answer, "distribution": distribution, "is_confident": True}
    return known | {"people": 3, "agreed": 2} | changes


def topics(*chosen):
    return encode_labels(chosen, TOPICS.labels)


def test_missing_and_unlikely_labels_are_named_worst_first():
    documents = pd.DataFrame(
        [
            document(1, topics("体育"), [1, 0, 0]),
            document(2, topics("money"), [0, 1, 0], people=0),
            document(3, topics("art"), [0, 0, 1]),
            document(4, topics("art"), [0, 0, 1], is_confident=False),
        ]
    )
    answers = pd.DataFrame(
        {
            "predicted": [topics("体育", "money"), topics("art"), topics("art"), topics()],
            "probabilities": [[0.9, 0.7, 0.1], [0.1, 0.05, 0.8], [0, 0, 1], [0, 0, 0]],
            "span_scores": [None] * 4,
        }
    )
    found = doubted_answers(documents, answers, TOPICS, "en", 10)
    assert found[["document_id", "given_label", "suggested_label"]].to_numpy().tolist() == [
        ["d2", '["money"]', '["art"]'],
        ["d1", '["体育"]', '["体育","money"]'],
    ]
    assert found["score"].tolist() == pytest.approx([0.95, 0.7])
    assert found["explanation"].tolist() == [
        "Nobody but rules gave this answer; a model that never saw this text does not say money (0.05); "
        "a model that never saw this text says art too (0.80).",
        "2 of 3 people gave exactly this answer; a model that never saw this text says money too (0.70).",
    ]
    assert len(doubted_answers(documents, answers, TOPICS, "en", 1)) == 1


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            "2 of 3 people gave exactly this answer; a model that never saw this text marks characters 6 to 8 as 地点 (0.90); "
            "a model that never saw this text does not mark characters 0 to 3 as PERSON.",
        ),
        (
            "zh",
            "3 人中有 2 人给出完全相同的答案；没有见过这段文本的模型把第 6 到 8 个字符标为 地点（0.90）；"
            "没有见过这段文本的模型没有把第 0 到 3 个字符标为 PERSON。",
        ),
    ],
)
def test_spans_are_doubted_one_by_one_in_both_languages(language, words):
    given, found = Span(0, 3, "PERSON"), Span(6, 8, "地点")
    both = Span(10, 12, "地点")
    documents = pd.DataFrame([document(1, encode_spans([given, both]), [0.6, 1.0]), document(2, encode_spans([both]), [1.0])])
    answers = pd.DataFrame(
        {
            "predicted": [encode_spans([found, both]), encode_spans([both])],
            "probabilities": [None, None],
            "span_scores": [[0.9, 0.99], [0.5]],
        }
    )
    rows = doubted_answers(documents, answers, NAMES, language, 10)
    assert rows["document_id"].tolist() == ["d1"]
    assert rows["score"].item() == pytest.approx(0.9)
    assert rows["explanation"].item() == words


def test_a_span_that_few_marked_and_the_model_does_not_find_is_doubted_more():
    documents = pd.DataFrame([document(n, encode_spans([Span(0, 2, "PERSON")]), [share]) for n, share in ((1, 1.0), (2, 0.6))])
    answers = pd.DataFrame({"predicted": ["[]", "[]"], "probabilities": [None, None], "span_scores": [[], []]})
    assert doubted_answers(documents, answers, NAMES, "en", 10)["score"].tolist() == pytest.approx([0.7, 0.5])


def test_answers_without_differences_are_no_issues():
    documents = pd.DataFrame([document(1, "[]", [])])
    answers = pd.DataFrame({"predicted": ["[]"], "probabilities": [None], "span_scores": [[]]})
    assert doubted_answers(documents, answers, NAMES, "zh", 10).empty

import itertools

import pandas as pd
import pytest

from assets.project import Task
from assets.training.gate.smoke import TIMED_REQUESTS, WARM_UP_REQUESTS, smoke_texts, try_server

TASK = Task(labels=("负面", "正面"))
NER = Task(kind="token_classification", labels=("PERSON",))
TEXTS = ["It is good.", "很好。"]


def reference_of(task):
    """What a batch scorer says that finds every text positive with 0.7, or nobody in it."""
    texts = smoke_texts(task)
    if task.has_spans:
        return texts.assign(label="[]", probabilities=None)
    return texts.assign(label="正面", probabilities=[[0.3, 0.7]] * len(texts))


def server(answer="正面", positive=0.7, count=None):
    def ask(texts):
        share = {"负面": 1 - positive, "正面": positive}
        return [{"answer": answer, "probabilities": share}] * (len(texts) if count is None else count)

    return ask


def ticking(seconds):
    """A clock whose requests take these seconds each, in turn."""
    times = itertools.chain.from_iterable((0.0, duration) for duration in itertools.cycle(seconds))
    return lambda: next(times)


def test_smoke_texts_are_english_chinese_empty_very_long_and_emoji():
    texts = dict(smoke_texts(TASK).itertuples(index=False))
    assert texts["smoke/empty"] == ""
    assert len(texts["smoke/long"]) == 10_000
    assert list(texts) == ["smoke/english", "smoke/chinese", "smoke/empty", "smoke/long", "smoke/emoji"]
    questions = smoke_texts(Task(kind="question_answering", labels=("answer",)))
    assert questions["text"].str.startswith("[Q] ").all()


def test_equal_answers_pass_and_requests_of_one_text_are_timed():
    asked = []

    def ask(texts):
        asked.append(len(texts))
        return server()(texts)

    found = try_server(ask, reference_of(TASK), TEXTS, TASK, "fp32", ticking([0.010] * 19 + [0.100]))
    assert (found.problem, found.requests) == ("", TIMED_REQUESTS)
    assert found.p50_ms == pytest.approx(10)
    assert 10 < found.p95_ms <= 100
    assert asked == [5, *[1] * (WARM_UP_REQUESTS + TIMED_REQUESTS)]


@pytest.mark.parametrize(
    ("ask", "precision", "problem"),
    [
        (server(count=4), "fp32", "expected 5 answers of the serving app, found 4"),
        (server(answer="负面"), "fp32", "found another answer on smoke/english (another label), smoke/chinese (another label)"),
        (server(positive=0.702), "fp32", "smoke/english (a probability differs by 0.0020, allowed 0.001)"),
        (server(positive=0.75), "bf16", "smoke/english (a probability differs by 0.0500, allowed 0.03)"),
        (server(positive=float("nan")), "fp32", "smoke/english (a probability differs by nan, allowed 0.001)"),
        (lambda texts: [{"answer": "正面", "probabilities": None}] * len(texts), "fp32", "smoke/english (no probabilities)"),
    ],
)
def test_other_answers_than_the_batch_scorers_are_a_problem(ask, precision, problem):
    found = try_server(ask, reference_of(TASK), TEXTS, TASK, precision)
    assert problem in found.problem
    assert found.p95_ms is None


def test_numbers_with_fewer_digits_may_differ_more_and_near_ties_may_swap():
    assert try_server(server(positive=0.72), reference_of(TASK), TEXTS, TASK, "bf16").problem == ""
    tie = reference_of(TASK).assign(probabilities=[[0.4995, 0.5005]] * 5)
    assert try_server(server("负面", 0.5), tie, TEXTS, TASK, "fp32").problem == ""


def test_spans_must_be_equal():
    reference = reference_of(NER)
    assert try_server(server("[]"), reference, TEXTS, NER, "fp32").problem == ""
    other = '[{"start":0,"end":1,"label":"PERSON"}]'
    assert "smoke/chinese (other spans)" in try_server(server(other), reference, TEXTS, NER, "fp32").problem


def test_reference_rows_hold_arrays_as_parquet_gives_them():
    reference = reference_of(TASK)
    reference["probabilities"] = pd.Series([pd.Series(row).to_numpy() for row in reference["probabilities"]])
    assert try_server(server(), reference, TEXTS, TASK, "fp32").problem == ""


def test_in_numbers_with_fewer_digits_half_of_the_spans_may_differ():
    one, two, three = (f'{{"start":{start},"end":{start + 1},"label":"PERSON"}}' for start in (0, 2, 4))
    reference = reference_of(NER).assign(label=f"[{one},{two}]")
    assert try_server(server(f"[{one}]"), reference, TEXTS, NER, "int8").problem == ""
    assert "other spans" in try_server(server(f"[{one},{three}]"), reference, TEXTS, NER, "int8").problem
    assert "other spans" in try_server(server(f"[{one}]"), reference, TEXTS, NER, "fp32").problem

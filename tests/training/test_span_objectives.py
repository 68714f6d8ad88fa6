import numpy as np
import pandas as pd
import pytest
import torch

from assets.answers import Span, encode_spans, mark_question
from assets.project import Task
from assets.training.learning.bio_tags import IGNORED
from assets.training.learning.encoder import load_tokenizer
from assets.training.learning.objectives import objective_of
from assets.training.learning.span_objectives import LONGEST_ANSWER_TOKENS, best_boundaries, candidates, depth_in_window, split_question

NAMES = Task(kind="token_classification", labels=("PER", "地点"))
READING = Task(kind="question_answering", labels=("answer",))
TEXT = "the film is good 电影好 " * 4


@pytest.fixture
def tokenizer(tiny_base):
    return load_tokenizer(tiny_base)


def documents(*rows):
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.mark.parametrize(
    ("question", "context"), [("who?", "the film"), ("谁?", "  电影\n好"), ("", ""), ("a [Q] b", "c"), ("who?", "one [C] two")]
)
def test_a_marked_text_is_split_where_it_was_marked(question, context):
    text, begin = mark_question(question, context)
    found, rest, start = split_question(text)
    assert (found, rest) == (question, context.lstrip())
    assert text[start:] == rest
    assert start >= begin


def test_a_text_without_markers_is_all_context():
    assert split_question("the film") == ("", "the film", 0)


def test_only_tokens_of_the_text_count_for_tags(tokenizer):
    objective = objective_of(NAMES)
    texts = objective.encode(tokenizer, ["the film", ""], 16)
    targets = objective.targets(texts, documents(("the film", encode_spans([Span(4, 8, "地点")])), ("", "[]")))
    assert targets["tag"].tolist() == [IGNORED, 0, 3, IGNORED, IGNORED, IGNORED]
    assert objective.units(targets) == 2
    loss = objective.loss(torch.zeros((6, 5)), {"tag": torch.from_numpy(targets["tag"])})
    assert float(loss) == pytest.approx(2 * np.log(5))


def test_depth_counts_from_the_nearer_end(tokenizer):
    texts = objective_of(NAMES).encode(tokenizer, ["the film is good", "电"], 16)
    assert depth_in_window(texts).tolist() == [0, 1, 2, 2, 1, 0, 0, 1, 0]


def answer_from(objective, texts, strings, boundaries, strength=9.0):
    """The answers of a network that is sure of these (start, end) token numbers."""
    outputs = np.full((len(texts.ids), 2), -strength, dtype=np.float32)
    for start, end in boundaries:
        outputs[start, 0] = outputs[end, 1] = strength
    return objective.answer(outputs, texts, strings)


@pytest.mark.parametrize("max_tokens", [8, 12, 16, 32])
def test_the_targets_of_a_question_say_its_answer_whatever_the_windows(tokenizer, max_tokens):
    objective = objective_of(READING)
    text, begin = mark_question("is the film good", TEXT)
    span = Span(begin + TEXT.index("电影"), begin + TEXT.index("电影") + 2, "answer")
    rows = documents((text, encode_spans([span])), (text, "[]"))
    texts = objective.encode(tokenizer, [text, text], max_tokens)
    assert texts.lengths.max() <= max_tokens
    targets = objective.targets(texts, rows)
    assert targets["boundary"].sum(0).tolist() == [len(texts)] * 2  # one start and one end in every window
    outputs = np.where(targets["boundary"] > 0, 9.0, -9.0).astype(np.float32)
    assert objective.answer(outputs, texts, [text, text])["label"].tolist() == rows["label"].tolist()


def test_windows_that_cut_the_answer_say_that_there_is_none(tokenizer):
    objective = objective_of(READING)
    text, begin = mark_question("is", "the film is a table good great lovely")
    texts = objective.encode(tokenizer, [text], 8)
    answer = Span(begin, begin + len("the film is a table good great"), "answer")  # longer than any window
    targets = objective.targets(texts, documents((text, encode_spans([answer]))))
    assert np.flatnonzero(targets["boundary"][:, 0]).tolist() == texts.starts[:-1].tolist()


def test_the_loss_of_a_question_is_cross_entropy_over_the_candidates_of_each_window(tokenizer):
    objective = objective_of(READING)
    strings = [mark_question("is", "the film is good")[0], mark_question("film", "好")[0]]
    texts = objective.encode(tokenizer, strings, 16)
    targets = objective.targets(texts, documents((strings[0], "[]"), (strings[1], "[]")))
    assert objective.units(targets) == 2
    tensors = {name: torch.from_numpy(part) for name, part in targets.items()}
    assert candidates(texts).sum() == 5 + 2
    assert float(objective.loss(torch.zeros((len(texts.ids), 2)), tensors)) == pytest.approx(np.log(5) + np.log(2))
    outputs = torch.randn((len(texts.ids), 2), generator=torch.Generator().manual_seed(0)).requires_grad_()
    objective.loss(outputs, tensors).backward()
    assert float(outputs.grad[torch.from_numpy(~candidates(texts))].abs().max()) == 0
    assert torch.isfinite(outputs.grad).all()


def test_an_answer_is_given_when_it_is_likelier_than_none(tokenizer):
    objective = objective_of(READING)
    text, begin = mark_question("is", "the film is good")
    texts = objective.encode(tokenizer, [text], 16)
    own = np.flatnonzero(texts.offsets[:, 0] < texts.offsets[:, 1])
    given = answer_from(objective, texts, [text], [(own[0], own[1])])
    assert given["label"].tolist() == [encode_spans([Span(begin, begin + 8, "answer")])]
    assert given["span_scores"].tolist() == [[pytest.approx(1.0)]]
    assert answer_from(objective, texts, [text], [(0, 0)])["label"].tolist() == ["[]"]
    assert answer_from(objective, texts, [text], [(0, 0)])["span_scores"].tolist() == [[]]


def test_an_answer_ends_after_it_begins_and_is_not_too_long():
    tokens = LONGEST_ANSWER_TOKENS + 20
    probabilities = np.full((tokens, 2), 1e-3)
    probabilities[5, 0] = probabilities[tokens - 1, 1] = probabilities[2, 1] = 0.4
    probabilities[9, 1] = 0.1
    score, first, last = best_boundaries(probabilities)
    assert (first, last) == (5, 9)
    assert score == pytest.approx(0.04 / (0.04 + 1e-6))

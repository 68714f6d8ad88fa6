"""Every kind of task learns a toy rule on the packaged encoder, and answers the same once it is saved."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from assets.answers import Span, decode_labels, encode_labels, encode_spans, mark_entities, mark_question
from assets.project import Task
from assets.training.learning.artifacts import ModelSettings, write_model
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network, freeze_lowest_layers, predict_outputs
from assets.training.learning.objectives import ANSWER_COLUMNS, objective_of
from assets.training.learning.records import Examples, Outcome
from assets.training.manifests import write_manifest
from assets.training.scoring.scorer import Scorer, load_model
from assets.training_settings import Training

HARDWARE = choose_hardware("cpu", "fp32")
PEOPLE, CITIES = ("Maria", "Peter", "王", "李"), ("Paris", "London", "北京", "上海")
FILLER = ("the", "people", "walked", "on", "and", "it", "rained", "人", "大", "天")


@dataclass(frozen=True)
class Trained:
    """A trained model, saved and loaded again."""

    outcome: Outcome
    scorer: Scorer
    expected: pd.DataFrame
    dev: pd.DataFrame
    folder: object

    @property
    def answers(self):
        return self.scorer.predict(self.dev["text"].tolist())


@pytest.fixture
def learn(packaged_base, tmp_path):
    """Trains the two highest layers on rows of (text, answer, distribution)."""

    def run(task, train, dev, epochs=6, max_tokens=32, **options):
        settings = Training(
            epochs=epochs, min_steps=0, learning_rate=5e-4, batch_tokens=256, patience=99, evaluations_per_epoch=1, **options
        )
        objective, tokenizer, encoder = objective_of(task), load_tokenizer(packaged_base), load_encoder(packaged_base)
        objective.prepare(tokenizer, encoder)
        torch.manual_seed(1)
        model = Network(encoder, objective.build_head(384, tokenizer, "mean"), 0)
        freeze_lowest_layers(encoder, 4)

        def examples_of(rows):
            frame = pd.DataFrame(rows, columns=["text", "label", "distribution"]).assign(mean_rating=np.nan, source="s")
            frame["document_id"] = [str(number) for number in range(len(frame))]
            texts = objective.encode(tokenizer, frame["text"].tolist(), max_tokens)
            return Examples(frame, texts, objective.targets(texts, frame))

        train, dev = examples_of(train), examples_of(dev)
        outcome = FineTuning(model, objective, train, dev, settings, HARDWARE).run()
        outputs = predict_outputs(model, dev.texts, HARDWARE)
        expected = objective.answer(outputs, dev.texts, dev.documents["text"].tolist())
        write_model(tmp_path / "model", model, tokenizer, ModelSettings(task=task, pooling="mean", max_tokens=max_tokens))
        write_manifest(tmp_path / "model", {})
        return Trained(outcome, load_model(tmp_path / "model", "cpu", "fp32"), expected, dev.documents, tmp_path / "model")

    return run


def assert_same_answers(trained):
    """The saved model answers as the trained one did."""
    found = trained.answers
    assert list(found.columns) == ANSWER_COLUMNS
    assert found["label"].tolist() == trained.expected["label"].tolist()
    for column in ("probabilities", "span_scores"):
        for first, second in zip(found[column], trained.expected[column], strict=True):
            assert (first is None) == (second is None)
            np.testing.assert_allclose(first if first is not None else [], second if second is not None else [], atol=1e-5)
    np.testing.assert_allclose(found["valence"].astype(float), trained.expected["valence"].astype(float), atol=1e-5)


def right(trained):
    return (trained.answers["label"] == trained.dev["label"]).mean()


def words(random, count):
    return [str(word) for word in random.choice(FILLER, count)]


def one_hot(label, labels):
    return [float(label == known) for known in labels]


def test_one_label_per_text(learn):
    task = Task(labels=("city", "person"))

    def rows(count, seed):
        random = np.random.default_rng(seed)
        for number in range(count):
            label = task.labels[number % 2]
            parts = words(random, 4)
            parts.insert(int(random.integers(0, 4)), str(random.choice(CITIES if label == "city" else PEOPLE)))
            yield " ".join(parts), label, one_hot(label, task.labels)

    trained = learn(task, rows(96, 0), rows(40, 1), epochs=4)
    assert right(trained) >= 0.9
    assert trained.outcome.best.dev_macro_f1 >= 0.9
    assert np.isnan(trained.answers["valence"]).all()
    assert_same_answers(trained)


def test_ordinal_labels_have_a_valence_between_the_poles(learn):
    values = {"one": 1.0, "two": 2.0, "three": 3.0}
    task = Task(labels=("one", "two", "three"), values=values)
    marks = {"one": ("terrible", "火"), "two": ("average", "平"), "three": ("wonderful", "美")}

    def rows(count, seed):
        random = np.random.default_rng(seed)
        for number in range(count):
            label = task.labels[number % 3]
            parts = [*words(random, 3), str(random.choice(marks[label]))]
            yield " ".join(parts), label, [0.8 if known == label else 0.1 for known in task.labels]

    trained = learn(task, rows(120, 0), rows(45, 1), epochs=6)
    assert right(trained) >= 0.9
    valence = trained.answers.groupby(trained.dev["label"])["valence"].mean()
    assert valence["one"] < -0.4 < valence["two"] < 0.4 < valence["three"]
    assert_same_answers(trained)


def test_any_number_of_labels_per_text(learn):
    task = Task(kind="multi_label_classification", labels=("city", "person"))

    def rows(count, seed):
        random = np.random.default_rng(seed)
        for number in range(count):
            chosen = [label for label, wanted in zip(task.labels, (number % 2, number // 2 % 2), strict=True) if wanted]
            parts = [*words(random, 3), *(str(random.choice(CITIES if label == "city" else PEOPLE)) for label in chosen)]
            yield " ".join(parts), encode_labels(chosen, task.labels), [float(label in chosen) for label in task.labels]

    trained = learn(task, rows(128, 0), rows(40, 1), epochs=6)
    assert right(trained) >= 0.85
    assert {len(decode_labels(answer, task.labels)) for answer in trained.answers["label"]} == {0, 1, 2}
    assert_same_answers(trained)


NAMES = Task(kind="token_classification", labels=("PER", "地点"))


def sentences_with_names(count, seed, length):
    random = np.random.default_rng(seed)
    for _ in range(count):
        text, spans = "", []
        for word in words(random, length):
            if random.random() < 0.3:
                label = NAMES.labels[int(random.integers(0, 2))]
                word = str(random.choice(PEOPLE if label == "PER" else CITIES))
                spans.append(Span(len(text), len(text) + len(word), label))
            text += word + " "
        yield text, encode_spans(spans), [1.0] * len(spans)


def test_names_are_found_to_the_character_in_texts_of_many_windows(learn):
    trained = learn(NAMES, sentences_with_names(64, 0, 8), [*sentences_with_names(20, 1, 8), *sentences_with_names(4, 2, 120)], epochs=6)
    assert trained.outcome.best.dev_macro_f1 >= 0.95
    assert right(trained) >= 0.75
    long = trained.answers["label"].tolist()[-4:]
    expected = trained.dev["label"].tolist()[-4:]
    for found, wanted in zip(long, expected, strict=True):
        assert len({json.dumps(span) for span in json.loads(wanted)} & {json.dumps(span) for span in json.loads(found)}) >= 25
    assert all(0 < score <= 1 for scores in trained.answers["span_scores"] for score in scores)
    assert_same_answers(trained)


def test_the_relation_of_two_marked_entities_depends_on_their_order(learn):
    task = Task(kind="relation_extraction", labels=("buys", "is_bought_by"))

    def rows(count, seed):
        random = np.random.default_rng(seed)
        for number in range(count):
            first, second = (str(name) for name in random.choice(CITIES + PEOPLE, 2))
            text = f"{first} buys {second}"
            places = (0, len(first)), (len(text) - len(second), len(text))
            label = task.labels[number % 2]
            yield mark_entities(text, *(places if label == "buys" else places[::-1])), label, one_hot(label, task.labels)

    trained = learn(task, rows(96, 0), rows(40, 1), epochs=6)
    assert right(trained) >= 0.9
    tokenizer = load_tokenizer(trained.folder)
    assert tokenizer.tokenize("[E1] Ann [/E1] [E2] 北 [/E2]") == ["[E1]", "ann", "[/E1]", "[E2]", "北", "[/E2]"]
    assert_same_answers(trained)


READING = Task(kind="question_answering", labels=("answer",))


def questions(count, seed, length, answered=0.7):
    """Who (person) or where (city), in texts with one name of each; or only of the other."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        asks_person = random.random() < 0.5
        named = {"person": str(random.choice(PEOPLE)), "city": str(random.choice(CITIES))}
        wanted = named["person" if asks_person else "city"]
        if random.random() > answered:
            named.pop("person" if asks_person else "city")
        parts = words(random, length)
        for name in named.values():
            parts.insert(int(random.integers(0, len(parts))), name)
        context = " ".join(parts)
        text, begin = mark_question("who is the person?" if asks_person else "where is the city?", context)
        spans = []
        if wanted in named.values():
            place = begin + len(" ".join(parts[: parts.index(wanted)])) + (parts.index(wanted) > 0)
            assert text[place : place + len(wanted)] == wanted
            spans = [Span(place, place + len(wanted), "answer")]
        yield text, encode_spans(spans), [1.0] * len(spans)


def test_questions_are_answered_by_spans_of_long_texts_or_by_none(learn):
    dev = [*questions(40, 1, 6), *questions(6, 2, 60, answered=1.0)]
    trained = learn(READING, questions(160, 0, 6), dev, epochs=10)
    assert right(trained) >= 0.8
    assert (trained.answers["label"] == "[]").any()
    assert (trained.answers["label"].iloc[-6:] == trained.dev["label"].iloc[-6:]).sum() >= 4
    assert_same_answers(trained)


def test_no_texts_have_no_answers(learn):
    trained = learn(NAMES, sentences_with_names(4, 0, 4), sentences_with_names(2, 1, 4), epochs=1)
    assert trained.scorer.predict([]).empty
    assert trained.scorer.predict([""])["label"].tolist() == ["[]"]

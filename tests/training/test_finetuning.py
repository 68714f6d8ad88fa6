import dataclasses

import numpy as np
import pytest
import torch

from assets.project import Training
from assets.training.checkpoints import read_newest_checkpoint
from assets.training.classifier import TextClassifier, predict_logits, soft_label_loss
from assets.training.encoder import load_encoder, load_tokenizer
from assets.training.encoding import encode_texts
from assets.training.finetuning import FineTuning, rate_factor
from assets.training.hardware import choose_hardware
from assets.training.records import CheckpointPolicy, Examples, TrainingInterruptedError

HARDWARE = choose_hardware("cpu", "fp32")
POLES = (2, 0)


class Killed(BaseException):
    """Stands for a process that ends in the middle."""


def examples_of(frame, tokenizer):
    distribution = np.stack(frame["distribution"].tolist()).astype(np.float32)
    return Examples(encode_texts(tokenizer, frame["text"].tolist(), 16), distribution, (frame["mean_rating"] / 4).to_numpy(np.float32))


@pytest.fixture
def start(tiny_base, documents, recipe):
    tokenizer = load_tokenizer(tiny_base)
    train, dev = examples_of(documents(120, 0), tokenizer), examples_of(documents(40, 1), tokenizer)

    def build(settings: Training = recipe, train=train, dev=dev, **options):
        torch.manual_seed(settings.seed)
        model = TextClassifier(load_encoder(tiny_base), 3)
        return FineTuning(model, train, dev, settings, HARDWARE, POLES, **options)

    build.dev, build.train = dev, train
    return build


def weights_of(run):
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_training_learns_what_english_and_chinese_words_say(start, recipe, documents, tiny_base):
    train = examples_of(documents(240, 0), load_tokenizer(tiny_base))
    outcome = start(recipe.model_copy(update={"epochs": 5}), train=train).run()
    assert outcome.best.dev_macro_f1 > 0.8


def test_dev_is_evaluated_evenly_and_at_the_end_of_every_epoch(start):
    outcome = start().run()
    assert outcome.steps == 45
    assert [entry.step for entry in outcome.history] == [8, 15, 23, 30, 38, 45]


def test_the_same_inputs_give_the_same_weights(start):
    first, second = start(), start()
    assert first.run().history == second.run().history
    assert_same_weights(weights_of(first), weights_of(second))


def test_another_seed_gives_other_weights(start, recipe):
    first, second = start(), start(recipe.model_copy(update={"seed": 14}))
    assert first.run().history != second.run().history


@pytest.mark.parametrize("rate", [3e-3, 0.3])
def test_the_returned_model_is_the_best_one_seen(start, recipe, rate):
    run = start(recipe.model_copy(update={"learning_rate": rate}))
    outcome = run.run()
    logits = torch.from_numpy(predict_logits(run.model, start.dev.texts, HARDWARE))
    targets = torch.from_numpy(start.dev.distribution), torch.from_numpy(start.dev.valence)
    assert float(soft_label_loss(logits, *targets, POLES, 1.0)) == outcome.best.dev_loss
    assert outcome.best.dev_loss == min(entry.dev_loss for entry in outcome.history)


def test_training_stops_when_dev_does_not_improve_any_more(start, recipe):
    outcome = start(recipe.model_copy(update={"learning_rate": 0.3, "patience": 2, "epochs": 20})).run()
    assert outcome.steps < 20 * 15
    assert outcome.history[-3] == outcome.best
    assert len(outcome.history) >= 3


@pytest.mark.parametrize("killed_at", [1, 7, 8, 15, 16, 31, 44])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(start, tmp_path, killed_at):
    whole = start()
    expected = whole.run()
    policy = CheckpointPolicy(tmp_path, "run", every_steps=7)
    broken = start(checkpoints=policy)
    train_one_step = broken._train_one_step

    def die_after():
        if broken.position.step == killed_at:
            raise Killed
        return train_one_step()

    broken._train_one_step = die_after
    with pytest.raises(Killed):
        broken.run()
    torch.manual_seed(99)
    resumed = start(checkpoints=policy)
    outcome = resumed.run()
    assert outcome.resumed_from == (killed_at // 7 * 7 or None)
    assert outcome.history == expected.history
    assert_same_weights(weights_of(whole), weights_of(resumed))


def test_a_finished_run_that_is_started_again_trains_nothing_and_has_the_same_weights(start, tmp_path):
    policy = CheckpointPolicy(tmp_path, "run", every_steps=45)
    first, second = start(checkpoints=policy), start(checkpoints=policy)
    first.run()
    second._train_one_step = None
    assert second.run().resumed_from == 45
    assert_same_weights(weights_of(first), weights_of(second))


def test_checkpoints_of_another_run_are_not_resumed(start, tmp_path):
    start(checkpoints=CheckpointPolicy(tmp_path, "old", every_steps=45)).run()
    assert start(checkpoints=CheckpointPolicy(tmp_path, "new", every_steps=45)).run().resumed_from is None


def test_a_run_asked_to_stop_leaves_a_checkpoint(start, tmp_path):
    policy = CheckpointPolicy(tmp_path, "run")
    asked = []
    run = start(checkpoints=policy, should_stop=lambda: len(asked) > 4 or asked.append(1))
    with pytest.raises(TrainingInterruptedError, match="Stopped on request after step 6 of 45; run again to go on"):
        run.run()
    assert read_newest_checkpoint(tmp_path, "run").step == 6
    assert start(checkpoints=policy).run().resumed_from == 6


def test_checkpoints_wait_for_a_multiple_of_what_the_last_one_cost(start, tmp_path):
    run = start(checkpoints=CheckpointPolicy(tmp_path, "run", min_seconds=0.0))
    run._last_checkpoint = float("-inf")
    assert run._is_checkpoint_due(run.checkpoints)
    run._checkpoint_seconds = 1e9
    run._last_checkpoint = 0.0
    assert not run._is_checkpoint_due(run.checkpoints)


def test_progress_is_reported_every_ten_steps_and_at_the_end(start):
    reports = []
    start(report=reports.append).run()
    assert [(entry.step, entry.total_steps) for entry in reports] == [(10, 45), (20, 45), (30, 45), (40, 45), (45, 45)]
    assert all(entry.loss > 0 and entry.tokens_per_second > 0 for entry in reports)


def test_a_loss_that_is_not_a_number_ends_the_run(start):
    bad = dataclasses.replace(start.train, distribution=np.full_like(start.train.distribution, np.nan))
    with pytest.raises(FloatingPointError, match=r"step 1: expected a finite loss, found nan; lower training.learning_rate"):
        start(train=bad).run()


def test_a_dev_split_that_gives_no_number_ends_the_run(start):
    bad = dataclasses.replace(start.dev, distribution=np.full_like(start.dev.distribution, np.nan))
    with pytest.raises(FloatingPointError, match="step 8: expected a finite loss on dev, found nan"):
        start(dev=bad).run()


def test_no_rows_are_an_error(start):
    tokenless = dataclasses.replace(start.dev, texts=dataclasses.replace(start.dev.texts, starts=np.zeros(1, dtype=np.int64)))
    with pytest.raises(ValueError, match="expected train and dev rows, found 120 train and 0 dev rows"):
        start(dev=tokenless)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.1), (9, 1.0), (10, 1.0), (55, 0.5), (99, 1 / 90)])
def test_the_learning_rate_warms_up_and_decays(step, expected):
    assert rate_factor(step, 100, 0.1) == pytest.approx(expected)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert rate_factor(0, 100, 0.0) == 1.0


def test_the_loss_is_soft_cross_entropy_plus_the_weighted_valence_error():
    logits = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    targets = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    ratings = torch.tensor([float("nan"), 0.5])
    assert float(soft_label_loss(logits, targets, ratings, POLES, 2.0)) == pytest.approx(np.log(3) + 2 * 0.25)
    assert float(soft_label_loss(logits, targets, ratings, None, 2.0)) == pytest.approx(np.log(3))


def test_rows_without_a_rating_send_no_gradient_through_the_valence():
    logits = torch.zeros((1, 3), requires_grad=True)
    soft_label_loss(logits, torch.full((1, 3), 1 / 3), torch.tensor([float("nan")]), POLES, 1.0).backward()
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad.abs().max()) < 1e-6

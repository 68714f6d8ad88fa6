import dataclasses
import shutil

import numpy as np
import pytest
import torch

from assets.training.learning.checkpoints import read_newest_checkpoint
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network, predict_outputs, set_dropout
from assets.training.learning.objectives import objective_of
from assets.training.learning.records import CheckpointPolicy, Examples, TrainingInterruptedError
from assets.training.learning.schedule import evaluation_steps, passes_per_epoch, rate_factor, seed_of_step
from assets.training_settings import Training

HARDWARE = choose_hardware("cpu", "fp32")
STEPS, PER_EPOCH = 48, 16


class Killed(BaseException):
    """Stands for a process that ends in the middle."""


@pytest.fixture
def objective(task):
    return objective_of(task, 4.0)


@pytest.fixture
def start(tiny_base, documents, recipe, objective):
    tokenizer = load_tokenizer(tiny_base)

    def examples_of(rows, seed):
        frame = documents(rows, seed)
        texts = objective.encode(tokenizer, frame["text"].tolist(), 16)
        return Examples(frame, texts, objective.targets(texts, frame))

    def build(settings: Training = recipe, train=None, dev=None, hardware=HARDWARE, **options):
        torch.manual_seed(settings.seed)
        encoder = load_encoder(tiny_base)
        model = Network(encoder, objective.build_head(32, tokenizer, "mean"), 0)
        set_dropout(model, settings.dropout)
        return FineTuning(model, objective, train or build.train, dev or build.dev, settings, hardware, **options)

    build.examples_of = examples_of
    build.train, build.dev = examples_of(120, 0), examples_of(40, 1)
    return build


def with_targets(examples, value):
    return dataclasses.replace(examples, targets={name: np.full_like(part, value) for name, part in examples.targets.items()})


def weights_of(run):
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def loss_on(run, examples):
    """Mean loss of the model as it is now."""
    outputs = torch.from_numpy(predict_outputs(run.model, examples.texts, HARDWARE))
    return float(run.objective.loss(outputs, {name: torch.from_numpy(part) for name, part in examples.targets.items()})) / len(
        examples.texts
    )


@pytest.fixture(scope="module")
def uninterrupted():
    """History and weights of whole runs, by settings: each is run once for all tests."""
    done = {}

    def run_once(start, settings):
        key = settings.model_dump_json()
        if key not in done:
            run = start(settings)
            done[key] = run.run().history, weights_of(run)
        return done[key]

    return run_once


def kill_at(run, step):
    """Let a run die at the beginning of the step after this one."""
    train_one_step = run._train_one_step

    def die_or_train():
        if run.position.step == step:
            raise Killed
        return train_one_step()

    run._train_one_step = die_or_train
    with pytest.raises(Killed):
        run.run()


def test_training_learns_what_english_and_chinese_words_say(start, recipe):
    outcome = start(recipe.model_copy(update={"epochs": 6}), train=start.examples_of(240, 0)).run()
    assert outcome.best.dev_macro_f1 > 0.8


def test_dev_is_evaluated_evenly_and_at_the_end_of_every_epoch(start):
    outcome = start().run()
    assert outcome.steps == STEPS
    assert [entry.step for entry in outcome.history] == [8, 16, 24, 32, 40, 48]
    assert [entry.epoch for entry in outcome.history] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_with_few_rows_an_epoch_goes_over_them_several_times(start, recipe):
    run = start(recipe.model_copy(update={"min_steps": 100}))
    seen = [np.sort(np.concatenate(run._batches_of(epoch))).tolist() for epoch in range(3)]
    assert run.passes == 2
    assert seen == [sorted([*range(120), *range(120)])] * 3
    outcome = run.run()
    assert outcome.steps == 2 * STEPS
    assert [entry.epoch for entry in outcome.history] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_several_passes_weigh_rows_as_one_does(start, recipe):
    """See the test of the reported train loss: the mean over rows does not depend on how often they are seen."""
    settings = recipe.model_copy(update={"learning_rate": 1e-12, "epochs": 1, "evaluations_per_epoch": 1, "dropout": 0.0, "min_steps": 50})
    run = start(settings)
    assert run.run().history[0].train_loss == pytest.approx(loss_on(run, start.train), rel=1e-4)


@pytest.mark.parametrize(
    ("min_steps", "epochs", "steps_of_pass", "expected"), [(0, 1, 1, 1), (300, 2, 6, 25), (300, 1, 265, 1), (300, 1, 100, 3), (5, 3, 16, 1)]
)
def test_passes_bring_a_run_near_its_least_number_of_steps(min_steps, epochs, steps_of_pass, expected):
    assert passes_per_epoch(min_steps, epochs, steps_of_pass) == expected


def test_two_lanes_train_as_one_does_up_to_rounding(start, recipe):
    settings = recipe.model_copy(update={"dropout": 0.0})
    runs = [start(settings, hardware=dataclasses.replace(HARDWARE, threads=threads)) for threads in (1, 2)]
    assert [run.lanes.count for run in runs] == [1, 2]
    one, two = (run.run().history for run in runs)
    assert [entry.dev_loss for entry in two] == pytest.approx([entry.dev_loss for entry in one], rel=1e-2)


def test_two_lanes_with_dropout_repeat_to_the_last_bit(start, recipe):
    settings = recipe.model_copy(update={"dropout": 0.2, "epochs": 1})
    runs = [start(settings, hardware=dataclasses.replace(HARDWARE, threads=2)) for _ in range(2)]
    histories = [run.run().history for run in runs]
    assert histories[0] == histories[1]
    assert_same_weights(weights_of(runs[0]), weights_of(runs[1]))


def test_another_seed_gives_another_run(start, uninterrupted, recipe):
    assert uninterrupted(start, recipe)[0] != uninterrupted(start, recipe.model_copy(update={"seed": 14}))[0]


def test_the_same_inputs_give_the_same_weights_whatever_randomness_others_draw(start, uninterrupted, recipe):
    history, weights = uninterrupted(start, recipe)
    second = start()
    torch.manual_seed(99)
    assert second.run().history == history
    assert_same_weights(weights, weights_of(second))


@pytest.mark.parametrize("changes", [{"learning_rate": 3e-3}, {"learning_rate": 0.3}, {"average_decay": 0.9}])
def test_the_returned_model_is_the_best_one_seen(start, recipe, changes):
    run = start(recipe.model_copy(update=changes))
    outcome = run.run()
    assert loss_on(run, start.dev) == pytest.approx(outcome.best.dev_loss, rel=1e-6)
    assert np.array_equal(outcome.dev_outputs, predict_outputs(run.model, start.dev.texts, HARDWARE))
    assert outcome.best.dev_loss == min(entry.dev_loss for entry in outcome.history)


def test_the_average_of_the_weights_is_judged_and_kept_and_does_not_disturb_training(start, uninterrupted, recipe):
    (history, plain), (averaged_history, averaged) = (
        uninterrupted(start, recipe.model_copy(update={"average_decay": decay})) for decay in (0.0, 0.8)
    )
    assert [entry.train_loss for entry in history] == [entry.train_loss for entry in averaged_history]
    assert [name for name, weight in plain.items() if torch.equal(weight, averaged[name])] == [
        "encoder.pooler.dense.weight",
        "encoder.pooler.dense.bias",
    ]


def test_training_stops_when_dev_does_not_improve_any_more(start, recipe):
    outcome = start(recipe.model_copy(update={"learning_rate": 0.3, "patience": 2, "epochs": 20})).run()
    assert outcome.steps < 20 * PER_EPOCH
    assert outcome.history[-3] == outcome.best
    assert len(outcome.history) >= 3


CAREFUL = {"average_decay": 0.8, "layer_decay": 0.7, "dropout": 0.2, "weight_decay": 0.1}


@pytest.mark.parametrize(
    ("killed_at", "changes"),
    [
        (0, CAREFUL),  # before anything
        (1, CAREFUL),
        (7, CAREFUL),  # a checkpoint was just written
        (8, CAREFUL),  # dev was just evaluated
        (15, CAREFUL),
        (16, CAREFUL),  # an epoch has just ended
        (31, CAREFUL),
        (47, CAREFUL),  # before the last step
        (31, {}),
        (31, {"average_decay": 0.8}),
        (31, {"frozen_layers": 1}),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(start, uninterrupted, recipe, tmp_path, killed_at, changes):
    settings = recipe.model_copy(update=changes)
    history, weights = uninterrupted(start, settings)
    policy = CheckpointPolicy(tmp_path, "run", every_steps=7)
    kill_at(start(settings, checkpoints=policy), killed_at)
    torch.manual_seed(99)
    resumed = start(settings, checkpoints=policy)
    outcome = resumed.run()
    assert outcome.resumed_from == (killed_at // 7 * 7 or None)
    assert outcome.history == history
    assert_same_weights(weights, weights_of(resumed))
    assert np.array_equal(outcome.dev_outputs, predict_outputs(resumed.model, start.dev.texts, HARDWARE))


def test_a_run_that_dies_again_and_again_equals_an_uninterrupted_one(start, uninterrupted, recipe, tmp_path):
    settings = recipe.model_copy(update=CAREFUL)
    _, weights = uninterrupted(start, settings)
    policy = CheckpointPolicy(tmp_path, "run", every_steps=5)
    for step in (6, 11, 24, 29, 46):
        kill_at(start(settings, checkpoints=policy), step)
    resumed = start(settings, checkpoints=policy)
    assert resumed.run().resumed_from == 45
    assert_same_weights(weights, weights_of(resumed))


def test_a_run_goes_on_from_the_checkpoint_before_a_torn_one(start, uninterrupted, recipe, tmp_path):
    _, weights = uninterrupted(start, recipe)
    policy = CheckpointPolicy(tmp_path, "run", every_steps=7)
    kill_at(start(checkpoints=policy), 30)
    torn = tmp_path / "step-000000028" / "tensors.safetensors"
    torn.write_bytes(torn.read_bytes()[:-100])
    resumed = start(checkpoints=policy)
    assert resumed.run().resumed_from == 21
    assert_same_weights(weights, weights_of(resumed))


def test_an_early_stop_is_the_same_after_a_resume(start, uninterrupted, recipe, tmp_path):
    settings = recipe.model_copy(update={"learning_rate": 0.3, "patience": 2, "epochs": 20})
    history, weights = uninterrupted(start, settings)
    policy = CheckpointPolicy(tmp_path, "run", every_steps=3)
    kill_at(start(settings, checkpoints=policy), history[-1].step - 1)
    resumed = start(settings, checkpoints=policy)
    assert resumed.run().history == history
    assert_same_weights(weights, weights_of(resumed))


def test_a_finished_run_that_is_started_again_trains_nothing_and_has_the_same_weights(start, tmp_path):
    policy = CheckpointPolicy(tmp_path, "run", every_steps=STEPS)
    first, second = start(checkpoints=policy), start(checkpoints=policy)
    first.run()
    second._train_one_step = None
    assert second.run().resumed_from == STEPS
    assert_same_weights(weights_of(first), weights_of(second))


def test_checkpoints_of_another_run_are_not_resumed(start, tmp_path):
    start(checkpoints=CheckpointPolicy(tmp_path, "old", every_steps=STEPS)).run()
    assert start(checkpoints=CheckpointPolicy(tmp_path, "new", every_steps=STEPS)).run().resumed_from is None


def test_a_run_asked_to_stop_leaves_a_checkpoint(start, tmp_path):
    policy = CheckpointPolicy(tmp_path, "run")
    asked = []
    run = start(checkpoints=policy, should_stop=lambda: len(asked) > 4 or asked.append(1))
    with pytest.raises(TrainingInterruptedError, match="Stopped on request after step 6 of 48; run again to go on"):
        run.run()
    assert read_newest_checkpoint(tmp_path, "run").step == 6
    assert start(checkpoints=policy).run().resumed_from == 6


def test_a_run_asked_to_stop_after_its_last_step_just_ends(start, tmp_path):
    run = start(checkpoints=CheckpointPolicy(tmp_path, "run"), should_stop=lambda: run.position.step == STEPS)
    assert run.run().steps == STEPS


def test_checkpoints_wait_for_a_multiple_of_what_the_last_one_cost(start, tmp_path):
    run = start(checkpoints=CheckpointPolicy(tmp_path, "run", min_seconds=0.0))
    run._last_checkpoint = float("-inf")
    assert run._is_checkpoint_due()
    run._checkpoint_seconds, run._last_checkpoint = 1e9, 0.0
    assert not run._is_checkpoint_due()
    run.checkpoints = None
    assert not run._is_checkpoint_due()


def test_checkpoints_hold_no_more_than_they_must(start, recipe, tmp_path):
    run = start(
        recipe.model_copy(update={"frozen_layers": 1, "average_decay": 0.0}), checkpoints=CheckpointPolicy(tmp_path, "run", every_steps=8)
    )
    for weight in run.model.encoder.embeddings.parameters():
        weight.requires_grad_(False)
    kill_at(run, 9)
    assert not [name for name in read_newest_checkpoint(tmp_path, "run").tensors if "embeddings" in name]
    shutil.rmtree(tmp_path)


def test_progress_is_reported_every_ten_steps_and_at_the_end(start):
    reports = []
    start(report=reports.append).run()
    assert [(entry.step, entry.total_steps) for entry in reports] == [(step, STEPS) for step in (10, 20, 30, 40, 48)]
    assert all(entry.loss > 0 and entry.tokens_per_second > 0 for entry in reports)


def test_whoever_watches_sees_every_evaluation_and_may_end_the_run(start):
    seen = []
    outcome = start(watch=seen.append).run()
    assert seen == list(outcome.history)

    def refuse(score):
        raise Killed

    with pytest.raises(Killed):
        start(watch=refuse).run()


def test_the_reported_train_loss_is_the_mean_over_rows(start, recipe):
    """With a rate of almost nothing, and without dropout, the loss of an epoch's batches is the loss of the model on all rows."""
    settings = recipe.model_copy(update={"learning_rate": 1e-12, "epochs": 1, "evaluations_per_epoch": 1, "dropout": 0.0})
    run = start(settings)
    outcome = run.run()
    assert outcome.history[0].train_loss == pytest.approx(loss_on(run, start.train), rel=1e-4)


def test_a_loss_that_is_not_a_number_ends_the_run(start):
    with pytest.raises(FloatingPointError, match=r"step 8: expected a finite loss, found nan; lower training.learning_rate"):
        start(train=with_targets(start.train, np.nan)).run()


def test_a_dev_split_that_gives_no_number_ends_the_run(start):
    with pytest.raises(FloatingPointError, match="step 8: expected a finite loss on dev, found nan; look at its distributions"):
        start(dev=with_targets(start.dev, np.nan)).run()


def test_no_rows_are_an_error(start):
    empty = dataclasses.replace(start.dev, texts=start.dev.texts.take(np.zeros(0, dtype=np.int64)))
    with pytest.raises(ValueError, match="expected train and dev rows, found 120 train and 0 dev rows"):
        start(dev=empty)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.1), (9, 1.0), (10, 1.0), (55, 0.5), (99, 1 / 90)])
def test_the_learning_rate_warms_up_and_decays(step, expected):
    assert rate_factor(step, 100, 0.1) == pytest.approx(expected)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert rate_factor(0, 100, 0.0) == 1.0


@pytest.mark.parametrize(
    ("first_steps", "per_epoch", "expected"),
    [([0, 16, 32], 2, {8, 16, 24, 32}), ([0, 5], 3, {2, 3, 5}), ([0, 1, 2], 4, {1, 2}), ([0, 7, 15], 1, {7, 15})],
)
def test_evaluations_are_spread_over_each_epoch(first_steps, per_epoch, expected):
    assert evaluation_steps(np.array(first_steps), per_epoch) == expected


def test_every_step_of_every_process_has_a_seed_of_its_own():
    assert len({seed_of_step(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(3)}) == 450
    assert seed_of_step(13, 5, 0) == seed_of_step(13, 5, 0)

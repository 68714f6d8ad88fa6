import numpy as np
import pandas as pd
import pytest
import torch

from assets.project import Task
from assets.training.learning.artifacts import ModelSettings, write_model
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.few_shot import PENALTIES, choose_penalty, curvature_of, fit_head, fit_linear, folds_of
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network, predict_outputs
from assets.training.learning.objectives import objective_of
from assets.training.learning.records import Examples
from assets.training.manifests import write_manifest
from assets.training.scoring.scorer import load_model

HARDWARE = choose_hardware("cpu", "fp32")
MOOD = Task(labels=("bad", "good"))
ENGLISH = {"good": ["wonderful", "excellent", "lovely", "superb"], "bad": ["terrible", "awful", "boring", "horrible"]}
CHINESE = {"good": ["美", "良", "秀", "光"], "bad": ["不美", "不良", "不秀", "不光"]}  # the packaged encoder knows few characters
FRAMES = {
    "en": ["The film was {}.", "{} from start to end", "I found it {}, really", "What a {} story"],
    "zh": ["大学{}", "{}人", "北京真{}的事"],
}


def make_rows(words, count, seed):
    random = np.random.default_rng(seed)
    frames = FRAMES["en" if words is ENGLISH else "zh"]
    rows = []
    for number in range(count):
        label = MOOD.labels[number % 2]
        text = str(random.choice(frames)).format(random.choice(words[label]))
        rows.append({"document_id": f"{seed}-{number}", "text": text, "label": label, "group_id": f"g{number // 2}"})
    frame = pd.DataFrame(rows)
    return frame.assign(
        source="s", mean_rating=np.nan, distribution=[[float(label == known) for known in MOOD.labels] for label in frame["label"]]
    )


def examples_of(objective, tokenizer, frame):
    texts = objective.encode(tokenizer, frame["text"].tolist(), 32)
    return Examples(frame, texts, objective.targets(texts, frame))


@pytest.fixture
def fitted(packaged_base):
    """Fits a head to 24 labels; the model, its outcome, its examples."""

    def fit(words):
        objective, tokenizer, encoder = objective_of(MOOD), load_tokenizer(packaged_base), load_encoder(packaged_base)
        model = Network(encoder, objective.build_head(384, tokenizer, "mean"), 0)
        train, dev = (examples_of(objective, tokenizer, make_rows(words, count, seed)) for count, seed in ((24, 0), (40, 1)))
        return model, tokenizer, fit_head(model, objective, train, dev, HARDWARE), dev

    return fit


@pytest.mark.parametrize(("words", "least"), [(ENGLISH, 0.9), (CHINESE, 0.8)], ids=["english", "chinese"])
def test_a_head_learns_from_24_labels_and_scores_the_same_once_saved(fitted, tmp_path, words, least):
    model, tokenizer, outcome, dev = fitted(words)
    assert outcome.best.dev_macro_f1 > least
    assert (outcome.steps, len(outcome.history)) == (0, 1)
    write_model(tmp_path, model, tokenizer, ModelSettings(task=MOOD, pooling="mean", max_tokens=32))
    write_manifest(tmp_path, {})
    answers = load_model(tmp_path, "cpu", "fp32").predict(dev.documents["text"].tolist())
    assert (answers["label"] == dev.documents["label"]).mean() > least
    expected = objective_of(MOOD).answer(predict_outputs(model, dev.texts, HARDWARE), dev.texts, dev.documents["text"].tolist())
    np.testing.assert_allclose(np.stack(answers["probabilities"]), np.stack(expected["probabilities"]), atol=1e-5)


def test_the_encoder_is_not_changed(fitted, packaged_base):
    model, *_ = fitted(ENGLISH)
    before = load_encoder(packaged_base).state_dict()
    assert [name for name, weight in model.encoder.state_dict().items() if not torch.equal(weight, before[name])] == []


def test_folds_hold_out_whole_groups_and_every_row_once():
    groups = pd.Series(list("aaabbccdefgh"))
    folds = [fold.numpy() for fold in folds_of(groups)]
    assert len(folds) == 5
    assert np.sum(folds, axis=0).tolist() == [1] * len(groups)
    assert all(groups[fold].isin(groups[~fold]).sum() == 0 for fold in folds)


@pytest.mark.parametrize(("groups", "count"), [("aaaa", 0), ("aabb", 2), ("abcabc", 3)])
def test_few_groups_make_fewer_folds(groups, count):
    assert len(list(folds_of(pd.Series(list(groups))))) == count


def test_noise_is_penalized_more_than_a_rule():
    random = torch.Generator().manual_seed(0)
    states = torch.randn((120, 40), generator=random)
    groups = pd.Series(range(120))
    rule = torch.nn.functional.one_hot((states[:, 0] > 0).long(), 2).float()
    noise = torch.nn.functional.one_hot(torch.randint(0, 2, (120,), generator=random), 2).float()
    chosen = [choose_penalty(objective_of(MOOD), states, {"distribution": target}, groups) for target in (rule, noise)]
    assert chosen[0] < chosen[1] == max(PENALTIES)


def test_a_fit_without_evidence_gives_the_shares_of_the_labels():
    target = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    weight, bias = fit_linear(objective_of(MOOD), torch.zeros((4, 3)), {"distribution": target}, 0.01, 2)
    assert weight.tolist() == [[0.0] * 3] * 2
    assert torch.softmax(bias, 0).tolist() == pytest.approx([0.25, 0.75], abs=1e-4)


def test_spans_are_refused(packaged_base):
    task = Task(kind="token_classification", labels=("人",))
    objective, tokenizer = objective_of(task), load_tokenizer(packaged_base)
    model = Network(load_encoder(packaged_base), objective.build_head(384, tokenizer, "mean"), 0)
    with pytest.raises(
        ValueError, match=r"training\.few_shot_below: expected a task with one answer per text, found one with spans; set it to 0"
    ):
        fit_head(model, objective, None, None, HARDWARE)


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_a_penalty_counts_for_an_output_as_the_loss_bends_in_it(weight):
    task = Task(labels=("bad", "fair", "good"), negative_label="bad", positive_label="good")
    targets = {"distribution": torch.eye(3), "valence": torch.tensor([-1.0, 0.0, 1.0])}
    found = curvature_of(objective_of(task, weight), targets, 4)
    np.testing.assert_allclose(found, [2 / 9, 2 / 9, 2 / 9, 2 * weight], rtol=1e-5)

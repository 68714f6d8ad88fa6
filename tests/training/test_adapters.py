import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel

from assets.training.learning.adapters import MissingExtraError, add_adapters
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.encoding import encode_texts
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network, freeze_lowest_layers, predict_outputs
from assets.training.learning.objectives import objective_of
from assets.training.learning.records import Examples
from assets.training.learning.weights import heights, trained_weights
from assets.training_settings import Lora

HARDWARE = choose_hardware("cpu", "fp32")
SETTINGS = Lora(rank=4, alpha=8, dropout=0.1)


@pytest.fixture
def adapted(tiny_base, task):
    """A network with adapters, and what merges them."""
    torch.manual_seed(3)
    encoder, tokenizer = load_encoder(tiny_base), load_tokenizer(tiny_base)
    merge = add_adapters(encoder, SETTINGS)
    return Network(encoder, objective_of(task).build_head(32, tokenizer, "mean"), 0), merge


@pytest.fixture
def trained(adapted, tiny_base, task, documents, recipe):
    """The same after a short training, with its examples."""
    model, merge = adapted
    objective, tokenizer = objective_of(task), load_tokenizer(tiny_base)

    def examples_of(frame):
        texts = objective.encode(tokenizer, frame["text"].tolist(), 16)
        return Examples(frame, texts, objective.targets(texts, frame))

    train, dev = examples_of(documents(60, 0)), examples_of(documents(30, 1))
    outcome = FineTuning(
        model, objective, train, dev, recipe.model_copy(update={"learning_rate": 0.02, "layer_decay": 0.9}), HARDWARE
    ).run()
    return model, merge, dev, outcome


def test_only_adapters_and_head_are_trained(adapted):
    model, _ = adapted
    assert model.is_packed
    names = list(trained_weights(model))
    assert {name for name in names if "lora_" not in name} == {"head.linear.weight", "head.linear.bias"}
    assert len([name for name in names if ".query." in name]) == 4  # two layers, two factors
    assert sum(weight.numel() for weight in trained_weights(model).values()) < 0.5 * sum(weight.numel() for weight in model.parameters())
    assert {heights(model)[name] for name in names if ".layer." in name} == {1, 2}


def test_training_adapters_learns_and_leaves_the_weights_below_as_they_were(trained, tiny_base):
    model, _, _, outcome = trained
    assert outcome.best.dev_loss < outcome.history[0].dev_loss
    before = load_encoder(tiny_base).state_dict()
    after = {name.replace(".base_layer", ""): weight for name, weight in model.encoder.state_dict().items() if "lora_" not in name}
    assert after.keys() == before.keys()
    assert [name for name, weight in before.items() if not torch.equal(weight, after[name])] == []


def test_the_merged_encoder_is_a_plain_one_that_answers_as_the_adapted_one_did(trained, tiny_base, tmp_path):
    model, merge, dev, _ = trained
    expected = predict_outputs(model, dev.texts, HARDWARE)
    merge()
    np.testing.assert_allclose(predict_outputs(model, dev.texts, HARDWARE), expected, atol=1e-4)
    model.encoder.save_pretrained(tmp_path)
    plain = AutoModel.from_pretrained(tmp_path, local_files_only=True)
    assert plain.state_dict().keys() == load_encoder(tiny_base).state_dict().keys()
    again = predict_outputs(Network(plain, model.head, 0), dev.texts, HARDWARE)
    np.testing.assert_allclose(again, expected, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_fresh_adapters_change_nothing(adapted, tiny_base):
    model, _ = adapted
    texts = encode_texts(load_tokenizer(tiny_base), ["good film", "电影坏"], 16)
    plain = Network(load_encoder(tiny_base), model.head, 0)
    np.testing.assert_array_equal(predict_outputs(model, texts, HARDWARE), predict_outputs(plain, texts, HARDWARE))


def test_adapters_of_frozen_layers_are_not_trained(adapted):
    model, _ = adapted
    freeze_lowest_layers(model.encoder, 1)
    assert not [name for name in trained_weights(model) if ".layer.0." in name]
    assert [name for name in trained_weights(model) if ".layer.1." in name]


def test_without_the_library_the_error_names_the_extra(tiny_base, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        MissingExtraError, match=r"training\.lora: expected the library peft, found none; install it with: pip install 'textmill\[lora\]'"
    ):
        add_adapters(load_encoder(tiny_base), SETTINGS)

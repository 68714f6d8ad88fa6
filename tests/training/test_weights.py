import pytest
import torch
from transformers import AlbertConfig, AutoModel

from assets.training.learning.encoder import load_encoder
from assets.training.learning.network import Network, TextHead, freeze_lowest_layers
from assets.training.learning.weights import MovingAverage, build_optimizer, heights, learning_rate_of, set_weights, trained_weights
from assets.training_settings import Training


@pytest.fixture
def model(tiny_base):
    return Network(load_encoder(tiny_base), TextHead(32, 3), 0)


def rates(model, settings):
    """Rate share and decay of each weight, by name."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    groups = build_optimizer(model, settings).param_groups
    return {names[id(weight)]: (group["rate_share"], group["weight_decay"]) for group in groups for weight in group["params"]}


def test_each_layer_learns_at_a_share_of_the_rate_above(model):
    found = {name: rate for name, (rate, _) in rates(model, Training(layer_decay=0.5)).items()}
    assert found["head.linear.weight"] == 1
    assert found["encoder.encoder.layer.1.output.dense.weight"] == 0.5
    assert found["encoder.encoder.layer.0.output.dense.weight"] == 0.25
    assert found["encoder.embeddings.word_embeddings.weight"] == 0.125
    assert set(found) == set(dict(model.named_parameters()))


def test_without_layer_decay_all_learn_alike(model):
    assert {rate for rate, _ in rates(model, Training()).values()} == {1.0}


def test_biases_and_normalization_do_not_decay(model):
    found = rates(model, Training(weight_decay=0.1, layer_decay=0.9))
    assert {name for name, (_, decay) in found.items() if decay == 0} == {
        name for name in found if name.endswith(".bias") or "LayerNorm" in name
    }
    assert {decay for _, decay in found.values()} == {0.0, 0.1}


def test_frozen_weights_are_not_optimized(model):
    freeze_lowest_layers(model.encoder, 2)
    assert {name.rpartition(".")[0] for name in rates(model, Training(layer_decay=0.9))} == {"head.linear", "encoder.pooler.dense"}


def test_an_encoder_whose_layers_share_weights_trains_without_layer_decay_and_says_why_not_with_it():
    config = AlbertConfig(vocab_size=9, embedding_size=8, hidden_size=8, num_attention_heads=1, intermediate_size=8, num_hidden_layers=3)
    model = Network(AutoModel.from_config(config), TextHead(8, 2), 0)
    assert rates(model, Training())
    with pytest.raises(ValueError, match="expected an encoder with its 3 layers in one list, found none in AlbertModel"):
        rates(model, Training(layer_decay=0.9))


@pytest.mark.parametrize(("width", "expected"), [(32, 1.5e-4), (384, 1.5e-4), (385, 5e-5), (768, 5e-5), (1024, 2e-5)])
def test_wider_encoders_learn_more_slowly_unless_a_rate_is_given(model, width, expected):
    model.encoder.config.hidden_size = width
    assert learning_rate_of(model, Training()) == expected
    assert learning_rate_of(model, Training(learning_rate=0.5)) == 0.5
    assert {group["lr"] for group in build_optimizer(model, Training()).param_groups} == {expected}


def test_heights_count_from_the_head(model):
    assert set(heights(model).values()) == {0, 1, 2, 3}


def test_the_average_follows_slowly_and_faster_at_first(model):
    bias = model.head.linear.bias
    set_weights(model, {name: torch.zeros_like(weight) for name, weight in trained_weights(model).items()})
    average = MovingAverage(model, 0.5)
    with torch.no_grad():
        bias.fill_(1.0)
    average.update(1)
    assert average.weights["head.linear.bias"].tolist() == pytest.approx([1 - 2 / 11] * 3)
    average.update(1000)
    assert average.weights["head.linear.bias"].tolist() == pytest.approx([1 - 1 / 11] * 3)
    assert bias.tolist() == [1.0] * 3


def test_the_average_is_in_place_for_a_block_only_even_when_it_fails(model):
    own = model.head.linear.bias.detach().clone()
    average = MovingAverage(model, 0.5)
    average.weights["head.linear.bias"] = torch.full((3,), 7.0)

    def look():
        with average.in_place():
            assert model.head.linear.bias.tolist() == [7.0] * 3
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert torch.equal(model.head.linear.bias, own)


def test_an_average_is_taken_over_whatever_the_order_of_its_weights(model):
    average = MovingAverage(model, 0.5)
    average.set(dict(reversed(average.weights.items())))
    assert list(average.weights) == list(trained_weights(model))

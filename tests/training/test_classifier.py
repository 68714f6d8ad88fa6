import numpy as np
import pytest
import torch
from torch import nn

from assets.training.classifier import TextClassifier, freeze_lowest_layers, set_dropout, softmax
from assets.training.encoder import load_encoder


@pytest.fixture
def encoder(tiny_base):
    return load_encoder(tiny_base)


def trained_parts(encoder):
    names = [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    return {".".join(name.split(".")[:3]) if name.startswith("encoder.") else name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (0, {"embeddings", "encoder.layer.0", "encoder.layer.1", "pooler"}),
        (1, {"encoder.layer.1", "pooler"}),
        (2, {"pooler"}),
    ],
)
def test_frozen_layers_keep_their_weights_and_the_embeddings_theirs(encoder, count, parts):
    freeze_lowest_layers(encoder, count)
    assert trained_parts(encoder) == parts


def test_more_frozen_layers_than_there_are_is_an_error(encoder):
    with pytest.raises(ValueError, match=r"training\.frozen_layers: expected at most the encoder's 2 layers, found 3"):
        freeze_lowest_layers(encoder, 3)


@pytest.mark.parametrize(("rate", "expected"), [(None, {0.05}), (0.0, {0.0}), (0.2, {0.2})])
def test_dropout_is_set_everywhere_or_left_alone(encoder, rate, expected):
    set_dropout(encoder, rate)
    assert {module.p for module in encoder.modules() if isinstance(module, nn.Dropout)} == expected


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_does_not_change_the_logits(encoder, pooling):
    model = TextClassifier(encoder, 3, pooling).eval()
    short = torch.tensor([[2, 4, 15, 3]])
    padded = torch.tensor([[2, 4, 15, 3, 0, 0, 0]])
    with torch.no_grad():
        alone = model(short, torch.ones_like(short))
        among = model(padded, (padded != 0).long())
    torch.testing.assert_close(alone, among)


def test_softmax_rows_sum_to_one_even_for_large_logits():
    found = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]], dtype=np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]], atol=1e-7)
    assert softmax(np.zeros((0, 3), dtype=np.float32)).shape == (0, 3)

import numpy as np
import pytest
import torch
from torch import nn

from assets.training.learning.encoder import load_encoder
from assets.training.learning.encoding import EncodedTexts
from assets.training.learning.hardware import HardwareError, choose_hardware
from assets.training.learning.network import (
    Network,
    PairHead,
    TextHead,
    TokenHead,
    compiled,
    freeze_lowest_layers,
    predict_outputs,
    predict_states,
    set_dropout,
    softmax,
)
from assets.training.learning.packing import pack_rows

HARDWARE = choose_hardware("cpu", "fp32")
ROWS = [[2, 4, 15, 3], [2, 3], [2, 19, 7, 7, 20, 3], [2, 5, 19, 3]]


@pytest.fixture
def encoder(tiny_base):
    return load_encoder(tiny_base)


@pytest.fixture
def texts():
    return EncodedTexts(np.concatenate(ROWS).astype(np.int32), np.cumsum([0, *map(len, ROWS)]), 0, np.arange(len(ROWS)))


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


def test_mean_and_first_token_are_pooled_from_each_row_alone(texts):
    states = torch.arange(16.0)[:, None] * torch.tensor([1.0, -1.0])
    batch = pack_rows(texts, np.arange(4))
    assert TextHead(2, 1, "mean").pool(states, batch)[:, 0].tolist() == [1.5, 4.5, 8.5, 13.5]
    assert TextHead(2, 1, "cls").pool(states, batch)[:, 1].tolist() == [0, -4, -6, -12]


def test_a_relation_is_read_at_the_first_of_each_marker_or_at_the_first_token(texts):
    states = torch.arange(16.0)[:, None]
    found = PairHead(1, 1, [7, 19]).pool(states, pack_rows(texts, np.arange(4)))
    assert found.tolist() == [[0, 0], [4, 4], [8, 7], [12, 14]]


def test_outputs_come_in_the_order_of_rows_or_of_tokens(encoder, texts):
    by_text, by_token = Network(encoder, TextHead(32, 3), 0), Network(encoder, TokenHead(32, 5), 0)
    outputs, tokens = predict_outputs(by_text, texts, HARDWARE), predict_outputs(by_token, texts, HARDWARE)
    assert (outputs.shape, tokens.shape) == ((4, 3), (16, 5))
    with torch.no_grad():
        for row, ids in enumerate(ROWS):
            states = encoder(input_ids=torch.tensor([ids]), packed_batch=pack_rows(texts, np.array([row]))).last_hidden_state[0]
            np.testing.assert_allclose(outputs[row], by_text.head.linear(states.mean(0)).numpy(), atol=1e-6)
            np.testing.assert_allclose(tokens[texts.starts[row] : texts.starts[row + 1]], by_token.head.linear(states).numpy(), atol=1e-6)


def test_the_head_is_linear_in_the_predicted_states(encoder, texts):
    model = Network(encoder, TextHead(32, 3), 0)
    with torch.no_grad():
        expected = model.head.linear(torch.from_numpy(predict_states(model, texts, HARDWARE))).numpy()
    np.testing.assert_allclose(predict_outputs(model, texts, HARDWARE), expected, atol=1e-6)


def test_a_head_over_tokens_has_no_states_of_texts(encoder, texts):
    with pytest.raises(ValueError, match="expected a head that reads texts, found one that reads tokens"):
        predict_states(Network(encoder, TokenHead(32, 5), 0), texts, HARDWARE)


def test_no_texts_have_no_outputs(encoder):
    nothing = EncodedTexts(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64), 0, np.zeros(0, dtype=np.int64))
    assert predict_outputs(Network(encoder, TextHead(32, 3), 0), nothing, HARDWARE).shape == (0, 3)


def test_a_compiled_network_needs_a_compiler(encoder):
    import torch._inductor.config as settings

    needed = r"training\.compile: expected a C\+\+ compiler, found none; install g\+\+ or set it to false"
    with settings.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(HardwareError, match=needed):
        compiled(Network(encoder, TextHead(32, 3), 0), "cpu")


def test_softmax_rows_sum_to_one_even_for_large_logits():
    found = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]], dtype=np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]], atol=1e-7)
    assert softmax(np.zeros((0, 3), dtype=np.float32)).shape == (0, 3)

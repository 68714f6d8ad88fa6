import copy

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ErnieConfig,
    ModernBertConfig,
    MPNetConfig,
    NomicBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.encoding import EncodedTexts, encode_texts
from assets.training.learning.network import Network, TextHead
from assets.training.learning.packing import PACKED, encode_batch, pack_rows, packed_attention, use_packed_attention

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SHAPE = {**SIZES, "vocab_size": 60, "max_position_embeddings": 40, "pad_token_id": 1}
ENDS = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "vocab_size": 60, "max_position_embeddings": 40, "pad_token_id": 1}
PACKED_CONFIGS = [
    BertConfig(**SHAPE),
    RobertaConfig(**SHAPE),
    XLMRobertaConfig(**SHAPE),
    CamembertConfig(**SHAPE),
    # A token sees three places to either side in one layer, all places in the other.
    ModernBertConfig(**SHAPE, **ENDS, global_attn_every_n_layers=2, local_attention=6),
    DistilBertConfig(**DISTIL),
    ElectraConfig(**SHAPE, embedding_size=16),
    AlbertConfig(**SHAPE, embedding_size=16),
    ErnieConfig(**SHAPE),
    NomicBertConfig(**SHAPE),
]
PADDED_CONFIGS = [
    DebertaConfig(**SHAPE, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    DebertaV2Config(**SHAPE, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8),
    MPNetConfig(**SHAPE),
]
LENGTHS = [5, 1, 20, 7, 20, 1, 2]
BATCHES = [[0, 1, 2, 3, 4, 5, 6], [2], [1], [1, 5], [2, 4]]  # mixed, one row, one token, one token each, equal lengths


def random_texts(lengths):
    ids = np.random.default_rng(0).integers(4, 60, sum(lengths)).astype(np.int32)
    return EncodedTexts(ids, np.concatenate([[0], np.cumsum(lengths)]), 1, np.arange(len(lengths)))


def random_encoder(config):
    """Weights large enough for attention to matter."""
    torch.manual_seed(0)
    encoder = AutoModel.from_config(copy.deepcopy(config)).eval()
    for weight in encoder.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.15)
    return encoder


def pass_padded(encoder, texts, rows):
    """The plain way: one row after the other, without any padding, by the plainest attention there is."""
    states = [
        encoder(input_ids=torch.from_numpy(texts.ids[texts.starts[row] : texts.starts[row + 1]].astype(np.int64))[None]) for row in rows
    ]
    return torch.cat([state.last_hidden_state[0] for state in states])


def gradients_of(encoder, states):
    encoder.zero_grad()
    (states.square() * torch.arange(states.shape[1])).mean().backward()
    return {name: weight.grad.clone() for name, weight in encoder.named_parameters() if weight.grad is not None}


def assert_equal_gradients(found, expected):
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5 * largest, rtol=1e-4, msg=name)


@pytest.mark.parametrize("config", [*PACKED_CONFIGS, *PADDED_CONFIGS], ids=lambda config: config.model_type)
def test_rows_in_a_batch_have_the_states_and_gradients_that_they_have_alone(config):
    texts, encoder = random_texts(LENGTHS), random_encoder(config)
    plain = copy.deepcopy(encoder)
    plain.set_attn_implementation("eager")
    use_packed_attention(encoder)
    for rows in BATCHES:
        found, expected = encode_batch(encoder, pack_rows(texts, np.array(rows)), 1), pass_padded(plain, texts, rows)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert_equal_gradients(gradients_of(encoder, found), gradients_of(plain, expected))


@pytest.mark.parametrize("config", PACKED_CONFIGS, ids=lambda config: config.model_type)
def test_most_encoders_read_packed_batches(config):
    encoder = random_encoder(config)
    assert use_packed_attention(encoder)
    assert encoder.config._attn_implementation == PACKED


@pytest.mark.parametrize("config", PADDED_CONFIGS, ids=lambda config: config.model_type)
def test_an_encoder_with_an_attention_of_its_own_is_left_as_it_is(config):
    encoder = random_encoder(config)
    before = encoder.config._attn_implementation
    assert not use_packed_attention(encoder)
    assert encoder.config._attn_implementation == before


def test_the_sliding_window_of_modernbert_matters_in_this_test():
    texts, rows = random_texts(LENGTHS), [2]
    narrow = ModernBertConfig(**SHAPE, **ENDS, global_attn_every_n_layers=2, local_attention=6)
    wide = ModernBertConfig(**SHAPE, **ENDS, global_attn_every_n_layers=2, local_attention=60)
    states = [pass_padded(random_encoder(config), texts, rows) for config in (narrow, wide)]
    assert float((states[0] - states[1]).detach().abs().max()) > 0.01


def test_the_packaged_encoder_reads_english_and_chinese_texts_as_it_does_padded(packaged_base):
    encoder, tokenizer = load_encoder(packaged_base), load_tokenizer(packaged_base)
    words = ["A good film.", "这部电影很好看。", "", "Waste of time 😀", "The plot is thin, but the cast makes up for it. " * 3]
    texts = encode_texts(tokenizer, words, 64)
    padded = tokenizer(words, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.inference_mode():
        expected = encoder(**padded).last_hidden_state[padded["attention_mask"].bool()]
        assert use_packed_attention(encoder)
        found = encode_batch(encoder, pack_rows(texts, np.arange(5)), texts.padding_id)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_batch_knows_where_its_tokens_are():
    batch = pack_rows(random_texts([3, 1, 2]), np.array([2, 0]))
    assert batch.positions.tolist() == [0, 1, 0, 1, 2]
    assert batch.rows.tolist() == [0, 0, 1, 1, 1]
    assert batch.starts.tolist() == [0, 2, 5]
    assert batch.tokens.tolist() == [4, 5, 0, 1, 2]
    assert batch.cells.tolist() == [0, 1, 3, 4, 5]
    assert (batch.size, batch.longest) == (2, 3)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_order_of_rows_and_their_neighbours_do_not_change_outputs(pooling):
    torch.manual_seed(0)
    model = Network(random_encoder(BertConfig(**SHAPE)), TextHead(32, 3, pooling), 1).eval()
    texts = random_texts(LENGTHS)
    with torch.inference_mode():
        whole = model(pack_rows(texts, np.arange(7)))
        parts = torch.cat([model(pack_rows(texts, np.array(rows))) for rows in ([6, 5], [4], [3, 2, 1, 0])]).flip(0)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)


def test_dropout_of_attention_is_drawn_while_training_and_not_while_scoring():
    encoder = random_encoder(BertConfig(**SHAPE, attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0))
    use_packed_attention(encoder)
    batch = pack_rows(random_texts(LENGTHS), np.arange(7))
    assert torch.equal(encode_batch(encoder, batch, 1), encode_batch(encoder, batch, 1))
    encoder.train()
    assert not torch.equal(encode_batch(encoder, batch, 1), encode_batch(encoder, batch, 1))


def test_packed_attention_without_a_batch_is_an_error():
    part = torch.zeros((1, 2, 3, 4))
    with pytest.raises(ValueError, match="expected a packed batch; call the encoder through encode_batch"):
        packed_attention(torch.nn.Identity(), part, part, part, None)

import numpy as np
import pytest

from assets.training.encoder import load_encoder, load_tokenizer, longest_input
from assets.training.encoding import batches_by_budget, encode_texts, pad_batch, shuffled_batches


@pytest.fixture
def tokenizer(tiny_base):
    return load_tokenizer(tiny_base)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("good film", [2, 4, 15, 3]),
        ("电影好", [2, 19, 20, 7, 3]),
        ("", [2, 3]),
        ("GOOD 电影", [2, 4, 19, 20, 3]),
        ("xyzzy", [2, 1, 3]),
        ("good good good good good good", [2, 4, 4, 4, 4, 3]),
    ],
)
def test_texts_become_ids_with_special_tokens_cut_to_the_limit(tokenizer, text, ids):
    encoded = encode_texts(tokenizer, ["film", text], 6)
    assert encoded.ids[encoded.starts[1] :].tolist() == ids
    assert encoded.lengths.tolist() == [3, len(ids)]


def test_no_texts_give_no_tokens(tokenizer):
    encoded = encode_texts(tokenizer, [], 6)
    assert (len(encoded), len(encoded.ids)) == (0, 0)


def test_a_batch_is_padded_to_its_longest_row(tokenizer):
    ids, mask = pad_batch(encode_texts(tokenizer, ["good film", "好", "the film is a table"], 16), np.array([1, 0]))
    assert ids.tolist() == [[2, 7, 3, 0], [2, 4, 15, 3]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize("rows", [1, 7, 64, 1001])
def test_every_row_is_in_one_batch_of_an_epoch(rows):
    lengths = np.random.default_rng(0).integers(1, 100, rows)
    batches = shuffled_batches(lengths, 8, 13, 0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    assert max(len(batch) for batch in batches) <= 8


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(1, 100, 500)
    order = [np.concatenate(shuffled_batches(lengths, 8, seed, epoch)).tolist() for seed, epoch in [(1, 0), (1, 0), (1, 1), (2, 0)]]
    assert order[0] == order[1]
    assert order[0] != order[2]
    assert order[0] != order[3]


def test_length_buckets_waste_less_than_a_tenth_on_padding():
    lengths = np.random.default_rng(0).integers(3, 60, 2000)
    padded = sum(len(batch) * lengths[batch].max() for batch in shuffled_batches(lengths, 32, 1, 0))
    assert padded < 1.1 * lengths.sum()


def test_scoring_batches_hold_every_row_within_the_budget_longest_first():
    lengths = np.array([5, 50, 7, 20, 300])
    batches = batches_by_budget(lengths, 60)
    assert [batch.tolist() for batch in batches] == [[4], [1], [3, 2, 0]]


def test_the_longest_input_is_the_least_of_request_positions_and_tokenizer(tiny_base, tokenizer):
    encoder = load_encoder(tiny_base)
    assert [longest_input(encoder, tokenizer, asked) for asked in (16, 500)] == [16, 32]
    encoder.config.model_type = "roberta"
    assert longest_input(encoder, tokenizer, 500) == 31

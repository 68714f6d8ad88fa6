import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from assets.training.learning.encoder import load_encoder, load_tokenizer, longest_input
from assets.training.learning.encoding import batches_by_budget, encode_pairs, encode_texts, encode_windows, positions_of, shuffled_batches

TEXTS = ["good film", "", "电影好" * 20, "A film 😀 that is Unbelievably good. " * 9, "the the the the the the the the the the"]


@pytest.fixture
def tokenizer(tiny_base):
    return load_tokenizer(tiny_base)


@pytest.fixture(scope="module")
def real(packaged_base):
    return load_tokenizer(packaged_base)


@pytest.fixture(scope="module")
def bytewise():
    """A tokenizer over bytes, as RoBERTa has: four special tokens in a pair, several tokens for one emoji."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>")


def rows_of(encoded):
    return [encoded.ids[start:end].tolist() for start, end in zip(encoded.starts[:-1], encoded.starts[1:], strict=True)]


def covered(encoded, text, number):
    """Characters of a text that some token of its rows holds; spaces between tokens need not be."""
    found = set()
    for start, end in encoded.offsets[encoded.text_of[encoded.row_of] == number]:
        found |= set(range(start, end))
    return found | {place for place, character in enumerate(text) if character.isspace()}


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
    assert rows_of(encoded)[1] == ids
    assert encoded.lengths.tolist() == [3, len(ids)]
    assert encoded.text_of.tolist() == [0, 1]


@pytest.mark.parametrize(
    "encode", [encode_texts, encode_windows, lambda tokenizer, texts, limit: encode_pairs(tokenizer, texts, texts, limit)]
)
def test_no_texts_give_no_tokens(tokenizer, encode):
    encoded = encode(tokenizer, [], 12)
    assert (len(encoded), len(encoded.ids), len(encoded.text_of)) == (0, 0, 0)


def test_many_texts_are_tokenized_in_parts_that_make_no_difference(tokenizer, monkeypatch):
    texts = ["good film", "电影好 good the film is a table", "", "坏"]
    expected = encode_windows(tokenizer, texts, 6)
    monkeypatch.setattr("assets.training.learning.encoding.TOKENIZED_AT_ONCE", 3)
    found = encode_windows(tokenizer, texts, 6)
    assert rows_of(found) == rows_of(expected)
    assert found.text_of.tolist() == expected.text_of.tolist() == [0, 1, 1, 1, 2, 3]


def test_windows_overlap_by_a_quarter(tokenizer):
    encoded = encode_windows(tokenizer, ["good great lovely bad awful poor the film is a"], 6)
    assert rows_of(encoded) == [[2, 4, 5, 6, 9, 3], [2, 9, 10, 11, 14, 3], [2, 14, 15, 16, 17, 3]]
    assert encoded.offsets[:6].tolist() == [[0, 0], [0, 4], [5, 10], [11, 17], [18, 21], [0, 0]]


@pytest.mark.parametrize("limit", [8, 9, 16, 64])
@pytest.mark.parametrize("name", ["real", "bytewise"])
def test_windows_cover_every_character_and_no_row_is_too_long(request, name, limit):
    tokenizer = request.getfixturevalue(name)
    encoded = encode_windows(tokenizer, TEXTS, limit)
    assert encoded.lengths.max() <= limit
    assert sorted(set(encoded.text_of.tolist())) == list(range(len(TEXTS)))
    for number, text in enumerate(TEXTS):
        assert covered(encoded, text, number) == set(range(len(text)))


@pytest.mark.parametrize("limit", [8, 9, 16, 64])
@pytest.mark.parametrize("question", ["", "who?", "哪部电影好看" * 9])
@pytest.mark.parametrize("name", ["real", "bytewise"])
def test_pairs_cover_every_character_of_the_second_and_repeat_the_first(request, name, question, limit):
    tokenizer = request.getfixturevalue(name)
    encoded = encode_pairs(tokenizer, [question] * len(TEXTS), TEXTS, limit)
    assert encoded.lengths.max() <= limit
    for number, text in enumerate(TEXTS):
        assert covered(encoded, text, number) == set(range(len(text)))
    firsts = {tuple(row[: row.index(tokenizer.sep_token_id)]) for row in rows_of(encoded)}
    assert len(firsts) == 1
    assert (len(next(iter(firsts))) > 1) == bool(question)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5), st.integers(8, 24))
def test_offsets_are_within_the_text_and_ascend_in_every_window(real, texts, limit):
    encoded = encode_windows(real, texts, limit)
    for row, text in enumerate(encoded.text_of):
        offsets = encoded.offsets[encoded.starts[row] : encoded.starts[row + 1]]
        own = offsets[offsets[:, 0] < offsets[:, 1]]
        assert (own[:, 1] <= len(texts[text])).all()
        assert (np.diff(own[:, 0]) >= 0).all()


def test_some_texts_are_taken_in_any_order_with_all_their_windows(tokenizer):
    texts = ["good", "good great lovely bad awful poor", "", "电影好"]
    encoded = encode_windows(tokenizer, texts, 6)
    taken, expected = encoded.take(np.array([3, 1, 0])), encode_windows(tokenizer, [texts[3], texts[1], texts[0]], 6)
    assert rows_of(taken) == rows_of(expected)
    assert taken.text_of.tolist() == expected.text_of.tolist() == [0, 1, 1, 2]
    assert taken.offsets.tolist() == expected.offsets.tolist()
    assert len(encoded.take(np.zeros(0, dtype=np.int64))) == 0
    assert encode_texts(tokenizer, texts, 6).take(np.array([1])).offsets is None


def test_a_tokenizer_without_offsets_is_refused_for_spans(tokenizer):
    class Slow:
        is_fast = False

    for encode in (lambda: encode_windows(Slow(), ["a"], 8), lambda: encode_pairs(Slow(), ["a"], ["b"], 8)):
        with pytest.raises(ValueError, match=r"training\.base_model: expected a fast tokenizer for tasks with spans, found Slow"):
            encode()


def test_positions_count_up_from_each_start():
    assert positions_of(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert positions_of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).tolist() == []


@given(st.lists(st.integers(1, 90), max_size=300), st.integers(8, 200), st.integers(0, 5))
def test_every_row_is_in_one_batch_of_an_epoch_within_the_budget(lengths, budget, epoch):
    lengths = np.array(lengths, dtype=np.int64)
    batches = shuffled_batches(lengths, budget, 13, epoch)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) * lengths[batch].max() <= budget or len(batch) == 1 for batch in batches)


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(1, 100, 500)
    order = [np.concatenate(shuffled_batches(lengths, 400, seed, epoch)).tolist() for seed, epoch in [(1, 0), (1, 0), (1, 1), (2, 0)]]
    assert order[0] == order[1]
    assert order[0] != order[2]
    assert order[0] != order[3]


def test_length_buckets_waste_less_than_a_tenth_on_padding():
    lengths = np.random.default_rng(0).integers(3, 60, 2000)
    padded = sum(len(batch) * lengths[batch].max() for batch in shuffled_batches(lengths, 1024, 1, 0))
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

import numpy as np
import pytest

from assets.training.learning.encoder import load_tokenizer
from assets.training.learning.encoding import encode_texts, encode_windows
from assets.training.learning.token_cache import encode_once, key_of_texts

TEXTS = ["good film", "电影好", "", "the film is a table"]


@pytest.fixture
def encode(tiny_base):
    """Encodes with offsets, and counts how often."""
    tokenizer = load_tokenizer(tiny_base)

    def run():
        run.calls += 1
        return encode_windows(tokenizer, TEXTS, 6)

    run.calls = 0
    return run


def assert_same(found, expected):
    for name in ("ids", "starts", "text_of", "offsets"):
        first, second = getattr(found, name), getattr(expected, name)
        assert first.dtype == second.dtype
        assert first.tolist() == second.tolist()
    assert found.padding_id == expected.padding_id


def test_texts_are_tokenized_once(tmp_path, encode):
    first, second = (encode_once(tmp_path / "tokens", "key", encode) for _ in range(2))
    assert encode.calls == 1
    assert_same(second, first)
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["key.safetensors"]


def test_texts_without_offsets_come_back_without(tmp_path, tiny_base):
    tokenizer = load_tokenizer(tiny_base)
    found = [encode_once(tmp_path, "key", lambda: encode_texts(tokenizer, TEXTS, 6)) for _ in range(2)]
    assert found[1].offsets is None
    assert found[1].ids.tolist() == found[0].ids.tolist()


def test_no_texts_are_kept_too(tmp_path, tiny_base):
    found = [encode_once(tmp_path, "key", lambda: encode_windows(load_tokenizer(tiny_base), [], 6)) for _ in range(2)]
    assert [len(texts) for texts in found] == [0, 0]


def test_without_a_folder_nothing_is_kept(encode):
    assert_same(encode_once(None, "key", encode), encode_once(None, "key", encode))
    assert encode.calls == 2


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_damaged_file_is_made_anew(tmp_path, encode, content):
    expected = encode_once(tmp_path, "key", encode)
    path = tmp_path / "key.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] if content is None else content)
    assert_same(encode_once(tmp_path, "key", encode), expected)
    assert path.read_bytes() == whole


def test_the_key_changes_with_all_that_decides_the_tokens():
    keys = [
        key_of_texts("model", "text_classification", 128, TEXTS),
        key_of_texts("other", "text_classification", 128, TEXTS),
        key_of_texts("model", "token_classification", 128, TEXTS),
        key_of_texts("model", "text_classification", 64, TEXTS),
        key_of_texts("model", "text_classification", 128, TEXTS[::-1]),
        key_of_texts("model", "text_classification", 128, [*TEXTS[:-1], "the film is a tablo"]),
        key_of_texts("model", "text_classification", 128, ["good film电影好", *TEXTS[2:], ""]),
        key_of_texts("model", "text_classification", 128, ["\ud800"]),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == key_of_texts("model", "text_classification", 128, list(TEXTS))
    assert np.unique([len(key) for key in keys]).tolist() == [64]

"""Texts as token ids, and token ids as batches of similar length.

Belongs here: tokenizing once, windows of long texts, the order of batches. Does not belong here: what is learnt from the tokens
(`objectives.py`), how a batch goes through the encoder (`packing.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

Ints = npt.NDArray[np.int64]

TOKENIZED_AT_ONCE = 10_000
"""Texts per tokenizer call: bounds the Python lists that it returns."""

BATCHES_PER_BUCKET = 50
"""Shuffled rows are sorted by length within this many batches: little padding, still a random order."""

OVERLAP_SHARE = 0.25
"""Share of a window that it has in common with the window before it."""


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of many rows, end to end. A row is a text, or a window of a text that is longer than the encoder reads.

    Attributes:
        ids: (total tokens,) int32, special tokens included.
        starts: (rows + 1,) int64; row i is `ids[starts[i]:starts[i + 1]]`.
        padding_id: Id that fills short rows of a padded batch.
        text_of: (rows,) int64, the text that each row is a window of; ascending.
        offsets: (total tokens, 2) int32, first and last-plus-one character of every token in its text; equal for special tokens. None
            when nobody asked for them.
    """

    ids: npt.NDArray[np.int32]
    starts: Ints
    padding_id: int
    text_of: Ints
    offsets: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        """Tokens of each row."""
        return np.diff(self.starts)

    @property
    def row_of(self) -> Ints:
        """The row of each token: (total tokens,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, texts: Ints) -> "EncodedTexts":
        """The rows of some texts, which are numbered anew in the order given."""
        first = np.searchsorted(self.text_of, texts, side="left")
        counts = np.searchsorted(self.text_of, texts, side="right") - first
        rows = positions_of(first, counts)
        tokens = positions_of(self.starts[rows], self.lengths[rows])
        starts = np.concatenate([[0], np.cumsum(self.lengths[rows])])
        offsets = None if self.offsets is None else self.offsets[tokens]
        return EncodedTexts(self.ids[tokens], starts, self.padding_id, np.repeat(np.arange(len(texts)), counts), offsets)


def positions_of(starts: Ints, lengths: Ints) -> Ints:
    """The numbers `starts[i] ... starts[i] + lengths[i] - 1` of every i, one after the other."""
    ends = np.cumsum(lengths)
    found: Ints = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return found


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
    """Tokenize every text once, one row each, cut to `max_tokens` (special tokens included)."""
    return _encode(len(texts), tokenizer, lambda part: tokenizer(list(texts[part]), max_length=max_tokens, truncation=True))


def encode_windows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
    """Tokenize every text once, with offsets; a text longer than `max_tokens` becomes several rows that overlap.

    Raises:
        ValueError: The tokenizer cannot say where its tokens come from.
    """
    require_offsets(tokenizer)
    special = tokenizer.num_special_tokens_to_add()
    options = {
        "max_length": max_tokens,
        "truncation": True,
        "return_overflowing_tokens": True,
        "stride": int((max_tokens - special) * OVERLAP_SHARE),
        "return_offsets_mapping": True,
    }
    return _encode(len(texts), tokenizer, lambda part: tokenizer(list(texts[part]), **options), sequence=0)


def encode_pairs(tokenizer: PreTrainedTokenizerBase, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int) -> EncodedTexts:
    """Tokenize pairs of texts, with offsets into the second; a long second text becomes several rows, each with the whole first text.

    Tokens of the first text are given offsets (0, 0), as special tokens are. A first text is cut to half of the places.

    Raises:
        ValueError: The tokenizer cannot say where its tokens come from.
    """
    require_offsets(tokenizer)
    places = max_tokens - tokenizer.num_special_tokens_to_add(pair=True)
    short = [_shorten(tokenizer, first, places // 2) for first in firsts]
    options = {
        "max_length": max_tokens,
        "truncation": "only_second",
        "return_overflowing_tokens": True,
        "stride": int(places * OVERLAP_SHARE / 2),
        "return_offsets_mapping": True,
    }
    return _encode(len(firsts), tokenizer, lambda part: tokenizer(short[part], list(seconds[part]), **options), sequence=1)


def _shorten(tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int) -> str:
    """The beginning of a text, at most so many tokens of it."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text if len(offsets) <= max_tokens else text[: offsets[max_tokens - 1][1]]


def require_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make sure that the tokenizer knows the characters behind each token.

    Raises:
        ValueError: It does not.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"training.base_model: expected a fast tokenizer for tasks with spans, found {type(tokenizer).__name__}")


def _encode(count: int, tokenizer: PreTrainedTokenizerBase, call: Callable[[slice], Any], sequence: int | None = None) -> EncodedTexts:
    """Collect the rows of tokenizer calls over slices of the texts; with the offsets of one of the two sequences, or without any."""
    ids: list[npt.NDArray[np.int32]] = []
    offsets: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    text_of: list[int] = []
    for start in range(0, count, TOKENIZED_AT_ONCE):
        found = call(slice(start, min(count, start + TOKENIZED_AT_ONCE)))
        rows = found["input_ids"]
        text_of += [start + text for text in found.get("overflow_to_sample_mapping", range(len(rows)))]
        lengths += [len(row) for row in rows]
        ids += [np.array(row, dtype=np.int32) for row in rows]
        if sequence is not None:
            offsets += [_own_offsets(found, number, sequence) for number in range(len(rows))]
    return EncodedTexts(
        np.concatenate([np.zeros(0, dtype=np.int32), *ids]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tokenizer.pad_token_id or 0,
        np.array(text_of, dtype=np.int64),
        np.concatenate([np.zeros((0, 2), dtype=np.int32), *offsets]) if sequence is not None else None,
    )


def _own_offsets(found: Any, number: int, sequence: int) -> npt.NDArray[np.int32]:  # noqa: ANN401
    """Offsets of one row; (0, 0) for special tokens and for tokens of the other sequence."""
    offsets = np.array(found["offset_mapping"][number], dtype=np.int32).reshape(-1, 2)
    is_own = np.array([owner == sequence for owner in found.sequence_ids(number)], dtype=np.bool_)
    return np.where(is_own[:, None], offsets, 0).astype(np.int32)


def shuffled_batches(lengths: Ints, token_budget: int, seed: int, epoch: int) -> list[Ints]:
    """Row numbers of each batch of one epoch, in random order: every row once, rows of similar length together.

    A batch has at most `token_budget` tokens, padding to its longest row included, and one row at least. The order depends on `seed` and
    `epoch` alone, so a resumed run finds its place again without any saved state.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    bucket = max(1, int(token_budget / max(1.0, float(lengths.mean() if len(lengths) else 1))) * BATCHES_PER_BUCKET)
    batches: list[Ints] = []
    for start in range(0, len(order), bucket):
        rows = order[start : start + bucket]
        batches += [rows[part] for part in batches_by_budget(lengths[rows], token_budget)]
    return [batches[position] for position in random.permutation(len(batches))]


def batches_by_budget(lengths: Ints, token_budget: int) -> list[Ints]:
    """Row numbers of batches, longest first: every row once, at most `token_budget` padded tokens (one row at least)."""
    order = np.argsort(-lengths, kind="stable")
    batches: list[Ints] = []
    start = 0
    while start < len(order):
        rows = max(1, token_budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches

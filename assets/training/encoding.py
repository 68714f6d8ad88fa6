"""Texts as token ids, and token ids as batches of similar length.

Belongs here: tokenizing once, the order of batches, padding. Does not belong here: targets and losses (`finetuning.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

TOKENIZED_AT_ONCE = 10_000
"""Texts per tokenizer call: bounds the Python lists that it returns."""

BATCHES_PER_BUCKET = 50
"""Shuffled rows are sorted by length within this many batches: little padding, still a random order."""


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of many texts, end to end.

    Attributes:
        ids: (total tokens,) int32, special tokens included.
        starts: (texts + 1,) int64; text i is `ids[starts[i]:starts[i + 1]]`.
        padding_id: Id that fills short rows of a batch.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    padding_id: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts)


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
    """Tokenize every text once, cut to `max_tokens` (special tokens included)."""
    pieces: list[list[int]] = []
    for start in range(0, len(texts), TOKENIZED_AT_ONCE):
        part = list(texts[start : start + TOKENIZED_AT_ONCE])
        pieces += tokenizer(part, truncation=True, max_length=max_tokens, padding=False, return_attention_mask=False)["input_ids"]
    lengths = np.fromiter((len(piece) for piece in pieces), dtype=np.int64, count=len(pieces))
    flat = np.fromiter((token for piece in pieces for token in piece), dtype=np.int32, count=int(lengths.sum()))
    return EncodedTexts(flat, np.concatenate([[0], np.cumsum(lengths)]), tokenizer.pad_token_id or 0)


def shuffled_batches(lengths: npt.NDArray[np.int64], batch_rows: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers of each batch of one epoch, in random order: every row once, rows of similar length together.

    The order depends on `seed` and `epoch` alone, so a resumed run finds its place again without any saved state.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    bucket = batch_rows * BATCHES_PER_BUCKET
    buckets = [order[start : start + bucket] for start in range(0, len(order), bucket)]
    by_length = np.concatenate([rows[np.argsort(lengths[rows], kind="stable")] for rows in buckets])
    batches = [by_length[start : start + batch_rows] for start in range(0, len(by_length), batch_rows)]
    return [batches[position] for position in random.permutation(len(batches))]


def batches_by_budget(lengths: npt.NDArray[np.int64], token_budget: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers of batches for scoring, longest first: every row once, at most `token_budget` padded tokens (one row at least)."""
    order = np.argsort(-lengths, kind="stable")
    batches: list[npt.NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        rows = max(1, token_budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def pad_batch(texts: EncodedTexts, rows: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of some rows, padded to the longest of them: both (rows, tokens) int64."""
    starts, lengths = texts.starts[rows], texts.lengths[rows]
    columns = np.arange(max(1, int(lengths.max(initial=0))))
    mask = columns[None, :] < lengths[:, None]
    if not len(texts.ids):
        return torch.full(mask.shape, texts.padding_id), torch.from_numpy(mask.astype(np.int64))
    positions = np.minimum(starts[:, None] + columns[None, :], len(texts.ids) - 1)
    ids = np.where(mask, texts.ids[positions], texts.padding_id).astype(np.int64)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))

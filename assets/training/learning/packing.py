"""Batches without padding: the tokens of all rows end to end, through any encoder whose attention transformers lets us replace.

Every layer but attention treats tokens one by one, so it needs no padding at all. Attention keeps rows apart: on CUDA by torch's
variable-length kernel, elsewhere by spreading queries, keys and values over a padded grid for the one product that needs it. An encoder
that brings an attention of its own (DeBERTa) gets a padded batch, and its states are packed afterwards: heads see one shape.

Source of the idea: Portes et al., MosaicBERT, NeurIPS 2023 (arXiv 2312.17482), section 2; Zeng et al., 2022 (arXiv 2208.08124).
Does not belong here: which rows are batched (`encoding.py`), heads and losses (`objectives.py`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from assets.training.learning.dropout import drop
from assets.training.learning.encoding import EncodedTexts, positions_of

PACKED = "textmill_packed"
POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "xmod"})
"""Model types whose first position is the one after the padding id."""


@dataclass(frozen=True)
class Batch:
    """Some rows, packed: N tokens of B rows.

    Attributes:
        ids: (N,) int64 token ids.
        positions: (N,) int64 place of each token in its row, from 0.
        rows: (N,) int64 the row of each token, from 0.
        starts: (B + 1,) int32 where each row begins.
        longest: Tokens of the longest row, T.
        tokens: (N,) places of the tokens in `EncodedTexts.ids` (NumPy).
    """

    ids: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    starts: torch.Tensor
    longest: int
    tokens: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        """Rows, B."""
        return len(self.starts) - 1

    @property
    def cells(self) -> torch.Tensor:
        """(N,) place of each token in a padded grid of B times T cells."""
        return self.rows * self.longest + self.positions


def pack_rows(texts: EncodedTexts, rows: npt.NDArray[np.int64], device: str = "cpu") -> Batch:
    """The tokens of some rows, end to end, on a device."""
    lengths = texts.lengths[rows]
    tokens = positions_of(texts.starts[rows], lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    row_of = np.repeat(np.arange(len(rows)), lengths)
    parts = [texts.ids[tokens].astype(np.int64), np.arange(len(tokens)) - starts[:-1][row_of], row_of, starts.astype(np.int32)]
    ids, positions, owners, bounds = (_to_device(part, device) for part in parts)
    return Batch(ids, positions, owners, bounds, max(1, int(lengths.max(initial=0))), tokens)


def use_packed_attention(encoder: PreTrainedModel) -> bool:
    """Let an encoder read packed batches; False, and nothing changed, where it brings an attention of its own."""
    if not getattr(encoder, "_supports_attention_backend", False):
        return False
    encoder.set_attn_implementation(PACKED)
    return True


def encode_batch(encoder: PreTrainedModel, batch: Batch, padding_id: int) -> torch.Tensor:
    """States of the encoder's last layer, (N, H), whether it reads packed batches or padded ones."""
    if encoder.config._attn_implementation == PACKED:
        first = encoder.config.pad_token_id + 1 if encoder.config.model_type in POSITIONS_AFTER_PADDING else 0
        states: torch.Tensor = encoder(
            input_ids=batch.ids[None], position_ids=batch.positions[None] + first, packed_batch=batch
        ).last_hidden_state[0]
        return states
    ids = torch.full((batch.size * batch.longest,), padding_id, dtype=torch.int64, device=batch.ids.device)
    mask = torch.zeros_like(ids)
    ids[batch.cells], mask[batch.cells] = batch.ids, 1
    shape = (batch.size, batch.longest)
    padded = encoder(input_ids=ids.view(shape), attention_mask=mask.view(shape)).last_hidden_state  # (B, T, H)
    return torch.index_select(padded.flatten(0, 1), 0, batch.cells)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    packed_batch: Batch | None = None,
    **_options: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Attention among the tokens of each row; the signature is that of transformers' attention functions.

    Args:
        module: Not used.
        query: (1, heads, N, D), like `key` and `value`.
        key: See `query`.
        value: See `query`.
        attention_mask: Not used: the batch says which tokens belong together.
        dropout: Of the attention weights; the variable-length kernel on CUDA has none.
        scaling: Of the scores; None takes 1 / sqrt(D).
        sliding_window: Tokens see those less than this many places away, to either side; None sees all.
        packed_batch: The layout.

    Returns:
        (1, N, heads, D), and no attention weights.

    Raises:
        ValueError: No layout was given.
    """
    if packed_batch is None:
        raise ValueError("expected a packed batch; call the encoder through encode_batch")
    packed = [part[0].transpose(0, 1) for part in (query, key, value)]  # (N, heads, D)
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        return _variable_length_attention(packed, packed_batch, scaling, sliding_window)[None], None
    queries, keys, values = (_spread(part, packed_batch) for part in packed)  # (B, heads, T, D)
    mask = _visible(packed_batch, sliding_window)
    attend = _attend if dropout and not query.is_cuda else functional.scaled_dot_product_attention
    mixed = attend(queries, keys, values, attn_mask=mask, dropout_p=dropout, scale=scaling)
    flat = mixed.transpose(1, 2).flatten(0, 1)  # (B * T, heads, D)
    return torch.index_select(flat, 0, packed_batch.cells)[None], None


def _variable_length_attention(packed: list[torch.Tensor], batch: Batch, scaling: float | None, sliding_window: int | None) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn  # only CUDA builds can run it

    query, key, value = packed
    reach = -1 if sliding_window is None else sliding_window - 1
    mixed = varlen_attn(
        query, key, value, batch.starts, batch.starts, batch.longest, batch.longest, scale=scaling, window_size=(reach, reach)
    )
    assert isinstance(mixed, torch.Tensor)  # a pair only when its log-sum-exp is asked for
    return mixed


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None, dropout_p: float, scale: float | None
) -> torch.Tensor:
    """`scaled_dot_product_attention` with our dropout; on a processor torch has no kernel of its own for one with dropout either."""
    scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    return drop(scores.softmax(dim=-1), dropout_p, is_training=True) @ value


def _spread(part: torch.Tensor, batch: Batch) -> torch.Tensor:
    """(N, heads, D) over the padded grid: (B, heads, T, D), zero where there is no token."""
    tokens, heads, width = part.shape
    if tokens == batch.size * batch.longest:
        return part.view(batch.size, batch.longest, heads, width).transpose(1, 2)
    grid = part.new_zeros((batch.size * batch.longest, heads, width)).index_copy(0, batch.cells, part)
    return grid.view(batch.size, batch.longest, heads, width).transpose(1, 2)


def _visible(batch: Batch, sliding_window: int | None) -> torch.Tensor | None:
    """(B, 1, 1 or T, T) True where a token may look; None when every token sees every cell."""
    lengths = batch.starts.diff()
    places = torch.arange(batch.longest, device=lengths.device)
    is_full = len(batch.ids) == batch.size * batch.longest
    if sliding_window is None:
        return None if is_full else (places[None, :] < lengths[:, None])[:, None, None, :]
    near = (places[:, None] - places[None, :]).abs() < sliding_window
    # A padding cell sees itself, so that no row of scores is empty: its result is thrown away, but a NaN would spoil the gradient.
    inside = (places[None, :] < lengths[:, None])[:, None, None, :] | torch.eye(batch.longest, dtype=torch.bool, device=lengths.device)
    return inside & near


def _to_device(part: npt.NDArray[Any], device: str) -> torch.Tensor:
    tensor = torch.from_numpy(part)
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


AttentionInterface.register(PACKED, packed_attention)

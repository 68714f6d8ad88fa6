"""Objectives whose answers are spans of the text: named entities by BIO tags, and the span that answers a question.

Long texts are read in overlapping windows; what the windows say is put together as characters of the text.
Does not belong here: the rules of BIO tags (`bio_tags.py`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from assets.answers import CONTEXT_MARKER, QUESTION_MARKER, Span, decode_spans, encode_spans
from assets.project import Task
from assets.training.learning.bio_tags import IGNORED, merge_windows, read_tags, tag_tokens
from assets.training.learning.encoding import EncodedTexts, encode_pairs, encode_windows
from assets.training.learning.network import Head, Outputs, Pooling, TokenHead, softmax
from assets.training.learning.objectives import Targets, answer_frame

LONGEST_ANSWER_TOKENS = 48
"""Longer answers are not looked for; SQuAD's longest in the development set has 46 words, nearly all are far shorter."""

Offsets = npt.NDArray[np.int32]


class SpanObjective:
    """Labelled spans: one BIO tag per token, cross-entropy over all tokens of the text."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def prepare(self, tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel) -> None:
        """Nothing is needed."""

    def build_head(self, hidden: int, tokenizer: PreTrainedTokenizerBase, pooling: Pooling) -> Head:
        """One output per tag."""
        return TokenHead(hidden, 1 + 2 * len(self.task.labels))

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
        """One row per window."""
        return encode_windows(tokenizer, texts, max_tokens)

    def targets(self, texts: EncodedTexts, documents: pd.DataFrame) -> Targets:
        """`tag` (tokens,)."""
        offsets, spans = offsets_of(texts), [decode_spans(answer, self.task.labels) for answer in documents["label"]]
        tags = [
            tag_tokens(offsets[start:end], spans[text], self.task.labels)
            for text, start, end in zip(texts.text_of, texts.starts[:-1], texts.starts[1:], strict=True)
        ]
        return {"tag": np.concatenate([np.zeros(0, dtype=np.int64), *tags])}

    def loss(self, outputs: torch.Tensor, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Summed over tokens."""
        return functional.cross_entropy(outputs, targets["tag"], ignore_index=IGNORED, reduction="sum")

    def units(self, targets: Targets) -> float:
        """Tokens of the texts."""
        return float((targets["tag"] != IGNORED).sum())

    def answer(self, outputs: Outputs, encoded: EncodedTexts, texts: Sequence[str]) -> pd.DataFrame:
        """The spans that the tags say, and the confidence of each."""
        offsets, owner = offsets_of(encoded), encoded.text_of[encoded.row_of]
        tokens = merge_windows(owner, offsets, depth_in_window(encoded))
        bounds = np.searchsorted(owner[tokens], np.arange(len(texts) + 1))
        labels, scores = np.empty(len(texts), dtype=object), []
        for number, text in enumerate(texts):
            own = tokens[bounds[number] : bounds[number + 1]]
            found = sorted(read_tags(softmax(outputs[own]), offsets[own], text, self.task.labels))
            labels[number] = encode_spans(span for span, _ in found)
            scores.append([score for _, score in found])
        return answer_frame(labels, None, span_scores=scores)


class ReadingObjective:
    """The span of a text that answers a question, or none: a start and an end among the tokens (Devlin et al., 2019, section 4.3).

    The window's first token stands for "no answer in this window".
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def prepare(self, tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel) -> None:
        """Nothing is needed: question and text become a pair."""

    def build_head(self, hidden: int, tokenizer: PreTrainedTokenizerBase, pooling: Pooling) -> Head:
        """Two outputs: starts here, ends here."""
        return TokenHead(hidden, 2)

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> EncodedTexts:
        """One row per window of the text, each with the question; offsets are characters of the whole marked text."""
        split = [split_question(text) for text in texts]
        pairs = encode_pairs(tokenizer, [question for question, _, _ in split], [context for _, context, _ in split], max_tokens)
        shift = np.array([start for _, _, start in split], dtype=np.int32)[pairs.text_of][pairs.row_of]
        offsets = offsets_of(pairs)
        is_context = offsets[:, 0] < offsets[:, 1]
        moved = np.where(is_context[:, None], offsets + shift[:, None], 0).astype(np.int32)
        return EncodedTexts(pairs.ids, pairs.starts, pairs.padding_id, pairs.text_of, moved)

    def targets(self, texts: EncodedTexts, documents: pd.DataFrame) -> Targets:
        """`boundary` (tokens, 2): 1 at the answer's first and last token, both on a window's first token where it holds no answer."""
        offsets, answers = offsets_of(texts), [decode_spans(answer, self.task.labels) for answer in documents["label"]]
        boundary = np.zeros((len(texts.ids), 2), dtype=np.float32)
        for text, start, end in zip(texts.text_of, texts.starts[:-1], texts.starts[1:], strict=True):
            first, last = _answer_tokens(offsets[start:end], answers[text])
            boundary[start + first, 0] = boundary[start + last, 1] = 1
        row = texts.row_of
        return {"boundary": boundary, "row": row, "is_candidate": candidates(texts)}

    def loss(self, outputs: torch.Tensor, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Cross-entropy over the tokens of each window, the mean of start and end, summed over windows."""
        logits = outputs.masked_fill(~targets["is_candidate"][:, None], -1e4)  # (N, 2)
        _, row = torch.unique(targets["row"], return_inverse=True)
        count = int(row.max()) + 1
        places = row[:, None].expand(-1, 2)
        highest = logits.detach().new_full((count, 2), -torch.inf).scatter_reduce(0, places, logits.detach(), "amax")
        sums = torch.zeros_like(highest).index_add(0, row, (logits - highest[row]).exp())
        log_probabilities = logits - highest[row] - sums.log()[row]
        return -(log_probabilities * targets["boundary"]).sum() / 2

    def units(self, targets: Targets) -> float:
        """Windows."""
        return float(len(np.unique(targets["row"])))

    def answer(self, outputs: Outputs, encoded: EncodedTexts, texts: Sequence[str]) -> pd.DataFrame:
        """The likeliest span over all windows of a text, or none where "no answer" is likelier in every window."""
        offsets, allowed = offsets_of(encoded), candidates(encoded)
        best: list[tuple[float, Span | None]] = [(0.5, None)] * len(texts)
        for text, start, end in zip(encoded.text_of, encoded.starts[:-1], encoded.starts[1:], strict=True):
            part = np.where(allowed[start:end, None], outputs[start:end], -np.inf)
            score, first, last = best_boundaries(softmax(part.T).T)
            if score > best[text][0]:
                best[text] = (score, Span(int(offsets[start + first, 0]), int(offsets[start + last, 1]), self.task.labels[0]))
        labels = np.array([encode_spans([] if span is None else [span]) for _, span in best], dtype=object)
        return answer_frame(labels, None, span_scores=[[] if span is None else [score] for score, span in best])


def offsets_of(texts: EncodedTexts) -> Offsets:
    """The offsets of texts that were encoded with them."""
    assert texts.offsets is not None, "encode with encode_windows or encode_pairs"
    return texts.offsets


def depth_in_window(texts: EncodedTexts) -> npt.NDArray[np.int64]:
    """Tokens between each token and the nearer end of its row."""
    place = np.arange(len(texts.ids)) - texts.starts[:-1][texts.row_of]
    depth: npt.NDArray[np.int64] = np.minimum(place, texts.lengths[texts.row_of] - 1 - place)
    return depth


def candidates(texts: EncodedTexts) -> npt.NDArray[np.bool_]:
    """Tokens where an answer may start or end: those of the text, and the first of each row."""
    offsets = offsets_of(texts)
    allowed: npt.NDArray[np.bool_] = offsets[:, 0] < offsets[:, 1]
    allowed[texts.starts[:-1]] = True
    return allowed


def split_question(text: str) -> tuple[str, str, int]:
    """Question, context, and the place in the marked text where the context begins; a text without markers is all context."""
    head, marker, context = text.partition(CONTEXT_MARKER)
    if not marker:
        return "", text, 0
    begin = len(head) + len(marker)
    stripped = context.lstrip()
    return head.removeprefix(QUESTION_MARKER).strip(), stripped, begin + len(context) - len(stripped)


def best_boundaries(probabilities: npt.NDArray[np.float64]) -> tuple[float, int, int]:
    """Score, first and last token of the likeliest answer in a window, relative to "no answer".

    The score is p / (p + p0), p being P(start) P(end) of the answer and p0 that of the window's first token: above one half, there is one.

    Args:
        probabilities: (tokens, 2) of start and end; 0 for tokens that are no candidates.
    """
    starts, ends = probabilities[:, 0].copy(), probabilities[:, 1].copy()
    nothing = float(starts[0] * ends[0])
    starts[0] = ends[0] = 0
    joint = np.triu(np.outer(starts, ends)) - np.triu(np.outer(starts, ends), LONGEST_ANSWER_TOKENS)
    first, last = np.unravel_index(int(joint.argmax()), joint.shape)
    best = float(joint[first, last])
    return best / max(best + nothing, 1e-12), int(first), int(last)


def _answer_tokens(offsets: Offsets, answer: tuple[Span, ...]) -> tuple[int, int]:
    """First and last token of the answer within a window; (0, 0) unless the window holds all of it."""
    if not answer:
        return 0, 0
    inside = np.flatnonzero((offsets[:, 0] < answer[0].end) & (offsets[:, 1] > answer[0].start))
    is_whole = len(inside) and offsets[inside[0], 0] <= answer[0].start and offsets[inside[-1], 1] >= answer[0].end
    return (int(inside[0]), int(inside[-1])) if is_whole else (0, 0)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.answers import Span
from assets.training.learning.bio_tags import IGNORED, merge_windows, read_tags, tag_tokens
from assets.training.learning.encoder import load_tokenizer
from assets.training.learning.encoding import encode_windows
from assets.training.learning.span_objectives import depth_in_window

LABELS = ("PER", "地点")
OUT, B_PER, I_PER, B_LOC, I_LOC = range(5)


def offsets_of(*pairs):
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def sure(tags):
    """Probabilities of a network that is quite sure of these tags."""
    return np.where(np.arange(5) == np.array(tags)[:, None], 0.96, 0.01)


WORDS = offsets_of((0, 0), (0, 3), (4, 9), (9, 12), (13, 17), (0, 0))  # [CLS] Ann lives ##now Bern [SEP]
TEXT = "Ann livesnow Bern"


@pytest.mark.parametrize(
    ("spans", "tags"),
    [
        ([], [OUT, OUT, OUT, OUT]),
        ([Span(0, 3, "PER"), Span(13, 17, "地点")], [B_PER, OUT, OUT, B_LOC]),
        ([Span(0, 9, "PER")], [B_PER, I_PER, OUT, OUT]),
        ([Span(5, 7, "PER")], [OUT, B_PER, OUT, OUT]),  # a part of a token
        ([Span(3, 4, "PER")], [OUT, OUT, OUT, OUT]),  # the space between two tokens
        ([Span(0, 9, "PER"), Span(9, 17, "PER")], [B_PER, I_PER, B_PER, I_PER]),
        ([Span(0, 3, "PER"), Span(0, 12, "地点")], [B_LOC, I_LOC, I_LOC, OUT]),  # the longer of two that overlap
        ([Span(0, 9, "PER"), Span(4, 17, "地点")], [OUT, B_LOC, I_LOC, I_LOC]),
        ([Span(0, 12, "PER"), Span(4, 9, "地点")], [B_PER, I_PER, I_PER, OUT]),
    ],
)
def test_tokens_get_the_tags_of_the_spans_that_they_share_a_character_with(spans, tags):
    assert tag_tokens(WORDS, spans, LABELS).tolist() == [IGNORED, *tags, IGNORED]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ([OUT, OUT, OUT, OUT], []),
        ([B_PER, OUT, OUT, B_LOC], [(0, 3, "PER"), (13, 17, "地点")]),
        ([B_PER, I_PER, I_PER, OUT], [(0, 12, "PER")]),
        ([OUT, B_PER, OUT, OUT], [(4, 12, "PER")]),  # a word is never cut in the middle
        ([OUT, OUT, B_PER, OUT], []),  # nor begun in the middle
        ([I_PER, OUT, OUT, I_LOC], [(0, 3, "PER"), (13, 17, "地点")]),  # an I after O begins a span
        ([I_PER, I_LOC, I_LOC, OUT], [(0, 3, "PER"), (4, 12, "地点")]),  # as does one after another label
        ([B_PER, B_PER, I_PER, OUT], [(0, 3, "PER"), (4, 12, "PER")]),
    ],
)
def test_tags_are_read_as_spans(tags, spans):
    found = read_tags(sure(tags), WORDS[1:-1], TEXT, LABELS)
    assert [(span.start, span.end, span.label) for span, _ in found] == spans


def test_chinese_characters_are_words_of_their_own():
    text = "小明住在北京"
    offsets = offsets_of(*[(place, place + 1) for place in range(6)])
    tags = tag_tokens(offsets, [Span(0, 2, "PER"), Span(4, 6, "地点")], LABELS)
    assert tags.tolist() == [B_PER, I_PER, OUT, OUT, B_LOC, I_LOC]
    assert [span for span, _ in read_tags(sure(tags), offsets, text, LABELS)] == [Span(0, 2, "PER"), Span(4, 6, "地点")]


def test_the_confidence_is_the_mean_probability_of_the_label_over_its_tokens():
    probabilities = np.array([[0.1, 0.6, 0.2, 0.1, 0.0], [0.3, 0.1, 0.5, 0.0, 0.1]])
    found = read_tags(probabilities, offsets_of((0, 3), (4, 9)), TEXT, LABELS)
    assert found == [(Span(0, 9, "PER"), pytest.approx((0.8 + 0.6) / 2))]


def test_windows_are_merged_at_the_tokens_that_see_most():
    text_of = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    offsets = offsets_of((0, 0), (0, 2), (2, 4), (4, 6), (2, 4), (4, 6), (6, 8), (0, 2))
    depth = np.array([0, 1, 2, 0, 0, 1, 1, 1])
    assert merge_windows(text_of, offsets, depth).tolist() == [1, 2, 5, 6, 7]


def test_no_tokens_merge_to_none():
    nothing = np.zeros(0, dtype=np.int64)
    assert merge_windows(nothing, offsets_of(), nothing).tolist() == []


PIECES = st.sampled_from(["Ann", "lives", "in", "Bern", "Unbelievable", "小", "明", "北京", "😀", "a1", "ÉCOLE", "…", "x"])


@st.composite
def texts_with_spans(draw):
    """A text of pieces with spaces between them, and spans of whole pieces that do not touch each other."""
    pieces = draw(st.lists(PIECES, max_size=60))
    starts = np.cumsum([0, *[len(piece) + 1 for piece in pieces]])
    spans, place = [], draw(st.integers(0, 5))
    while place < len(pieces):
        last = min(place + draw(st.integers(0, 3)), len(pieces) - 1)
        spans.append(Span(int(starts[place]), int(starts[last]) + len(pieces[last]), draw(st.sampled_from(LABELS))))
        place = last + 1 + draw(st.integers(0, 4))
    return " ".join(pieces), spans


@pytest.fixture(scope="module")
def tokenizer(packaged_base):
    return load_tokenizer(packaged_base)


@settings(max_examples=150, deadline=None)
@given(texts_with_spans(), st.integers(8, 64))
def test_spans_come_back_from_their_tags_whatever_the_windows(tokenizer, example, max_tokens):
    text, spans = example
    windows = encode_windows(tokenizer, ["", text], max_tokens)
    tags = np.concatenate(
        [tag_tokens(windows.offsets[start:end], spans, LABELS) for start, end in zip(windows.starts[:-1], windows.starts[1:], strict=True)]
    )
    owner = windows.text_of[windows.row_of]
    tokens = merge_windows(owner, windows.offsets, depth_in_window(windows))
    tokens = tokens[owner[tokens] == 1]
    found = read_tags(sure(tags[tokens]), windows.offsets[tokens], text, LABELS)
    assert [span for span, _ in found] == spans

"""Numbers about spans: strict matches, the words they cover, and the overlap of answers to questions.

Belongs here: turning pairs of spans into the sums of `metrics.py`. Does not belong here: reading spans (`assets/answers.py`), metrics of
the sums (`metrics.py`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from assets.answers import Span
from assets.training.judging.metrics import Floats, Statistics, calibration_rows

Spans = tuple[Span, ...]
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{CJK}]|(?:(?![{CJK}])[^\W_])+|\S")
"""A word: a Chinese character or Japanese kana, a run of other letters and digits, or any other single character but space. It is the same
for all models, whatever their tokenizers, so that their tables can be compared."""
ARTICLES = frozenset({"a", "an", "the"})
OUTSIDE = "O"


def span_statistics(
    truth: Sequence[Spans], predicted: Sequence[Spans], labels: Sequence[str], scores: Sequence[Sequence[float]] | None
) -> Statistics:
    """The statistics of every single row: a span is right when start, end and label are.

    So a span that is one character off, or has another label, is a wrong one and leaves a true one missed; the same span twice counts once
    (conlleval: Tjong Kim Sang and De Meulder, CoNLL 2003). Calibration is that of the predicted spans.

    Args:
        truth: Spans of each row.
        predicted: Spans of each row.
        labels: The task's labels.
        scores: Confidence of each predicted span, 0 to 1, in their order; None without.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    sums = np.zeros((len(truth), 3, len(labels)))
    rows = np.ones((len(truth), 2))
    for row, (right, found) in enumerate(zip(truth, predicted, strict=True)):
        rows[row, 1] = set(right) == set(found)
        for kind, spans in enumerate((set(right) & set(found), set(found), set(right))):
            for span in spans:
                sums[row, kind, numbers[span.label]] += 1
    return Statistics(sums, rows, None if scores is None else _calibrate(truth, predicted, scores))


def span_confidences(
    truth: Sequence[Spans], predicted: Sequence[Spans], scores: Sequence[Sequence[float]]
) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", Floats, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """Row, confidence, and whether it is right, of every predicted span."""
    found = [
        (row, score, span in right)
        for row, (right, spans, values) in enumerate(zip(truth, predicted, scores, strict=True))
        for span, score in zip(spans, values, strict=True)
    ]
    columns = zip(*found, strict=True) if found else ((), (), ())
    places, confidence, is_right = columns
    return np.array(places, dtype=np.int64), np.array(confidence, dtype=np.float64), np.array(is_right, dtype=np.bool_)


def words_of(text: str) -> list[tuple[int, int]]:
    """Start and end of every word of a text, in order (see `WORD`)."""
    return [match.span() for match in WORD.finditer(text)]


def tag_words(words: Sequence[tuple[int, int]], spans: Spans) -> list[str]:
    """`B-<label>` for the first word that a span touches, `I-<label>` for its others, `O` for words outside all spans.

    A word has one tag: of spans that share a word the first to start (of those, the shorter) is tagged, and the others are not.
    """
    tags = [OUTSIDE] * len(words)
    starts, ends = np.array([word[0] for word in words]), np.array([word[1] for word in words])
    for span in sorted(spans):
        first, last = int(np.searchsorted(ends, span.start, side="right")), int(np.searchsorted(starts, span.end, side="left"))
        if first < last and set(tags[first:last]) == {OUTSIDE}:
            tags[first:last] = [f"B-{span.label}"] + [f"I-{span.label}"] * (last - first - 1)
    return tags


def word_tags(labels: Sequence[str]) -> list[str]:
    """The tags a word can have, in order: B and I of every label, then O."""
    return [*(f"{place}-{label}" for label in labels for place in "BI"), OUTSIDE]


def word_statistics(texts: Sequence[str], truth: Sequence[Spans], predicted: Sequence[Spans], labels: Sequence[str]) -> Statistics:
    """The sums of every single row over its words, as the token-level classification report has them: labels are `word_tags`."""
    numbers = {tag: number for number, tag in enumerate(word_tags(labels))}
    sums, rows = np.zeros((len(texts), 3, len(numbers))), np.zeros((len(texts), 2))
    for row, (text, right, found) in enumerate(zip(texts, truth, predicted, strict=True)):
        words = words_of(text)
        true_tags = np.array([numbers[tag] for tag in tag_words(words, right)], dtype=np.int64)
        tags = true_tags if right == found else np.array([numbers[tag] for tag in tag_words(words, found)], dtype=np.int64)
        hits = true_tags[true_tags == tags]
        for kind, part in enumerate((hits, tags, true_tags)):
            sums[row, kind] = np.bincount(part, minlength=len(numbers))
        rows[row] = len(words), len(hits)
    return Statistics(sums, rows)


def error_counts(truth: Sequence[Spans], predicted: Sequence[Spans]) -> dict[str, int]:
    """How the wrong and the missed spans came about; each is counted once.

    `wrong_label`: a wrong span with the borders of a true one. `wrong_border`: it overlaps a true one of its label. `both_wrong`: it
    overlaps a true one of another label. `invented`: it overlaps none. `missed`: a true span that no predicted one overlaps.
    (After the error types of MUC-5: Chinchor and Sundheim, 1993.)
    """
    counts: Counter[str] = Counter(dict.fromkeys(("wrong_label", "wrong_border", "both_wrong", "invented", "missed"), 0))
    for right, found in zip(truth, predicted, strict=True):
        if right != found:
            counts.update(_name_error(span, right) for span in set(found) - set(right))
            counts["missed"] += sum(not any(_do_overlap(span, other) for other in found) for span in right)
    return dict(counts)


def overlap_rows(texts: Sequence[str], truth: Sequence[Spans], predicted: Sequence[Spans]) -> Floats:
    """Exact match and word-overlap F1 of the answer to every question, as SQuAD measures them: (rows, 2).

    The answer is the first predicted span; of several true ones the best match counts. No answer is right where there is none, else wrong
    (SQuAD 2.0: Rajpurkar, Jia, Liang, ACL 2018). Texts are compared as `answer_words`.
    """
    found = np.zeros((len(texts), 2))
    for row, (text, right, answers) in enumerate(zip(texts, truth, predicted, strict=True)):
        answer = answer_words(text[answers[0].start : answers[0].end]) if answers else []
        wanted = [answer_words(text[span.start : span.end]) for span in right] or [[]]
        found[row] = max(float(answer == words) for words in wanted), max(_overlap_f1(answer, words) for words in wanted)
    return found


def answer_words(text: str) -> list[str]:
    """Words of an answer as SQuAD compares them: lower case, without punctuation and English articles; Chinese by characters."""
    kept = "".join(character for character in text.casefold() if not unicodedata.category(character).startswith("P"))
    return [kept[start:end] for start, end in words_of(kept) if kept[start:end] not in ARTICLES]


def _calibrate(truth: Sequence[Spans], predicted: Sequence[Spans], scores: Sequence[Sequence[float]]) -> Floats:
    return calibration_rows(*span_confidences(truth, predicted, scores), len(truth))


def _overlap_f1(answer: Sequence[str], wanted: Sequence[str]) -> float:
    if not answer or not wanted:
        return float(answer == wanted)
    shared = sum((Counter(answer) & Counter(wanted)).values())
    return 2 * shared / (len(answer) + len(wanted))


def _name_error(span: Span, right: Spans) -> str:
    touched = [other for other in right if _do_overlap(span, other)]
    tests: tuple[tuple[str, Callable[[Span], bool]], ...] = (
        ("wrong_label", lambda other: (other.start, other.end) == (span.start, span.end)),
        ("wrong_border", lambda other: other.label == span.label),
        ("both_wrong", lambda _other: True),
    )
    return next((name for name, test in tests if any(test(other) for other in touched)), "invented")


def _do_overlap(span: Span, other: Span) -> bool:
    return span.start < other.end and other.start < span.end

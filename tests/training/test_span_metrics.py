import numpy as np
import pytest
from sklearn.metrics import classification_report

from assets.answers import Span
from assets.training.judging.metrics import compute_label_metrics, compute_metrics
from assets.training.judging.span_metrics import (
    answer_words,
    error_counts,
    overlap_rows,
    span_confidences,
    span_statistics,
    tag_words,
    word_statistics,
    word_tags,
    words_of,
)

LABELS = ("PER", "LOC", "组织")


def spans(*parts):
    return tuple(sorted({Span(*part) for part in parts}))


def counts(truth, predicted):
    """Hits, predicted and true spans over all labels."""
    return span_statistics([truth], [predicted], LABELS, None).total().labels.sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        (spans((0, 4, "PER")), spans((0, 4, "PER")), [1, 1, 1]),
        (spans((0, 4, "PER")), spans((0, 5, "PER")), [0, 1, 1]),
        (spans((0, 4, "PER")), spans((1, 4, "PER")), [0, 1, 1]),
        (spans((0, 4, "PER")), spans((0, 4, "LOC")), [0, 1, 1]),
        (spans((0, 9, "PER")), spans((0, 4, "PER"), (5, 9, "PER")), [0, 2, 1]),
        (spans((0, 4, "PER"), (5, 9, "PER")), spans((0, 9, "PER")), [0, 1, 2]),
        (spans((0, 4, "PER")), spans((0, 4, "PER"), (0, 4, "LOC")), [1, 2, 1]),
        (spans((0, 4, "PER")), (Span(0, 4, "PER"), Span(0, 4, "PER")), [1, 1, 1]),
        (spans((0, 4, "PER")), (), [0, 0, 1]),
        ((), spans((0, 2, "组织")), [0, 1, 0]),
        ((), (), [0, 0, 0]),
    ],
)
def test_only_the_same_start_end_and_label_is_a_hit(truth, predicted, expected):
    assert counts(truth, predicted) == expected


def test_a_right_answer_is_one_whose_spans_are_all_right():
    truth = [spans((0, 4, "PER")), spans((0, 4, "PER"), (5, 6, "LOC")), (), ()]
    predicted = [spans((0, 4, "PER")), spans((0, 4, "PER")), (), spans((0, 1, "LOC"))]
    assert span_statistics(truth, predicted, LABELS, None).rows.tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]


def test_span_scores_are_those_computed_by_hand():
    truth = [spans((0, 4, "PER"), (10, 14, "LOC")), spans((0, 2, "组织")), ()]
    predicted = [spans((0, 4, "PER"), (10, 13, "LOC")), spans((0, 2, "组织"), (3, 5, "PER")), spans((0, 1, "PER"))]
    total = span_statistics(truth, predicted, LABELS, None).total()
    by_label = {name: values.tolist() for name, values in compute_label_metrics(total).items()}
    assert by_label == {"precision": [1 / 3, 0, 1], "recall": [1, 0, 1], "f1": [0.5, 0, 1], "support": [1, 1, 1]}
    metrics = {name: float(value) for name, value in compute_metrics(total).items()}
    assert metrics == pytest.approx(
        {
            "accuracy": 0.0,
            "micro_precision": 2 / 5,
            "micro_recall": 2 / 3,
            "micro_f1": 0.5,
            "macro_precision": (1 / 3 + 0 + 1) / 3,
            "macro_recall": 2 / 3,
            "macro_f1": 0.5,
            "weighted_precision": (1 / 3 + 0 + 1) / 3,
            "weighted_recall": 2 / 3,
            "weighted_f1": 0.5,
        }
    )


def test_no_spans_anywhere_leave_f1_undefined_and_accuracy_whole():
    metrics = compute_metrics(span_statistics([(), ()], [(), ()], LABELS, [[], []]).total())
    assert float(metrics["accuracy"]) == 1.0
    assert np.isnan([metrics["macro_f1"], metrics["micro_f1"], metrics["weighted_f1"], metrics["ece"]]).all()


def test_calibration_is_that_of_predicted_spans():
    truth = [spans((0, 2, "PER")), (), spans((0, 1, "LOC"))]
    predicted = [spans((0, 2, "PER"), (3, 4, "PER")), (), spans((0, 1, "LOC"))]
    scores = [[0.9, 0.9], [], [0.6]]
    statistics = span_statistics(truth, predicted, LABELS, scores)
    assert float(compute_metrics(statistics.total())["ece"]) == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.6 - 1)) / 3)
    places, confidence, is_right = span_confidences(truth, predicted, scores)
    assert (places.tolist(), confidence.tolist(), is_right.tolist()) == ([0, 0, 2], [0.9, 0.9, 0.6], [True, False, True])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann Lee, 42!", ["Ann", "Lee", ",", "42", "!"]),
        ("don't e-mail a_b", ["don", "'", "t", "e", "-", "mail", "a", "_", "b"]),
        ("小明在IBM工作。", ["小", "明", "在", "IBM", "工", "作", "。"]),
        ("2024年5月 カフェ", ["2024", "年", "5", "月", "カ", "フ", "ェ"]),
        ("naïve Ünder 한국 😀", ["naïve", "Ünder", "한국", "😀"]),
        ("  \n\u3000 ", []),
    ],
)
def test_a_word_is_a_run_of_letters_a_chinese_character_or_another_sign(text, words):
    assert [text[start:end] for start, end in words_of(text)] == words


@pytest.mark.parametrize(
    ("text", "found", "tags"),
    [
        ("Ann Lee ran", spans((0, 7, "PER")), ["B-PER", "I-PER", "O"]),
        ("Ann Lee ran", spans((0, 3, "PER"), (4, 7, "PER")), ["B-PER", "B-PER", "O"]),
        ("Ann Lee ran", spans((1, 5, "PER")), ["B-PER", "I-PER", "O"]),
        ("Ann Lee ran", spans((3, 4, "PER")), ["O", "O", "O"]),
        ("Ann Lee ran", spans((0, 7, "PER"), (4, 11, "LOC")), ["B-PER", "I-PER", "O"]),
        ("小明在上海", spans((0, 2, "PER"), (3, 5, "LOC")), ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]),
        ("", (), []),
    ],
)
def test_words_are_tagged_begin_inside_and_outside(text, found, tags):
    assert tag_words(words_of(text), found) == tags


def random_answers(rows, seed):
    """Texts of ten words, English and Chinese, and spans of one to three of their words."""
    random = np.random.default_rng(seed)
    texts, answers = [], []
    for row in range(rows):
        text = " ".join(f"w{number}" for number in range(10)) if row % 2 else "今天小明去上海看电影"
        words = words_of(text)
        starts = [int(start) for start in random.choice(range(0, 9, 3), int(random.integers(0, 4)), replace=False)]
        ends = [min(start + int(random.integers(1, 4)), 10) for start in starts]
        texts.append(text)
        answers.append(
            spans(*((words[start][0], words[end - 1][1], str(random.choice(LABELS))) for start, end in zip(starts, ends, strict=True)))
        )
    return texts, answers


def test_the_table_of_words_is_that_of_scikit_learn():
    texts, truth = random_answers(200, 1)
    _, other = random_answers(200, 2)
    predicted = [right if row % 3 else wrong for row, (right, wrong) in enumerate(zip(truth, other, strict=True))]
    total = word_statistics(texts, truth, predicted, LABELS).total()
    right_tags = [tag for text, answer in zip(texts, truth, strict=True) for tag in tag_words(words_of(text), answer)]
    tags = [tag for text, answer in zip(texts, predicted, strict=True) for tag in tag_words(words_of(text), answer)]
    names = word_tags(LABELS)
    reference = classification_report(right_tags, tags, labels=names, output_dict=True, zero_division=0)
    found = compute_label_metrics(total)
    for number, tag in enumerate(names):
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"), ("support", "support")):
            assert found[ours][number] == pytest.approx(reference[tag][theirs]), (tag, ours)
    inside = classification_report(right_tags, tags, labels=names[:-1], output_dict=True, zero_division=0)
    metrics = compute_metrics(type(total)(total.labels[:, :-1], total.rows))
    for average in ("micro", "macro", "weighted"):
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert metrics[f"{average}_{ours}"] == pytest.approx(inside[f"{average} avg"][theirs]), (average, ours)
    assert metrics["accuracy"] == pytest.approx(np.mean([a == b for a, b in zip(right_tags, tags, strict=True)]))


@pytest.mark.parametrize(
    ("truth", "predicted", "kind"),
    [
        (spans((0, 4, "PER")), spans((0, 4, "LOC")), "wrong_label"),
        (spans((0, 4, "PER")), spans((0, 5, "PER")), "wrong_border"),
        (spans((0, 4, "PER")), spans((2, 5, "LOC")), "both_wrong"),
        (spans((0, 4, "PER")), spans((0, 4, "PER"), (4, 5, "PER")), "invented"),
        (spans((0, 4, "PER"), (6, 7, "组织")), spans((0, 4, "PER")), "missed"),
    ],
)
def test_every_error_has_one_kind(truth, predicted, kind):
    found = error_counts([truth], [predicted])
    assert {name for name, count in found.items() if count} == {kind}
    assert found[kind] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Eiffel Tower.", ["eiffel", "tower"]),
        ("an  U.S. dollar", ["us", "dollar"]),
        ("don't", ["dont"]),
        ("《红楼梦》，作者", ["红", "楼", "梦", "作", "者"]),
        ("the", []),
    ],
)
def test_answers_are_compared_in_lower_case_without_punctuation_and_articles(text, words):
    assert answer_words(text) == words


TEXT = "[Q] where? [C] It is in the old town of Bern."


def answer(part, text=TEXT):
    start = text.index(part)
    return spans((start, start + len(part), "PER"))


@pytest.mark.parametrize(
    ("text", "truth", "predicted", "expected"),
    [
        (TEXT, answer("old town"), answer("the old town"), [1, 1]),
        (TEXT, answer("the old town of Bern"), answer("town of Bern."), [0, 2 * 3 / (3 + 4)]),
        (TEXT, answer("Bern"), answer("old"), [0, 0]),
        (TEXT, answer("Bern"), (), [0, 0]),
        (TEXT, (), answer("Bern"), [0, 0]),
        (TEXT, (), (), [1, 1]),
        (TEXT, answer("Bern") + answer("old town"), answer("old town"), [1, 1]),
        (
            "[Q] 谁？ [C] 曹雪芹写了它",
            answer("曹雪芹", "[Q] 谁？ [C] 曹雪芹写了它"),
            answer("雪芹写", "[Q] 谁？ [C] 曹雪芹写了它"),
            [0, 2 / 3],
        ),
    ],
)
def test_answers_to_questions_match_exactly_or_overlap(text, truth, predicted, expected):
    assert overlap_rows([text], [truth], [predicted]).tolist() == [pytest.approx(expected)]


def test_macro_f1_of_questions_is_the_mean_overlap():
    truth, predicted = [answer("the old town of Bern"), ()], [answer("town of Bern."), ()]
    statistics = span_statistics(truth, predicted, LABELS, None)
    whole = type(statistics)(statistics.labels, statistics.rows, overlap=overlap_rows([TEXT, TEXT], truth, predicted)).total()
    metrics = compute_metrics(whole)
    assert float(metrics["macro_f1"]) == pytest.approx((6 / 7 + 1) / 2)
    assert float(metrics["exact_match"]) == 0.5

"""Whether more labels are worth their price."""

import pandas as pd
import pytest

from assets.labeling.stopping import describe_progress, draw_progress, measure_progress


def history(*rows):
    return pd.DataFrame(rows, columns=["labels", "macro_f1"]).astype({"labels": "int64", "macro_f1": "float64"})


def changes(*rows):
    return pd.DataFrame(rows, columns=["now", "before", "documents"]).astype({"documents": "int64"})


def test_the_gain_is_in_points_for_a_hundred_labels():
    progress = measure_progress(history((500, 0.60), (700, 0.64), (700, 0.65), (1700, 0.66)), changes())
    assert progress.history["gain"].tolist()[1:] == [pytest.approx(2.0), pytest.approx(float("nan"), nan_ok=True), pytest.approx(0.1)]
    assert "gained +0.10 points of macro F1 for every 100 of them (now 0.660 with 1700 labels)" in describe_progress(progress)
    assert draw_progress(progress).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("answers", "kappa", "words"),
    [
        ([("好", "好", 50), ("坏", "坏", 50)], 1.0, "they are stable"),
        ([("好", "好", 40), ("坏", "坏", 40), ("好", "坏", 20)], 0.615, "they still change"),
        ([("好", "好", 60)], 1.0, "they are stable"),
        ([("好", "好", 49)], None, "both answered 49 waiting documents: fewer than 50 say nothing"),
        ([], None, "both answered 0 waiting documents"),
    ],
)
def test_models_that_no_longer_change_their_minds_are_stable(answers, kappa, words):
    progress = measure_progress(history((500, 0.6)), changes(*answers))
    assert progress.kappa == (None if kappa is None else pytest.approx(kappa, abs=1e-3))
    assert words in describe_progress(progress)


def test_one_model_says_nothing_of_the_gain():
    assert "not yet two models" in describe_progress(measure_progress(history(), changes()))

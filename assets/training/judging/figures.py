"""Pictures of a report as small PNG files, drawn without a screen.

Belongs here: drawing numbers that are given. Does not belong here: computing them (`evaluation.py`), the words around them (`report.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import font_manager

from assets.pictures import BLUE, GREY, new_figure, to_png
from assets.training.judging.evaluation import value_of
from assets.training.judging.metrics import CALIBRATION_BINS, Floats, bins_of

CJK_FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei", "PingFang SC")
MOST_POINTS = 3_000
"""Points of a scatter plot: more cannot be told apart and only make the file large."""


@dataclass(frozen=True)
class DrawnNames:
    """Names as a picture can show them.

    Attributes:
        shown: As drawn; numbers where no installed font has the characters.
        legend: What each number means; empty when the names themselves are drawn.
        font: Font family to draw with; None takes the default.
    """

    shown: tuple[str, ...]
    legend: dict[str, str]
    font: str | None


def choose_names(names: Sequence[str], installed: frozenset[str] | None = None) -> DrawnNames:
    """Draw names as they are where a font can, else as numbers with a legend.

    Args:
        names: Names of labels or sources.
        installed: Font families at hand; None asks matplotlib.
    """
    if all(ord(character) < 0x2E80 for name in names for character in name):
        return DrawnNames(tuple(names), {}, None)
    families = frozenset(font.name for font in font_manager.fontManager.ttflist) if installed is None else installed
    font = next((family for family in CJK_FONTS if family in families), None)
    if font is not None:
        return DrawnNames(tuple(names), {}, font)
    shown = tuple(str(number) for number in range(1, len(names) + 1))
    return DrawnNames(shown, dict(zip(shown, names, strict=True)), None)


def draw_confusion(confusion: Floats, names: DrawnNames) -> bytes:
    """Confusion matrix (labels, labels): rows true, columns predicted, colour by share of the true label."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure, axes = new_figure(4.4, 3.8)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*confusion.shape):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{confusion[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8)
    ticks = range(len(names.shown))
    axes.set(xlabel="predicted", ylabel="consensus", title="Confusion matrix")
    axes.set_xticks(ticks, names.shown)
    axes.set_yticks(ticks, names.shown)
    return to_png(figure, names.font)


def draw_reliability(confidence: Floats, is_right: npt.NDArray[np.bool_]) -> bytes:
    """How often a decision is right, by how sure the model is of it; the diagonal is perfect calibration. Both (decisions,), not empty."""
    bins = bins_of(confidence)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = counts > 0
    right = np.bincount(bins, weights=is_right, minlength=CALIBRATION_BINS)[filled] / counts[filled]
    middle = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)[filled] / counts[filled]
    figure, axes = new_figure(4.4, 3.8)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--")
    axes.plot(middle, right, color=BLUE)
    axes.scatter(middle, right, s=10 + 150 * counts[filled] / counts.max(), color=BLUE)
    axes.set(xlabel="confidence", ylabel="share correct", title="Reliability", xlim=(0, 1), ylim=(0, 1))
    return to_png(figure, None)


def draw_sources(frame: pd.DataFrame, metric: str, scorers: Sequence[str], sources: Sequence[str], names: DrawnNames) -> bytes:
    """Bars with 95 % intervals: one group per source, one bar per scorer that has the metric; a missing number leaves a gap.

    Args:
        frame: An evaluation frame.
        metric: Metric to draw.
        scorers: Bars, in order.
        sources: Groups, in order.
        names: The sources' names as drawn.
    """
    figure, axes = new_figure(7.2, 3.8)
    scorers = [scorer for scorer in scorers if ((frame["scorer"] == scorer) & (frame["metric"] == metric)).any()]
    width = 0.8 / max(1, len(scorers))
    for number, scorer in enumerate(scorers):
        values = np.array([value_of(frame, scorer, metric, f"source={source}") for source in sources]).reshape(-1, 3)
        places = np.arange(len(sources)) + (number - (len(scorers) - 1) / 2) * width
        reach = np.nan_to_num(np.abs(np.stack([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]])))
        axes.bar(
            places, np.nan_to_num(values[:, 0]), width * 0.9, yerr=reach, label=scorer, error_kw={"linewidth": 0.8}, color=f"C{number}"
        )
    axes.set_xticks(range(len(sources)), names.shown)
    axes.set(ylabel=metric, title=f"{metric} by source, with 95 % intervals", ylim=(min(0.0, axes.get_ylim()[0]), 1.0))
    if axes.containers:
        figure.legend(fontsize=7, ncols=min(4, max(1, len(scorers))), loc="outside lower center")
    return to_png(figure, names.font)


def draw_label_f1(frame: pd.DataFrame, scorers: Sequence[str], labels: Sequence[str], names: DrawnNames) -> bytes:
    """Bars of the F1 of every label, one bar per scorer; a missing number leaves a gap.

    Args:
        frame: An evaluation frame.
        scorers: Bars, in order.
        labels: Groups, in order.
        names: The labels' names as drawn.
    """
    figure, axes = new_figure(7.2, 3.8)
    width = 0.8 / max(1, len(scorers))
    for number, scorer in enumerate(scorers):
        values = [value_of(frame, scorer, f"f1/{label}")[0] for label in labels]
        places = np.arange(len(labels)) + (number - (len(scorers) - 1) / 2) * width
        axes.bar(places, np.nan_to_num(np.array(values)), width * 0.9, label=scorer, color=f"C{number}")
    axes.set_xticks(range(len(labels)), names.shown, rotation=30 if len(labels) > 6 else 0)
    axes.set(ylabel="F1", title="F1 by label", ylim=(0, 1))
    if axes.containers:
        figure.legend(fontsize=7, ncols=min(4, max(1, len(scorers))), loc="outside lower center")
    return to_png(figure, names.font)


def draw_training(evaluations: Sequence[dict[str, float]]) -> bytes:
    """Loss on train and dev, and macro F1 on dev, over epochs.

    Args:
        evaluations: Entries with `epoch`, and `train_loss`, `dev_loss`, `dev_macro_f1` where they are known.
    """
    figure, axes = new_figure(4.4, 3.4)
    epochs = [entry["epoch"] for entry in evaluations]
    for key, name, marker, colour in (
        ("train_loss", "train loss", "o", GREY),
        ("dev_loss", "dev loss", "o", BLUE),
        ("dev_macro_f1", "dev macro F1", "s", "C1"),
    ):
        values = [entry.get(key) for entry in evaluations]
        axes.plot(epochs, [np.nan if value is None else value for value in values], marker=marker, color=colour, label=name)
    axes.set(xlabel="epoch", title="Training", xlim=(0, 1.05 * max(epochs)), ylim=(0, None))
    axes.legend(fontsize=7)
    return to_png(figure, None)


def draw_valence(valence: Floats, ratings: Floats) -> bytes:
    """Predicted valence against the mean human rating, one point per document that has one (at most 3,000, evenly picked)."""
    rows = np.flatnonzero(np.isfinite(valence) & np.isfinite(ratings))
    rows = rows[:: max(1, -(-len(rows) // MOST_POINTS))]
    figure, axes = new_figure(4.4, 3.8)
    axes.scatter(ratings[rows], valence[rows], s=4, alpha=0.35, color=BLUE, linewidths=0)
    axes.set(xlabel="mean human rating", ylabel="predicted P(pos) - P(neg)", title="Valence", ylim=(-1.05, 1.05))
    return to_png(figure, None)

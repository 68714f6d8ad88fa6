"""Pictures of searches and studies as small PNG files, drawn without a screen.

Belongs here: drawing rows of `hyperparameter_search`, `learning_curve` and `ablation_report`. Does not belong here: computing them
(`search.py`, `study.py`), pictures of the evaluation report (`figures.py`).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from assets.pictures import BLUE, GREY, new_figure, to_png
from assets.training.judging.figures import choose_names

STATE_MARKS = {"complete": ("o", BLUE), "pruned": ("x", GREY), "failed": ("v", "C3")}
METHOD_MARKS = {"fine_tuning": ("o", "fine-tuned"), "few_shot_head": ("^", "head on the frozen encoder")}


def draw_history(trials: pd.DataFrame, metric: str) -> bytes:
    """Every trial's result, and the best so far.

    Args:
        trials: Rows of `hyperparameter_search` of one study.
        metric: Column to draw.
    """
    figure, axes = new_figure(6.4, 3.6)
    for state, (marker, colour) in STATE_MARKS.items():
        found = trials[(trials["state"] == state) & trials[metric].notna()]
        if len(found):
            axes.scatter(found["trial"], found[metric], marker=marker, color=colour, label=state, s=24)
    complete = trials[(trials["state"] == "complete") & trials[metric].notna()].sort_values("trial")
    if len(complete):
        best = complete[metric].cummin() if metric == "dev_loss" else complete[metric].cummax()
        axes.step(complete["trial"], best, where="post", color="C1", label="best so far")
        axes.legend(fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="trial", ylabel=metric.replace("_", " "), title="Search history")
    return to_png(figure, None)


def draw_importance(importance: Mapping[str, float]) -> bytes:
    """Bars: how much of the spread of the results each setting explains, greatest first."""
    figure, axes = new_figure(6.4, 0.9 + 0.32 * len(importance))
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color=BLUE)
    axes.set(xlabel="share of the spread explained", title="Which settings mattered", xlim=(0, 1))
    return to_png(figure, None)


def draw_learning_curve(curve: pd.DataFrame, metric: str, projection: tuple[np.ndarray, np.ndarray] | None = None) -> bytes:
    """A metric against the number of labels: mean over seeds with its spread, overall and per source.

    Args:
        curve: Rows of `learning_curve` of one study.
        metric: The metric drawn.
        projection: Rows and values of a fitted curve; None draws none.
    """
    drawn = curve[curve["metric"] == metric]
    slices = sorted(drawn["slice"].unique(), key=lambda name: (name != "overall", name))
    names = choose_names([name.removeprefix("source=") for name in slices])
    figure, axes = new_figure(7.2, 4.2)
    for number, (name, shown) in enumerate(zip(slices, names.shown, strict=True)):
        for method, (marker, words) in METHOD_MARKS.items():
            found = drawn[(drawn["slice"] == name) & (drawn["method"] == method)].groupby("train_rows")["value"]
            if not len(found):
                continue
            mean, low, high = found.mean(), found.min(), found.max()
            style = "-" if method == "fine_tuning" else ":"
            width = 2.2 if name == "overall" else 1.0
            axes.plot(mean.index, mean, style, marker=marker, markersize=4, color=f"C{number}", linewidth=width, label=f"{shown}, {words}")
            axes.fill_between(mean.index, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
    if projection is not None:
        axes.plot(*projection, "--", color=GREY, label="overall, fitted")
    axes.set_xscale("log")
    axes.set(xlabel="labelled rows trained on", ylabel=f"{metric} on dev", title="Learning curve")
    if slices:
        figure.legend(fontsize=7, ncols=3, loc="outside lower center")
    return to_png(figure, names.font)


def draw_ablation(rows: pd.DataFrame) -> bytes:
    """What every source and labeling function is worth overall, with intervals, greatest first.

    Args:
        rows: Rows of `ablation_report` of the slice `overall`.
    """
    ordered = rows.sort_values("difference")
    names = choose_names(ordered["removed"].tolist())
    figure, axes = new_figure(6.8, 1.1 + 0.34 * len(ordered))
    places = np.arange(len(ordered))
    low, high = (ordered[end].fillna(ordered["difference"]).to_numpy(dtype=float) for end in ("low", "high"))
    value = ordered["difference"].to_numpy(dtype=float)
    colours = [BLUE if kind == "source" else "C1" for kind in ordered["kind"]]
    axes.barh(places, value, color=colours, xerr=np.abs(np.stack([value - low, high - value])), error_kw={"linewidth": 0.8})
    axes.set_yticks(places, names.shown)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="macro F1 on dev lost without it (95 % interval)", title="Which data earns its keep")
    return to_png(figure, names.font)

"""Whether more labels are still worth their price: what models gained by them so far, and how much their answers still change.

Two things are looked at. The gain of each model over the one before, per 100 labels between them, on the test split of its own data set.
And stability: how far the last two models agree on the documents that wait for people, as Cohen's kappa; labels have nothing more to teach
when models stop changing their minds, at 0.99 (Bloodgood & Vijay-Shanker, CoNLL 2009, arXiv 1409.5165). Does not belong here: what is asked
(`queue.py`), the learning curve on demand (`training/studies`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.labeling.agreement import cohen_kappa

STABLE_KAPPA = 0.99
LEAST_SHARED = 50
"""Fewer documents that both models answered say nothing."""

# Models in the order of their training, with the confident labels of their data set and macro F1 on its test split.
HISTORY_SQL = """
SELECT m.model_id, min(m.increment_id) AS trained, any_value(d.labels) AS labels, max(r.value) AS macro_f1
FROM fine_tuned_model m
JOIN (SELECT dataset_version, count(DISTINCT document_id) AS labels FROM lake.history.training_dataset GROUP BY dataset_version) d
    USING (dataset_version)
JOIN evaluation_report r ON r.model_id = m.model_id AND r.dataset_version = m.dataset_version
    AND r.scorer = 'fine-tuned BERT' AND r.slice = 'overall' AND r.metric = 'macro_f1'
GROUP BY m.model_id ORDER BY trained
"""
# What the last two models that were asked about waiting documents say of those that both were asked about.
CHANGES_SQL = """
WITH asked AS (SELECT model_id, max(increment_id) AS newest FROM lake.history.pool_predictions GROUP BY model_id),
ordered AS (SELECT model_id, row_number() OVER (ORDER BY newest DESC) AS place FROM asked),
said AS (SELECT DISTINCT document_id, place, label FROM lake.history.pool_predictions JOIN ordered USING (model_id) WHERE place <= 2)
SELECT now.label AS now, before.label AS before, count(*) AS documents
FROM said now JOIN said before ON now.document_id = before.document_id AND now.place = 1 AND before.place = 2 GROUP BY ALL
"""


@dataclass(frozen=True)
class Progress:
    """What labels have taught so far.

    Attributes:
        history: One row per model, oldest first: `labels`, `macro_f1`, `gain` (points of macro F1 per 100 labels since the model before;
            missing for the first, and where no labels were added).
        kappa: Agreement of the last two models on waiting documents; None where too few were answered by both.
        shared: How many were.
    """

    history: pd.DataFrame
    kappa: float | None
    shared: int


def measure_progress(history: pd.DataFrame, changes: pd.DataFrame) -> Progress:
    """What the models' history says.

    Args:
        history: One row per model, oldest first: `labels`, `macro_f1` (`HISTORY_SQL`).
        changes: One row per pair of answers: `now`, `before`, `documents` (`CHANGES_SQL`).
    """
    added = history["labels"].diff()
    gain = (100 * history["macro_f1"].diff() / (added / 100)).where(added > 0)
    shared = int(changes["documents"].sum())
    return Progress(history.assign(gain=gain), _kappa(changes) if shared >= LEAST_SHARED else None, shared)


def describe_progress(progress: Progress) -> str:
    """Whether to go on, in words; Markdown."""
    gains = progress.history["gain"].dropna()
    lines = []
    if gains.empty:
        lines.append("There are not yet two models with different numbers of labels, so nobody knows what more labels gain.")
    else:
        models = progress.history[progress.history["gain"].notna()].iloc[-1]
        lines.append(
            f"The last labels gained {gains.iloc[-1]:+.2f} points of macro F1 for every 100 of them (now {models['macro_f1']:.3f} with "
            f"{int(models['labels'])} labels)."
        )
    if progress.kappa is None:
        lines.append(f"The last two models both answered {progress.shared} waiting documents: fewer than {LEAST_SHARED} say nothing.")
    else:
        verdict = "they are stable: more labels of this kind hardly teach" if progress.kappa >= STABLE_KAPPA else "they still change"
        lines.append(
            f"The last two models agree on {progress.shared} waiting documents with kappa {progress.kappa:.3f}; {verdict} "
            f"(from {STABLE_KAPPA} on answers count as stable)."
        )
    return "\n\n".join(lines)


def draw_progress(progress: Progress) -> bytes:
    """Macro F1 by labels, each step with its gain per 100 labels, as a PNG picture."""
    from assets.pictures import BLUE, GREY, new_figure, to_png

    history = progress.history
    figure, axes = new_figure(6.4, 3.6)
    axes.plot(history["labels"], history["macro_f1"], color=BLUE, marker="o", markersize=4)
    for before, now in zip(history.index[:-1], history.index[1:], strict=True):
        gain = history.loc[now, "gain"]
        if np.isfinite(gain):
            middle = history.loc[[before, now], ["labels", "macro_f1"]].mean()
            axes.annotate(f"{gain:+.2f}", (middle["labels"], middle["macro_f1"]), color=GREY, fontsize=8, ha="center", va="bottom")
    axes.set(xlabel="labels", ylabel="macro F1 on test", title="Gain in points per 100 labels")
    return to_png(figure, None)


def _kappa(changes: pd.DataFrame) -> float:
    """Cohen's kappa of the two answers; 1 where both always say the same one thing."""
    now, before = changes["now"].tolist(), changes["before"].tolist()
    kappa = cohen_kappa(now, before, changes["documents"], sorted({*now, *before}))
    return 1.0 if np.isnan(kappa) else kappa

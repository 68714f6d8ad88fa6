"""Wiring of `labeling_queue`: what every strategy would ask, mixed by the project's shares, with gold questions in between."""

from typing import Any

import dagster as dg
import pandas as pd

from assets.labeling.deciding import gold_of
from assets.labeling.queue import (
    CANDIDATES_SQL,
    DOUBTED_SQL,
    GOLD_QUESTIONS_SQL,
    LABELLED_SQL,
    POOL_SQL,
    mix_in_gold,
    rank,
    with_diversity,
)
from assets.labeling.stopping import CHANGES_SQL, HISTORY_SQL, describe_progress, draw_progress, measure_progress
from assets.project import Project
from resources.increments import Step
from resources.lakehouse import Lakehouse


def fill_queue(step: Step, lakehouse: Lakehouse, project: Project) -> dict[str, Any]:
    """Write the queue.

    Returns:
        Metadata for the UI.
    """
    settings = project.labeling
    limit = {"budget": settings.queue_budget}
    candidates = lakehouse.read(CANDIDATES_SQL, limit)
    if "diversity" in settings.queue_mix:
        encoder = {"base_model": project.training.base_model}
        candidates = with_diversity(
            candidates, lakehouse.read(POOL_SQL, encoder), lakehouse.read(LABELLED_SQL, encoder), settings.queue_budget
        )
    candidates = pd.concat([candidates, lakehouse.read(DOUBTED_SQL, limit)], ignore_index=True)
    queue = rank(candidates, settings.queue_mix, settings.queue_budget)
    queue = mix_in_gold(queue, lakehouse.read(GOLD_QUESTIONS_SQL, limit | gold_of(project)), settings.gold.share, settings.queue_budget)
    labels = int(lakehouse.read("SELECT count(*) AS rows FROM labeled_documents")["rows"].item())
    step.write("labeling_queue", queue)
    step.count(rows_in=labels, rows_out=len(queue), rows_skipped=labels - len(queue))
    for strategy, rows in queue["strategy"].value_counts().items():
        step.measure(f"chosen by {strategy}", rows)
    return show_progress(lakehouse)


def show_progress(lakehouse: Lakehouse) -> dict[str, Any]:
    """Whether more labels are still worth their price: in words, and as a curve as soon as there are two models."""
    progress = measure_progress(lakehouse.read(HISTORY_SQL), lakehouse.read(CHANGES_SQL))
    page = describe_progress(progress)
    if len(progress.history) > 1:
        from assets.pictures import embed  # brings matplotlib

        page = embed(f"{page}\n\n![gain per 100 labels](gain.png)\n", {"gain.png": draw_progress(progress)})
    return {"more labels": dg.MetadataValue.md(page)}

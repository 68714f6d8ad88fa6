"""A search for training settings in words and rows: what identifies it, its record, its winner and its page.

Belongs here: plain functions over settings and frames, light enough to import with the definitions. Does not belong here: the trials
themselves (`trials.py`), training (`search_run.py`), pictures (`study_figures.py`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from assets.project import Project
from assets.schemas import HYPERPARAMETER_SEARCH
from assets.training_settings import Training

FINISHED = ("complete", "pruned", "failed")
"""States of trials that count; an interrupted trial is tried again."""
UNSEARCHED = frozenset({"device", "precision", "processes", "retrain_after_new_labels", "recipe", "share"})
"""Settings of `training` that are no part of what a search found, or that the search sets itself."""

STUDIES_SQL = "SELECT DISTINCT study_id FROM hyperparameter_search WHERE study = $study"
TRIALS_SQL = "SELECT * FROM hyperparameter_search WHERE study_id = $study_id ORDER BY trial"
WINNER_SQL = """
SELECT study_id, params FROM hyperparameter_search
WHERE study = $study AND is_best ORDER BY increment_id DESC LIMIT 1
"""
NAMES_SQL = "SELECT DISTINCT study FROM hyperparameter_search WHERE is_best ORDER BY study"


class SearchError(RuntimeError):
    """A search cannot be had, or has found nothing."""


def identify_search(project: Project, dataset_version: str, known: Sequence[str], *, again: bool) -> str:
    """Id of the search that the project file describes; a later run with the same settings goes on with it.

    The budget is not part of it: a search can be given more trials. The settings that are searched are not either.

    Args:
        project: Its task, training and search settings.
        dataset_version: Data set to train and judge on.
        known: Ids of earlier searches of that name.
        again: Begin anew even if there is one.
    """
    search = project.search.model_dump(mode="json", exclude={"trials", "minutes"})
    fixed = project.training.model_dump(mode="json", exclude={*UNSEARCHED, *project.search.space})
    parts = [dataset_version, project.task.model_dump(mode="json"), search, fixed]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    same = [found for found in known if found.split(".")[0] == f"{project.search.name}-{digest}"]
    number = len(same) + 1 if again or not same else len(same)
    return f"{project.search.name}-{digest}" + (f".{number}" if number > 1 else "")


def is_finished(trials: pd.DataFrame, project: Project) -> bool:
    """Whether the budget of a search is used up.

    Args:
        trials: Rows of `hyperparameter_search` of one study.
        project: Its search settings.
    """
    counted = trials["state"].isin(FINISHED).sum()
    return bool(counted >= project.search.trials or (trials["is_best"].any() and trials["seconds"].sum() >= 60 * project.search.minutes))


def trial_rows(study_id: str, project: Project, dataset_version: str, trials: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The record of a search: one row per trial.

    Args:
        study_id: Its id.
        project: Its search settings.
        dataset_version: Data set that was trained and judged on.
        trials: As `search_run` reports them: `trial`, `state`, `params`, `dev_macro_f1`, `dev_loss`, `best_epoch`, `seconds`, `reason`.

    Raises:
        SearchError: There are none.
    """
    if not trials:
        raise SearchError("expected at least one trial, found none; raise search.minutes and run the search again")
    rows = pd.DataFrame(list(trials))
    rows["params"] = [json.dumps(params, sort_keys=True) for params in rows["params"]]
    for column in ("dev_macro_f1", "dev_loss", "best_epoch"):
        rows[column] = rows[column].astype(float)
    best = best_trial(rows, project.search.metric)
    rows = rows.assign(study_id=study_id, study=project.search.name, dataset_version=dataset_version, is_best=rows["trial"] == best)
    return rows[HYPERPARAMETER_SEARCH.column_names()]


def best_trial(trials: pd.DataFrame, metric: str) -> int | None:
    """Number of the best complete trial, the earliest of equals; None where none is complete."""
    complete = trials[(trials["state"] == "complete") & trials[metric].notna()].sort_values("trial")
    if complete.empty:
        return None
    place = np.argmin(complete[metric]) if metric == "dev_loss" else np.argmax(complete[metric])
    return int(complete["trial"].iloc[int(place)])


def apply_winner(training: Training, winner: pd.DataFrame, names: Sequence[str]) -> Training:
    """The training settings with those that a search found best.

    Args:
        training: Settings of the project file; `recipe` names the search.
        winner: The search's best trial, one row or none; read: `params`.
        names: Searches that have a winner, for the message.

    Raises:
        SearchError: The search has no winner.
    """
    if winner.empty:
        raise SearchError(
            f"training.recipe: expected the name of a search with an approved winner, out of {list(names)}, found {training.recipe!r}. "
            f"Run `textmill run search` with search.name: {training.recipe}, or take the key out."
        )
    return Training.model_validate(training.model_dump() | json.loads(str(winner["params"].iloc[0])))


def describe_search(trials: pd.DataFrame, metric: str, importance: Mapping[str, float]) -> str:
    """A search in Markdown: the winner's settings, what mattered, every trial; pictures are named `history.png` and `importance.png`.

    Args:
        trials: Rows of `hyperparameter_search` of one study.
        metric: What it was judged by.
        importance: Share of the spread that each setting explains; empty where too few trials are complete.
    """
    states = trials["state"].value_counts()
    counted = ", ".join(f"{int(states[state])} {state}" for state in ("complete", "pruned", "failed", "interrupted") if state in states)
    minutes = trials["seconds"].sum() / 60
    lines = [
        f"### Search {trials['study'].iloc[0]}",
        "",
        f"{len(trials)} trials ({counted}) in {minutes:.1f} minutes, judged by {metric} on the dev split. The test split was never seen.",
        "",
        *_winner_lines(trials, metric),
        "",
        "![history](history.png)",
        "",
    ]
    if importance:
        lines += ["![importance](importance.png)", "", "Importance says how much of the spread of the results a setting explains."]
    else:
        lines += ["Too few complete trials to say which settings matter."]
    return "\n".join(lines)


def _winner_lines(trials: pd.DataFrame, metric: str) -> list[str]:
    best = trials[trials["is_best"]]
    if best.empty:
        return ["No trial was completed: there is no winner."]
    row = best.iloc[0]
    first = trials[(trials["trial"] == 0) & (trials["state"] == "complete")]
    before = f", against {first[metric].iloc[0]:.4f} of the first trial" if len(first) else ""
    return [
        f"Best: trial {row['trial']} with {metric} {row[metric]:.4f}{before}. To train with it: `training: {{recipe: {row['study']}}}`",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {_shown(value)} |" for name, value in json.loads(row["params"]).items()),
        "",
        "The best of many trials on one dev split flatters itself a little; the report on the test split does not.",
    ]


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

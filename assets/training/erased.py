"""What is said of a model from whose data set rows were erased after it was trained; nothing of one that lost none.

Does not belong here: counting and marking (`services/`), asking for a retraining (`dagster_project/automation.py`).
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from assets.markdown import with_last_section

HEADING = "Erased text · 已删除的文本"


def rows_learnt(model: Mapping[Any, Any]) -> int:
    """Erased rows that a model had learnt from.

    Args:
        model: Its row of `fine_tuned_model`; rows of older releases have no mark.
    """
    return _count(model, "erased_train_rows")


def describe_erased(model: Mapping[Any, Any]) -> str:
    """In a few words, for lists; empty when nothing was erased."""
    learnt, judged = rows_learnt(model), _count(model, "erased_other_rows")
    parts = [f"trained on erased text ({learnt} rows): retrain"] if learnt else []
    parts += [f"judged by erased text ({judged} rows)"] if judged else []
    return "; ".join(parts)


def note_erased(card: str, model: Mapping[Any, Any]) -> str:
    """The card of a model with a section about what was erased, if anything was; it takes the place of an earlier one."""
    learnt, judged = rows_learnt(model), _count(model, "erased_other_rows")
    if not learnt and not judged:
        return card
    advice = " The weights still hold what they learnt from them: retrain." if learnt else ""
    text = (
        f"Since this model was trained, {learnt:,} rows of its train split and {judged:,} rows of its dev and test split were erased from "
        f"data set `{model['dataset_version']}`. The numbers above are those from before.{advice}"
    )
    return with_last_section(card, HEADING, text)


def _count(model: Mapping[Any, Any], name: str) -> int:
    found = model.get(name)
    return 0 if found is None or pd.isna(found) else int(found)

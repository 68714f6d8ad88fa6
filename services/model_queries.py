"""What people and programs ask about models: which there are, what was decided about them, what one was made from.

Does not belong here: deciding (`dagster_project/model_lifecycle.py`), the rules of the registry (`assets/training/registry.py`). No torch
here.
"""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.training.registry import DECISIONS_SQL, MODELS_SQL, find_aliases, list_models, resolve_model
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore
from services.queries import as_json

LINEAGE_SQL = """
WITH RECURSIVE chain AS (
    SELECT increment_id FROM (SELECT min(increment_id) AS increment_id FROM lake.history.training_dataset WHERE dataset_version = $version)
    WHERE increment_id IS NOT NULL
    UNION
    SELECT input_increment_id FROM lake.main.increment_inputs JOIN chain USING (increment_id))
SELECT asset, count(*) AS increments, list(DISTINCT code_version ORDER BY code_version) AS code_versions,
       sum(rows_out) AS rows_out, list(increment_id ORDER BY increment_id) AS increment_ids
FROM lake.main.increments JOIN chain USING (increment_id) GROUP BY asset ORDER BY asset
"""


@dataclass(frozen=True)
class Registry:
    """The models and what was decided about them, read once."""

    models: pd.DataFrame
    decisions: pd.DataFrame

    def find(self, name: str) -> dict[str, Any]:
        """The row of the model that an id or an alias names.

        Raises:
            RegistryError: There is none.
        """
        model_id = resolve_model(name, self.models, self.decisions)
        row = self.models[self.models["model_id"] == model_id].to_dict("records")[0]
        return {str(key): value for key, value in row.items()}

    def newest_decision(self, model_id: str) -> dict[str, Any] | None:
        """The newest decision about a model."""
        own = self.decisions[self.decisions["challenger_id"] == model_id].tail(1).to_dict("records")
        return {str(key): value for key, value in own[0].items()} if own else None


def read_registry(lakehouse: Lakehouse) -> Registry:
    """The registry as it is published."""
    return Registry(lakehouse.read(MODELS_SQL), lakehouse.read(DECISIONS_SQL))


def show_models(lakehouse: Lakehouse) -> list[dict[str, Any]]:
    """Every model, newest first, with its aliases and the newest decision about it."""
    registry = read_registry(lakehouse)
    return list_models(registry.models, registry.decisions)


def trace_model(lakehouse: Lakehouse, store: ObjectStore, name: str) -> dict[str, Any]:
    """Where a model comes from: its record, aliases, decisions with their evidence, data set, and the increments with votes and code.

    Raises:
        RegistryError: There is no such model.
    """
    registry = read_registry(lakehouse)
    model = registry.find(name)
    decided = registry.decisions[registry.decisions["challenger_id"] == model["model_id"]]
    key = f"datasets/{model['dataset_version']}/manifest.json"
    lineage = lakehouse.read(LINEAGE_SQL, {"version": model["dataset_version"]})
    return {
        "model": {**model, "recipe": json.loads(model["recipe"])},
        "aliases": find_aliases(registry.models, registry.decisions).of(model["model_id"]),
        "decisions": [{**decision, "evidence": json.loads(decision["evidence"])} for decision in as_json(decided)],
        "data_set": json.loads(store.get(key)) if store.exists(key) else None,
        "made_from": as_json(lineage),
        "location": store.url(str(model["model_key"])),
    }

"""Which suites guard which step: every table of `schemas.py` has a suite function of its name in its stage's `expectations.py`.

No Dagster here: commands on models audit their decisions too, and must not wait for it.
"""

import importlib
from types import ModuleType

from assets.project import Project
from assets.quality.suites import Suite
from assets.schemas import TABLES, tables_of

STAGES = ("collection", "cleaning", "labeling", "storage", "training")

# Steps that make more than one asset; every other step makes the asset of its name.
STEP_ASSETS = {"clean_documents": ("clean_documents", "rejected_documents")}


def find_suites(project: Project) -> dict[str, list[Suite]]:
    """Suites per producer.

    Raises:
        LookupError: A table has no suite function, or more than one.
    """
    modules = [importlib.import_module(f"assets.{stage}.expectations") for stage in STAGES]
    producers = dict.fromkeys(table.producer for table in TABLES.values())
    return {producer: [_suite(modules, table.name, project) for table in tables_of(producer)] for producer in producers}


def _suite(modules: list[ModuleType], table: str, project: Project) -> Suite:
    functions = [getattr(module, table) for module in modules if hasattr(module, table)]
    if len(functions) != 1:
        raise LookupError(f"Expected one suite function {table} in assets/*/expectations.py, found {len(functions)}.")
    suite: Suite = functions[0](project)
    return suite

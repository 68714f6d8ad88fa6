"""The import rules of the house, read from the source: who may know whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("collection", "cleaning", "labeling", "storage", "training")
# What an asset's thin body calls: gathering.py and channels.py of the collection assets, one module for each of the training assets.
WIRING = {
    "assets.py",
    "gathering.py",
    "channels.py",
    "fitting.py",
    "describing.py",
    "promoting.py",
    "studying.py",
    "searching.py",
    "suggesting.py",
    "receiving.py",
    "forgetting.py",
    "sending.py",
    "deciding.py",
    "doubting.py",
    "answering.py",
    "questioning.py",
    "consulting.py",
    "embedding.py",
    "measuring.py",
    "indexing.py",
}
OUTSIDE = ("dagster", "resources", "boto3", "botocore", "sqlalchemy", "duckdb", "httpx2", "tantivy")
SHARED = {
    "assets.schemas",
    "assets.selections",
    "assets.project",
    "assets.source_settings",
    "assets.training_settings",
    "assets.section",
    "assets.cleaning_settings",
    "assets.report_settings",
    "assets.answers",
    "assets.grouping",
    "assets.markdown",
    "assets.pseudonyms",
    "assets.replacements",
    "assets.pictures",
    "assets.label_studio",
    "assets.rights",
    "assets.tags",
    "assets.wiring",
    "assets.code_version",
    "assets.quality",
}


def imports_of(path):
    """Every module that a file imports, at any depth of the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def files_of(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def begins_with(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def relative(path):
    return path.relative_to(ROOT).as_posix()


PRODUCT = [*files_of("assets"), *files_of("resources"), *files_of("dagster_project")]
PURE = [path for stage in STAGES for path in files_of(f"assets/{stage}") if path.name not in WIRING | {"__init__.py"}]


@pytest.mark.parametrize("path", [*files_of("assets"), *files_of("resources"), *files_of("services")], ids=relative)
def test_nothing_imports_the_assembly(path):
    assert not [module for module in imports_of(path) if begins_with(module, ["dagster_project"])]


@pytest.mark.parametrize("path", files_of("resources"), ids=relative)
def test_resources_do_not_know_the_graph(path):
    assert not [module for module in imports_of(path) if begins_with(module, ["assets"])]


@pytest.mark.parametrize("path", PURE, ids=relative)
def test_pure_modules_know_no_orchestrator_no_storage_and_no_environment(path):
    assert not [module for module in imports_of(path) if begins_with(module, OUTSIDE)]
    assert "environ" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", STAGES)
def test_stages_meet_by_asset_name_and_schema_only(stage):
    for path in files_of(f"assets/{stage}"):
        others = [
            module
            for module in imports_of(path)
            if begins_with(module, ["assets"]) and not begins_with(module, [f"assets.{stage}", *SHARED])
        ]
        assert not others, relative(path)


@pytest.mark.parametrize("path", [path for path in PRODUCT if path.name == "__init__.py"], ids=relative)
def test_init_files_hold_a_docstring_only(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [path for path in PRODUCT if path.name in WIRING], ids=relative)
def test_annotations_of_assets_stay_readable_for_dagster(path):
    assert "from __future__ import annotations" not in path.read_text(encoding="utf-8")


def test_only_environments_reads_the_environment():
    readers = {relative(path) for path in PRODUCT if "os.environ" in path.read_text(encoding="utf-8")}
    assert readers <= {
        "dagster_project/environments.py",
        "dagster_project/secret_files.py",  # hands secrets on to programs of others
        "dagster_project/instance.py",  # sets DAGSTER_HOME for Dagster
        "resources/compute.py",  # hands its environment on to child processes
        "assets/quality/validation.py",  # turns Great Expectations' telemetry off
    }


def test_no_module_has_a_name_that_says_nothing():
    assert not [relative(path) for path in PRODUCT if path.stem in {"utils", "common", "helpers"}]


def test_the_package_list_is_complete():
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = {relative(path.parent).replace("/", ".") for path in PRODUCT if path.name == "__init__.py"}
    assert all(f'"{package}",' in listed for package in packages)


def test_tests_have_no_init_files():
    assert not list((ROOT / "tests").rglob("__init__.py"))

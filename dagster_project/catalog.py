"""Documents made from the code itself: the asset catalog and the reference of the project file.

What belongs here: turning definitions and the schema of the project file into Markdown, and saying whether the files in `docs`
are current. What the columns and keys mean is written where they are declared: `assets/schemas.py`, `assets/project.py`, each
stage's `assets.py` and `expectations.py`.
"""

import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode
from pydantic import BaseModel

from assets.project import Project
from assets.schemas import TABLES, Column, Table
from dagster_project.suites import STAGES, STEP_ASSETS

JsonSchema = Mapping[str, Any]

CATALOG = "asset_catalog.md"
CONFIGURATION = "configuration.md"
KIND_TAG = "dagster/kind/"

CATALOG_INTRODUCTION = """# Asset catalog

Written by `make catalog` from the definitions; a test fails when it is not current. Thresholds in checks are those of
`config/demo.yaml`. Every table also has the column `increment_id`: the increment that wrote the row.

A check of severity ERROR rejects the increment, which then stays invisible to everybody downstream; WARN reports."""

CONFIGURATION_INTRODUCTION = """# The project file

Written by `make catalog` from the schema in `assets/project.py`; a test fails when it is not current.

`TEXTMILL_CONFIG` names the file (default `config/demo.yaml`; a relative path counts from the repository). An unknown key, a
missing value or a value outside its limits is an error that names the file, the key, what was expected and what was found;
`textmill check` shows it without running anything. In every text, `${NAME}` takes the value of the environment variable NAME and
`${NAME:-default}` has a default, so that passwords and addresses stay out of the file. `TEXTMILL_HOME` and `TEXTMILL_DEMO_PORT`
can always be named. A key without a default must be given."""

LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} of them",
    "pattern": "matches `{}`",
}
TYPE_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


def stale_documents(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Names of the documents in a folder that are missing or say something else."""
    return [name for name, text in pages.items() if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text]


def write_documents(pages: Mapping[str, str], folder: Path) -> None:
    """Write documents, by name, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def describe(definitions: dg.Definitions) -> dict[str, str]:
    """The generated documents by file name."""
    return {CATALOG: describe_assets(definitions), CONFIGURATION: describe_configuration()}


def describe_assets(definitions: dg.Definitions) -> str:
    """The asset catalog in Markdown, stage by stage in the order of the work."""
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.toposorted_asset_keys]
    parts = [CATALOG_INTRODUCTION]
    for group in STAGES:
        parts.append(f"## {group}")
        parts += [part for node in nodes if node.group_name == group for part in _asset_parts(node, graph)]
    return "\n\n".join(parts) + "\n"


def _asset_parts(node: AssetNode, graph: AssetGraph) -> Iterator[str]:
    name = node.key.to_user_string()
    yield f"### {name}"
    yield _one_line(node.description)
    yield markdown_table(("property", "value"), _asset_properties(node))
    for table in tables_shown_on(name):
        yield f"#### {'Columns' if table.name == name else 'Also written: `' + table.name + '`'}"
        if table.name != name:
            yield f"{table.meaning} Key: {_codes(table.key)}."
        yield markdown_table(("column", "type", "meaning"), [_column_cells(column) for column in table.columns])
    yield "#### Checks"
    specs = [graph.get_check_spec(key) for key in sorted(node.check_keys, key=lambda key: key.name)]
    rows = [(f"`{spec.name}`", "ERROR" if spec.blocking else "WARN", spec.description or "") for spec in specs]
    yield markdown_table(("check", "severity", "what it promises"), rows)


def tables_shown_on(asset: str) -> list[Table]:
    """The asset's own table first, then the tables of its step that are no assets, on the step's first asset."""
    producer = TABLES[asset].producer
    assets = STEP_ASSETS.get(producer, (producer,))
    others = [table for table in TABLES.values() if table.producer == producer and table.name not in assets]
    return [TABLES[asset], *(others if asset == assets[0] else [])]


def _asset_properties(node: AssetNode) -> list[tuple[str, str]]:
    tags = [f"{key}={value}" for key, value in node.tags.items() if not key.startswith(KIND_TAG)]
    partitions = node.partitions_def.get_partition_keys() if node.partitions_def else []
    return [
        ("one row", str(node.metadata["one row"])),
        ("key", _codes(str(node.metadata["key"]).split(", "))),
        ("owners", _codes(node.owners)),
        ("kinds", _codes(sorted(node.kinds))),
        ("tags", _codes(sorted(tags)) or "none"),
        ("op tags", _codes(sorted(key for key in node.assets_def.op.tags if not key.startswith(KIND_TAG))) or "none"),
        ("pool", _codes(sorted(node.pools or ())) or "none"),
        ("partitions", f"one per source (demo: {', '.join(partitions)})" if partitions else "none"),
        ("upstream", _codes(sorted(key.to_user_string() for key in node.parent_keys)) or "the project's sources"),
    ]


def _column_cells(column: Column) -> tuple[str, str, str]:
    limits = [f"One of {_codes(column.allowed)}."] if column.allowed else []
    limits += [f"At least {column.minimum:g}."] if column.minimum is not None else []
    limits += [f"At most {column.maximum:g}."] if column.maximum is not None else []
    limits += ["May be missing."] if column.nullable else []
    return f"`{column.name}`", column.type, " ".join([column.meaning, *limits])


def describe_configuration() -> str:
    """The reference of the project file in Markdown: one section per part, one row per key."""
    definitions = Project.model_json_schema()["$defs"]
    parts = [CONFIGURATION_INTRODUCTION]
    for path, model in configuration_sections():
        parts += [f"## {path}", _one_line(inspect.getdoc(model))]
        schema = model.model_json_schema()
        required = schema.get("required", ())
        rows = [_key_cells(name, key, name in required, definitions) for name, key in schema["properties"].items()]
        parts.append(markdown_table(("key", "type", "default", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def configuration_sections() -> list[tuple[str, type[BaseModel]]]:
    """Every part of the project file with its path, in the file's order; a part that several others share appears once."""
    found: dict[type[BaseModel], str] = {Project: "Top level"}
    for name, field in Project.model_fields.items():
        _find_sections(name, field.annotation, found)
    return [(heading, model) for model, heading in found.items()]


def _find_sections(path: str, annotation: Any, found: dict[type[BaseModel], str]) -> None:  # noqa: ANN401  # any annotation
    """Add the headings of the parts below a path that are not there yet."""
    models = _models_in(annotation)
    new = [model for model in models if model not in found]
    for model in new:
        kind = model.model_fields.get("kind")
        is_one_of_many = kind is not None and len(models) > 1
        found[model] = f"`{path}`" + (f" of kind `{typing.get_args(kind.annotation)[0]}`" if kind and is_one_of_many else "")
    for model in new:
        for name, field in model.model_fields.items():
            _find_sections(f"{path}.{name}", field.annotation, found)


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  # any annotation
    """Parts of the project file that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]


def _key_cells(name: str, key: JsonSchema, is_required: bool, definitions: JsonSchema) -> tuple[str, str, str, str]:
    is_section = "$ref" in key
    default = "required" if is_required else "see its keys" if is_section else f"`{_yaml_value(key.get('default'))}`"
    meaning = key.get("description") or (definitions[_reference(key)].get("description", "") if is_section else "")
    meaning = meaning or ("Says which kind it is." if "const" in key else "")
    limits = "; ".join(limits_of(key))
    return f"`{name}`", type_in_words(key), default, " ".join(filter(None, (_one_line(meaning), f"({limits})" if limits else "")))


def type_in_words(key: JsonSchema) -> str:
    """The type of a key, for people."""
    if "const" in key or "enum" in key:
        return " or ".join(f"`{value}`" for value in key.get("enum", [key.get("const")]))
    if "$ref" in key or "oneOf" in key:
        return "section"
    if "anyOf" in key:
        return " or ".join(type_in_words(branch) for branch in key["anyOf"])
    if key["type"] == "array":
        return f"list of {type_in_words(key['items']).replace('section', 'sections')}"
    if key["type"] == "object":
        return f"mapping of text to {type_in_words(key['additionalProperties'])}"
    return TYPE_WORDS[key["type"]]


def limits_of(key: JsonSchema) -> list[str]:
    """What a value must keep to, in words."""
    own = [words.format(f"{key[name]:g}" if isinstance(key[name], float) else key[name]) for name, words in LIMITS.items() if name in key]
    return own + [limit for branch in key.get("anyOf", ()) for limit in limits_of(branch)]


def _reference(key: JsonSchema) -> str:
    return str(key["$ref"]).rpartition("/")[2]


def _yaml_value(value: object) -> str:
    """A default as it would be written in the file."""
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())

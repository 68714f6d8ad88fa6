"""The documents tell the truth: commands exist and run, examples load, generated pages are current, both languages say the same."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from pydantic import BaseModel
from typer.exceptions import TyperException
from typer.testing import CliRunner

from assets.labeling import rules
from assets.labeling.rule_kit import labeling_function
from assets.project import Project
from dagster_project.catalog import configuration_sections, describe, limits_of, stale_documents, tables_shown_on, type_in_words
from dagster_project.cli import app
from dagster_project.configuration import load_project
from dagster_project.definitions import build_definitions
from dagster_project.environments import read_environment
from services.label_forms import GivenAnswers, read_answers

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
GUIDES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"^#? ?([A-Z][A-Z0-9_]+)=", re.MULTILINE)
OWN_VARIABLE = re.compile(r"TEXTMILL_[A-Z_]+")
READ_BY_LIBRARIES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "PGPASSWORD",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "DAGSTER_HOME",
}
SHELL_COMMANDS = {".", "cp", "docker", "export", "mkdir", "python"}
CHEAP_COMMANDS = ("textmill check", "textmill status", "textmill catalog --check")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    return [body for found, body in FENCE.findall(read(name)) if found == language]


def without_blocks(name):
    return FENCE.sub("", read(name))


def commands():
    """Every line of a bash block, and every command in code spans of the command tables, once."""
    lines = [line for name in GUIDES for block in blocks(name, "bash") for line in block.splitlines() if line.strip()]
    spans = [span for name in READMES for span in re.findall(r"`(textmill [^`]+)`", without_blocks(name))]
    return list(dict.fromkeys([*lines, *spans]))


TEXTMILL_COMMANDS = [line for line in commands() if line.startswith("textmill ") and "COMMAND" not in line]


def parse(line):
    """Have the command line understand a command, without running it."""
    words = shlex.split(line)[1:]
    group = typer.main.get_command(app)
    with group.make_context("textmill", words[:0], resilient_parsing=True) as context:
        name, command, rest = group.resolve_command(context, words)
        assert command is not None, f"No such command: {name or words[0]}"
        command.make_context(name, rest, parent=context)


@pytest.fixture(scope="module")
def definitions():
    return build_definitions(read_environment({}))


@pytest.fixture(scope="module")
def pages(definitions):
    return describe(definitions)


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make ")])
def test_documented_make_targets_exist(line):
    assert re.search(rf"^{line.split()[1]}:.*## ", read("Makefile"), re.MULTILINE)


@pytest.mark.parametrize("line", TEXTMILL_COMMANDS)
def test_documented_commands_are_understood(line):
    parse(line)


@pytest.mark.parametrize("line", ["textmill no-such-command", "textmill status --no-such-option", "textmill why"])
def test_commands_that_do_not_exist_would_be_noticed(line):
    with pytest.raises((AssertionError, TyperException), match=r"(?i)no such|missing"):
        parse(line)


@pytest.mark.parametrize("name", [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands])
def test_every_command_helps_and_is_in_both_readmes(name):
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
    assert all(f"textmill {name}" in read(readme) or f"make {name}" in read(readme) for readme in READMES)


@pytest.mark.parametrize("line", CHEAP_COMMANDS)
def test_cheap_commands_run_on_a_fresh_home(line, tmp_path):
    assert line in commands()
    result = CliRunner().invoke(app, shlex.split(line)[1:], env={"TEXTMILL_HOME": str(tmp_path), "TEXTMILL_CONFIG": ""})
    assert result.exit_code == 0, result.output
    assert result.output.strip()


def test_every_other_documented_command_is_a_known_shell_command():
    others = {line.split()[0] for line in commands() if not line.startswith(("make ", "textmill "))}
    assert others <= SHELL_COMMANDS
    assert all((ROOT / shlex.split(line)[1]).is_file() for line in commands() if line.startswith("cp "))


def test_every_benchmark_is_in_the_docs():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts == set(re.findall(r"`python -m benchmarks\.(\w+)`", read("docs/benchmarks.md")))
    assert all('"--json"' in read(f"benchmarks/{script}.py") for script in scripts)


def test_the_example_project_loads_with_chinese_labels(tmp_path):
    (example,) = blocks("README.md", "yaml")
    path = tmp_path / "shop.yaml"
    path.write_text(example, encoding="utf-8")
    project = load_project(path, {"REVIEWS_PASSWORD": "secret"})
    assert sorted(source.kind for source in project.sources) == ["bucket", "feed", "files", "sql"]
    assert project.task.labels == ("负面", "中性", "正面")


def test_the_example_labeling_function_votes_and_abstains():
    (example,) = blocks("CONTRIBUTING.md", "python")
    names = vars(rules) | {"labeling_function": labeling_function}
    exec(compile(example, "CONTRIBUTING.md", "exec"), names)
    task = Project.model_validate(yaml.safe_load(read("config/demo.yaml").replace("${TEXTMILL_DEMO_PORT}", "1"))).task
    asked = [names["question"](rules.Document(text, "und", task)) for text in ("Where is it?", "在哪里？", "It is here.", "在这里。")]
    assert asked == ["neutral", "neutral", rules.ABSTAIN, rules.ABSTAIN]


def test_the_examples_of_the_labeling_guide_are_projects(tmp_path):
    demo = yaml.safe_load(read("config/demo.yaml").replace("${TEXTMILL_DEMO_PORT}", "1"))
    examples = [yaml.safe_load(block) for block in blocks("docs/labeling.md", "yaml")]
    assert len(examples) == 4
    for example in examples:
        settings = Project.model_validate(demo | {"labeling": example["labeling"]}).labeling
        assert settings.model_dump() != Project.model_validate(demo).labeling.model_dump()
    (code,) = blocks("docs/labeling.md", "python")
    (tmp_path / "my_rules.py").write_text(code, encoding="utf-8")
    chosen = Project.model_validate(demo | {"labeling": examples[1]["labeling"]})
    functions = rules.chosen_rules(chosen.labeling.rules, chosen.task, tmp_path)
    assert {"refund", "shouting", "thanks", "asks_for_help"} <= set(functions)
    document = rules.Document("救命，退款！", "zh", chosen.task)
    assert [functions[name](document) for name in ("refund", "asks_for_help", "thanks")] == ["negative", "negative", None]


def test_the_example_of_the_data_access_guide_is_a_project():
    (example,) = blocks("docs/data_access.md", "yaml")
    demo = yaml.safe_load(read("config/demo.yaml").replace("${TEXTMILL_DEMO_PORT}", "1"))
    sources = [{**demo["sources"][0], "name": name} for name in ("tickets", "news", "reviews")]
    access = Project.model_validate(demo | {"sources": sources} | yaml.safe_load(example)).access
    assert access.sources == {"viewer": ("tickets", "news")}
    assert access.restricted_sources == ("tickets",)


def test_the_example_of_answers_in_the_data_access_guide_is_read():
    (example,) = blocks("docs/data_access.md", "json")
    task = Project.model_validate(yaml.safe_load(read("config/demo.yaml").replace("${TEXTMILL_DEMO_PORT}", "1"))).task
    answers = read_answers(GivenAnswers.model_validate_json(example), "amy", task, "the guide")
    assert [(one.answer, one.rating, one.seconds, one.guideline) for one in answers] == [
        ("negative", None, 4.2, "8609cd81"),
        (None, 3.0, None, "8609cd81"),
    ]


def test_the_example_of_the_storage_guide_is_a_project():
    (example,) = blocks("docs/storage.md", "yaml")
    demo = yaml.safe_load(read("config/demo.yaml").replace("${TEXTMILL_DEMO_PORT}", "1"))
    settings = Project.model_validate(demo | yaml.safe_load(example)).report
    assert (settings.currency, settings.prices.objects, settings.window_days) == ("EUR", 0.02, 30)


def test_the_pictured_graph_is_the_graph(definitions):
    graph = definitions.resolve_asset_graph()
    edges = {(parent.to_user_string(), key.to_user_string()) for key in graph.get_all_asset_keys() for parent in graph.get(key).parent_keys}
    (picture,) = blocks("README.md", "mermaid")
    assert set(re.findall(r"(\w+) --> (\w+)", picture)) == edges
    groups = {
        name: set(re.findall(r"\w+_\w+|tokens|annotations|backup|compaction", body))
        for name, body in re.findall(r"subgraph (\w+)\n(.*?)end\n", picture, re.DOTALL)
    }
    assert groups == {group: {key.to_user_string() for key in graph.asset_keys_for_group(group)} for group in groups}


@pytest.mark.parametrize("language", ["bash", "yaml", "mermaid"])
def test_both_readmes_have_the_same_code_blocks(language):
    english, chinese = (blocks(name, language) for name in READMES)
    assert english
    assert english == chinese


def test_both_readmes_have_the_same_sections_lists_tables_and_links():
    english, chinese = (without_blocks(name) for name in READMES)
    for mark in (r"^#", r"^##", r"^- ", r"^\d\. ", r"^\| "):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, chinese, re.MULTILINE)), mark
    assert [link for link in LINK.findall(english) if link not in READMES] == [
        link for link in LINK.findall(chinese) if link not in READMES
    ]
    assert re.findall(r"`textmill [^`]+`", english) == re.findall(r"`textmill [^`]+`", chinese)


@pytest.mark.parametrize("name", GUIDES)
def test_links_within_the_repository_lead_somewhere(name):
    targets = [link.partition("#")[0] for link in LINK.findall(without_blocks(name)) if not link.startswith("http")]
    assert [target for target in targets if not (ROOT / name).parent.joinpath(target).exists()] == []


def test_generated_documents_are_current(pages):
    assert stale_documents(pages, ROOT / "docs") == [], "run `make catalog`"


def test_a_changed_or_missing_document_is_stale(tmp_path):
    (tmp_path / "same.md").write_text("文", encoding="utf-8")
    (tmp_path / "other.md").write_text("old", encoding="utf-8")
    assert stale_documents({"same.md": "文", "other.md": "new", "missing.md": ""}, tmp_path) == ["other.md", "missing.md"]


def test_the_catalog_lists_every_asset_table_column_and_check(definitions, pages):
    catalog, graph = pages["asset_catalog.md"], definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        name = key.to_user_string()
        assert f"### {name}\n" in catalog
        assert all(f"| `{column}` |" in catalog for table in tables_shown_on(name) for column in table.column_names())
        assert all(f"| `{check.name}` |" in catalog for check in graph.get(key).check_keys)


def test_every_key_of_the_project_file_has_a_meaning(pages):
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \| (.*) \|$", pages["configuration.md"], re.MULTILINE)
    assert len(rows) == sum(len(model.model_fields) for _, model in configuration_sections())
    assert [key for key, meaning in rows if not re.match(r"[^(\s]", meaning)] == []


@pytest.mark.parametrize(
    ("schema", "words", "limits"),
    [
        ({"type": "integer", "minimum": 1}, "whole number", ["at least 1"]),
        ({"anyOf": [{"type": "number", "exclusiveMaximum": 1.0}, {"type": "null"}]}, "number or null", ["less than 1"]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, "list of text", ["at least 2 of them"]),
        ({"enum": ["auto", "cpu"]}, "`auto` or `cpu`", []),
        ({"const": "sql", "type": "string"}, "`sql`", []),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "mapping of text to number", []),
    ],
)
def test_types_and_limits_are_written_in_words(schema, words, limits):
    assert type_in_words(schema) == words
    assert limits_of(schema) == limits


def test_every_part_of_the_project_file_appears_once():
    models = [model for _, model in configuration_sections()]
    assert len(models) == len(set(models))
    assert len({heading for heading, _ in configuration_sections()}) == len(models)
    assert all(issubclass(model, BaseModel) for model in models)


def test_the_example_environment_lists_exactly_the_variables_that_are_read():
    sources = [ast.parse(read(f"dagster_project/{name}.py")) for name in ("environments", "s3_settings", "search_settings", "secret_files")]
    nodes = [node.value for source in sources for node in ast.walk(source) if isinstance(node, ast.Constant)]
    own = {text for text in nodes if isinstance(text, str) and OWN_VARIABLE.fullmatch(text)}
    own |= set(re.findall(r"\$\{(TEXTMILL_\w+)", read("docker-compose.yml"))) | set(re.findall(r"\{\$(TEXTMILL_\w+)", read("Caddyfile")))
    listed = VARIABLE.findall(read(".env.example"))
    assert len(listed) == len(set(listed))
    assert set(listed) == own | READ_BY_LIBRARIES

"""A project file that is wrong says which file, which key, what was expected and what was found."""

import json
import re

import pytest
import yaml

from assets.project import Project
from dagster_project.configuration import PATTERNS, ConfigurationError, load_project
from dagster_project.environments import REPOSITORY, build_resources, read_environment, read_project
from resources.elasticsearch_index import ElasticsearchIndex

GOOD = {
    "name": "评论",
    "languages": ["zh"],
    "sources": [{"kind": "files", "name": "shop", "path": "/data/*.jsonl"}],
    "task": {"labels": ["差评", "好评"]},
}


def load(tmp_path, content, **variables):
    path = tmp_path / "project.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_project(path, variables)


def with_changes(**changes):
    return {**GOOD, "name": "reviews", **changes}


def test_questions_need_no_labels(tmp_path):
    assert load(tmp_path, with_changes(task={"kind": "question_answering"})).task.labels == ("answer",)


def test_a_good_file_loads_with_chinese_labels(tmp_path):
    assert load(tmp_path, with_changes()).task.labels == ("差评", "好评")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainings": {}}, r"project.yaml: trainings: expected a known key, found 'trainings'; did you mean 'training'\?"),
        ({"training": {"epoch": 3}}, r"training.epoch: expected a known key, found 'epoch'; did you mean 'epochs'\?"),
        ({"training": {"epochs": "three"}}, r"training.epochs: Input should be a valid integer.*found 'three'"),
        ({"sources": []}, r"sources: Tuple should have at least 1 item"),
        ({"sources": [{"kind": "files", "name": "shop"}]}, r"sources\[0\].path: expected a value, found none"),
        ({"retention": {"timings_days": 29}}, r"timings_days: expected at least report.window_days \(30\), found 29"),
        ({"sources": GOOD["sources"] * 2}, r"expected distinct source names, found \['shop'\] more than once"),
        ({"access": {"restricted_sources": ["shpo"]}}, r"access: expected sources out of \['shop'\], found \['shpo'\]"),
        ({"access": {"sources": {"viewer": ["仓库"]}}}, r"access: expected sources out of \['shop'\], found \['仓库'\]"),
        ({"access": {"sources": {"guest": ["shop"]}}}, r"access.sources.*'viewer', 'annotator', 'trainer', 'admin' or 'metrics'"),
        ({"sources": [{"kind": "pigeon", "name": "shop"}]}, r"sources\[0\].*pigeon"),
        ({"task": {"labels": ["a", "b"], "positive_label": "great"}}, r"expected labels out of \['a', 'b'\], found \['great'\]"),
        ({"task": {"labels": ["a", "a"]}}, r"expected distinct labels"),
        ({"task": {}}, r"task.labels: expected the labels of the task as a list, found none"),
        (
            {"task": {"kind": "question_answering", "labels": ["good", "bad"]}},
            r"task.labels: expected \[answer\] or nothing for question_answering, found \['good', 'bad'\]",
        ),
        ({"cleaning": {"pii": {"replace": ["name"]}}}, r"cleaning.pii.replace: expected `names_model` beside `name`, found none"),
        (
            {"cleaning": {"pii": {"phone_regions": ["China"]}}},
            r"phone_regions\[0\]: expected two capital letters, such as CN, found 'China'",
        ),
        ({"name": "评论"}, r"name: expected 1 to 63 lower-case letters a to z, .* a letter first, found '评论'"),
        ({"sources": [GOOD["sources"][0] | {"name": "My Shop"}]}, r"sources\[0\].name: expected 1 to 63 lower-case .*, found 'My Shop'"),
        ({"cleaning": {"max_symbol_ratio": 2}}, r"cleaning.max_symbol_ratio: Input should be less than or equal to 1, found 2"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, with_changes(**changes))


def test_every_pattern_of_the_schema_is_told_in_words():
    patterns = set(re.findall(r'"pattern": ("(?:[^"\\\\]|\\\\.)*")', json.dumps(Project.model_json_schema())))
    assert {json.loads(pattern) for pattern in patterns} == set(PATTERNS)


def test_all_problems_are_listed_at_once(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, with_changes(trainings={}, cleanings={}))
    assert len(str(caught.value).splitlines()) == 2


def test_variables_are_filled_in_with_defaults(tmp_path):
    source = {"kind": "files", "name": "shop", "path": "${DROP}/${SUB:-all}/*.jsonl"}
    assert load(tmp_path, with_changes(sources=[source]), DROP="/data").sources[0].path == "/data/all/*.jsonl"


def test_a_variable_without_a_value_is_named(tmp_path):
    source = {"kind": "sql", "name": "crm", "url": "${CRM_URL}", "query": "SELECT 1", "cursor_column": "id"}
    with pytest.raises(ConfigurationError, match=r"sources\[0\].url: expected the environment variable CRM_URL, found it unset"):
        load(tmp_path, with_changes(sources=[source]))


def test_a_secret_in_a_wrong_value_is_not_shown(tmp_path):
    source = {"kind": "feed", "name": "news", "url": "ftp://user:secret@host/feed"}
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, with_changes(sources=[source]))
    assert "user:secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a\n- list\n", "expected keys at the top level"), ("name: [", "expected YAML"), ("", "expected keys at the top level")],
)
def test_a_file_that_is_no_project_is_an_error(tmp_path, content, message):
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, content)


def test_a_missing_file_and_a_file_in_another_encoding_are_errors(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml: expected a readable project file.*Set TEXTMILL_CONFIG"):
        load_project(tmp_path / "nowhere.yaml", {})
    path = tmp_path / "gbk.yaml"
    path.write_bytes("name: 评论".encode("gbk"))
    with pytest.raises(ConfigurationError, match="expected a readable project file in UTF-8"):
        load_project(path, {})


def test_the_demo_is_a_good_project(tmp_path):
    project = read_project(read_environment({"TEXTMILL_HOME": str(tmp_path)}))
    assert [source.kind for source in project.sources] == ["files", "sql", "bucket", "feed"]


def test_an_unknown_environment_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"TEXTMILL_ENV: expected one of \['embedded', 'server'\], found 'moon'"):
        read_environment({"TEXTMILL_ENV": "moon"})


@pytest.mark.parametrize("port", ["0", "99999", "web"])
def test_an_unusable_demo_port_is_an_error(port):
    with pytest.raises(ConfigurationError, match="TEXTMILL_DEMO_PORT: expected a port from 1 to 65535"):
        read_environment({"TEXTMILL_DEMO_PORT": port})


def test_relative_paths_are_relative_to_the_repository():
    assert read_environment({"TEXTMILL_HOME": "data"}).home == REPOSITORY / "data"


def test_a_search_server_is_taken_from_the_environment_and_its_address_shown_nowhere(tmp_path):
    given = {"TEXTMILL_HOME": str(tmp_path), "TEXTMILL_SEARCH_URL": "https://elastic:geheim@search.example:9200"}
    environment = read_environment(given | {"TEXTMILL_SEARCH_INDEX": "mill-2"})
    assert (environment.search.url, environment.search.index) == ("https://elastic:geheim@search.example:9200", "mill-2")
    assert "geheim" not in repr(environment) + str(environment.variables)
    assert isinstance(build_resources(environment, read_project(environment))["index"], ElasticsearchIndex)
    assert read_environment({"TEXTMILL_HOME": str(tmp_path)}).search is None


@pytest.mark.parametrize(
    "url", ["search.example:9200", "ftp://elastic:geheim@x", "https://", "https://a:geheim@h:0", "https://a:geheim@h:x", "https://[x"]
)
def test_an_unusable_search_server_is_an_error_that_keeps_its_password(url):
    with pytest.raises(ConfigurationError, match="TEXTMILL_SEARCH_URL: expected https://user:password@host:port") as error:
        read_environment({"TEXTMILL_SEARCH_URL": url})
    assert "geheim" not in str(error.value)


def test_an_unusable_name_of_the_search_index_is_an_error():
    with pytest.raises(ConfigurationError, match="TEXTMILL_SEARCH_INDEX: expected small letters, digits and hyphens, found 'Mill 2'"):
        read_environment({"TEXTMILL_SEARCH_INDEX": "Mill 2"})

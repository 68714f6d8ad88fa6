"""Loads a project file: YAML, with `${NAME}` and `${NAME:-default}` filled in from the environment, checked by `assets.project`.

Errors name the file, the key, what was expected and what was found.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from assets.project import Project

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

PATTERNS = {
    r"^[a-z][a-z0-9_]{0,62}$": "1 to 63 lower-case letters a to z, digits and underscores, a letter first",
    r"^[a-z][a-z0-9_-]{0,62}$": "1 to 63 lower-case letters a to z, digits, hyphens and underscores, a letter first",
    r"^\w{1,60}$": "1 to 60 letters, digits and underscores",
    r"^[A-Z]{2}$": "two capital letters, such as CN",
    r"^[A-Z]{3}$": "three capital letters, such as USD",
    r"^[!-~]{3,200}$": "3 to 200 letters, digits and signs of ASCII without spaces",
    r"^https?://": "an address that begins with http:// or https://",
}
"""What the patterns of the schema ask for, in words."""


class ConfigurationError(Exception):
    """A project file or the environment is not as expected."""


def load_project(path: Path, variables: Mapping[str, str]) -> Project:
    """The project in a file.

    Args:
        path: The file.
        variables: What `${NAME}` may name.

    Raises:
        ConfigurationError: The file cannot be read, names an unknown variable, or does not fit the schema.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: expected a readable project file in UTF-8, found {error}. Set TEXTMILL_CONFIG.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: expected YAML, found {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{path}: expected keys at the top level ({', '.join(Project.model_fields)}), found {type(content).__name__}"
        )
    try:
        return Project.model_validate(fill_in(content, variables, path, ""))
    except ValidationError as error:
        problems = [describe_problem(problem, content) for problem in error.errors(include_url=False)]
        raise ConfigurationError("\n".join(f"{path}: {problem}" for problem in problems)) from error


def fill_in(value: Any, variables: Mapping[str, str], path: Path, key: str) -> Any:  # noqa: ANN401  # any YAML value
    """Replace `${NAME}` in every string of a YAML value.

    Raises:
        ConfigurationError: A variable has no value and no default.
    """
    if isinstance(value, dict):
        return {name: fill_in(item, variables, path, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
    if isinstance(value, list):
        return [fill_in(item, variables, path, f"{key}[{position}]") for position, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        found = variables.get(match[1], match[2])
        if found is None:
            raise ConfigurationError(
                f"{path}: {key}: expected the environment variable {match[1]}, found it unset. Set it, or write a default."
            )
        return found

    return VARIABLE.sub(replace, value)


def describe_problem(problem: ErrorDetails, content: Mapping[str, Any]) -> str:
    """One pydantic error as `key: expected …, found …`; values that may be secrets are not shown."""
    location = [part for part in problem["loc"] if part not in ("files", "feed", "site", "api", "mailbox", "sql", "bucket")]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if problem["type"] == "extra_forbidden":
        return f"{key}: expected a known key, found {location[-1]!r}{suggestion(str(location[-1]), known_keys(Project))}"
    if problem["type"] == "missing":
        return f"{key}: expected a value, found none"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        message = f"expected {PATTERNS[problem['ctx']['pattern']]}"
    is_secret = key.endswith(("url", "query")) or ".headers" in key or ".params" in key
    is_shown = isinstance(problem["input"], str | int | float | bool) and not is_secret
    found = f", found {problem['input']!r}" if is_shown else ""
    return f"{key or 'file'}: {message}{found}"


def suggestion(word: str, known: set[str]) -> str:
    """The known word most like a word, as a question."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def known_keys(model: type[BaseModel]) -> set[str]:
    """All keys anywhere in the schema."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}

"""Secrets in files, as Compose, Kubernetes and systemd hand them over: `NAME_FILE`, a path, in place of `NAME`.

    python -m dagster_project.secret_files COMMAND…

runs a program of somebody else (`dagster-webserver`, `dagster-daemon`) with them; textmill's own commands need no help. Making the files:
`deployment_secrets.py`.
"""

import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from dagster_project.configuration import ConfigurationError

SECRETS = (
    "TEXTMILL_CATALOG_URL",
    "TEXTMILL_ACCESS_STORE_URL",
    "TEXTMILL_SEARCH_URL",
    "TEXTMILL_LABEL_STUDIO_TOKEN",
    "TEXTMILL_WEBHOOK_SECRET",
    "TEXTMILL_LLM_API_KEY",
    "TEXTMILL_PSEUDONYM_KEY",
    "TEXTMILL_ACCESS_KEY",
    "TEXTMILL_MASTER_KEY",
    "TEXTMILL_MASTER_KEY_PREVIOUS",
    "PGPASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""Variables whose value may lie in a file."""
MOST_BYTES = 65536


def take_secret_files(variables: MutableMapping[str, str]) -> None:
    """Put what lies in the files into the variables, in place: `NAME` in place of `NAME_FILE`. An empty `NAME_FILE` counts as none.

    Raises:
        ConfigurationError: A variable is given twice, or its file holds no secret. No message repeats a secret.
    """
    for name in SECRETS:
        path = variables.get(f"{name}_FILE", "")
        if not path:
            continue
        if variables.get(name):
            raise ConfigurationError(f"expected {name} or {name}_FILE, found both; take one away")
        variables[name] = _read(f"{name}_FILE", Path(path))
        del variables[f"{name}_FILE"]


def _read(variable: str, path: Path) -> str:
    """The secret in a file, without the end of its line."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ConfigurationError(f"{variable}: expected a readable file, found {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}: expected text in UTF-8, found other bytes in {path}") from None
    if not text or len(content) > MOST_BYTES or "\n" in text or "\0" in text:
        raise ConfigurationError(f"{variable}: expected one line with a secret, found {len(content)} bytes in {path}")
    return text


def main(command: Sequence[str]) -> None:
    """Become a program, with the secrets in its environment."""
    if not command:
        sys.exit("textmill: expected a command to run, found none")
    try:
        take_secret_files(os.environ)
        os.execvp(command[0], list(command))
    except (ConfigurationError, OSError) as error:
        sys.exit(f"textmill: {command[0]}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])

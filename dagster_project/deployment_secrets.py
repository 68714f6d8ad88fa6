"""The secret files of docker-compose.yml: made once, each of its own, readable by their owner only. Reading them: `secret_files.py`."""

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dagster_project.configuration import ConfigurationError

PEOPLE = {"operator": "operators", "viewer": "viewers"}
"""Files of the front door's log-ins by role: lines `name bcrypt-hash`."""
RANDOM = ("postgres_password", "elastic_password", "master_key", "pseudonym_key", "access_key", "webhook_secret", "s3_secret_key")
RANDOM_BYTES, PASSWORD_BYTES, TOKEN_BYTES, KEY_ID_BYTES = 32, 18, 20, 10
_NAME = re.compile(r"[\w.@+-]{1,64}")


@dataclass(frozen=True)
class LogIn:
    """A new log-in; its password is kept as a hash only.

    Attributes:
        name: Whose.
        role: operator or viewer.
        password: What to hand over.
    """

    name: str
    role: str
    password: str


def make_secrets(folder: Path) -> list[str]:
    """Make what is missing of the secret files; what is there stays. Returns the names of what was made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [name for name in RANDOM if _make(folder / name, secrets.token_hex(RANDOM_BYTES))]
    made += ["s3_key_id"] if _make(folder / "s3_key_id", secrets.token_hex(KEY_ID_BYTES)) else []
    made += ["label_studio_token"] if _make(folder / "label_studio_token", secrets.token_hex(TOKEN_BYTES)) else []
    derived = {
        "s3.json": _s3_accounts(_text(folder / "s3_key_id"), _text(folder / "s3_secret_key")),
        "search_url": f"http://elastic:{_text(folder / 'elastic_password')}@elasticsearch:9200",
        "label_studio.env": f"export LABEL_STUDIO_USER_TOKEN={_text(folder / 'label_studio_token')}\n"
        f"export LABEL_STUDIO_PASSWORD={secrets.token_urlsafe(PASSWORD_BYTES)}",
    }
    return made + [name for name, content in derived.items() if _make(folder / name, content)]


def add_people(folder: Path, people: Mapping[str, Sequence[str]]) -> list[LogIn]:
    """Give people a log-in at the front door: all of them, or nobody.

    Args:
        folder: Of the secret files; it is there.
        people: Names by role, operator or viewer.

    Raises:
        ConfigurationError: A name is none, or has a log-in of that role.
    """
    import bcrypt

    for role, names in people.items():
        _check_names(names, folder / PEOPLE[role])
    made = [LogIn(name, role, secrets.token_urlsafe(PASSWORD_BYTES)) for role, names in people.items() for name in names]
    for one in made:
        line = f"{one.name} {bcrypt.hashpw(one.password.encode(), bcrypt.gensalt()).decode()}\n"
        with os.fdopen(os.open(folder / PEOPLE[one.role], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
            file.write(line)
    return made


def _check_names(names: Sequence[str], file: Path) -> None:
    known = [line.split()[0] for line in _text(file).splitlines()] if file.exists() else []
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"expected a name of letters, digits and . @ + - _, at most 64, found {name!r}")
        if name in known:
            raise ConfigurationError(f"expected a name without a log-in, found {name!r} in {file}; delete its line for a new password")
        known.append(name)


def _make(file: Path, content: str) -> bool:
    """Write a new file for its owner only; False when it is there."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        written.write(f"{content}\n")
    return True


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()


def _s3_accounts(key_id: str, secret: str) -> str:
    """SeaweedFS' list of accounts: one, for textmill."""
    account = {
        "name": "textmill",
        "credentials": [{"accessKey": key_id, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    return json.dumps({"identities": [account]}, indent=2)

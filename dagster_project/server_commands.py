"""The commands about servers: the secret files of docker-compose.yml. What they do is in `deployment_secrets.py`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.printing import JsonOption, say


def secrets(
    folder: Annotated[Path, typer.Argument(help="Where docker-compose.yml looks for them.")] = Path("secrets"),
    operator: Annotated[list[str] | None, typer.Option(help="Who gets a log-in that may run things; may be repeated.")] = None,
    viewer: Annotated[list[str] | None, typer.Option(help="Who gets a log-in that only looks; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the secret files of docker-compose.yml that are missing, and log-ins; prints each password once."""
    from dagster_project.deployment_secrets import add_people, make_secrets

    made = make_secrets(folder)
    typer.echo(f"{len(made)} secrets made in {folder}", err=True)
    say([asdict(one) for one in add_people(folder, {"operator": operator or [], "viewer": viewer or []})], as_json)

"""The commands about models: list, promote, roll back, serve. What they do is in `model_lifecycle.py`."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.printing import JsonOption, say
from dagster_project.servers import run_until_stopped

ModelArgument = Annotated[str, typer.Argument(help="Id of a model, or candidate, champion, previous.")]


def models(
    model: Annotated[str | None, typer.Argument(help="Id or alias: prints where this one comes from, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Models with their aliases (candidate, champion, previous), scores and what was decided about them."""
    from services.model_queries import show_models, trace_model

    resources = open_resources()
    if model is None:
        say(show_models(resources["lakehouse"]), as_json)
    else:
        say([trace_model(resources["lakehouse"], resources["object_store"], model)], True)


def promote(
    model: ModelArgument,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    as_json: JsonOption = False,
) -> None:
    """Make a model the champion whatever the gate said; the decision and its reason are recorded."""
    from dagster_project.model_lifecycle import promote as promote_model

    resources = open_resources()
    done = promote_model(resources["lakehouse"], resources["object_store"], resources["project"], model, reason)
    say([done], as_json)
    track(resources)


def rollback(
    to: Annotated[str | None, typer.Option(help="Model to return to, by id or alias; the previous champion by default.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "rolled back by command",
    as_json: JsonOption = False,
) -> None:
    """Make the previous champion the champion again; the decision is recorded. Again goes back further."""
    from dagster_project.model_lifecycle import roll_back

    resources = open_resources()
    done = roll_back(resources["lakehouse"], resources["object_store"], resources["project"], to, reason)
    say([done], as_json)
    track(resources)


def serve(
    model: Annotated[str, typer.Option(help="Id of a model, or candidate, champion, previous.")] = "champion",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8732,
    host: Annotated[str, typer.Option(help="Interface; there is no log-in, so leave it at the loopback one.")] = "127.0.0.1",
) -> None:
    """Answer texts over HTTP with a model: POST /predict, GET /health, GET /model."""
    from assets.training.gate.smoke import serving_job
    from dagster_project.environments import REPOSITORY, read_environment
    from dagster_project.model_lifecycle import bring_model

    resources = open_resources()
    folder = bring_model(resources["lakehouse"], resources["object_store"], model, read_environment().home / "work" / "served")
    resources["lakehouse"].close()
    with tempfile.TemporaryDirectory() as name:
        job = Path(name, "job.json")
        job.write_text(json.dumps(serving_job(resources["project"], folder, host, port)), encoding="utf-8")
        raise typer.Exit(run_until_stopped([sys.executable, "-m", "services.prediction", str(job)], REPOSITORY))


def track(resources: dict[str, Any]) -> None:
    """Show the decision where models are tracked; a failure is said and changes nothing."""
    if resources["model_tracking"].is_on:
        from assets.training.promoting import track_models

        problem = track_models(resources["model_tracking"], resources["lakehouse"], resources["object_store"])
        if problem:
            typer.echo(f"textmill: {problem}", err=True)


def open_resources() -> dict[str, Any]:
    """The resources of the present environment."""
    from dagster_project.environments import build_resources, read_environment, read_project

    environment = read_environment()
    return build_resources(environment, read_project(environment))


MODEL_COMMANDS = (models, promote, rollback, serve)

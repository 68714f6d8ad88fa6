"""The commands about who reads data and how: tokens, the audit log, the data access API, and SQL for the owner of the machine.

What they do is in `resources/access_store.py`, `resources/audit_log.py`, `services/api.py` and `resources/lake_shell.py`.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.project import Role
from dagster_project.configuration import ConfigurationError
from dagster_project.model_commands import open_resources
from dagster_project.printing import JsonOption, say

if TYPE_CHECKING:
    from resources.access_store import Identity
    from services.api import Backend

token_app = typer.Typer(no_args_is_help=True, help="Who may use the data access API.", pretty_exceptions_enable=False)
audit_app = typer.Typer(no_args_is_help=True, help="What was asked of the data access API.", pretty_exceptions_enable=False)
TokenId = Annotated[str, typer.Argument(help="Id of a token, as `textmill token list` prints it.")]


@token_app.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="Who will use it: a person or a program; answers to the queue carry this name.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = "viewer",
    days: Annotated[float, typer.Option(help="For how many days.", min=0.001, max=3650)] = 90,
    source: Annotated[list[str] | None, typer.Option(help="Only rows of this source; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is kept as a hash: nobody can print it again."""
    backend = open_backend()
    known = [one.name for one in backend.project.sources]
    unknown = sorted(set(source or ()) - set(known))
    if unknown:
        raise ConfigurationError(f"--source: expected sources out of {known}, found {unknown}")
    token, identity = backend.store.create(name, role, timedelta(days=days), source or None)
    say([{"token": token, **describe_identity(identity)}], as_json)


@token_app.command("list")
def list_tokens(as_json: JsonOption = False) -> None:
    """All tokens, without what opens anything."""
    say([describe_identity(identity) for identity in open_backend().store.list()], as_json)


@token_app.command("revoke")
def revoke_token(token_id: TokenId, as_json: JsonOption = False) -> None:
    """Close a token at once, and the download addresses that it asked for."""
    say([describe_identity(open_backend().store.revoke(token_id))], as_json)


@audit_app.command("verify")
def verify_audit(
    expect: Annotated[str | None, typer.Option(help="A head that was noted earlier, SEQUENCE:DIGEST; it must still be there.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for edits, deletions and a cut-off end in the audit log; note the head that it prints somewhere else."""
    report = open_backend().log.verify(expect)
    say([{"entries": report.entries, "head": report.head, "is_whole": not report.problems}], as_json)
    for problem in report.problems:
        typer.echo(f"textmill: {problem}", err=True)
    raise typer.Exit(1 if report.problems else 0)


@audit_app.command("show")
def show_audit(limit: Annotated[int, typer.Option(help="Most entries.", min=1)] = 20, as_json: JsonOption = False) -> None:
    """The newest accesses, newest first."""
    say([{name: entry[name] for name in entry if name != "previous"} for entry in open_backend().log.newest(limit)], as_json)


def serve_data(
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 8734,
    host: Annotated[str, typer.Option(help="Interface; whoever opens it to others puts TLS in front.")] = "127.0.0.1",
) -> None:
    """Answer people and programs that have a token: documents, labels, data sets, lineage, models."""
    from services.api import serve

    typer.echo(f"http://{host}:{port}/openapi.json; stop with Ctrl-C")
    serve(open_backend(), host, port)


def sql(
    query: Annotated[str | None, typer.Option(help="One statement; without it, a shell.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the published tables in SQL (DuckDB), without a way to change anything."""
    from dagster_project.environments import lake_place, read_environment
    from resources.lake_connection import LakehouseError
    from resources.lake_shell import LakeShell
    from services.queries import as_json as as_rows

    with LakeShell(lake_place(read_environment())) as shell:
        for text in [query] if query is not None else read_typed():
            try:
                for statement in shell.split(text):
                    say(as_rows(shell.ask(statement)), as_json)
            except LakehouseError as error:
                if query is not None:
                    raise
                typer.echo(f"textmill: {error}", err=True)


def read_typed() -> Iterator[str]:
    """What is typed or piped in, up to a semicolon that ends a line, until the input ends."""
    waiting = ""
    if sys.stdin.isatty():
        typer.echo("SELECT …; or SHOW TABLES; ends with a semicolon. Ctrl-D leaves.")
    for line in sys.stdin:
        waiting += line
        if waiting.rstrip().endswith(";"):
            yield waiting
            waiting = ""
    if waiting.strip():
        yield waiting


def describe_identity(identity: "Identity") -> dict[str, Any]:
    """A token for a table."""
    return {
        "id": identity.token_id,
        "name": identity.name,
        "role": identity.role,
        "sources": ", ".join(identity.sources) if identity.sources is not None else "all",
        "expires": identity.expires_at.strftime("%Y-%m-%d %H:%M"),
        "revoked": identity.revoked_at.strftime("%Y-%m-%d %H:%M") if identity.revoked_at else "",
    }


def open_backend() -> "Backend":
    """What the data access API reads from and keeps, in the present environment."""
    from dagster_project.environments import open_access, read_environment
    from services.api import Backend

    environment, resources = read_environment(), open_resources()
    store, log, key = open_access(environment)
    return Backend(resources["project"], resources["lakehouse"], resources["object_store"], resources["index"], store, log, key)

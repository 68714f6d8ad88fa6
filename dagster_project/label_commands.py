"""The commands by which people label without a server: questions in the terminal, sheets out and in.

Where the questions come from and the answers go is in `services/labeling_desk.py`; sheets are in `assets/labeling/sheets.py`, questions in
the terminal in `assets/labeling/asking.py`.
"""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.configuration import ConfigurationError
from dagster_project.model_commands import open_resources
from dagster_project.printing import JsonOption, say

if TYPE_CHECKING:
    from services.labeling_desk import LabelingDesk

label_app = typer.Typer(help="Answer what the labeling queue asks: in the terminal, or in sheets.", pretty_exceptions_enable=False)


@label_app.callback(invoke_without_command=True)
def ask(
    context: typer.Context,
    annotator: Annotated[str | None, typer.Option(help="Who answers; by default the name of this account.")] = None,
    limit: Annotated[int, typer.Option(help="Most questions.", min=1)] = 50,
) -> None:
    """Answer what the labeling queue asks, one document after the other; stop whenever you like. Or use sheets: `export` and `import`."""
    if context.invoked_subcommand is not None:
        return
    from assets.labeling.asking import ask_all

    desk, who = open_desk(), annotator or getpass.getuser()
    queue = desk.questions(who, limit)
    kept = ask_all(queue, desk.project.task, who, prompt, typer.echo, lambda answer: desk.keep([answer], "terminal"))
    typer.echo(f"{kept} answers of {who} kept, {len(queue)} asked for. `textmill run refresh` brings them to the labels.")


@label_app.command("export")
def export_sheet(
    file: Annotated[Path, typer.Argument(help="File to write, .csv or .jsonl; it must not exist yet.")],
    limit: Annotated[int, typer.Option(help="Most documents.", min=1)] = 500,
    as_json: JsonOption = False,
) -> None:
    """Write what the queue asks to a sheet, for people to fill in."""
    from assets.labeling.sheets import write_sheet

    desk = open_desk()
    queue = desk.questions(None, limit)
    text = write_sheet(queue, file.name, desk.project.task)
    try:
        with file.open("x", encoding="utf-8", newline="") as written:
            written.write(text)
    except FileExistsError as error:
        raise ConfigurationError(f"{file}: expected no such file, found one that may hold answers; choose another name") from error
    except OSError as error:
        raise ConfigurationError(f"{file}: expected to be able to write it, found: {error.strerror}") from error
    say([{"file": str(file), "documents": len(queue)}], as_json)


@label_app.command("import")
def import_sheet(
    file: Annotated[Path, typer.Argument(help="A sheet with answers, .csv or .jsonl.")],
    annotator: Annotated[str | None, typer.Option(help="Who answered, where the sheet has no column `annotator`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the answers of a sheet: all of them, or none if something is wrong. Safe to repeat."""
    from assets.labeling.sheets import read_sheet

    desk = open_desk()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: expected a sheet, found: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: expected UTF-8, found other bytes at byte {error.start}; save it as CSV in UTF-8") from error
    answers = read_sheet(text, file.name, desk.project.task, annotator)
    desk.keep(answers, file.name)
    say([{"file": str(file), "answers": len(answers), "next": "textmill run refresh"}], as_json)


def webhook(
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 8733,
    host: Annotated[str, typer.Option(help="Interface; whoever opens it to others puts TLS in front.")] = "127.0.0.1",
) -> None:
    """Receive the labeling server's word that somebody annotated, so that the sensor looks at once."""
    from dagster_project.environments import WEBHOOK_SECRET_VARIABLE, WEBHOOK_URL_VARIABLE, read_environment
    from services.webhook import serve

    environment = read_environment()
    if environment.webhook is None:
        raise ConfigurationError(f"expected {WEBHOOK_URL_VARIABLE} and {WEBHOOK_SECRET_VARIABLE}, found neither")
    typer.echo(f"POST http://{host}:{port}/annotations; stop with Ctrl-C")
    serve(open_resources()["notices"], environment.webhook.secret, host, port)


def open_desk() -> "LabelingDesk":
    """Where people are asked and hand in their answers, in the present environment."""
    from services.labeling_desk import LabelingDesk

    resources = open_resources()
    return LabelingDesk(resources["lakehouse"], resources["object_store"], resources["project"])


def prompt(line: str) -> str:
    """What the person types; the end of input and Ctrl-C stop."""
    from assets.labeling.asking import STOP

    try:
        return str(typer.prompt(line))
    except typer.Abort:
        return STOP

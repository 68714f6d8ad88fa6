"""The commands by which people label without a server: questions in the terminal, sheets out and in.

Answers go into the object store under `labels/`, where the next `textmill run refresh` collects them like any other votes: raw bytes are
kept, checks run, the consensus follows. Sheets are in `assets/labeling/sheets.py`, questions in `assets/labeling/asking.py`.
"""

import getpass
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.configuration import ConfigurationError
from dagster_project.model_commands import open_resources
from dagster_project.printing import JsonOption, say

if TYPE_CHECKING:
    from assets.labeling.sheets import Answer

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
    from assets.labeling.sheets import QUEUE_SQL

    resources = open_resources()
    who = annotator or getpass.getuser()
    queue = resources["lakehouse"].read(QUEUE_SQL, {"limit": limit})
    queue = queue[~queue["document_id"].isin(answered_by(resources, who))]
    kept = ask_all(queue, resources["project"].task, who, prompt, typer.echo, lambda answer: keep(resources, [answer], "terminal"))
    typer.echo(f"{kept} answers of {who} kept, {len(queue)} asked for. `textmill run refresh` brings them to the labels.")


@label_app.command("export")
def export_sheet(
    file: Annotated[Path, typer.Argument(help="File to write, .csv or .jsonl; it must not exist yet.")],
    limit: Annotated[int, typer.Option(help="Most documents.", min=1)] = 500,
    as_json: JsonOption = False,
) -> None:
    """Write what the queue asks to a sheet, for people to fill in."""
    from assets.labeling.sheets import QUEUE_SQL, write_sheet

    resources = open_resources()
    queue = resources["lakehouse"].read(QUEUE_SQL, {"limit": limit})
    text = write_sheet(queue, file.name, resources["project"].task)
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

    resources = open_resources()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: expected a sheet, found: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: expected UTF-8, found other bytes at byte {error.start}; save it as CSV in UTF-8") from error
    answers = read_sheet(text, file.name, resources["project"].task, annotator)
    keep(resources, answers, file.name)
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


def keep(resources: dict[str, Any], answers: "Sequence[Answer]", name: str) -> None:
    """Put answers where collection finds them, named by the time: the newest count.

    Raises:
        SheetError: An answer is about no clean document, or about one whose source is no longer in the project.
    """
    import pandas as pd

    from assets.collection.receiving import FILES
    from assets.labeling.sheets import KNOWN_SQL, SheetError, votes_by_source

    wanted = pd.DataFrame({"document_id": sorted({answer.document_id for answer in answers})}, dtype="str")
    known = resources["lakehouse"].read(KNOWN_SQL, frames={"wanted": wanted})
    votes = votes_by_source(answers, known, resources["project"].task, name)
    sources = [source.name for source in resources["project"].sources]
    gone = sorted(set(votes) - set(sources))
    if gone:
        raise SheetError(f"{name}: nothing was taken; expected documents of the sources {sources}, found some of {gone}")
    for source, lines in votes.items():
        name_of_time = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        resources["object_store"].put(f"{FILES}{source}/{name_of_time}.jsonl", lines.encode())


def answered_by(resources: dict[str, Any], annotator: str) -> set[str]:
    """Documents that a person answered already, answers included that no run has collected yet, but for labels doubted afterwards."""
    from assets.answers import DOCUMENT_ID_FIELD
    from assets.collection.receiving import FILES
    from assets.labeling.sheets import ANSWERED_SQL

    lakehouse, store = resources["lakehouse"], resources["object_store"]
    found = set(lakehouse.read(ANSWERED_SQL, {"annotator": annotator})["document_id"])
    collected = set(lakehouse.read("SELECT cursor_key FROM collection_cursors")["cursor_key"])
    for waiting in store.list(FILES):
        for line in store.get(waiting.key).decode().split("\n") if waiting.key not in collected else ():
            record = json.loads(line) if line else {"votes": []}
            found |= {record[DOCUMENT_ID_FIELD] for vote in record["votes"] if vote["annotator"] == annotator}
    return found


def prompt(line: str) -> str:
    """What the person types; the end of input and Ctrl-C stop."""
    from assets.labeling.asking import STOP

    try:
        return str(typer.prompt(line))
    except typer.Abort:
        return STOP

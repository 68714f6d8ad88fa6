"""How commands print: as a table, or as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def say(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print rows as JSON, or as a table whose columns are as wide as what they hold."""
    if as_json:
        typer.echo(json.dumps(list(rows), ensure_ascii=False, indent=2, default=str))
        return
    if not rows:
        typer.echo("nothing")
        return
    columns = list(rows[0])
    table = [columns, *[[str(row[column]) for column in columns] for row in rows]]
    widths = [max(len(line[position]) for line in table) for position in range(len(columns))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

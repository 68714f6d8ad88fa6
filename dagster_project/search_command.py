"""`textmill search`: what people ask of the full-text index in a terminal."""

from datetime import datetime
from typing import Annotated

import typer

from dagster_project.model_commands import open_resources
from dagster_project.printing import JsonOption, say

_DAY = ["%Y-%m-%d"]


def search(
    query: Annotated[str, typer.Argument(help='Words, "a phrase", AND, OR, NOT, source:, label:, language:, date:2026-01..2026-03.')],
    limit: Annotated[int, typer.Option(min=1, help="Most hits.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="How many of the best are left out.")] = 0,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    label: Annotated[str | None, typer.Option(help="Only documents whose consensus is this label.")] = None,
    language: Annotated[str | None, typer.Option(help="Only this language: en, zh, …")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_DAY, help="Only documents of this day or later.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_DAY, help="Only documents of this day or earlier.")] = None,
    by_meaning: Annotated[bool, typer.Option("--by-meaning", help="Order by meaning, too; needs labeling.embeddings.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find clean documents by their words, in English or Chinese."""
    from resources.search_query import Filters
    from services.meaning import Meaning
    from services.queries import as_json as rows_as_json
    from services.queries import find_documents, shown_page

    days = {name: day.date() for name, day in (("since", since), ("until", until)) if day is not None}
    filters = Filters(None if source is None else [source], label, language, **days)
    resources = open_resources()
    meaning = Meaning(resources["lakehouse"], resources["project"].training) if by_meaning else None
    page = find_documents(resources["lakehouse"], resources["index"], query, limit, offset, filters, meaning)
    if as_json:
        say(rows_as_json(page.rows), as_json)
        return
    say(shown_page(page, lambda words: typer.style(words, bold=True)), as_json)
    kind = "have any of the words" if page.is_any else "match"
    if page.total:
        typer.echo(f"{offset + 1} to {offset + len(page.rows)} of {page.total} documents that {kind}", err=True)

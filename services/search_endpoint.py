"""`GET /search`: the query language and filters of every engine, over HTTP. What is found and how: `queries.py`."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, Field, create_model

from assets.schemas import CLEAN_DOCUMENTS
from resources.search_engine import MAX_WINDOW, SearchEngine, SearchIndexError
from resources.search_query import Filters, SearchQueryError
from services.api import Backend, Refusal
from services.endpoints import Anybody, Limit, Value
from services.listings import row_model
from services.meaning import NoBaseModelError, NoEmbeddingsError
from services.queries import as_json, find_documents


class SearchFilters:
    """Conditions that hold beside the query."""

    def __init__(
        self,
        source: Value = None,
        label: Value = None,
        language: Value = None,
        since: Annotated[date | None, Query(description="Documents of this day (UTC) or later.")] = None,
        until: Annotated[date | None, Query(description="Documents of this day (UTC) or earlier.")] = None,
    ) -> None:
        self._source = source
        self._others = Filters(label=label, language=language, since=since, until=until)

    def within(self, readable: Collection[str] | None) -> Filters:
        """The filters, of sources that may be read only; None for all."""
        if self._source is None:
            return replace(self._others, sources=readable)
        return replace(self._others, sources=[name for name in (self._source,) if readable is None or name in readable])


def add_search_endpoint(app: FastAPI, backend: Backend) -> None:
    """Search in clean documents."""
    refusals: dict[int | str, dict[str, Any]] = {
        409: {"model": Refusal, "description": "Nothing is indexed yet, or has no embedding."},
        503: {"model": Refusal, "description": "The search server does not answer, or the base model cannot be loaded."},
    }

    @app.get("/search", response_model=search_page_model(), responses=refusals)
    def search(
        identity: Anybody,
        q: Annotated[str, Query(min_length=1, max_length=1000)],
        wanted: Annotated[SearchFilters, Depends()],
        limit: Limit = 10,
        offset: Annotated[int, Query(ge=0, le=MAX_WINDOW, description="How many of the best are left out.")] = 0,
        by: Annotated[Literal["words", "meaning"], Query(description="By what they are ordered; `meaning` finds by any word.")] = "words",
    ) -> dict[str, Any]:
        """Clean documents that match words, phrases and conditions, in English or Chinese; texts that are hidden are not searched."""
        view = backend.view(identity)
        try:
            meaning = backend.meaning if by == "meaning" else None
            found = find_documents(backend.lakehouse, backend.index, q, limit, offset, wanted.within(view.readable), meaning)
        except NoEmbeddingsError as error:
            raise HTTPException(409, str(error)) from error
        except NoBaseModelError as error:
            raise HTTPException(503, "Expected the project's base model, found none that can be loaded.") from error
        except (SearchQueryError, SearchIndexError) as error:
            expect_index(backend.index)
            raise HTTPException(422, str(error)) from error
        if not found.total:
            expect_index(backend.index)
        return {"total": found.total, "is_any": found.is_any, "rows": [view.mask(row, row["source"]) for row in as_json(found.rows)]}


def expect_index(index: SearchEngine) -> None:
    """Say so where nothing was found because there is nothing to search in."""
    try:
        is_filled = index.count() > 0
    except SearchIndexError as error:
        raise HTTPException(503, "Expected an answer of the search server, found none. Try again later.") from error
    if not is_filled:
        raise HTTPException(409, "Expected a search index, found none. Materialize `search_index` first.")


def search_page_model() -> type[BaseModel]:
    """One page of answers."""
    row = row_model(
        CLEAN_DOCUMENTS,
        label=(str | None, Field(None, description="The consensus on it.")),
        score=(float, Field(description="BM25 score, whatever the order; 0 where only conditions were asked for.")),
        highlights=(
            list[tuple[int, int]],
            Field(description="Where words of the query stand in `text`: first character, and after the last."),
        ),
    )
    model: type[BaseModel] = create_model(
        "SearchPage",
        __doc__="Answers to a query, best first.",
        total=(int, Field(description="How many documents match.")),
        is_any=(bool, Field(description="No document has all words of the query; these have any of them.")),
        rows=(list[row], ...),  # type: ignore[valid-type]  # made above
    )
    return model

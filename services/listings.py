"""Published rows in pages: which tables the data access API lists, how a page is read, and the schema that its OpenAPI shows.

The columns and what they mean come from `assets/schemas.py`; who sees what of a page, from `visibility.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, create_model

from assets.schemas import ANNOTATIONS, CLEAN_DOCUMENTS, LABELED_DOCUMENTS, POOL_PREDICTIONS, SOURCE, Table
from resources.lakehouse import Lakehouse
from services.queries import as_json
from services.visibility import View

PYTHON_TYPES: dict[str, Any] = {
    "VARCHAR": str,
    "DOUBLE": float,
    "BIGINT": int,
    "BOOLEAN": bool,
    "TIMESTAMPTZ": datetime,
    "DOUBLE[]": list[float],
}


@dataclass(frozen=True)
class Listing:
    """A table that is listed by `GET /<name>`.

    Attributes:
        name: Last part of the address.
        table: What is listed.
        summary: What the endpoint answers.
    """

    name: str
    table: Table
    summary: str

    @property
    def relation(self) -> str:
        """What stands after FROM: published rows with their source."""
        if SOURCE in self.table.columns:
            return self.table.name
        return f"(SELECT t.*, source FROM {self.table.name} t JOIN clean_documents USING (document_id))"

    def filters(self) -> list[str]:
        """Columns that can be asked for by value."""
        return [name for name in ("source", "language", "label") if name == "source" or name in self.table.column_names()]


DOCUMENTS = Listing("documents", CLEAN_DOCUMENTS, "Clean documents.")
LABELS = Listing("labels", LABELED_DOCUMENTS, "The consensus on each document.")
VOTES = Listing("votes", ANNOTATIONS, "The votes of people.")
PREDICTIONS = Listing("predictions", POOL_PREDICTIONS, "What the champion says of documents without a confident label.")


def read_page(lakehouse: Lakehouse, listing: Listing, view: View, wanted: Mapping[str, str | None], limit: int) -> dict[str, Any]:
    """The rows of some documents, in the order of their ids, and the id to go on after.

    Args:
        lakehouse: Where the rows are.
        listing: What is listed.
        view: Who asks.
        wanted: Values of `document_id` and of the listing's filters; `after`: the id to go on after. None asks for nothing.
        limit: Most documents.
    """
    conditions = [f'"{name}" = ${name}' for name in ("document_id", *listing.filters()) if wanted.get(name) is not None]
    conditions += ["document_id > $after"] if wanted.get("after") is not None else []
    conditions += ["list_contains($sources, source)"] if view.sources is not None else []
    chosen = f"SELECT * FROM {listing.relation} WHERE {' AND '.join(conditions) or 'true'}"
    sql = f"""
    WITH chosen AS ({chosen}), page AS (SELECT DISTINCT document_id FROM chosen ORDER BY document_id LIMIT $limit)
    SELECT * EXCLUDE (increment_id) FROM chosen SEMI JOIN page USING (document_id) ORDER BY document_id, {", ".join(listing.table.key)}
    """
    parameters = {name: value for name, value in wanted.items() if value is not None} | {"limit": limit + 1}
    rows = as_json(lakehouse.read(sql, parameters | ({"sources": sorted(view.sources)} if view.sources is not None else {})))
    ids = list(dict.fromkeys(row["document_id"] for row in rows))
    is_more = len(ids) > limit
    shown = [view.mask(row, row["source"]) for row in rows if not is_more or row["document_id"] != ids[-1]]
    return {"rows": shown, "next": ids[limit - 1] if is_more else None}


def row_model(table: Table, **more: Any) -> type[BaseModel]:  # noqa: ANN401  # pydantic's field definitions
    """One row of a table, as the API answers it; what is masked is null."""
    columns = {SOURCE.name: SOURCE} | {column.name: column for column in table.columns}
    fields = {name: (PYTHON_TYPES[column.type] | None, Field(None, description=column.meaning)) for name, column in columns.items()}
    title = "".join(word.capitalize() for word in table.name.split("_"))
    model: type[BaseModel] = create_model(f"{title}Row" if not more else f"{title}Found", __doc__=table.meaning, **(more | fields))
    return model


def page_model(listing: Listing) -> type[BaseModel]:
    """One page of a listing."""
    row = row_model(listing.table)
    following: Any = (str | None, Field(None, description="Ask again with `after` set to this; null at the end."))
    model: type[BaseModel] = create_model(
        f"{listing.name.capitalize()}Page",
        __doc__=f"A page of `{listing.table.name}`.",
        rows=(list[row], ...),  # type: ignore[valid-type]  # made above
        next=following,
    )
    return model

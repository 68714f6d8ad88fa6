"""Gives frames the columns, order and types that `assets.schemas` declares.

Rules about values do not belong here: the expectation suites hold them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from assets.schemas import Column, Table

_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "VARCHAR": "str",
        "DOUBLE": "float64",
        "BIGINT": "int64",
        "BOOLEAN": "bool",
        "TIMESTAMPTZ": "datetime64[us, UTC]",
        "DOUBLE[]": "object",
        "UBIGINT[]": "object",
    }
)


def as_table(frame: pd.DataFrame, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A new frame with the table's columns, in its order and types, and a fresh index.

    Args:
        frame: One row per row of the table, with at least its columns.
        table: What to conform to.
        columns: Some of the table's columns; all of them by default.

    Raises:
        ValueError: A column is missing.
    """
    names = list(columns) if columns is not None else table.column_names()
    require_columns(frame, names, table.name)
    dtypes = {column.name: _dtype(column) for column in table.columns if column.name in names}
    return frame[names].astype(dtypes).reset_index(drop=True)


def _dtype(column: Column) -> str:
    """The pandas type; of truth values that may be missing, one that does not take these for false."""
    return "boolean" if column.type == "BOOLEAN" and column.nullable else _DTYPES[column.type]


def require_columns(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Checks that a frame has the columns.

    Raises:
        ValueError: Names the missing columns, those found and what the frame was to be.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ValueError(f"expected {what} with the columns {list(columns)}, found no {missing} among {list(frame.columns)}")

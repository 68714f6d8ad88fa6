"""Questions of people to the lakehouse in SQL, without a way to change anything. `textmill sql` asks.

It has a connection of its own, attached read-only, that opens no other file and whose settings are locked; only SELECT and EXPLAIN run.
That keeps from accidents. It does not keep the owner of the folder from their own data; others get a token for the API.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pandas as pd
from duckdb import StatementType

from resources.lake_connection import LakehouseError, claim_spill_folder, release_spill_folder, to_pandas
from resources.lake_place import EmbeddedPlace, LakePlace, allowed_directories_sql, connect

ASKING = (StatementType.SELECT, StatementType.EXPLAIN)


class LakeShell:
    """The published tables, without their schema; `lake.history` has what was approved ever.

    Each statement has the lakehouse to itself, as every reader and writer; between statements nobody waits.
    """

    def __init__(self, place: Path | LakePlace, memory_limit: str = "2GB") -> None:
        """Opens it.

        Args:
            place: The lakehouse; a path is a folder on a local disk.
            memory_limit: Memory that DuckDB may take before it spills, as DuckDB writes it.

        Raises:
            LakehouseError: There is no lakehouse.
        """
        place = EmbeddedPlace(place) if isinstance(place, Path) else place
        if not place.exists():
            raise LakehouseError(f"Expected a lakehouse in {place.describe()}, found none. `textmill run refresh` makes one.")
        self._lock = place.lock()
        with ExitStack() as stack, self._lock.acquire(timeout=-1):
            stack.callback(place.close)
            spill = claim_spill_folder(place.folder)
            stack.callback(release_spill_folder, spill)
            self._connection = connect(place, memory_limit, spill, read_only=True)
            stack.callback(self._connection.close)
            for statement in (
                allowed_directories_sql(place, spill),
                "SET enable_external_access = false",
                "USE lake.published",
                "SET lock_configuration = true",
            ):
                self._connection.execute(statement)
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._open.close()

    @staticmethod
    def split(sql: str) -> list[str]:
        """The statements of a text.

        Raises:
            LakehouseError: It is no SQL; the message says where.
        """
        try:
            return [statement.query for statement in duckdb.extract_statements(sql)]
        except duckdb.Error as error:
            raise LakehouseError(str(error)) from error

    def ask(self, sql: str) -> pd.DataFrame:
        """The answer to one statement.

        Raises:
            LakehouseError: It is not one SELECT or EXPLAIN, or DuckDB refuses it; the message says why.
        """
        try:
            kinds = [statement.type for statement in duckdb.extract_statements(sql)]
            if len(kinds) != 1 or kinds[0] not in ASKING:
                found = ", ".join(kind.name for kind in kinds) or "none"
                raise LakehouseError(f"Expected one statement that asks (SELECT, FROM, SHOW, DESCRIBE, EXPLAIN), found {found}.")
            with self._lock.acquire(timeout=-1):
                return to_pandas(self._connection.execute(sql))
        except duckdb.Error as error:
            raise LakehouseError(str(error)) from error

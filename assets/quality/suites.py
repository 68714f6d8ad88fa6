"""What a suite is: plain data that names Great Expectations' expectations without importing them.

Stages declare their suites with these in `expectations.py`; `validation.py` runs them; `checks.py` turns each expectation into a
Dagster check. Expectations look either at the staged rows of a table or at facts: one number per name, computed in SQL for the
whole increment (row counts, missing values, doubled keys, row accounting) or measured by the asset (agreement, shares).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

from assets.answers import answer_pattern
from assets.project import Project, Task
from assets.pseudonyms import PSEUDONYMS_ONLY
from assets.schemas import Table

Severity = Literal["ERROR", "WARN"]
Finder = Callable[["pd.DataFrame"], Sequence[str]]
"""From staged rows to one description for each thing that must not be in them: its kind and its row's key, never its value."""


@dataclass(frozen=True)
class Expectation:
    """One promise.

    Attributes:
        name: Name of the Dagster check; unique within the suite.
        meaning: The sentence that is true when it holds.
        type: Great Expectations' name, for example `expect_column_values_to_not_be_null`.
        kwargs: Its arguments.
        looks_at: The staged rows, or the facts.
        severity: ERROR rejects the increment, WARN reports.
        find: Of a scan, what finds the rows that break it; None for an expectation of Great Expectations.
    """

    name: str
    meaning: str
    type: str
    kwargs: Mapping[str, Any]
    looks_at: Literal["rows", "facts"] = "rows"
    severity: Severity = "ERROR"
    find: Finder | None = None

    @property
    def columns(self) -> list[str]:
        """Columns that the expectation reads."""
        single = [self.kwargs[key] for key in ("column", "column_A", "column_B") if key in self.kwargs]
        return single + list(self.kwargs.get("column_list", ()))


@dataclass(frozen=True)
class Suite:
    """The promises of one table."""

    table: Table
    expectations: tuple[Expectation, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse two expectations of one name.

        Raises:
            ValueError: A name appears twice.
        """
        names = [expectation.name for expectation in self.expectations]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"Suite {self.table.name}: expected distinct expectation names, found {doubled} more than once.")


def expect_rows(name: str, meaning: str, type: str, severity: Severity = "ERROR", **kwargs: object) -> Expectation:
    """A promise about each staged row; `type` without its leading `expect_`."""
    return Expectation(name, meaning, f"expect_{type}", kwargs, "rows", severity)


def expect_nothing_found(name: str, meaning: str, columns: Sequence[str], find: Finder, severity: Severity = "ERROR") -> Expectation:
    """A promise that a search through the staged rows finds nothing, for what no expectation of the library can say."""
    return Expectation(name, meaning, "scan", {"column_list": list(columns)}, "rows", severity, find)


def expect_author_pseudonyms(key: str) -> Expectation:
    """The promise that nobody is named as an author; `key` is the column that says where somebody is."""

    def find(rows: "pd.DataFrame") -> list[str]:
        is_named = rows["authors"].notna() & ~rows["authors"].astype("str").str.match(PSEUDONYMS_ONLY)
        return [f"a name in authors of {key} {place}" for place in rows.loc[is_named, key]]

    return expect_nothing_found("authors_are_pseudonyms", "Authors are pseudonyms and nothing else.", (key, "authors"), find)


def expect_task_answers(task: Task, meaning: str = "Every label is one of the task's.") -> tuple[Expectation, ...]:
    """The promise of every table with answers: none is outside the task.

    Lists of labels or spans are promised their shape here; whether their labels are the task's is the fact `answers_outside_task`.
    """
    name = "labels_belong_to_the_task"
    if not task.has_lists:
        return (expect_rows(name, meaning, "column_values_to_be_in_set", column="label", value_set=list(task.labels)),)
    shape = "Every answer is a JSON list of " + ("spans." if task.has_spans else "labels.")
    return (
        expect_rows("answers_have_their_shape", shape, "column_values_to_match_regex", column="label", regex=answer_pattern(task)),
        expect_fact(name, meaning, "answers_outside_task", minimum=0, maximum=0),
    )


def expect_known_sources(project: Project) -> Expectation:
    """The promise that a table's rows come from the project's sources."""
    names = [source.name for source in project.sources]
    meaning = "Every source is in the project file."
    return expect_rows("sources_are_known", meaning, "column_values_to_be_in_set", column="source", value_set=names)


def expect_fact(
    name: str, meaning: str, fact: str, *, minimum: float | None = None, maximum: float | None = None, severity: Severity = "ERROR"
) -> Expectation:
    """A promise about a number known of the whole increment; a fact that is missing breaks it."""
    kwargs = {"column": fact, "min_value": minimum, "max_value": maximum}
    return Expectation(name, meaning, "expect_column_values_to_be_between", kwargs, "facts", severity)


def suite(table: Table, *own: Expectation) -> Suite:
    """The promises that follow from a table's declaration, and the stage's own."""
    return Suite(table, (*declared_promises(table), *own))


def declared_promises(table: Table) -> tuple[Expectation, ...]:
    """Promises that every table makes: rows, required values, declared sets and ranges, unique keys, row accounting."""
    keys = ", ".join(table.key)
    promises = [
        expect_fact("required_values_are_present", "Every required column is filled in every row.", "required_values_missing", maximum=0),
        expect_fact("values_fit_the_schema", "Every value lies in its column's declared set or range.", "values_outside_schema", maximum=0),
        expect_fact("keys_are_unique", f"No two rows share ({keys}).", "duplicate_keys", maximum=0),
    ]
    if not table.may_be_empty:
        meaning = "The increment has rows, unless upstream had none."
        promises.insert(0, expect_fact("has_rows", meaning, "rows_swallowed", maximum=0))
    else:
        promises.insert(0, expect_fact("row_count_is_known", "The increment's rows were counted.", "rows_staged", minimum=0))
    if table.name == table.producer:
        promises += [
            expect_fact("work_was_done", "What there was to read was read.", "rows_left_unread", maximum=0),
            expect_fact(
                "every_row_is_accounted_for", "Rows in = rows out + rows rejected + rows skipped.", "rows_unaccounted", minimum=0, maximum=0
            ),
        ]
    return tuple(promises)

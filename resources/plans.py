"""What an increment is going to read and replace, decided before it begins and checked again when it commits.

What belongs here: the decision from the ledger's rows, and removing what an earlier attempt left. Doing the work: `increments.py`. The
rows themselves: `ledger.py`.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import uuid6

from resources.lake_connection import ConcurrentIncrementError
from resources.lake_tables import delete_rows
from resources.lakehouse import Lakehouse
from resources.ledger import Increment, Mode, State, consumed_ids, find_increments, set_state

# How an asset follows its upstream tables:
# - incremental: appends what is new; recomputes everything when something it consumed was superseded.
# - snapshot: recomputes everything whenever anything is new, superseding its older increments.
# - journal: appends one result per state of its upstream; older results stay valid history.
Following = Literal["incremental", "snapshot", "journal"]


@dataclass(frozen=True)
class Target:
    """What is materialized, and how it follows its upstream.

    Attributes:
        asset: The producer whose tables are written.
        partition: Partition key, or empty.
        upstream: Producers whose approved increments are read.
        upstream_partition: Read only this partition of them; all by default.
        following: How new and superseded increments upstream are answered.
    """

    asset: str
    partition: str = ""
    upstream: tuple[str, ...] = ()
    upstream_partition: str | None = None
    following: Following = "incremental"


@dataclass(frozen=True)
class Plan:
    """What a materialization is going to read and replace.

    Attributes:
        target: What is materialized.
        mode: Append, or rebuild: replace all earlier increments of the partition.
        new_inputs: Upstream increments to work on, per producer.
        all_inputs: All approved upstream increments, per producer.
        head: Own increments that were staged or approved when the plan was made, oldest first.
        leftovers: Own increments that were staged or rejected then; their rows have to go first.
    """

    target: Target
    mode: Mode
    new_inputs: dict[str, list[str]]
    all_inputs: dict[str, list[str]]
    head: list[tuple[str, State]]
    leftovers: list[Increment]

    @property
    def inputs(self) -> list[str]:
        """Ids of all increments that will count as consumed; a step that works without anything new records the present state."""
        present = sorted({identifier for ids in self.all_inputs.values() for identifier in ids})
        return present if self.mode == "rebuild" else self.fresh or present

    @property
    def fresh(self) -> list[str]:
        """Ids of the increments not consumed before."""
        return sorted({identifier for ids in self.new_inputs.values() for identifier in ids})

    @property
    def chosen(self) -> dict[str, list[str]]:
        """Ids of the increments to read, per producer: all for a rebuild, else the new ones."""
        return self.all_inputs if self.mode == "rebuild" else self.new_inputs


def plan_alone(lakehouse: Lakehouse, target: Target, *, full_refresh: bool) -> Plan:
    """The plan, once nothing of the asset's own is left staged or rejected; ledger rows of what is removed stay, as rejected.

    Raises:
        ConcurrentIncrementError: Something is staged by a run that is alive.
    """
    with lakehouse.session() as connection:
        plan = make_plan(connection, target, full_refresh=full_refresh)
    if not plan.leftovers:
        return plan
    remove_unapproved(lakehouse, target.asset, target.partition)
    with lakehouse.session() as connection:
        return make_plan(connection, target, full_refresh=full_refresh)


def remove_unapproved(lakehouse: Lakehouse, asset: str, partition: str) -> None:
    """Delete the rows of staged and rejected increments of an asset.

    Raises:
        ConcurrentIncrementError: One of them is staged by a run that is alive.
    """

    def remove() -> None:
        with lakehouse.transaction() as connection:
            leftovers = find_increments(connection, [asset], partition, ("staged", "rejected"))
            for leftover in leftovers:
                if leftover.state == "staged" and lakehouse.run_marks.is_alive_elsewhere(leftover.run_id):
                    raise ConcurrentIncrementError(
                        f"Expected to be alone in materializing {asset}, found run {leftover.run_id} about to audit increment "
                        f"{leftover.increment_id}. Wait for it to end and try again."
                    )
            for table in (table for table in lakehouse.tables.values() if table.producer == asset):
                delete_rows(connection, table.name, [leftover.increment_id for leftover in leftovers])
            set_state(connection, [leftover.increment_id for leftover in leftovers if leftover.state == "staged"], "rejected")

    lakehouse.retry(remove, "clean up")


def make_plan(connection: duckdb.DuckDBPyConnection, target: Target, *, full_refresh: bool) -> Plan:
    """Decide what is new upstream and whether earlier increments have to be replaced."""
    own, all_inputs = read_increments(connection, target)
    consumed = consumed_ids(connection, [one.increment_id for one in own if one.state == "approved"])
    new_inputs = {producer: [found for found in ids if found not in consumed] for producer, ids in all_inputs.items()}
    lost = consumed - {identifier for ids in all_inputs.values() for identifier in ids}
    is_replaced = (target.following != "journal" and bool(lost)) or (target.following == "snapshot" and any(new_inputs.values()))
    is_outdated = full_refresh or is_replaced
    mode: Mode = "rebuild" if is_outdated and target.following != "journal" and any(all_inputs.values()) else "append"
    leftovers = [one for one in own if one.state != "approved"]
    return Plan(target, mode, all_inputs if is_outdated else new_inputs, all_inputs, head_of(own), leftovers)


def read_increments(connection: duckdb.DuckDBPyConnection, target: Target) -> tuple[list[Increment], dict[str, list[str]]]:
    """Own increments that were not superseded, and the ids of the approved ones per upstream producer, oldest first.

    One statement reads both: what it takes to reach the ledger is more than what it takes to read its rows.
    """
    found = find_increments(connection, (target.asset, *target.upstream), None, ("staged", "approved", "rejected"))
    own = [one for one in found if (one.asset, one.partition) == (target.asset, target.partition)]
    there = [one for one in found if one.state == "approved" and target.upstream_partition in (None, one.partition)]
    return own, {producer: [one.increment_id for one in there if one.asset == producer] for producer in target.upstream}


def head_of(own: Sequence[Increment]) -> list[tuple[str, State]]:
    """Own increments that are staged or approved, oldest first."""
    return [(one.increment_id, one.state) for one in own if one.state != "rejected"]


def check_plan_holds(plan: Plan, head: Sequence[tuple[str, State]], inputs: Mapping[str, Sequence[str]]) -> None:
    """Raise unless the ledger still is as the plan found it; call it inside the committing transaction.

    Args:
        plan: The plan.
        head: What `head` of a plan made now would be.
        inputs: What `all_inputs` of it would be.

    An increment that appends may leave what was approved upstream in the meantime to the next one; a snapshot may not, since it
    claims to be made from everything. A journal's result is valid history of the state that it was made from.

    Raises:
        ConcurrentIncrementError: Another run wrote the asset, or what was read upstream is no longer what is published.
    """
    asset, following = plan.target.asset, plan.target.following
    if list(head) != plan.head:
        raise ConcurrentIncrementError(
            f"Expected {asset} to be unchanged since this run began, found that another run wrote it. "
            "Nothing was written; materialize it again."
        )
    if following == "journal":
        return
    for producer, present in inputs.items():
        read = plan.all_inputs[producer]
        if (following == "snapshot" and present != read) or not set(read) <= set(present):
            raise ConcurrentIncrementError(
                f"Expected {producer} to stay as {asset} read it, found that another run published it anew in the meantime. "
                "Nothing was written; materialize it again."
            )


def next_increment_id(head: Sequence[tuple[str, State]]) -> str:
    """A new uuid7, greater than every id of the head even if the clock was set back: the newest row per key is found by id."""
    newest = max((uuid.UUID(identifier).int for identifier, _ in head), default=0)
    return str(uuid.UUID(int=max(uuid6.uuid7().int, newest + 1)))

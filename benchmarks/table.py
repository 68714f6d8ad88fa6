"""How benchmarks print: a table for people, or one JSON object a row (name, value, unit, peer, ratio, target)."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        name: What was measured.
        value: The median.
        unit: Its unit.
        peer: What it was measured beside, if anything.
        ratio: Median of the ratios to the peer, pair by pair.
        spread: Smallest and largest ratio.
        target: The ratio, or the value where there is no peer, that is wanted.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    target: str = ""

    @classmethod
    def of_pairs(
        cls, name: str, pairs: Sequence[tuple[float, float]], unit: str, peer: str, ratios: Sequence[float], target: str = ""
    ) -> "Row":
        """A row for measurements taken in turn with a peer's."""
        median = statistics.median(ours for ours, _ in pairs)
        return cls(name, median, unit, peer, statistics.median(ratios), (min(ratios), max(ratios)), target)


def print_rows(rows: Iterable[Row], *, as_json: bool) -> None:
    """Print the rows, each as soon as it is there."""
    if not as_json:
        print(f"{'what':58} {'median':>10} {'unit':8} {'beside':24} {'ratio (least to most)':24} target", flush=True)
    for row in rows:
        if as_json:
            print(json.dumps(asdict(row)), flush=True)
            continue
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        spread = "" if row.spread is None else f" ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
        print(f"{row.name:58} {row.value:10.3f} {row.unit:8} {row.peer:24} {ratio + spread:24} {row.target}", flush=True)

"""The audit gate beside hand-written pandas checks: 100,000 rows, 10 expectations, all of which hold.

`python -m benchmarks.gate [--rows N] [--repeats N] [--json]`. Both run in this process, in turn; ratios are taken pair by pair. The
import of Great Expectations is paid once per process and reported on a row of its own. Target: at most 2 × pandas.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from assets.quality.suites import Expectation, expect_rows
from assets.quality.validation import validate
from benchmarks.table import Row, print_rows

TARGET_RATIO = 2.0


def make_rows(rows: int, seed: int = 13) -> pd.DataFrame:
    """Documents as the cleaning stage writes them, in the columns that are checked."""
    generator = np.random.default_rng(seed)
    chars = generator.integers(10, 200, rows)
    return pd.DataFrame(
        {
            "document_id": [f"{number:032x}" for number in range(rows)],
            "text": [f"text number {number} of the benchmark" for number in range(rows)],
            "language": generator.choice(["en", "zh", "de"], rows),
            "text_chars": chars,
            "text_words": chars // 5,
            "symbol_ratio": generator.random(rows) / 2,
            "language_confidence": generator.random(rows),
        }
    )


EXPECTATIONS: list[Expectation] = [
    expect_rows("id_present", "", "column_values_to_not_be_null", column="document_id"),
    expect_rows("id_unique", "", "column_values_to_be_unique", column="document_id"),
    expect_rows("text_present", "", "column_values_to_not_be_null", column="text"),
    expect_rows("text_not_blank", "", "column_values_to_match_regex", column="text", regex=r"\S"),
    expect_rows("language_known", "", "column_values_to_be_in_set", column="language", value_set=["en", "zh", "de"]),
    expect_rows("chars_in_range", "", "column_values_to_be_between", column="text_chars", min_value=3, max_value=20_000),
    expect_rows("words_in_range", "", "column_values_to_be_between", column="text_words", min_value=0, max_value=20_000),
    expect_rows("ratio_in_range", "", "column_values_to_be_between", column="symbol_ratio", min_value=0, max_value=1),
    expect_rows("confidence_in_range", "", "column_values_to_be_between", column="language_confidence", min_value=0, max_value=1),
    expect_rows("confidence_present", "", "column_values_to_not_be_null", column="language_confidence"),
]


def check_by_hand(frame: pd.DataFrame) -> bool:
    """The same ten promises, written out."""
    return all(
        (
            frame["document_id"].notna().all(),
            frame["document_id"].is_unique,
            frame["text"].notna().all(),
            frame["text"].str.contains(r"\S", regex=True).all(),
            frame["language"].isin(["en", "zh", "de"]).all(),
            frame["text_chars"].between(3, 20_000).all(),
            frame["text_words"].between(0, 20_000).all(),
            frame["symbol_ratio"].between(0, 1).all(),
            frame["language_confidence"].between(0, 1).all(),
            frame["language_confidence"].notna().all(),
        )
    )


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(rows: int, repeats: int) -> list[Row]:
    """One row for the import, one for the gate beside pandas."""
    first = seconds_of(lambda: validate(make_rows(10), EXPECTATIONS))
    frame = make_rows(rows)
    if not (check_by_hand(frame) and all(verdict.passed for verdict in validate(frame, EXPECTATIONS))):
        raise AssertionError("Expected all promises to hold on the benchmark's rows.")
    pairs = [(seconds_of(lambda: validate(frame, EXPECTATIONS)), seconds_of(lambda: check_by_hand(frame))) for _ in range(repeats)]
    ratios = [ours / theirs for ours, theirs in pairs]
    return [
        Row("first validation of a process, import included", first, "s"),
        Row.of_pairs(
            f"gate, {rows:,} rows x {len(EXPECTATIONS)} expectations", pairs, "s", "pandas by hand", ratios, f"ratio <= {TARGET_RATIO:g}"
        ),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print_rows(measure(arguments.rows, arguments.repeats), as_json=arguments.json)


if __name__ == "__main__":
    main()

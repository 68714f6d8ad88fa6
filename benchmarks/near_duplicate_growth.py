"""The near-duplicate stage against a lakehouse, batch by batch as `clean_documents` does it: how time and memory grow.

    python -m benchmarks.near_duplicate_growth [--documents 100000] [--json]

Each batch of 20,000 made-up texts is sketched, compared with everything kept before, written and approved as an increment of its own; one
in ten repeats an earlier text of its batch, one in fifty a text of an earlier batch. Prints CPU seconds of all threads (of
the whole, and of each part), the peak of resident memory above what the process had when it began, and how many were refused.
`benchmarks.near_duplicates` starts it in processes of their own.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from assets.cleaning.assets import find_candidates
from assets.cleaning.duplicates import Deduplicated, deduplicate
from assets.cleaning.shingles import sketch
from assets.schemas import TABLES
from benchmarks.near_duplicates import NOW, THRESHOLD, as_documents, make_texts
from resources.increments import BATCH_ROWS, Step, increment
from resources.lakehouse import Lakehouse

REPEATED_LATER = 50
"""One in so many texts repeats one of an earlier batch."""
T = TypeVar("T")


class Watch:
    """CPU seconds by part."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, part: str, action: Callable[[], T]) -> T:
        """What an action gives; its time is added to a part."""
        begin = time.process_time()
        result = action()
        self.seconds[part] += time.process_time() - begin
        return result


def make_batches(documents: int) -> Iterator[list[str]]:
    """Texts in batches; made in small pieces, so that making them is not what takes the memory."""
    random, earlier = np.random.default_rng(3), list[str]()
    for first in range(0, documents, BATCH_ROWS):
        size = min(BATCH_ROWS, documents - first)
        pieces = [make_texts(min(1000, size - start), seed=first + start)[0] for start in range(0, size, 1000)]
        texts = [text for piece in pieces for text in piece]
        for place in range(0, size if earlier else 0, REPEATED_LATER):
            texts[place] = earlier[random.integers(len(earlier))] + " again"
        earlier = (earlier + texts[1 :: size // 1000 or 1])[-5000:]
        yield texts


def work_off(step: Step, watch: Watch, texts: list[str], first: int) -> Deduplicated:
    """One batch, as `clean_batch` treats what its rules kept."""
    documents = as_documents(texts, first)
    sketches = watch.timed("sketch", lambda: sketch(documents))
    candidates = watch.timed("candidates", lambda: find_candidates(step, documents, sketches))
    found = watch.timed("decide", lambda: deduplicate(documents, sketches, candidates, threshold=THRESHOLD, now=NOW))
    for table, rows in (("clean_documents", found.kept), ("duplicate_index", found.index), ("rejected_documents", found.rejected)):
        watch.timed("write", lambda table=table, rows=rows: step.write(table, rows))
    step.count(rows_in=len(documents), rows_out=len(found.kept), reasons=found.rejected["reason"])
    return found


def run(documents: int, folder: Path) -> dict[str, float]:
    """The figures of so many documents."""
    lakehouse, watch, refused, first = Lakehouse(folder, list(TABLES.values())), Watch(), 0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for texts in make_batches(documents):
        begin = time.process_time()
        with increment(lakehouse, "clean_documents", run_id="benchmark", code_version="1") as step:
            refused += len(work_off(step, watch, texts, first).rejected)
        for staged in lakehouse.staged("clean_documents"):
            lakehouse.decide(staged, approved=True)
        watch.seconds["all"] += time.process_time() - begin
        first += len(texts)
    lakehouse.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"documents": documents, "refused": refused, "peak_mb": peak / 1024, **watch.seconds}


def main() -> None:
    """Print the figures, or with `--json` one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments.documents, Path(folder) / "lake")
    print(json.dumps(found) if arguments.json else "\n".join(f"{name:12} {value:12,.1f}" for name, value in found.items()))


if __name__ == "__main__":
    main()

"""What ledger, encryption, audit and proof cost: appending, reading one increment, restoring.

`python -m benchmarks.storage [--documents N] [--table-rows N] [--repeats N] [--json]`. In turn with its peer, in a fresh folder each time:
documents (half English, half Chinese, seeded) appended through an increment and its audit, beside DuckDB's `COPY` of the same frames to
Parquet; one increment of 10,000 rows out of a large table, read as a frame, beside a scan of the whole table; a backup restored, with every
file opened by its seal, beside a copy of the same files. Targets: at most 2.5 ×, at least 20 ×, at most 3 ×.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from assets.quality.audit import audit
from assets.quality.suites import suite
from assets.schemas import Column, Table
from benchmarks.table import Row, print_rows
from resources.backups import Backups
from resources.encrypted_object_store import EncryptedObjectStore
from resources.increments import increment
from resources.key_ring import KeyRing
from resources.lake_connection import to_arrow
from resources.lake_place import EmbeddedPlace
from resources.lake_tables import published_rows_sql
from resources.lakehouse import Lakehouse
from resources.master_key import MasterKeys
from resources.object_store import LocalObjectStore

FRAME_ROWS, INCREMENT_ROWS, SEED = 100_000, 10_000, 7
WORDS = "service parcel screen battery wonderful terrible hotel room 服务 快递 屏幕 电池 很好 失望 酒店 房间".split()
DOCUMENTS = Table(
    "documents",
    "documents",
    "One row per made-up document.",
    (Column("document_id", "VARCHAR", "Identifies a document."), Column("text", "VARCHAR", "Its text.")),
    ("document_id",),
)


def make_frames(rows: int, frame_rows: int) -> list[pd.DataFrame]:
    """Frames of made-up documents of 5 to 40 words."""
    random = np.random.default_rng(SEED)
    frames = []
    for start in range(0, rows, frame_rows):
        lengths = random.integers(5, 41, min(frame_rows, rows - start))
        words = np.array(WORDS)[random.integers(0, len(WORDS), lengths.sum())]
        texts = [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])]
        frames.append(pd.DataFrame({"document_id": [f"{number:09d}" for number in range(start, start + len(texts))], "text": texts}))
    return frames


def seconds(action: Callable[[], object]) -> float:
    """Wall time of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def append(lakehouse: Lakehouse, frames: list[pd.DataFrame], *, audited: bool = True) -> None:
    """Write frames as one increment and have it approved, by its suite or unseen."""
    with increment(lakehouse, "documents", run_id="benchmark", code_version="1") as step:
        for frame in frames:
            step.write("documents", frame)
            step.count(rows_in=len(frame), rows_out=len(frame))
    if audited:
        (verdict,) = audit(lakehouse, "documents", [suite(DOCUMENTS)], "benchmark")
        assert verdict.is_approved
        return
    for staged in lakehouse.staged("documents"):
        lakehouse.decide(staged, approved=True)


def copy_plain(frames: list[pd.DataFrame], folder: Path) -> None:
    """The peer of an append: the same frames, spooled and copied to one plain Parquet file."""
    with duckdb.connect() as connection:
        for number, frame in enumerate(frames):
            connection.register("frame", to_arrow(frame))
            connection.execute(f"{'INSERT INTO documents' if number else 'CREATE TABLE documents AS'} SELECT * FROM frame")
        connection.execute(f"COPY documents TO '{folder / 'plain.parquet'}' (FORMAT parquet)")


def measure_append(frames: list[pd.DataFrame], folder: Path, repeats: int) -> Row:
    """Appending through an increment, beside COPY; the first round, which imports libraries, is not counted."""
    pairs = []
    for repeat in range(repeats + 1):
        lakehouse = Lakehouse(folder / f"append-{repeat}", [DOCUMENTS])
        ours, peer = seconds(lambda lakehouse=lakehouse: append(lakehouse, frames)), seconds(lambda: copy_plain(frames, folder))
        lakehouse.close()
        shutil.rmtree(lakehouse.folder)
        pairs += [(ours, peer)] if repeat else []
    rows = sum(len(frame) for frame in frames)
    return Row.of_pairs(f"append {rows:,} documents", pairs, "s", "COPY to Parquet", [ours / peer for ours, peer in pairs], "ratio <= 2.5")


def measure_reading(rows: int, folder: Path, repeats: int) -> Row:
    """One increment of a large table, beside a scan of all of it."""
    lakehouse = Lakehouse(folder / "large", [DOCUMENTS])
    for frame in make_frames(rows, INCREMENT_ROWS):
        append(lakehouse, [frame], audited=False)
    ids = [found.increment_id for found in lakehouse.increments("documents")]
    pairs = []
    for repeat in range(repeats + 1):
        one = {"ids": [ids[repeat * len(ids) // (repeats + 2)]]}
        ours = seconds(lambda one=one: lakehouse.read(published_rows_sql(DOCUMENTS), one))
        peer = seconds(lambda: lakehouse.read("SELECT max(document_id), sum(length(text)) FROM documents"))
        pairs += [(ours, peer)] if repeat else []
    lakehouse.close()
    name = f"read {INCREMENT_ROWS:,} of {rows:,} rows"
    return Row.of_pairs(name, pairs, "s", "full scan (times faster)", [peer / ours for ours, peer in pairs], "ratio >= 20")


def measure_restoring(frames: list[pd.DataFrame], folder: Path, repeats: int) -> Row:
    """A backup restored, beside a copy of the files of the lakehouse."""
    lakehouse = Lakehouse(folder / "kept", [DOCUMENTS])
    append(lakehouse, frames, audited=False)
    (folder / "elsewhere").mkdir()
    stores = [LocalObjectStore(folder / name) for name in ("elsewhere", "objects")]
    inner, objects = stores
    backups = Backups(EncryptedObjectStore(inner, KeyRing(inner, MasterKeys(folder / "master.key")), [""]), folder / "work")
    made = backups.make(lakehouse, objects).manifest
    lakehouse.close()
    pairs = []
    for repeat in range(repeats + 1):
        back, copy = folder / f"back-{repeat}", folder / f"copy-{repeat}"
        ours = seconds(lambda back=back: backups.restore(made, EmbeddedPlace(back), objects))
        peer = seconds(lambda copy=copy: shutil.copytree(lakehouse.folder, copy))
        shutil.rmtree(back)
        shutil.rmtree(copy)
        pairs += [(ours, peer)] if repeat else []
    rows = sum(len(frame) for frame in frames)
    return Row.of_pairs(f"restore {rows:,} documents", pairs, "s", "copy of the bytes", [ours / peer for ours, peer in pairs], "ratio <= 3")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--table-rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    frames = make_frames(given.documents, FRAME_ROWS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measures = (
            lambda: measure_append(frames, folder, given.repeats),
            lambda: measure_reading(given.table_rows, folder, given.repeats),
            lambda: measure_restoring(frames, folder, given.repeats),
        )
        print_rows((measure() for measure in measures), as_json=given.json)


if __name__ == "__main__":
    main()

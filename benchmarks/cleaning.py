"""Measures the cleaning stage on real text: texts per second of every step, and how many near duplicates it finds.

    python -m benchmarks.cleaning --path FILE_OR_FOLDER [--path ...] [--peer-texts 2000] [--json]
    python -m benchmarks.cleaning --path FILE_OR_FOLDER [--path ...] --rules

A file holds one text a line; of tab-separated fields the last one is the text, so the `*_GroundTruth.txt` files of the demo corpus work
as they are (a folder stands for those of its files). Times are CPU seconds of one thread, best of `--repeat`, so the models are loaded
and the caches of stems and word hashes are warm. A peer is measured on the same texts where it is installed: `ftfy` on every text
instead of suspicious ones, `jieba`, and `datasketch` with our own shingles; the whole stage beside stock libraries one after the other, on
some `--peer-texts` of them, drawn evenly (`benchmarks.stock_cleaning`). `--rules` prints instead how many texts each rule refuses and
one of them.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from assets.cleaning.documents import clean
from assets.cleaning.duplicates import CANDIDATE_COLUMNS, deduplicate
from assets.cleaning.language import identify_language
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.repair import repair_text
from assets.cleaning.samples import first_of_each, refused_samples
from assets.cleaning.shingles import jaccard, shingle_set, sketch
from assets.cleaning.tokens import tokenize
from assets.cleaning_settings import Cleaning
from assets.markdown import markdown_table
from assets.schemas import RAW_DOCUMENTS
from benchmarks.stock_cleaning import missing_packages, stock_steps

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Cleaning()
LANGUAGES = ("en", "zh")
PSEUDONYMIZER = Pseudonymizer(SETTINGS.pii.kinds, SETTINGS.pii.phone_regions, b"benchmark")
TARGET_STOCK = 5.0  # times the rate of stock libraries
TARGET_STAGE = 2_370.0  # 23.7 thousand texts in 10 seconds


@dataclass(frozen=True)
class Row:
    """One line of the table: ours, a peer's value in the same unit, ours over the peer's, and what ours is to reach."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    ratio: float | None = None
    target: float | None = None


def read_texts(paths: list[Path]) -> list[str]:
    """The texts of all files, in order; a folder stands for its `*_GroundTruth.txt` files."""
    files = [file for path in paths for file in (sorted(path.glob("*_GroundTruth.txt")) if path.is_dir() else [path])]
    texts = [line.rsplit("\t", 1)[-1] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    if not texts:
        raise SystemExit(
            f"expected texts in {[str(path) for path in paths]}, found none: name a text file, or a folder with *_GroundTruth.txt"
        )
    return texts


def raw_documents(texts: list[str]) -> pd.DataFrame:
    """One raw document per text."""
    ids = [f"{number:08}" for number in range(len(texts))]
    columns = {"document_id": ids, "source": "benchmark", "external_id": ids, "parent_id": ids, "revision": 1, "text": texts}
    frame = pd.DataFrame(columns).assign(raw_sha256="", locator="", collected_at=NOW)
    return frame.reindex(columns=RAW_DOCUMENTS.column_names())


def measure(texts: list[str], repeat: int, peer_texts: int) -> Iterator[Row]:
    """Every step on the same texts, then the steps of the stage together."""
    raw = raw_documents(texts)
    kept = clean(raw, settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW).kept
    sketches = sketch(kept)
    nothing = pd.DataFrame({name: pd.Series(dtype=object) for name in CANDIDATE_COLUMNS})
    steps: dict[str, tuple[Callable[[], object], Callable[[], object] | None, str | None]] = {
        "repair": (lambda: [repair_text(text) for text in texts], ftfy_on_every_text(texts), "ftfy on every text"),
        "language": (lambda: [identify_language(text, min_confidence=0.4) for text in texts], None, None),
        "personal data": (lambda: PSEUDONYMIZER.replace_all(texts), None, None),
        "clean": (lambda: clean(raw, settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW), None, None),
        "sketch": (lambda: sketch(kept), datasketch_signatures(texts), "datasketch, our shingles"),
        "deduplicate": (lambda: deduplicate(kept, sketches, nothing, threshold=0.8, now=NOW), None, None),
        "tokenize": (lambda: tokenize(kept), jieba_words(kept["text"].tolist()), "jieba, cutting only"),
        "cut Chinese": (lambda: list(map(rjieba_words, kept["text"])), jieba_words(kept["text"].tolist()), "jieba, the same words"),
    }
    seconds = {}
    for name, (ours, peer, peer_name) in steps.items():
        seconds[name] = best_seconds(ours, repeat)
        ratio = best_seconds(peer, 1) / seconds[name] if peer else None
        yield Row(name, len(texts) / seconds[name], "texts/s", peer_name if peer else None, ratio)
    stage = sum(seconds[name] for name in ("clean", "sketch", "deduplicate", "tokenize"))
    yield Row("whole stage", len(texts) / stage, "texts/s", target=TARGET_STAGE)
    yield from measure_stock(texts[:: max(len(texts) // peer_texts, 1)], repeat)
    yield Row("near-duplicate pairs sharing a band", band_recall(kept, sketches), "share", "all pairs", target=0.98)


def clean_stage(texts: list[str]) -> None:
    """The whole stage: text in, rows out."""
    kept = clean(raw_documents(texts), settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW).kept
    nothing = pd.DataFrame({name: pd.Series(dtype=object) for name in CANDIDATE_COLUMNS})
    tokenize(deduplicate(kept, sketch(kept), nothing, threshold=0.8, now=NOW).kept)


def measure_stock(texts: list[str], repeat: int) -> Iterator[Row]:
    """The stage beside stock libraries, and how much each of them takes of their time; a row that says so where some are not installed."""
    missing = missing_packages()
    if missing:
        yield Row(f"stock libraries: not measured, install {' '.join(missing)}", float("nan"), "texts/s")
        return
    seconds = {}
    for name, step in stock_steps().items():
        step(texts[:50])
        seconds[name] = best_seconds(lambda step=step: step(texts), 1)  # type: ignore[misc]
    ours, whole = best_seconds(lambda: clean_stage(texts), repeat), sum(seconds.values())
    name = f"whole stage, {len(texts):,} of the texts"
    yield Row(name, len(texts) / ours, "texts/s", "stock libraries in a row", whole / ours, TARGET_STOCK)
    for name, each in seconds.items():
        yield Row(f"stock: {name}", len(texts) / each, "texts/s")


def print_rules(texts: list[str]) -> None:
    """Print a Markdown table of what each rule did: documents, their share, and the beginning of one."""
    cleaned = clean(raw_documents(texts), settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW)
    nothing = pd.DataFrame({name: pd.Series(dtype=object) for name in CANDIDATE_COLUMNS})
    duplicates = deduplicate(cleaned.kept, sketch(cleaned.kept), nothing, threshold=SETTINGS.near_duplicate_similarity, now=NOW).rejected
    samples = first_of_each([cleaned.samples, refused_samples(cleaned.kept, duplicates, 1)], 1).set_index("rule")
    counts = Counter([*cleaned.rejected["reason"], *duplicates["reason"]])
    changes = {"repaired": int(cleaned.kept["is_repaired"].sum()), "personal_data": int(cleaned.kept["replacements"].notna().sum())}
    found = {rule: count for rule, count in [*changes.items(), *counts.most_common()] if count}
    rows = [(rule, count, f"{count / len(texts):.3%}", example(samples.loc[rule])) for rule, count in found.items()]
    print(markdown_table(("rule", "texts", "share", "the first one"), rows))


def example(sample: pd.Series) -> str:
    """The beginning of a sample: before, and after where it was kept."""
    shown = [str(text).replace("\n", " ")[:60] for text in (sample["before"], sample["after"]) if isinstance(text, str)]
    return " → ".join(shown)


def best_seconds(step: Callable[[], object], repeat: int) -> float:
    """CPU seconds of the fastest of several runs."""
    times = []
    for _ in range(repeat):
        begin = time.process_time()
        step()
        times.append(time.process_time() - begin)
    return min(times)


def band_recall(kept: pd.DataFrame, sketches: pd.DataFrame) -> float:
    """Share of the pairs of different texts with a Jaccard similarity of 0.8 or more that share a band.

    Pairs meet at the shingles that fewer than 100 documents have, so those that share only commoner ones are not counted.
    """
    texts = kept.drop_duplicates("text")
    sets = dict(zip(texts["document_id"], map(shingle_set, texts["text"]), strict=True))
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for document_id, shingles in sets.items():
        for shingle in shingles.tolist():
            holders[shingle].append(document_id)
    meetings = Counter(
        (left, right) for ids in holders.values() if len(ids) < 100 for number, left in enumerate(ids) for right in ids[number + 1 :]
    )
    pairs = [pair for pair in meetings if jaccard(sets[pair[0]], sets[pair[1]]) >= SETTINGS.near_duplicate_similarity]
    bands = {name: set(each.tolist()) for name, each in zip(sketches["document_id"], sketches["bands"], strict=True)}
    return sum(bool(bands[left] & bands[right]) for left, right in pairs) / len(pairs) if pairs else float("nan")


def ftfy_on_every_text(texts: list[str]) -> Callable[[], object]:
    """What repair would cost without its test for suspicious text."""
    fix_text = import_module("ftfy").fix_text
    return lambda: [fix_text(text) for text in texts]


def datasketch_signatures(texts: list[str]) -> Callable[[], object] | None:
    """128-permutation signatures of the same shingles, where datasketch is installed."""
    if not find_spec("datasketch"):
        return None
    bulk = import_module("datasketch").MinHash.bulk
    return lambda: bulk([[shingle.tobytes() for shingle in shingle_set(text)] for text in texts], num_perm=128)


def jieba_words(texts: list[str]) -> Callable[[], object] | None:
    """The same segmentation mode in jieba, where it is installed."""
    if not find_spec("jieba"):
        return None
    cut = import_module("jieba").lcut_for_search
    cut("预热")
    return lambda: [cut(text) for text in texts]


def rjieba_words(text: str) -> list[str]:
    """The segmentation that tokens are made of, alone."""
    words: list[str] = import_module("rjieba").cut_for_search(text)
    return words


def main() -> None:
    """Prints the table, or with `--json` one object a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--path", type=Path, action="append", required=True, help="a text file, or a folder with *_GroundTruth.txt; repeatable"
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each step; the fastest counts")
    parser.add_argument("--peer-texts", type=int, default=2000, help="texts for the stock libraries, which are slow")
    parser.add_argument("--rules", action="store_true", help="what each rule did, in place of times")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()
    texts = read_texts(arguments.path)
    if arguments.rules:
        print_rules(texts)
        return
    if not arguments.json:
        print(f"{len(texts)} texts, {sum(map(len, texts)):,} characters, one thread\n")
        print(f"{'step':<38}{'ours':>12} {'unit':<9}{'target':>8}  {'times faster than':<18}")
    for row in measure(texts, arguments.repeat, arguments.peer_texts):
        print(json.dumps(asdict(row)) if arguments.json else as_line(row), flush=True)


def as_line(row: Row) -> str:
    """One line of the printed table."""
    value = f"{row.value:,.3f}" if row.unit == "share" else f"{row.value:,.0f}"
    target = "" if row.target is None else f"{row.target:g}"
    peer = "" if row.ratio is None else f"{row.ratio:.1f}x {row.peer}"
    return f"{row.name:<38}{value:>12} {row.unit:<9}{target:>8}  {peer}"


if __name__ == "__main__":
    main()

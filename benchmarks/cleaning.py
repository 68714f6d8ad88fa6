"""Measures the cleaning stage on real text: texts per second of every step, and how many near duplicates it finds.

    python -m benchmarks.cleaning --path FILE_OR_FOLDER [--path ...] [--repeat N] [--peer-texts N] [--json]
    python -m benchmarks.cleaning --path FILE_OR_FOLDER [--path ...] --rules

A file holds one text a line; of tab-separated fields the last one is the text, so the `*_GroundTruth.txt` files of the demo corpus work
as they are (a folder stands for those of its files). Times are CPU seconds of one thread, the median of `--repeat` runs after one that
loads models and warms caches. Peers run in turn with ours on `--peer-texts` of the texts, drawn evenly: `ftfy` on every text instead of
suspicious ones, `jieba`, and `datasketch` with our own shingles, each where it is installed; and the whole stage beside stock libraries
one after the other (`benchmarks.stock_cleaning`). `--rules` prints instead how many texts each rule refuses and one of them.
"""

import argparse
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
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
from benchmarks.table import Row, print_rows

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Cleaning()
LANGUAGES = ("en", "zh")
PSEUDONYMIZER = Pseudonymizer(SETTINGS.pii.kinds, SETTINGS.pii.phone_regions, b"benchmark")
TARGETS = {"whole stage": "2370 texts/s", "cut Chinese": "ratio >= 10", "stock": "ratio >= 5"}  # the first: 23.7 thousand in 10 s
NOTHING_BEFORE = pd.DataFrame({name: pd.Series(dtype=object) for name in CANDIDATE_COLUMNS})
Step = Callable[[], object]


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
    """Every step on all texts, the stage, and both beside their peers on some of the texts."""
    kept, steps = prepare(texts)
    seconds = {name: statistics.median(cpu_seconds(step) for _ in range(repeat)) for name, step in steps.items()}
    seconds["whole stage"] = sum(seconds[name] for name in ("clean", "sketch", "deduplicate", "tokenize"))
    for name, each in seconds.items():
        yield Row(name, len(texts) / each, "texts/s", target=TARGETS[name] if name == "whole stage" else "")
    few = texts[:: max(len(texts) // peer_texts, 1)]
    yield from measure_peers(few, repeat)
    yield from measure_stock(few, repeat)
    yield Row("near-duplicate pairs sharing a band", band_recall(kept, sketch(kept)), "share", "all pairs", target=">= 0.98")


def prepare(texts: list[str]) -> tuple[pd.DataFrame, dict[str, Step]]:
    """What cleaning keeps of some texts, and the steps of the stage on them; what loads and caches is warm."""
    raw = raw_documents(texts)
    kept = clean(raw, settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW).kept
    sketches = sketch(kept)
    tokenize(kept)
    return kept, {
        "repair": lambda: [repair_text(text) for text in texts],
        "language": lambda: [identify_language(text, min_confidence=0.4) for text in texts],
        "personal data": lambda: PSEUDONYMIZER.replace_all(texts),
        "clean": lambda: clean(raw, settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW),
        "sketch": lambda: sketch(kept),
        "deduplicate": lambda: deduplicate(kept, sketches, NOTHING_BEFORE, threshold=0.8, now=NOW),
        "tokenize": lambda: tokenize(kept),
        "cut Chinese": lambda: list(map(rjieba_words, kept["text"])),
    }


def measure_peers(texts: list[str], repeat: int) -> Iterator[Row]:
    """Steps in turn with the usual library for each, where it is installed."""
    kept, steps = prepare(texts)
    words = kept["text"].tolist()
    peers = {
        "repair": ("ftfy on every text", ftfy_on_every_text(texts)),
        "sketch": ("datasketch, our shingles", datasketch_signatures(texts)),
        "tokenize": ("jieba, cutting only", jieba_words(words)),
        "cut Chinese": ("jieba, the same words", jieba_words(words)),
    }
    for name, (library, peer) in peers.items():
        if peer is not None:
            pairs = [(cpu_seconds(steps[name]), cpu_seconds(peer)) for _ in range(repeat)]
            yield rates(f"{name}, {len(texts):,} of the texts", pairs, len(texts), library, TARGETS.get(name, ""))


def clean_stage(texts: list[str]) -> None:
    """The whole stage: text in, rows out."""
    kept = clean(raw_documents(texts), settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW).kept
    tokenize(deduplicate(kept, sketch(kept), NOTHING_BEFORE, threshold=0.8, now=NOW).kept)


def measure_stock(texts: list[str], repeat: int) -> Iterator[Row]:
    """The stage in turn with stock libraries, and what each of them takes; a row that says so where some are not there."""
    missing = missing_packages()
    if missing:
        yield Row(f"stock libraries: not measured, install {' '.join(missing)}", float("nan"), "texts/s")
        return
    steps, pairs = stock_steps(), []
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(texts[:50])
    for _ in range(repeat):
        ours = cpu_seconds(lambda: clean_stage(texts))
        for name, step in steps.items():
            taken[name].append(cpu_seconds(lambda step=step: step(texts)))  # type: ignore[misc]
        pairs.append((ours, sum(times[-1] for times in taken.values())))
    yield rates(f"whole stage, {len(texts):,} of the texts", pairs, len(texts), "stock libraries in a row", TARGETS["stock"])
    for name, times in taken.items():
        yield Row(f"stock: {name}", len(texts) / statistics.median(times), "texts/s")


def rates(name: str, pairs: list[tuple[float, float]], texts: int, peer: str, target: str) -> Row:
    """A row of texts a second, for seconds taken in turn with a peer's; the ratio is how many times faster ours is."""
    rated = [(texts / ours, texts / theirs) for ours, theirs in pairs]
    return Row.of_pairs(name, rated, "texts/s", peer, [ours / theirs for ours, theirs in rated], target)


def print_rules(texts: list[str]) -> None:
    """Print a Markdown table of what each rule did: documents, their share, and the beginning of one."""
    cleaned = clean(raw_documents(texts), settings=SETTINGS, languages=LANGUAGES, pseudonymizer=PSEUDONYMIZER, now=NOW)
    duplicates = deduplicate(
        cleaned.kept, sketch(cleaned.kept), NOTHING_BEFORE, threshold=SETTINGS.near_duplicate_similarity, now=NOW
    ).rejected
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


def cpu_seconds(step: Step) -> float:
    """CPU seconds of one run."""
    begin = time.process_time()
    step()
    return time.process_time() - begin


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


def ftfy_on_every_text(texts: list[str]) -> Step:
    """What repair would cost without its test for suspicious text."""
    fix_text = import_module("ftfy").fix_text
    return lambda: [fix_text(text) for text in texts]


def datasketch_signatures(texts: list[str]) -> Step | None:
    """128-permutation signatures of the same shingles, where datasketch is installed."""
    if not find_spec("datasketch"):
        return None
    bulk = import_module("datasketch").MinHash.bulk
    return lambda: bulk([[shingle.tobytes() for shingle in shingle_set(text)] for text in texts], num_perm=128)


def jieba_words(texts: list[str]) -> Step | None:
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
    parser.add_argument("--repeat", type=int, default=3, help="runs of each step; the median counts")
    parser.add_argument("--peer-texts", type=int, default=2000, help="texts for the stock libraries, which are slow")
    parser.add_argument("--rules", action="store_true", help="what each rule did, in place of times")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()
    texts = read_texts(arguments.path)
    if arguments.rules:
        print_rules(texts)
        return
    print_rows(measure(texts, arguments.repeat, arguments.peer_texts), as_json=arguments.json)


if __name__ == "__main__":
    main()

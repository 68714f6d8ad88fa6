"""The near-duplicate stage, raw text in, clusters out, beside datasketch: speed, recall and precision, growth, and a boilerplate cluster.

    python -m benchmarks.near_duplicates [--documents 100000] [--peer-documents 20000] [--repeat 3] [--growth-from 30000] [--json]

Texts of about 800 bytes are drawn from a vocabulary with the frequencies of real text (Zipf); one in ten repeats an earlier one with a few
words exchanged, so that the true Jaccard similarity of each planted pair is known from its shingles. Ours sketches, finds candidates,
verifies them and decides; the peer (datasketch's `MinHash` with 128 permutations and `MinHashLSH` at 0.8) sketches the same shingles as
strings and looks them up. Both run on one thread, in turn; the peer on fewer documents, since it is its documents a second that count.
`datasketch` has to be installed for its rows: `pip install datasketch`. Growth is measured with a lakehouse, batch by batch
(`benchmarks.near_duplicate_growth`).
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.cleaning.duplicates import CANDIDATE_COLUMNS, Deduplicated, deduplicate
from assets.cleaning.frames import as_table
from assets.cleaning.minhash import minhash_bands
from assets.cleaning.related import related_documents
from assets.cleaning.shingles import fold_text, jaccard, shingle_hashes, shingle_set, sketch
from assets.cleaning.word_hashes import hash_words
from assets.schemas import CLEAN_DOCUMENTS
from benchmarks.table import Row, print_rows
from resources.increments import BATCH_ROWS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THRESHOLD = 0.8
WORDS_PER_TEXT = 130
VOCABULARY = 50_000
DUPLICATE_SHARE = 0.1
BOILERPLATE = 20_000
PIECE = 430
"""Texts that go through the arrays together, about."""
SEED = 7


@cache
def make_vocabulary() -> npt.NDArray[np.str_]:
    """Words of 3 to 9 letters."""
    random, letters = np.random.default_rng(SEED), np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return np.array(["".join(random.choice(letters, size)) for size in random.integers(3, 10, VOCABULARY)])


def make_texts(count: int, seed: int = SEED) -> tuple[list[str], list[tuple[int, int]]]:
    """Texts, and pairs (later, earlier) of which the later one repeats the earlier one with 0 to 12 words exchanged."""
    random, vocabulary = np.random.default_rng(seed), make_vocabulary()
    weights = 1 / np.arange(10, VOCABULARY + 10)
    drawn = random.choice(VOCABULARY, (count, WORDS_PER_TEXT), p=weights / weights.sum())
    pairs = []
    is_copy = random.random(count) < DUPLICATE_SHARE
    originals = np.flatnonzero(~is_copy)
    for later in np.flatnonzero(is_copy):
        before = int(np.searchsorted(originals, later))
        if before == 0:
            continue
        earlier = int(originals[random.integers(before)])
        drawn[later] = drawn[earlier]
        places = random.choice(WORDS_PER_TEXT, random.integers(0, 13), replace=False)
        drawn[later, places] = random.integers(0, VOCABULARY, len(places))
        pairs.append((int(later), earlier))
    return [" ".join(row) for row in vocabulary[drawn]], pairs


def id_of(number: int) -> str:
    """The id of a made-up document."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def as_documents(texts: list[str], first: int = 0) -> pd.DataFrame:
    """One clean document per text, in the order of collection, numbered from `first` on; their ids are hashes, as real ones are."""
    ids = [id_of(number) for number in range(first, first + len(texts))]
    frame = pd.DataFrame({"document_id": ids, "external_id": ids, "parent_id": ids, "text": texts, "text_chars": list(map(len, texts))})
    facts = {"revision": 1, "text_words": WORDS_PER_TEXT, "language_confidence": 1.0, "symbol_ratio": 0.0, "ai_training_allowed": True}
    times = pd.Timestamp(NOW) + pd.to_timedelta(np.arange(first, first + len(texts)), unit="us")
    words = {"source": "made up", "title": "", "language": "en", "published_at": NOW, "collected_at": times}
    no = dict.fromkeys(("has_title", "has_published_at", "is_repaired", "is_code_switched"), False)
    missing = dict.fromkeys(("replacements", "authors", "licence", "robots_allowed", "ai_training_signal"))
    columns = [name for name in CLEAN_DOCUMENTS.column_names() if name != "cluster_id"]
    return as_table(frame.assign(**facts, **words, **no, **missing), CLEAN_DOCUMENTS, columns)


def run_ours(documents: pd.DataFrame) -> Deduplicated:
    """The stage as `clean_documents` runs it, in one batch."""
    return deduplicate(documents, sketch(documents), no_candidates(), threshold=THRESHOLD, now=NOW)


def run_datasketch(texts: list[str]) -> int:
    """Sketches and look-ups of the peer; how many texts found a near duplicate."""
    library = import_module("datasketch")
    index, found = library.MinHashLSH(threshold=THRESHOLD, num_perm=128), 0
    words = (text.split() for text in texts)
    shingles = ([" ".join(each[place : place + 3]).encode() for place in range(len(each) - 2)] for each in words)
    for number, signature in enumerate(library.MinHash.generator(shingles, num_perm=128)):
        found += bool(index.query(signature))
        index.insert(number, signature)
    return found


def seconds_of(step: object, *arguments: object) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    step(*arguments)  # type: ignore[operator]
    return time.process_time() - begin


def measure_quality(texts: list[str], pairs: list[tuple[int, int]]) -> Iterator[Row]:
    """Recall over the planted pairs of similarity 0.8 or more, and the share of what was refused that is as similar as that."""
    documents = as_documents(texts)
    refused = run_ours(documents).rejected
    sets = {number: shingle_set(texts[number]) for pair in pairs for number in pair}
    alike = [later for later, earlier in pairs if jaccard(sets[later], sets[earlier]) >= THRESHOLD]
    numbers = {id_of(number): number for number in range(len(texts))}
    caught = set(refused["document_id"].map(numbers))
    yield Row("recall of planted near duplicates", sum(later in caught for later in alike) / len(alike), "share", target=">= 0.99")
    kept = zip(refused["document_id"].map(numbers), refused["duplicate_of"].map(numbers), strict=True)
    true = [jaccard(shingle_set(texts[later]), shingle_set(texts[earlier])) >= THRESHOLD for later, earlier in kept]
    yield Row("precision of what was refused", float(np.mean(true)), "share", target=">= 0.98")


def measure_speed(texts: list[str], peer_texts: int, repeat: int) -> Iterator[Row]:
    """Documents and bytes a second, beside the peer."""
    documents, size = as_documents(texts), sum(map(len, texts))
    has_peer = find_spec("datasketch") is not None
    ours, peer = [], []
    run_ours(documents.head(1000))
    if has_peer:
        run_datasketch(texts[:200])
    for _ in range(repeat):
        ours.append(len(texts) / seconds_of(run_ours, documents))
        if has_peer:
            peer.append(peer_texts / seconds_of(run_datasketch, texts[:peer_texts]))
    pairs = list(zip(ours, peer or ours, strict=True))
    ratios = [own / other for own, other in pairs]
    name = "documents of 800 bytes"
    if has_peer:
        yield Row.of_pairs(name, pairs, "docs/s", "datasketch sketch + LSH", ratios, ">= 15")
    else:
        yield Row(name, float(np.median(ours)), "docs/s", "(datasketch is not installed)")
    yield Row("text", float(np.median(ours)) * size / len(texts) / 1e6, "MB/s", target=">= 80")


def measure_flood(texts: list[str], repeat: int) -> Iterator[Row]:
    """A cluster of equal texts, beside as many documents without it."""
    equal = min(BOILERPLATE, len(texts) // 5)
    flooded, plain = as_documents([*texts[: len(texts) - equal], *[texts[0]] * equal]), as_documents(texts)
    pairs = [(seconds_of(run_ours, flooded), seconds_of(run_ours, plain)) for _ in range(repeat)]
    ratios = [ours / other for ours, other in pairs]
    yield Row.of_pairs(f"a cluster of {equal} equal texts within as many documents", pairs, "s", "itself without", ratios, "<= 1.5")


def measure_growth(documents: int) -> Iterator[Row]:
    """Ten times the documents through a lakehouse, beside the stage itself; each in a process of its own, for its peak of memory."""
    small, large = figures_of_growth(documents), figures_of_growth(10 * documents)
    name = f"{10 * documents:,} documents beside {documents:,}, with the lakehouse"
    yield Row(f"{name}: CPU", large["all"], "s", "itself", large["all"] / small["all"], target="<= 11")
    yield Row(f"{name}: memory", large["peak_mb"], "MB", "itself", large["peak_mb"] / small["peak_mb"], target="<= 3")
    for part in ("sketch", "candidates", "decide", "write"):
        yield Row(f"of it: {part}", large[part], "s", "itself", large[part] / small[part])


def figures_of_growth(documents: int) -> dict[str, float]:
    """What `benchmarks.near_duplicate_growth` prints."""
    command = [sys.executable, "-m", "benchmarks.near_duplicate_growth", "--json", "--documents", str(documents)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def measure_parts(texts: list[str], repeat: int) -> Iterator[Row]:
    """Where the time of one batch goes, and how far each part is from copying the text."""
    piece = texts[:PIECE]
    encoded = [fold_text(text).encode() for text in piece]
    words = hash_words(encoded)
    hashes, counts = shingle_hashes(words)
    documents = as_documents(texts)
    sketches, joined, nothing = sketch(documents), "".join(texts).encode(), no_candidates()
    by_sketch = documents.merge(sketches, on="document_id")
    parts: dict[str, tuple[int, Callable[[], object]]] = {
        "fold and encode": (PIECE, lambda: [fold_text(text).encode() for text in piece]),
        "words found and hashed": (PIECE, lambda: hash_words(encoded)),
        "shingles hashed": (PIECE, lambda: shingle_hashes(words)),
        "MinHash and bands": (PIECE, lambda: minhash_bands(hashes, counts)),
        "sketch: these, and exact hashes": (len(texts), lambda: sketch(documents)),
        "related documents found": (len(texts), lambda: list(related_documents(by_sketch, nothing))),
        "these, decisions and tables": (len(texts), lambda: deduplicate(documents, sketches, nothing, threshold=THRESHOLD, now=NOW)),
        "copy of the text in memory": (len(texts), lambda: bytearray(joined)),
    }
    for name, (count, part) in parts.items():
        best = min(seconds_of(part) for _ in range(repeat))
        rate = len(joined) / len(texts) * count / best / 1e6
        yield Row(name, best / count * 1e6, "µs/doc", f"{rate:,.0f} MB/s")


def no_candidates() -> pd.DataFrame:
    """No document of an earlier increment."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in CANDIDATE_COLUMNS})


def main() -> None:
    """Print the table, or with `--json` one object a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--peer-documents", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--growth-from", type=int, default=30_000, help="documents of the smaller of the two runs with a lakehouse; 0 for none"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()
    if 0 < arguments.growth_from < BATCH_ROWS:
        parser.error(f"--growth-from: expected 0 or at least one batch, {BATCH_ROWS}, found {arguments.growth_from}")
    texts, pairs = make_texts(arguments.documents)

    def rows() -> Iterator[Row]:
        yield from measure_speed(texts, min(arguments.peer_documents, len(texts)), arguments.repeat)
        yield from measure_quality(texts, pairs)
        yield from measure_flood(texts, arguments.repeat)
        yield from measure_parts(texts[:20_000], arguments.repeat)
        if arguments.growth_from:
            yield from measure_growth(arguments.growth_from)

    print_rows(rows(), as_json=arguments.json)


if __name__ == "__main__":
    main()

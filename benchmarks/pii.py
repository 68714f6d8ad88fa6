"""Finding personal data: megabytes a second and what is found, beside the pattern recognizers of Presidio.

    python -m benchmarks.pii --archives .textmill/archives [--json]

The labelled cases are `tests/cleaning/data/pii_cases.jsonl`: English and Chinese, invented values, much that only looks like one. A find is
right when kind and both ends are; for Presidio, which has no word for some kinds, any find that overlaps a labelled one of the kind that it
means counts. Both read the same texts in the same process, in turn. The limit is one search for digits through the same texts.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assets.cleaning.pii.finding import find_personal_data
from assets.cleaning_settings import PersonalData
from benchmarks.rated_text import PARTS
from benchmarks.table import Row, print_rows
from dagster_project.demo import open_corpus, read_rated_texts

CASES = Path(__file__).parent.parent / "tests" / "cleaning" / "data" / "pii_cases.jsonl"
REGIONS = PersonalData().phone_regions
# Presidio's recognizers for the kinds that it knows, each with the kind of ours that it means.
RECOGNIZERS = {
    "EmailRecognizer": "email",
    "PhoneRecognizer": "phone",
    "CreditCardRecognizer": "card",
    "IbanRecognizer": "iban",
    "IpRecognizer": "ip",
    "UsPassportRecognizer": "passport",
}
SAMPLE_BYTES = 300_000
TARGET = ">= 20"
_DIGIT = re.compile("[0-9]")

Span = tuple[int, int, str]
Finder = Callable[[str], list[Span]]


def find_ours(text: str) -> list[Span]:
    """What the product finds."""
    return [(found.start, found.end, found.kind) for found in find_personal_data(text, REGIONS)]


def presidio() -> Finder | None:
    """What Presidio's pattern recognizers find, where it is installed; no language model takes part."""
    if not find_spec("presidio_analyzer"):
        return None
    module = import_module("presidio_analyzer.predefined_recognizers")
    recognizers: list[tuple[Any, str]] = [(getattr(module, name)(), kind) for name, kind in RECOGNIZERS.items()]

    def find(text: str) -> list[Span]:
        return [
            (found.start, found.end, kind)
            for recognizer, kind in recognizers
            for found in recognizer.analyze(text=text, entities=recognizer.supported_entities, nlp_artifacts=None)
        ]

    return find


def measure_speed(name: str, texts: Sequence[str], peer: Finder | None, rounds: int) -> Iterator[Row]:
    """Megabytes a second on some texts beside the peer, in turn; and as a share of a search for digits."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    rates = [(size / seconds(find_ours, texts), size / seconds(peer, texts) if peer else float("nan")) for _ in range(rounds)]
    ratios = [ours / theirs for ours, theirs in rates]
    if peer:
        yield Row.of_pairs(name, rates, "MB/s", "Presidio", ratios, TARGET)
    limits = [(ours, size / seconds(_DIGIT.search, texts)) for ours, _ in rates]
    yield Row.of_pairs(f"{name}, share of a search for a digit", limits, "MB/s", "one search", [ours / limit for ours, limit in limits])


def seconds(find: Callable[[str], object], texts: Sequence[str]) -> float:
    """CPU seconds of one pass."""
    start = time.process_time()
    for text in texts:
        find(text)
    return time.process_time() - start


def measure_quality(peer: Finder | None) -> Iterator[Row]:
    """Recall per kind and language, and precision over all, on the labelled cases."""
    cases = [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]
    for kind in dict.fromkeys(kind for case in cases for _, _, kind in case["spans"]):
        ours, theirs = recall(cases, kind, find_ours), recall(cases, kind, peer) if peer else None
        count = sum(each[2] == kind for case in cases for each in case["spans"])
        peer_name = "" if theirs is None else f"Presidio {theirs:.3f}"
        yield Row(f"recall of {kind} ({count} labelled)", ours, "share", peer_name, None, None, "at least the peer's")
    for name, find in (("ours", find_ours), ("Presidio", peer)):
        if find is not None:
            yield Row(f"precision, {name}, in {len(cases)} cases", precision(cases, find), "share")


def recall(cases: Sequence[dict[str, Any]], kind: str, find: Finder) -> float:
    """Share of the labelled ones of a kind that are found; cards of Chinese banks are cards to the peer."""
    hits = total = 0
    for case in cases:
        found = find(case["text"])
        for start, end, labelled in case["spans"]:
            total += labelled == kind
            hits += labelled == kind and any(is_hit((start, end, kind), each, exact=find is find_ours) for each in found)
    return hits / total


def precision(cases: Sequence[dict[str, Any]], find: Finder) -> float:
    """Share of the finds that are labelled."""
    outcomes = Counter(
        any(is_hit((start, end, kind), each, exact=find is find_ours) for start, end, kind in case["spans"])
        for case in cases
        for each in find(case["text"])
    )
    return outcomes[True] / max(outcomes.total(), 1)


def is_hit(labelled: Span, found: Span, *, exact: bool) -> bool:
    """Whether a find is the labelled one: exactly, or, for the peer, overlapping and of a kind that it may mean."""
    if exact:
        return labelled == found
    is_kind = labelled[2] == found[2] or (labelled[2], found[2]) == ("bank_card", "card")
    return is_kind and found[0] < labelled[1] and labelled[0] < found[1]


def sample(texts: Sequence[str], size: int) -> list[str]:
    """Texts spread evenly over all, of about so many bytes."""
    step = max(int(sum(len(text.encode()) for text in texts) / size), 1)
    return list(texts[::step])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, required=True, help="folder with the source archive of the demo")
    parser.add_argument("--rounds", type=int, default=5, help="how often each measurement is taken")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()
    peer = presidio()
    rated = [text.text for part in PARTS.values() for text in read_rated_texts(open_corpus(arguments.archives), part)]
    pages = [" ".join(rated[place : place + 50]) for place in range(0, len(rated), 50)]
    dense = [json.loads(line)["text"] for line in CASES.read_text("utf-8").splitlines()]
    sets = {"rated sentences (100 bytes)": rated, "pages (5 KB)": pages, "the labelled cases (all digits and addresses)": dense}
    for texts in sets.values():  # tables and caches of both
        seconds(find_ours, sample(texts, 20_000))
        seconds(peer or find_ours, sample(texts, 20_000))
    speeds = (row for name, texts in sets.items() for row in measure_speed(name, sample(texts, SAMPLE_BYTES), peer, arguments.rounds))
    print_rows(speeds, as_json=arguments.json)
    print_rows(measure_quality(peer), as_json=arguments.json)


if __name__ == "__main__":
    main()

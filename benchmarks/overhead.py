"""What the platform costs beyond its pure functions, and what a step costs.

`python -m benchmarks.overhead [--repeats N] [--json]`. In turn: the graph from collection to search index on the demo's tweets and movie
sentences, in a fresh folder each time, and the same pure functions called bare on the same texts (parse, clean, sketch, deduplicate,
tokenize, rules, consensus). Then a run in which nothing is new: its wall time divided by its steps is what a step costs. The first run,
which imports libraries, is not counted. Targets: at most 1.25 ×, at most 0.3 s a step.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from assets.cleaning.documents import clean
from assets.cleaning.duplicates import CANDIDATE_COLUMNS, deduplicate
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.shingles import sketch
from assets.cleaning.tokens import tokenize
from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.collection.records import to_raw_annotations, to_raw_documents
from assets.labeling.agreement import measure_agreement
from assets.labeling.consensus import decide_labels
from assets.labeling.rules import apply_rules, chosen_rules
from assets.labeling.votes import to_votes
from assets.project import Project
from assets.schemas import DUPLICATE_INDEX, RAW_DOCUMENTS
from benchmarks.table import Row, print_rows
from dagster_project.definitions import build_definitions
from dagster_project.demo import prepare_demo
from dagster_project.environments import REPOSITORY, build_resources, read_environment, read_project
from dagster_project.instance import open_instance, set_up
from dagster_project.runs import run_job
from resources.search_engine import IndexedDocument
from resources.search_index import SearchIndex

TARGET_RATIO = 1.25
TARGET_STEP_SECONDS = 0.3
SOURCES = ("tweets", "movies")


def make_project(home: Path) -> Project:
    """The demo's project with two of its sources, read as files."""
    environment = read_environment({"TEXTMILL_HOME": str(home)})
    demo = read_project(environment).model_dump(mode="json")
    fields = demo["sources"][0]["fields"]
    folders = {"tweets": home / "demo" / "tweets", "movies": home / "demo" / "bucket" / "movies"}
    demo["sources"] = [{"kind": "files", "name": name, "path": str(folders[name] / "*.jsonl"), "fields": fields} for name in SOURCES]
    return Project.model_validate(demo)


def run_platform(project: Project, home: Path) -> tuple[float, float]:
    """Seconds of the run that does everything, and seconds per step of the run after it."""
    environment = read_environment({"TEXTMILL_HOME": str(home)})
    resources = build_resources(environment, project)
    set_up(environment, resources["lakehouse"])
    with open_instance(environment) as instance:
        definitions = build_definitions(environment, resources)
        start = time.perf_counter()
        outcome = run_job(definitions, project, instance, "refresh")
        full = time.perf_counter() - start
        if not outcome.succeeded:
            raise AssertionError(f"Expected the run to succeed, found {outcome.failed_steps} {outcome.failed_checks}")
        start = time.perf_counter()
        run_job(definitions, project, instance, "refresh")
        idle = time.perf_counter() - start
        steps = len(definitions.resolve_job_def("refresh").nodes)
    return full, idle / steps


def run_bare(project: Project, home: Path) -> float:
    """Seconds of the same work by the pure functions alone."""
    start = time.perf_counter()
    now = datetime.now(UTC)
    labelled, kept_before = [], pd.DataFrame(columns=list(CANDIDATE_COLUMNS))
    index = SearchIndex(home / "bare-index")
    pii = project.cleaning.pii
    pseudonymizer = Pseudonymizer(pii.kinds, pii.phone_regions, b"benchmark")
    for source in project.sources:
        files = sorted(Path(source.path).parent.glob("*.jsonl")) if source.kind == "files" else []
        objects = [RawObject(path.read_bytes(), path.name, str(path), "application/x-ndjson") for path in files]
        parsed = parse_objects(objects, fields=source.fields)
        known = pd.DataFrame(columns=RAW_DOCUMENTS.column_names())
        raw = to_raw_documents(parsed.documents, source=source.name, known=known, now=now).rows
        votes = to_votes(to_raw_annotations(parsed.votes, raw, source=source.name, now=now).rows, project.task).votes
        cleaned = clean(raw, settings=project.cleaning, languages=project.languages, pseudonymizer=pseudonymizer, now=now)
        sketches = sketch(cleaned.kept)
        resolved = deduplicate(cleaned.kept, sketches, kept_before, threshold=project.cleaning.near_duplicate_similarity, now=now)
        index_rows = resolved.index[DUPLICATE_INDEX.column_names()].drop(columns="cluster_id")
        kept_before = pd.concat([kept_before, resolved.kept.merge(index_rows, on="document_id")[list(CANDIDATE_COLUMNS)]])
        tokens = tokenize(resolved.kept)
        columns = ["document_id", "source", "language", "tokens"]
        with index.writing() as writer:
            writer.add(
                IndexedDocument(document_id, source, language, (), now, text)
                for document_id, source, language, text in tokens[columns].itertuples(index=False, name=None)
            )
        rules = apply_rules(resolved.kept, chosen_rules(project.labeling.rules, project.task, Path()), project.task)
        votes = pd.concat([votes, rules], ignore_index=True)
        votes = votes[votes["document_id"].isin(resolved.kept["document_id"])]
        labelled.append(decide_labels(resolved.kept, votes, project.task.labels, project.labeling))
        human = votes[votes["voter_kind"] == "human"]
        counted = human.groupby(["source", "document_id", "label", "value"]).size().rename("votes").reset_index()
        measure_agreement(counted.assign(month="2026-01"), project.task)
    pd.concat(labelled)
    return time.perf_counter() - start


def measure(repeats: int) -> list[Row]:
    """The two figures."""
    pairs, steps = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        prepare_demo(data, REPOSITORY / ".textmill" / "archives")
        project = make_project(data)
        for repeat in range(repeats + 1):
            home = Path(folder) / f"home-{repeat}"
            full, step = run_platform(project, home)
            bare = run_bare(project, home)
            if repeat:
                pairs.append((full, bare))
                steps.append(step)
    ratios = [full / bare for full, bare in pairs]
    return [
        Row.of_pairs("collection to search index, 14,805 texts", pairs, "s", "pure functions alone", ratios, f"ratio <= {TARGET_RATIO:g}"),
        Row("a step that finds nothing new", sorted(steps)[len(steps) // 2], "s", target=f"<= {TARGET_STEP_SECONDS} s"),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print_rows(measure(arguments.repeats), as_json=arguments.json)


if __name__ == "__main__":
    main()

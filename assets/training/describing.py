"""Wiring of `evaluation_report`: a stored model and its frozen test rows in, numbers into the lake and a report into the object store."""

import json
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from assets.project import Project
from assets.training.erased import note_erased
from assets.training.registry import CHAMPION_SQL, NEWEST_REPORT_SQL
from assets.training.stored_models import fetch_model
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore


def read_split(store: ObjectStore, dataset_version: str, split: str) -> pd.DataFrame:
    """A split of a frozen data set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.parquet"
        store.get_file(f"datasets/{dataset_version}/{split}.parquet", path)
        return pd.read_parquet(path)


def report_model(step: Step, lakehouse: Lakehouse, store: ObjectStore, project: Project, model: dict[str, Any]) -> dict[str, Any]:
    """Measure a model beside the baselines, store the report, write its numbers; metadata for the UI."""
    from assets.training.judging.evaluation import count_impossible_values
    from assets.training.judging.report_tables import headline_metrics
    from assets.training.judging.reporting import report_on  # brings scikit-learn and matplotlib, which definitions need not wait for

    model_id, version = model["model_id"], model["dataset_version"]
    train_rows, test_rows = read_split(store, version, "train"), read_split(store, version, "test")
    tokens = read_tokens(lakehouse, train_rows, test_rows) if "zh" in project.languages else None
    with tempfile.TemporaryDirectory() as folder:
        fetch_model(store, model, Path(folder) / "model")
        champion = fetch_champion(lakehouse, store, model_id, Path(folder) / "champion")
        described = report_on(Path(folder) / "model", train_rows, test_rows, project, tokens, champion)
    evaluation, report = described.evaluation, described.report
    store.put(f"reports/{model_id}/model_card.md", note_erased(described.card, model).encode())
    store.put(f"reports/{model_id}/report.md", report.markdown.encode())
    store.put(f"reports/{model_id}/report.json", json.dumps(report.json, ensure_ascii=False, indent=2).encode())
    for name, picture in report.pictures.items():
        store.put(f"reports/{model_id}/{name}", picture)
    step.write("evaluation_report", evaluation.frame)
    step.count(rows_in=len(evaluation.frame), rows_out=len(evaluation.frame))
    step.measure("scorers", evaluation.frame["scorer"].nunique())
    step.measure("test_rows", len(test_rows))
    step.add("impossible_values", count_impossible_values(evaluation.frame))
    own = evaluation.frame[(evaluation.frame["scorer"] == report.json["scorer"]) & (evaluation.frame["slice"] == "overall")]
    shown = headline_metrics(evaluation.frame)
    numbers = {f"test {name}": float(value) for name, value in zip(own["metric"], own["value"], strict=True) if name in shown}
    store.put(f"reports/{model_id}/embedded.md", report.markdown_with_embedded_pictures.encode())
    return show_report(store, model_id) | numbers


def show_report(store: ObjectStore, model_id: str) -> dict[str, Any]:
    """A stored report as metadata, with its pictures inside."""
    embedded = store.get(f"reports/{model_id}/embedded.md").decode()
    location = store.url(f"reports/{model_id}/report.md")
    shown: dict[str, Any] = {"report": dg.MetadataValue.md(embedded), "model_id": model_id, "location": location}
    if store.exists(card := f"reports/{model_id}/model_card.md"):
        shown["model_card"] = dg.MetadataValue.md(without_front_matter(store.get(card).decode()))
    return shown


def without_front_matter(card: str) -> str:
    """A card without the YAML block for the hub, which a page would show as text."""
    return card.split("\n---\n", 1)[-1].lstrip()


def fetch_champion(lakehouse: Lakehouse, store: ObjectStore, model_id: str, folder: Path) -> Path | None:
    """The champion's manifest and predictions, as far as there is a champion other than the model; the folder they were put in."""
    found = lakehouse.read(CHAMPION_SQL)
    champion_id = None if found.empty else str(found["champion_id"].item())
    if champion_id in (None, model_id):
        return None
    folder.mkdir()
    for name in ("manifest.json", "predictions.parquet"):
        if not store.exists(f"models/{champion_id}/{name}"):
            return None
        store.get_file(f"models/{champion_id}/{name}", folder / name)
    return folder


def show_newest_report(lakehouse: Lakehouse, store: ObjectStore) -> dict[str, Any]:
    """The newest report again, so that the asset's page shows it after a run in which nothing was new; empty if there is none."""
    found = lakehouse.read(NEWEST_REPORT_SQL)
    return {} if found.empty else show_report(store, str(found["model_id"].item()))


def read_tokens(lakehouse: Lakehouse, *splits: pd.DataFrame) -> list[list[str]]:
    """Tokens of the rows of some splits, joined by spaces, in their order."""
    wanted = pd.concat(splits)[["document_id"]]
    found = lakehouse.read("SELECT document_id, tokens FROM tokens SEMI JOIN wanted USING (document_id)", frames={"wanted": wanted})
    tokens = found.set_index("document_id")["tokens"]
    return [tokens.reindex(split["document_id"]).fillna("").tolist() for split in splits]

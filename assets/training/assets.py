"""Wiring of the training stage: fine-tune in a process of its own, report, let the gate decide."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from assets.project import Project
from assets.schemas import CHAMPION_MODEL, EVALUATION_REPORT, FINE_TUNED_MODEL
from assets.tags import GPU_OP_TAGS, GPU_POOL, GPU_TAGS
from assets.training.registry import (
    CHAMPION_SQL,
    CURRENT_DATASET_SQL,
    NEWEST_REPORT_SQL,
    UNDECIDED_SQL,
    UNREPORTED_SQL,
    decision_row,
    identify_model,
    model_row,
    recipe_of,
)
from assets.wiring import (
    LakehouseResource,
    Materialized,
    ProjectResource,
    Refresh,
    asset_options,
    code_version,
    materialized,
    step_of,
    table_options,
)
from resources.compute import LocalCompute
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.object_store import ObjectStore

PACKAGE = "assets.training"
ComputeResource = dg.ResourceParam[LocalCompute]
ObjectStoreResource = dg.ResourceParam[ObjectStore]


@dg.asset(
    deps=["training_dataset"],
    pool=GPU_POOL,
    op_tags=GPU_OP_TAGS,
    **table_options(FINE_TUNED_MODEL, ["pytorch", "huggingface"], GPU_TAGS),
)
def fine_tuned_model(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """A BERT classifier fine-tuned on the frozen data set with soft labels; on CUDA when there, else CPU. Resumes after a crash."""
    facts: Mapping[str, Any] = {}
    with step_of(context, lakehouse, "fine_tuned_model", upstream=["training_dataset"], following="journal", package=PACKAGE) as step:
        dataset_version = current_dataset(lakehouse)
        models = lakehouse.read("SELECT * FROM fine_tuned_model")
        model_id = identify_model(models, dataset_version, recipe_of(project), code_version(PACKAGE), again=config.full_refresh)
        if model_id is None:
            context.log.info(f"fine_tuned_model: data set {dataset_version} was trained on with these settings already; nothing to train")
        else:
            facts = train(context, project, object_store, compute, dataset_version, model_id)
            step.write("fine_tuned_model", model_row(facts, project, model_id, datetime.now(UTC)))
            step.count(rows_in=1, rows_out=1)
            missing = [name for name in facts["files"] if not object_store.exists(f"models/{model_id}/{name}")]
            step.measure("files_missing", len(missing))
    return materialized(step, {key: facts[key] for key in ("model_id", "device", "precision", "tokens_per_second") if key in facts})


@dg.asset(deps=["fine_tuned_model"], **asset_options(EVALUATION_REPORT, ["sklearn", "matplotlib"]))
def evaluation_report(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
) -> Materialized:
    """Every new model beside majority, VADER, TF-IDF and a human rater on the same test rows: numbers, tables, pictures."""
    metadata: dict[str, Any] = {}
    with step_of(context, lakehouse, "evaluation_report", upstream=["fine_tuned_model"], following="journal", package=PACKAGE) as step:
        for model in lakehouse.read(UNREPORTED_SQL).to_dict("records"):
            metadata = report_model(step, lakehouse, object_store, project, {str(key): value for key, value in model.items()})
    return materialized(step, metadata or show_newest_report(lakehouse, object_store))


@dg.asset(deps=["evaluation_report"], **asset_options(CHAMPION_MODEL, ["duckdb"]))
def champion_model(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """The gate: scores champion and challenger again on the same frozen test rows; who loses or cannot be judged is refused."""
    metadata: dict[str, Any] = {}
    with step_of(context, lakehouse, "champion_model", upstream=["evaluation_report"], following="journal", package=PACKAGE) as step:
        for model in lakehouse.read(UNDECIDED_SQL).to_dict("records"):
            metadata = decide(step, lakehouse, object_store, compute, project, str(model["model_id"]), str(model["dataset_version"]))
            context.log.info(f"champion_model: {metadata['decision']}: {metadata['reason']}")
    return materialized(step, metadata)


def current_dataset(lakehouse: Lakehouse) -> str:
    """Version of the approved data set.

    Raises:
        dg.Failure: There is none.
    """
    found = lakehouse.read(CURRENT_DATASET_SQL)
    if found.empty:
        raise dg.Failure("Expected an approved training_dataset, found none. Materialize it, and look at its checks.")
    return str(found["dataset_version"].item())


def train(
    context: dg.AssetExecutionContext, project: Project, store: ObjectStore, compute: LocalCompute, dataset_version: str, model_id: str
) -> Mapping[str, Any]:
    """Fine-tune in a process of its own, store the model's files; the facts of its manifest."""
    output = compute.folder / "models" / model_id
    with tempfile.TemporaryDirectory() as folder:
        store.get_directory(f"datasets/{dataset_version}", Path(folder))
        job = {
            "dataset_folder": folder,
            "dataset_version": dataset_version,
            "work_folder": str(compute.folder / "checkpoints" / model_id),
            "output_folder": str(output),
            "model_id": model_id,
            "code_version": code_version(PACKAGE),
            "task": project.task.model_dump(mode="json"),
            "training": project.training.model_dump(mode="json"),
        }
        facts = compute.run("assets.training.run", job, lambda event: context.log.info(describe_event(event)))
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    store.put_directory(f"models/{model_id}", output)
    shutil.rmtree(output)
    return {**facts, "files": files}


def describe_event(event: Mapping[str, Any]) -> str:
    """An event of the training process in words."""
    if event["event"] != "progress":
        return f"training: {event.get('message', event['event'])}"
    parts = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in event.items() if key != "event"]
    return "training: " + ", ".join(parts)


def read_split(store: ObjectStore, dataset_version: str, split: str) -> pd.DataFrame:
    """A split of a frozen data set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.parquet"
        store.get_file(f"datasets/{dataset_version}/{split}.parquet", path)
        return pd.read_parquet(path)


def report_model(step: Step, lakehouse: Lakehouse, store: ObjectStore, project: Project, model: dict[str, Any]) -> dict[str, Any]:
    """Measure a model beside the baselines, store the report, write its numbers; metadata for the UI."""
    from assets.training.reporting import report_on  # brings scikit-learn and matplotlib, which definitions need not wait for

    model_id, version = model["model_id"], model["dataset_version"]
    train_rows, test_rows = read_split(store, version, "train"), read_split(store, version, "test")
    tokens = read_tokens(lakehouse, train_rows, test_rows) if "zh" in project.languages else None
    with tempfile.TemporaryDirectory() as folder:
        store.get_directory(f"models/{model_id}", Path(folder))
        evaluation, report = report_on(Path(folder), train_rows, test_rows, project, tokens)
    store.put(f"reports/{model_id}/report.md", report.markdown.encode())
    store.put(f"reports/{model_id}/report.json", json.dumps(report.json, ensure_ascii=False, indent=2).encode())
    for name, picture in report.pictures.items():
        store.put(f"reports/{model_id}/{name}", picture)
    step.write("evaluation_report", evaluation.frame)
    step.count(rows_in=len(evaluation.frame), rows_out=len(evaluation.frame))
    step.measure("scorers", evaluation.frame["scorer"].nunique())
    step.measure("test_rows", len(test_rows))
    own = evaluation.frame[(evaluation.frame["scorer"] == report.json["scorer"]) & (evaluation.frame["slice"] == "overall")]
    numbers = {f"test {name}": float(value) for name, value in zip(own["metric"], own["value"], strict=True) if "/" not in name}
    store.put(f"reports/{model_id}/embedded.md", report.markdown_with_embedded_pictures.encode())
    return show_report(store, model_id) | numbers


def show_report(store: ObjectStore, model_id: str) -> dict[str, Any]:
    """A stored report as metadata, with its pictures inside."""
    embedded = store.get(f"reports/{model_id}/embedded.md").decode()
    location = store.url(f"reports/{model_id}/report.md")
    return {"report": dg.MetadataValue.md(embedded), "model_id": model_id, "location": location}


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


def decide(
    step: Step, lakehouse: Lakehouse, store: ObjectStore, compute: LocalCompute, project: Project, challenger_id: str, dataset_version: str
) -> dict[str, Any]:
    """Score champion and challenger on the frozen test rows, judge, record; metadata for the UI."""
    from assets.training.promotion import judge

    champions = lakehouse.read(CHAMPION_SQL)
    champion_id = None if champions.empty else str(champions["champion_id"].item())
    test = read_split(store, dataset_version, "test")
    challenger = score(compute, store, project, challenger_id, test)
    champion = score(compute, store, project, champion_id, test) if champion_id else None
    decision = judge(
        challenger, champion, test, project.task.labels, project.promotion, project.training.seed, is_first=champion_id is None
    )
    step.write("champion_model", decision_row(decision, challenger_id, champion_id, dataset_version, step.increment_id, datetime.now(UTC)))
    step.count(rows_in=1, rows_out=1)
    return {
        "decision": decision.decision,
        "reason": decision.reason,
        "champion_id": challenger_id if decision.decision == "promoted" else champion_id,
        "evidence": dg.MetadataValue.json(decision.evidence),
    }


def score(compute: LocalCompute, store: ObjectStore, project: Project, model_id: str, test: pd.DataFrame) -> Any:  # noqa: ANN401
    """Predictions of a stored model on the test rows, made in a process of its own."""
    from assets.training.predictions import predictions_of_probabilities

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store.get_directory(f"models/{model_id}", folder / "model")
        test[["document_id", "text"]].to_parquet(folder / "texts.parquet", index=False)
        job = {"model_folder": str(folder / "model"), "texts": str(folder / "texts.parquet"), "output": str(folder / "scored.parquet")}
        done = compute.run("assets.training.score", job, lambda _event: None)
        scored = pd.read_parquet(folder / "scored.parquet").set_index("document_id").loc[test["document_id"]]
    columns = [list(done["labels"]).index(label) for label in project.task.labels]
    probabilities = pd.DataFrame(scored["probabilities"].tolist()).to_numpy()[:, columns]
    return predictions_of_probabilities(
        model_id, probabilities, project.task.labels, project.task.positive_label, project.task.negative_label
    )

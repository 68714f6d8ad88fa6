"""Wiring of the training stage: fine-tune in a process of its own, report, let the gate decide."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.code_version import code_version
from assets.schemas import (
    ABLATION_REPORT,
    CHAMPION_MODEL,
    DOCUMENT_EMBEDDINGS,
    EVALUATION_REPORT,
    FINE_TUNED_MODEL,
    HYPERPARAMETER_SEARCH,
    LEARNING_CURVE,
    POOL_PREDICTIONS,
)
from assets.tags import GPU_OP_TAGS, GPU_POOL, GPU_TAGS
from assets.training.describing import report_model, show_newest_report
from assets.training.embedding import embed_documents
from assets.training.fitting import current_dataset, train
from assets.training.promoting import Bench, judge_candidates, track_models
from assets.training.registry import UNREPORTED_SQL, identify_model, model_row, recipe_of
from assets.training.searching import search_settings, use_recipe
from assets.training.studying import measure_ablation, measure_curve
from assets.training.suggesting import predict_pool
from assets.wiring import (
    LakehouseResource,
    Materialized,
    ProjectResource,
    Refresh,
    asset_options,
    materialized,
    step_of,
    table_options,
)
from resources.compute import LocalCompute
from resources.model_tracking import ModelTracking
from resources.object_store import ObjectStore

PACKAGE = "assets.training"
ComputeResource = dg.ResourceParam[LocalCompute]
ObjectStoreResource = dg.ResourceParam[ObjectStore]
TrackingResource = dg.ResourceParam[ModelTracking]


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
        project = use_recipe(lakehouse, project)
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
    """Every new model beside the task's baselines, and one human rater where there are ratings, on the same rows; with a model card."""
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
    model_tracking: TrackingResource,
) -> Materialized:
    """The gate: challenger and champion on the same frozen rows, behaviour, serving, size; who loses or cannot be judged is refused."""
    with step_of(context, lakehouse, "champion_model", upstream=["evaluation_report"], following="journal", package=PACKAGE) as step:
        metadata, decided = judge_candidates(step, lakehouse, Bench(object_store, compute, project), context.log.info)
    problem = track_models(model_tracking, lakehouse, object_store, decided)
    if problem:
        context.log.warning(f"champion_model: {problem}")
    return materialized(step, metadata | ({"tracking": problem} if problem else {}))


@dg.asset(deps=["clean_documents"], **asset_options(DOCUMENT_EMBEDDINGS, ["pytorch"]))
def document_embeddings(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """Clean documents as vectors by the frozen base model, for diversity and for label issues; nothing where the project uses neither."""
    options: dict[str, Any] = {"full_refresh": config.full_refresh, "package": PACKAGE}
    bench = Bench(object_store, compute, project)
    with step_of(context, lakehouse, "document_embeddings", upstream=["clean_documents"], following="journal", **options) as step:
        metadata = embed_documents(step, lakehouse, bench, context.log.info, again=config.full_refresh)
    return materialized(step, metadata)


@dg.asset(deps=["labeled_documents"], **asset_options(POOL_PREDICTIONS, ["pytorch"]))
def pool_predictions(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """What the champion says of documents that wait for people, before they are asked; nothing before there is a champion."""
    options: dict[str, Any] = {"full_refresh": config.full_refresh, "package": PACKAGE}
    with step_of(context, lakehouse, "pool_predictions", upstream=["labeled_documents"], following="journal", **options) as step:
        predict_pool(step, lakehouse, Bench(object_store, compute, project), context.log.info)
    return materialized(step)


@dg.asset(
    deps=["training_dataset"],
    pool=GPU_POOL,
    op_tags=GPU_OP_TAGS,
    **table_options(HYPERPARAMETER_SEARCH, ["pytorch", "optuna"], GPU_TAGS),
)
def hyperparameter_search(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """On demand: better training settings, tried on a share of train and judged on dev. Resumable; `training.recipe` uses the winner."""
    bench = Bench(object_store, compute, project)
    with step_of(context, lakehouse, "hyperparameter_search", upstream=["training_dataset"], following="journal", package=PACKAGE) as step:
        page = search_settings(step, lakehouse, bench, context.log.info, again=config.full_refresh)
    return materialized(step, page)


@dg.asset(
    deps=["training_dataset"],
    pool=GPU_POOL,
    op_tags=GPU_OP_TAGS,
    **table_options(LEARNING_CURVE, ["pytorch", "matplotlib"], GPU_TAGS),
)
def learning_curve(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """On demand: how good models get with how many labels, on dev, and what twice as many would give. Resumable."""
    bench = Bench(object_store, compute, project)
    with step_of(context, lakehouse, "learning_curve", upstream=["training_dataset"], following="journal", package=PACKAGE) as step:
        page = measure_curve(step, lakehouse, bench, context.log.info, again=config.full_refresh)
    return materialized(step, page)


@dg.asset(
    deps=["training_dataset", "annotations", "rule_votes"],
    pool=GPU_POOL,
    op_tags=GPU_OP_TAGS,
    **table_options(ABLATION_REPORT, ["pytorch", "matplotlib"], GPU_TAGS),
)
def ablation_report(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    object_store: ObjectStoreResource,
    compute: ComputeResource,
) -> Materialized:
    """On demand: which data earns its keep: every source and every labeling function left out of training once. Resumable."""
    bench = Bench(object_store, compute, project)
    with step_of(context, lakehouse, "ablation_report", upstream=["training_dataset"], following="journal", package=PACKAGE) as step:
        page = measure_ablation(step, lakehouse, bench, context.log.info, again=config.full_refresh)
    return materialized(step, page)

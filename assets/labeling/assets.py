"""Wiring of the labeling stage: annotations and rule votes in, consensus and queue out."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from assets.answers import count_outside_task
from assets.labeling.consulting import consult_models
from assets.labeling.deciding import UPSTREAM, decide_labels_of
from assets.labeling.doubting import find_issues
from assets.labeling.questioning import fill_queue
from assets.labeling.rules import apply_rules, chosen_rules
from assets.labeling.sending import send_queue
from assets.labeling.votes import UsableVotes, to_votes
from assets.project import Project
from assets.replacements import decode_replacements
from assets.schemas import ANNOTATIONS, LABEL_ISSUES, LABELED_DOCUMENTS, LABELING_QUEUE, LABELING_TASKS, MODEL_VOTES, RULE_VOTES
from assets.wiring import (
    LabelingServerResource,
    LakehouseResource,
    Materialized,
    ProjectResource,
    Refresh,
    asset_options,
    materialized,
    step_of,
)
from resources.compute import LocalCompute
from resources.increments import Step
from resources.language_model import LanguageModel

PACKAGE = "assets.labeling"
REPOSITORY = Path(__file__).resolve().parents[2]


@dg.asset(deps=["raw_annotations", "clean_documents"], **asset_options(ANNOTATIONS, ["duckdb", "pandas"]))
def annotations(context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource) -> Materialized:
    """Human votes in the task's answers, spans in the cleaned text; what does not fit is kept in `rejected_votes` with a reason."""
    upstream = ["raw_annotations", "clean_documents"] if project.task.has_spans else ["raw_annotations"]
    with step_of(context, lakehouse, "annotations", upstream=upstream, full_refresh=config.full_refresh, package=PACKAGE) as step:
        step.measure("answers_outside_task", 0)
        if project.task.has_spans:
            for keys in step.changed_keys(upstream, "document_id"):
                anchor_batch(step, keys, project)
        else:
            for batch in step.batches("raw_annotations"):
                write_votes(step, to_votes(batch, project.task), project)
        step.measure("refused_share", step.counts.rows_rejected / max(step.counts.rows_in, 1))
    return materialized(step)


@dg.asset(deps=["clean_documents"], **asset_options(RULE_VOTES, ["duckdb", "python"]))
def rule_votes(context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource) -> Materialized:
    """Votes of the project's labeling functions on clean documents."""
    rules = chosen_rules(project.labeling.rules, project.task, REPOSITORY)
    with step_of(context, lakehouse, "rule_votes", upstream=["clean_documents"], full_refresh=config.full_refresh, package=PACKAGE) as step:
        step.measure("answers_outside_task", 0)
        for batch in step.batches("clean_documents"):
            votes = apply_rules(batch, rules, project.task)
            step.write("rule_votes", votes)
            count_outside(step, votes, project)
            asked = len(batch) * max(len(rules), 1)
            step.count(rows_in=asked, rows_out=len(votes), rows_skipped=asked - len(votes))
    return materialized(step)


@dg.asset(deps=["clean_documents", "document_embeddings"], **asset_options(MODEL_VOTES, ["openai", "duckdb"]))
def model_votes(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    language_model: dg.ResourceParam[LanguageModel],
    compute: dg.ResourceParam[LocalCompute],
) -> Materialized:
    """Votes of a language model, and by likeness to descriptions of the labels; nothing where the project describes neither."""
    options: dict[str, Any] = {"full_refresh": config.full_refresh, "package": PACKAGE}
    upstream = ["clean_documents", "document_embeddings"]
    with step_of(context, lakehouse, "model_votes", upstream=upstream, following="journal", **options) as step:
        metadata = consult_models(step, lakehouse, language_model, compute, project)
    return materialized(step, metadata)


@dg.asset(deps=UPSTREAM, **asset_options(LABELED_DOCUMENTS, ["duckdb", "numpy"]))
def labeled_documents(
    context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource
) -> Materialized:
    """Consensus of people and rules per document: label, distribution, confidence; measures the annotators' agreement and each rule."""
    with step_of(context, lakehouse, "labeled_documents", upstream=UPSTREAM, full_refresh=config.full_refresh, package=PACKAGE) as step:
        metadata = decide_labels_of(step, lakehouse, project)
    return materialized(step, metadata)


@dg.asset(deps=["labeled_documents", "document_embeddings", "tokens"], **asset_options(LABEL_ISSUES, ["sklearn", "cleanlab"]))
def label_issues(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    compute: dg.ResourceParam[LocalCompute],
) -> Materialized:
    """On demand: labels and single votes that are probably wrong, each with its reason in words; the queue asks about the worst again."""
    options: dict[str, Any] = {"full_refresh": config.full_refresh, "package": PACKAGE}
    upstream = ["labeled_documents", "document_embeddings"]
    with step_of(context, lakehouse, "label_issues", upstream=upstream, following="snapshot", **options) as step:
        metadata = find_issues(step, lakehouse, project, compute, context.log.info) if step.has_new_input else {}
    return materialized(step, metadata)


@dg.asset(
    deps=["labeled_documents", "label_issues", "text_outliers", "pool_predictions", "document_embeddings"],
    **asset_options(LABELING_QUEUE, ["duckdb"]),
)
def labeling_queue(
    context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource
) -> Materialized:
    """What people should label next: uncertain, divided, unlike others, of rare labels, doubted, some at random; and gold questions."""
    with step_of(
        context,
        lakehouse,
        "labeling_queue",
        upstream=["labeled_documents", "label_issues", "text_outliers", "pool_predictions"],
        following="snapshot",
        full_refresh=config.full_refresh,
        package=PACKAGE,
    ) as step:
        metadata = fill_queue(step, lakehouse, project) if step.has_new_input else {}
    return materialized(step, metadata)


@dg.asset(deps=["labeling_queue", "pool_predictions"], **asset_options(LABELING_TASKS, ["labelstudio"]))
def labeling_tasks(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    labeling_server: LabelingServerResource,
) -> Materialized:
    """Tasks on the labeling server for what the queue asks, with what the champion or the votes so far suggest; none without a server."""
    with step_of(
        context,
        lakehouse,
        "labeling_tasks",
        upstream=["labeling_queue", "pool_predictions"],
        following="journal",
        full_refresh=config.full_refresh,
        package=PACKAGE,
    ) as step:
        metadata = send_queue(step, lakehouse, labeling_server, project)
    return materialized(step, metadata)


def anchor_batch(step: Step, keys: pd.DataFrame, project: Project) -> None:
    """Write the votes of people on the documents of one batch, which came with new votes, or with the text that votes waited for.

    Votes on documents that are not clean, or not yet, are skipped; documents without votes count as skipped too.
    """
    raw = step.lookup("raw_annotations", keys).sort_values(["document_id", "annotator_id"], ignore_index=True)
    documents = step.lookup("clean_documents", raw[["document_id"]])
    texts = dict(zip(documents["document_id"], documents["text"], strict=True))
    replacements = dict(zip(documents["document_id"], documents["replacements"].map(decode_replacements), strict=True))
    is_placed = raw["document_id"].isin(texts)
    write_votes(step, to_votes(raw[is_placed], project.task, texts, replacements), project)
    skipped = int((~is_placed).sum()) + len(keys) - raw["document_id"].nunique()
    step.count(rows_in=skipped, rows_skipped=skipped)


def write_votes(step: Step, usable: UsableVotes, project: Project) -> None:
    """Write votes that fit the task and those that do not."""
    step.write("annotations", usable.votes)
    step.write("rejected_votes", usable.rejected)
    count_outside(step, usable.votes, project)
    step.count(rows_in=len(usable.votes) + len(usable.rejected), rows_out=len(usable.votes), reasons=usable.rejected["reason"])


def count_outside(step: Step, answers: pd.DataFrame, project: Project) -> None:
    """Add to the number of answers that are not the task's; labels of a task with one label per text have a check of their own."""
    if project.task.has_lists:
        found = count_outside_task(answers["label"], project.task)
        step.add("answers_outside_task", found)

"""Wiring of the labeling stage: annotations and rule votes in, consensus and queue out."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from assets.answers import count_outside_task
from assets.labeling.agreement import VOTE_COUNTS_SQL, Agreement, measure_agreement
from assets.labeling.annotators import NUMBERED_VOTES_SQL, VOTED_DOCUMENTS_SQL, VOTERS_SQL, Learnt, learn_annotators
from assets.labeling.consensus import decide_answers, distribution_error
from assets.labeling.queue import CANDIDATES_SQL, rank
from assets.labeling.rule_analysis import RULE_ANALYSIS_SQL, RuleAnalysis, analyse_rules, rule_table
from assets.labeling.rules import apply_rules, chosen_rules, competence_of_rules
from assets.labeling.sending import send_queue
from assets.labeling.votes import UsableVotes, to_votes
from assets.project import Project
from assets.schemas import ANNOTATIONS, LABELED_DOCUMENTS, LABELING_QUEUE, LABELING_TASKS, RULE_VOTES
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
from resources.increments import BATCH_ROWS, Step
from resources.lakehouse import Lakehouse

PACKAGE = "assets.labeling"


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
    rules = chosen_rules(project.labeling.rules.enabled, project.task)
    with step_of(context, lakehouse, "rule_votes", upstream=["clean_documents"], full_refresh=config.full_refresh, package=PACKAGE) as step:
        step.measure("answers_outside_task", 0)
        for batch in step.batches("clean_documents"):
            votes = apply_rules(batch, rules, project.task)
            step.write("rule_votes", votes)
            count_outside(step, votes, project)
            asked = len(batch) * max(len(rules), 1)
            step.count(rows_in=asked, rows_out=len(votes), rows_skipped=asked - len(votes))
    return materialized(step)


@dg.asset(deps=["clean_documents", "annotations", "rule_votes"], **asset_options(LABELED_DOCUMENTS, ["duckdb", "numpy"]))
def labeled_documents(
    context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource
) -> Materialized:
    """Consensus of people and rules per document: label, distribution, confidence; measures the annotators' agreement and each rule."""
    upstream = ["clean_documents", "annotations", "rule_votes"]
    with step_of(context, lakehouse, "labeled_documents", upstream=upstream, full_refresh=config.full_refresh, package=PACKAGE) as step:
        step.measure("distribution_error", 0.0)
        step.measure("answers_outside_task", 0)
        learnt = learn(lakehouse, project) if step.has_new_input and not project.task.has_lists else None
        record_annotators(step, learnt)
        for keys in step.changed_keys(upstream, "document_id"):
            label_batch(step, keys, project, learnt)
        if learnt:
            label_overturned(step, learnt, project)
        agreements = measure_agreement(lakehouse.read(VOTE_COUNTS_SQL), project.task) if step.has_new_input else []
        record_agreement(step, agreements, project.labeling.min_agreement)
        analyses = analyse_rules(lakehouse.read(RULE_ANALYSIS_SQL)) if step.has_new_input else []
        record_rules(step, analyses)
    tables = {"agreement": agreements and agreement_table(agreements), "labeling functions": analyses and rule_table(analyses)}
    return materialized(step, {name: dg.MetadataValue.md(table) for name, table in tables.items() if table})


@dg.asset(deps=["labeled_documents"], **asset_options(LABELING_QUEUE, ["duckdb"]))
def labeling_queue(
    context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource
) -> Materialized:
    """What people should label next among documents below the quorum: uncertain, divided, of rare labels, and some at random."""
    with step_of(
        context,
        lakehouse,
        "labeling_queue",
        upstream=["labeled_documents"],
        following="snapshot",
        full_refresh=config.full_refresh,
        package=PACKAGE,
    ) as step:
        if step.has_new_input:
            budget = project.labeling.queue_budget
            queue = rank(lakehouse.read(CANDIDATES_SQL, {"budget": budget}), project.labeling.queue_mix, budget)
            labels = int(lakehouse.read("SELECT count(*) AS rows FROM labeled_documents")["rows"].item())
            step.write("labeling_queue", queue)
            step.count(rows_in=labels, rows_out=len(queue), rows_skipped=labels - len(queue))
            for strategy, rows in queue["strategy"].value_counts().items():
                step.measure(f"chosen by {strategy}", rows)
    return materialized(step)


@dg.asset(deps=["labeling_queue", "queue_predictions"], **asset_options(LABELING_TASKS, ["labelstudio"]))
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
        upstream=["labeling_queue", "queue_predictions"],
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
    is_placed = raw["document_id"].isin(texts)
    write_votes(step, to_votes(raw[is_placed], project.task, texts), project)
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
        step.measure("answers_outside_task", step.facts["answers_outside_task"] + found)


def learn(lakehouse: Lakehouse, project: Project) -> Learnt:
    """What all published votes say of who gave them."""
    task, settings = project.task, project.labeling
    voters, documents = lakehouse.read(VOTERS_SQL), lakehouse.read(VOTED_DOCUMENTS_SQL)
    frames = {"voters": voters.assign(number=range(len(voters))), "documents": documents.assign(item=range(len(documents)))}
    votes = lakehouse.read(NUMBERED_VOTES_SQL, {"labels": list(task.labels)}, frames)
    return learn_annotators(votes, voters, documents, task.labels, settings.consensus, settings.rules.weight)


def record_annotators(step: Step, learnt: Learnt | None) -> None:
    """Write what is known of every annotator, and how many should be looked at."""
    step.measure("suspicious_annotators", int(learnt.ledger["suspicion"].notna().sum()) if learnt else 0)
    if learnt:
        step.write("annotators", learnt.ledger)


def label_overturned(step: Step, learnt: Learnt, project: Project) -> None:
    """Decide anew, beside what has new votes, the documents whose label was owed to annotators of whom more is known now."""
    decided = step.lookup_staged("labeled_documents", learnt.overturned)[["document_id"]]
    keys = learnt.overturned[~learnt.overturned["document_id"].isin(decided["document_id"])]
    for start in range(0, len(keys), BATCH_ROWS):
        label_batch(step, keys.iloc[start : start + BATCH_ROWS], project, learnt)
    step.measure("labels_overturned", len(keys))


def label_batch(step: Step, keys: pd.DataFrame, project: Project, learnt: Learnt | None) -> None:
    """Write the consensus of the documents of one batch; votes on documents that cleaning refused are skipped."""
    documents = step.lookup("clean_documents", keys).sort_values("document_id", ignore_index=True)
    wanted = documents[["document_id"]]
    votes = pd.concat([step.lookup(table, wanted) for table in ("annotations", "rule_votes")], ignore_index=True)
    reputation = learnt.reputation if learnt else None
    decided = decide_answers(documents, votes, project.task, project.labeling, competence_of_rules(), reputation)
    step.write("labeled_documents", decided)
    step.count(rows_in=len(keys), rows_out=len(decided), rows_skipped=len(keys) - len(decided))
    count_outside(step, decided, project)
    step.measure("distribution_error", max(distribution_error(decided, project.task), step.facts["distribution_error"]))
    step.measure("labels_confident", step.facts.get("labels_confident", 0.0) + float(decided["is_confident"].sum()))


def record_agreement(step: Step, agreements: list[Agreement], threshold: float) -> None:
    """Keep the agreement of every source, and how many sources fall below the threshold."""
    step.measure("sources_below_agreement", sum(agreement.score < threshold for agreement in agreements))
    for agreement in agreements:
        measure = "agreement_f1" if agreement.level == "spans" else "agreement_alpha"
        step.measure(f"{measure}: {agreement.source}", agreement.score)


def record_rules(step: Step, analyses: list[RuleAnalysis]) -> None:
    """Keep how much each labeling function votes on, and how often people say the same."""
    for rule in analyses:
        step.measure(f"coverage: {rule.annotator_id}", rule.coverage)
        if rule.accuracy is not None:
            step.measure(f"accuracy: {rule.annotator_id}", rule.accuracy)


def agreement_table(agreements: list[Agreement]) -> str:
    """Agreement per source as a Markdown table."""

    def lines() -> Iterator[str]:
        yield "| source | alpha (spans: F1) | level | documents | votes |"
        yield "|---|---|---|---|---|"
        for found in agreements:
            yield f"| {found.source} | {found.score:.3f} | {found.level} | {found.documents} | {found.votes} |"

    return "\n".join(lines())

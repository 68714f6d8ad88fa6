"""Wiring of `labeled_documents`: votes become labels; what the votes say of those who gave them is kept beside."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd

from assets.answers import count_outside_task
from assets.labeling.agreement import PAIRS_SQL, VOTE_COUNTS_SQL, Agreement, agreement_table, measure_agreement, measure_pairs, to_rows
from assets.labeling.annotators import (
    NUMBERED_VOTES_SQL,
    VOTED_DOCUMENTS_SQL,
    VOTERS_SQL,
    Learnt,
    choose_method,
    learn_annotators,
    overturned_by,
)
from assets.labeling.consensus import decide_answers, distribution_error
from assets.labeling.crowd_and_model import PREDICTIONS_SQL, learn_crowd_and_model
from assets.labeling.gold import measure_gold
from assets.labeling.rated_sources import RATINGS_SQL, learn_sources, overturned_by_ratings
from assets.labeling.rule_analysis import RULE_ANALYSIS_SQL, RuleAnalysis, analyse_rules, rule_table
from assets.labeling.rules import competence_of_rules
from assets.labeling.track_record import CONDUCT_SQL, GOLD_VOTES_SQL, annotator_table, keep_records, standing_among_others
from assets.project import Gold, Project
from resources.increments import BATCH_ROWS, Step
from resources.lakehouse import Lakehouse

UPSTREAM = ("clean_documents", "annotations", "rule_votes", "model_votes")


def decide_labels_of(step: Step, lakehouse: Lakehouse, project: Project) -> dict[str, Any]:
    """Label the documents that have new votes or a new text, and those whose votes are worth something else now.

    Returns:
        Metadata for the UI.
    """
    for fact in ("distribution_error", "answers_outside_task", "gold_answers", "gold_right"):
        step.measure(fact, 0.0)
    learnt, method = learn(lakehouse, project) if step.has_new_input and not project.task.has_lists else (None, "majority")
    for keys in step.changed_keys(UPSTREAM, "document_id"):
        label_batch(step, keys, project, learnt)
    if learnt:
        label_overturned(step, learnt, project)
    judge_gold(step, project.labeling.gold)
    if not step.has_new_input:
        for fact in ("suspicious_annotators", "sources_below_agreement"):
            step.measure(fact, 0)
        return {}
    pairs = lakehouse.read(PAIRS_SQL)
    records = record_annotators(step, lakehouse, project, learnt, pairs)
    agreements = measure_agreement(lakehouse.read(VOTE_COUNTS_SQL), project.task) + measure_pairs(pairs, project.task)
    record_agreement(step, agreements, project.labeling.min_agreement)
    analyses = analyse_rules(lakehouse.read(RULE_ANALYSIS_SQL))
    record_rules(step, analyses)
    tables = {
        "agreement": agreements and agreement_table(agreements),
        "annotators": len(records) and annotator_table(records),
        "labeling functions": analyses and rule_table(analyses),
    }
    return {"consensus": method} | {name: dg.MetadataValue.md(table) for name, table in tables.items() if table}


def learn(lakehouse: Lakehouse, project: Project) -> tuple[Learnt, str]:
    """What all published votes say of who gave them, and how labels are therefore decided, in words."""
    task, settings, wanted = project.task, project.labeling, project.labeling.consensus
    voters, documents = lakehouse.read(VOTERS_SQL), lakehouse.read(VOTED_DOCUMENTS_SQL, gold_of(project))
    frames = {"voters": voters.assign(number=range(len(voters))), "documents": documents.assign(item=range(len(documents)))}
    votes = lakehouse.read(NUMBERED_VOTES_SQL, {"labels": list(task.labels)}, frames)
    changes: dict[str, Any] = {}
    said: str = wanted if wanted in ("ratings", "crowdlab") else choose_method(wanted, voters)
    if wanted == "ratings" and task.rating is not None:
        ratings = lakehouse.read(RATINGS_SQL)
        rated = learn_sources(ratings, task.rating, task.labels)
        changes = {"rated": rated, "overturned": overturned_by_ratings(documents, rated.decide(ratings))}
    if wanted == "crowdlab":
        try:
            opinion, posterior = learn_crowd_and_model(votes, voters, documents, task.labels, lakehouse.read(PREDICTIONS_SQL))
            unknown = documents["known"].isna()
            changes = {"reputation": opinion, "overturned": overturned_by(documents[unknown], task.labels, posterior[unknown])}
        except ValueError as error:
            wanted, said = "auto", f"auto, since crowdlab {error}; run the job `issues`, then `refresh`"
    return replace(learn_annotators(votes, voters, documents, task.labels, wanted, settings.weights), **changes), said


def gold_of(project: Project) -> dict[str, Any]:
    """The gold annotators, as statements want them."""
    return {"gold": list(project.labeling.gold.annotators)}


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
    votes = pd.concat([step.lookup(table, wanted) for table in ("annotations", "rule_votes", "model_votes")], ignore_index=True)
    known = (learnt.reputation, learnt.rated) if learnt else (None, None)
    decided = decide_answers(documents, votes, project.task, project.labeling, competence_of_rules(project.labeling.rules.custom), *known)
    step.write("labeled_documents", decided)
    step.count(rows_in=len(keys), rows_out=len(decided), rows_skipped=len(keys) - len(decided))
    if project.task.has_lists:
        step.add("answers_outside_task", count_outside_task(decided["label"], project.task))
    step.measure("distribution_error", max(distribution_error(decided, project.task), step.facts["distribution_error"]))
    step.add("labels_confident", float(decided["is_confident"].sum()))
    answers, right = measure_gold(votes, project.task, project.labeling.gold.annotators)
    step.add("gold_answers", answers)
    step.add("gold_right", right)


def judge_gold(step: Step, gold: Gold) -> None:
    """Whether people gave too few right answers to the gold questions among the documents of the increment, if enough to judge."""
    answers, right = step.facts["gold_answers"], step.facts["gold_right"]
    is_judged = answers >= gold.min_answers
    step.measure("gold_failed", int(is_judged and right / answers < gold.min_accuracy))
    if is_judged:
        step.measure("gold_accuracy", right / answers)


def record_annotators(step: Step, lakehouse: Lakehouse, project: Project, learnt: Learnt | None, pairs: pd.DataFrame) -> pd.DataFrame:
    """Write what is known of every annotator, and how many should be looked at."""
    conduct = lakehouse.read(CONDUCT_SQL)
    standing = learnt.standing if learnt else standing_among_others(pairs, conduct, project.task)
    gold_votes = lakehouse.read(GOLD_VOTES_SQL, gold_of(project))
    records = keep_records(conduct, standing, gold_votes, project.task, project.labeling.gold)
    step.write("annotators", records)
    step.measure("suspicious_annotators", int(records["suspicion"].notna().sum()))
    return records


def record_agreement(step: Step, agreements: Sequence[Agreement], threshold: float) -> None:
    """Keep the agreement of every source, and how many sources fall below the threshold."""
    step.write("annotator_agreement", to_rows(agreements))
    step.measure("sources_below_agreement", sum(found.is_main and found.score < threshold for found in agreements))
    for found in agreements:
        if found.is_main:
            step.measure(f"{'agreement_f1' if found.level == 'spans' else 'agreement_alpha'}: {found.source}", found.score)


def record_rules(step: Step, analyses: Sequence[RuleAnalysis]) -> None:
    """Keep how much each labeling function votes on, and how often people say the same."""
    for rule in analyses:
        step.measure(f"coverage: {rule.annotator_id}", rule.coverage)
        if rule.accuracy is not None:
            step.measure(f"accuracy: {rule.annotator_id}", rule.accuracy)

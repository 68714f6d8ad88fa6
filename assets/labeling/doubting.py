"""Wiring of `label_issues`: labels are predicted by models that did not learn from them, and those that look wrong are listed."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from assets.answers import count_outside_task
from assets.grouping import group_documents
from assets.label_studio import language_of
from assets.labeling.annotators import ANONYMOUS
from assets.labeling.answering import Log, answer_out_of_fold
from assets.labeling.label_errors import Floats, Labelled, doubt, estimate_errors, nearest, predict_out_of_fold, with_fine_tuned
from assets.labeling.label_issues import (
    NEIGHBOURS,
    Evidence,
    contradicted_votes,
    differing_duplicates,
    doubted_labels,
    issue_table,
    to_table,
)
from assets.labeling.list_issues import doubted_answers
from assets.project import Project
from assets.schemas import LABEL_PREDICTIONS
from assets.selections import EMBEDDINGS_SQL, NEWEST_DOCUMENTS_SQL
from resources.compute import LocalCompute
from resources.increments import Step
from resources.lakehouse import Lakehouse

MOST_DOCUMENTS = 50_000
"""Of more labelled documents, a fixed sample is looked at."""
LEAST_DOCUMENTS = 100
LEAST_OF_A_LABEL = 10

# Labelled documents, their newest revisions, with what is learnt from and who agreed. Labels below the quorum are predicted only.
_ANSWERED_SQL = f"""
SELECT l.document_id, l.source, l.label, l.is_confident, l.distribution, l.mean_rating, parent_id, cluster_id, text,
    l.human_votes_count AS people, coalesce(votes, 0) AS agreed
FROM labeled_documents l
LEFT JOIN (SELECT document_id, label, count(*) AS votes FROM annotations WHERE voter_kind = 'human' GROUP BY ALL) given
    ON given.document_id = l.document_id AND given.label = l.label
JOIN (SELECT document_id, parent_id, cluster_id, text FROM ({NEWEST_DOCUMENTS_SQL})) c ON c.document_id = l.document_id
"""
LABELLED_SQL = f"""
SELECT *, distribution[list_position($labels, label)] AS share FROM ({_ANSWERED_SQL})
JOIN (SELECT document_id, tokens FROM tokens) USING (document_id) JOIN ({EMBEDDINGS_SQL}) USING (document_id)
WHERE list_contains($labels, label)
ORDER BY hash(document_id), document_id LIMIT {MOST_DOCUMENTS}
"""
# The same where answers are lists; vectors are not needed.
LISTED_SQL = f"SELECT * FROM ({_ANSWERED_SQL}) WHERE label IS NOT NULL ORDER BY hash(document_id), document_id LIMIT {MOST_DOCUMENTS}"
NAMED_VOTES_SQL = f"""
SELECT document_id, annotator_id, label FROM annotations SEMI JOIN wanted USING (document_id)
WHERE voter_kind = 'human' AND NOT starts_with(annotator_id, '{ANONYMOUS}') ORDER BY document_id, annotator_id
"""


def find_issues(step: Step, lakehouse: Lakehouse, project: Project, compute: LocalCompute, log: Log) -> dict[str, Any]:
    """Write predictions and issues, or say why there are none.

    Returns:
        Metadata for the UI.
    """
    for fact in ("probability_error", "suggestions_the_same", "answers_outside_task"):
        step.measure(fact, 0.0)
    labels = int(lakehouse.read("SELECT count(*) AS rows FROM labeled_documents")["rows"].item())
    problem = cannot_judge(project)
    if not problem:
        parameters = {"base_model": project.training.base_model, "labels": list(project.task.labels)}
        documents = lakehouse.read(LISTED_SQL) if project.task.has_lists else lakehouse.read(LABELLED_SQL, parameters)
        problem = too_few(documents, project)
    if problem:
        step.count(rows_in=labels, rows_skipped=labels)
        return {"issues": problem}
    groups, answers = group_documents(documents), None
    if project.labeling.issue_models == "fine_tuned":
        answers = answer_out_of_fold(documents, groups, project, compute, log)
    if answers is not None and project.task.has_lists:
        issues = doubt_answers(documents, answers, project)
        step.measure("answers_outside_task", count_outside_task(issues["suggested_label"], project.task))
        agrees = answers["predicted"] == documents["label"]
    else:
        evidence = gather_evidence(documents, groups, project, None if answers is None else np.stack(answers["probabilities"].tolist()))
        issues = look_for(
            evidence, lakehouse.read(NAMED_VOTES_SQL, frames={"wanted": documents[["document_id"]]}), project.labeling.max_issues
        )
        step.write("label_predictions", predictions_of(evidence))
        step.measure("probability_error", float(np.abs(evidence.probabilities.sum(axis=1) - 1).max()))
        step.measure("wrong_labels_estimated", estimate_errors(evidence.labels, evidence.probabilities))
        agrees = pd.Series(evidence.probabilities.argmax(axis=1) == evidence.labels)
    step.write("label_issues", issues)
    step.count(rows_in=labels, rows_out=len(documents), rows_skipped=labels - len(documents))
    step.measure("suggestions_the_same", int((issues["given_label"] == issues["suggested_label"]).sum()))
    step.measure("model_agrees_ratio", float(agrees.mean()))
    for kind, rows in issues["kind"].value_counts().items():
        step.measure(f"issues: {kind}", rows)
    return {"worst": dg.MetadataValue.md(issue_table(issues))}


def cannot_judge(project: Project) -> str:
    """Why labels of this project are not judged; empty if they can be."""
    if project.task.has_lists and project.labeling.issue_models == "frozen":
        return f"expected fine-tuned models for {project.task.kind}; set labeling.issue_models to fine_tuned"
    if not project.task.has_lists and not project.labeling.uses_embeddings:
        return "expected embeddings of the documents; set labeling.embeddings to true and run `refresh`"
    return ""


def too_few(documents: pd.DataFrame, project: Project) -> str:
    """Why these documents are not enough; empty if they are."""
    sure = documents.loc[documents["is_confident"], "label"]
    if project.task.has_lists:
        return "" if len(sure) >= LEAST_DOCUMENTS else f"expected {LEAST_DOCUMENTS} confident answers, found {len(sure)}"
    counts = sure.value_counts().reindex(list(project.task.labels), fill_value=0)
    if len(sure) >= LEAST_DOCUMENTS and counts.min() >= LEAST_OF_A_LABEL:
        return ""
    return (
        f"expected {LEAST_DOCUMENTS} confident labels with embeddings, {LEAST_OF_A_LABEL} of each label, found {len(sure)}, "
        f"{int(counts.min())} of {counts.idxmin()}"
    )


def gather_evidence(documents: pd.DataFrame, groups: pd.Series, project: Project, fine_tuned: Floats | None) -> Evidence:
    """Predictions and neighbours of the documents.

    Args:
        documents: One row per document (`LABELLED_SQL`).
        groups: Which belong together, (documents,).
        project: Labels and settings.
        fine_tuned: What fine-tuned models say, out of fold, (documents, labels), where they were asked.
    """
    vectors = np.stack(documents["embedding"].tolist()).astype(np.float32)
    labels = pd.Index(project.task.labels).get_indexer(pd.Index(documents["label"])).astype(np.int64)
    sure = documents["is_confident"].to_numpy(dtype=bool)
    labelled = Labelled(vectors, documents["text"], documents["tokens"], labels, groups, len(project.task.labels), sure)
    neighbours, cosines = nearest(vectors, NEIGHBOURS)
    probabilities = with_fine_tuned(predict_out_of_fold(labelled), fine_tuned)
    doubts = doubt(labels, probabilities, documents["share"].to_numpy(dtype=float))
    return Evidence(documents, project.task.labels, labels, doubts, probabilities, neighbours, cosines, language_of(project))


def doubt_answers(documents: pd.DataFrame, answers: pd.DataFrame, project: Project) -> pd.DataFrame:
    """Issues where answers are lists: columns of `label_issues`."""
    found = doubted_answers(documents, answers, project.task, language_of(project), project.labeling.max_issues)
    return to_table([found], datetime.now(UTC))


def look_for(evidence: Evidence, votes: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Issues of every kind, so many of each at most: columns of `label_issues`."""
    parts = [doubted_labels(evidence, limit), differing_duplicates(evidence, limit), contradicted_votes(evidence, votes, limit)]
    return to_table(parts, datetime.now(UTC))


def predictions_of(evidence: Evidence) -> pd.DataFrame:
    """The predictions as rows of `label_predictions`."""
    ids = evidence.documents["document_id"]
    return pd.DataFrame({"document_id": ids, "probabilities": list(evidence.probabilities)})[LABEL_PREDICTIONS.column_names()]

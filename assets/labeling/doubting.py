"""Wiring of `label_issues`: labels are predicted by models that did not learn from them, and those that look wrong are listed."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from assets.grouping import group_documents
from assets.label_studio import language_of
from assets.labeling.annotators import ANONYMOUS
from assets.labeling.label_errors import Labelled, doubt, estimate_errors, nearest, predict_out_of_fold
from assets.labeling.label_issues import (
    NEIGHBOURS,
    Evidence,
    contradicted_votes,
    differing_duplicates,
    doubted_labels,
    issue_table,
    to_table,
)
from assets.project import Project
from assets.schemas import LABEL_PREDICTIONS
from assets.selections import EMBEDDINGS_SQL, NEWEST_DOCUMENTS_SQL
from resources.increments import Step
from resources.lakehouse import Lakehouse

MOST_DOCUMENTS = 50_000
"""Of more labelled documents, a fixed sample is looked at."""
LEAST_DOCUMENTS = 100
LEAST_OF_A_LABEL = 10

# Labelled documents, their newest revisions, with what is learnt from and who agreed. Labels below the quorum are predicted only.
LABELLED_SQL = f"""
WITH given AS (SELECT document_id, label, count(*) AS votes FROM annotations WHERE voter_kind = 'human' GROUP BY ALL)
SELECT l.document_id, l.source, l.label, l.is_confident, parent_id, cluster_id, text, tokens, embedding,
    l.distribution[list_position($labels, l.label)] AS share, l.human_votes_count AS people, coalesce(votes, 0) AS agreed
FROM labeled_documents l
LEFT JOIN given ON given.document_id = l.document_id AND given.label = l.label
JOIN (SELECT document_id, parent_id, cluster_id, text FROM ({NEWEST_DOCUMENTS_SQL})) c ON c.document_id = l.document_id
JOIN tokens t ON t.document_id = l.document_id
JOIN ({EMBEDDINGS_SQL}) e ON e.document_id = l.document_id
WHERE list_contains($labels, l.label)
ORDER BY hash(l.document_id), l.document_id LIMIT {MOST_DOCUMENTS}
"""
NAMED_VOTES_SQL = f"""
SELECT document_id, annotator_id, label FROM annotations SEMI JOIN wanted USING (document_id)
WHERE voter_kind = 'human' AND NOT starts_with(annotator_id, '{ANONYMOUS}') ORDER BY document_id, annotator_id
"""


def find_issues(step: Step, lakehouse: Lakehouse, project: Project) -> dict[str, Any]:
    """Write predictions and issues, or say why there are none.

    Returns:
        Metadata for the UI.
    """
    labels = int(lakehouse.read("SELECT count(*) AS rows FROM labeled_documents")["rows"].item())
    problem = cannot_judge(project)
    if not problem:
        parameters = {"base_model": project.training.base_model, "labels": list(project.task.labels)}
        documents = lakehouse.read(LABELLED_SQL, parameters)
        problem = too_few(documents, project)
    if problem:
        step.measure("probability_error", 0.0)
        step.measure("suggestions_the_same", 0)
        step.count(rows_in=labels, rows_skipped=labels)
        return {"issues": problem}
    evidence = gather_evidence(documents, project)
    votes = lakehouse.read(NAMED_VOTES_SQL, frames={"wanted": documents[["document_id"]]})
    issues = look_for(evidence, votes, project.labeling.max_issues)
    step.write("label_predictions", predictions_of(evidence))
    step.write("label_issues", issues)
    step.count(rows_in=labels, rows_out=len(documents), rows_skipped=labels - len(documents))
    step.measure("probability_error", float(np.abs(evidence.probabilities.sum(axis=1) - 1).max()))
    step.measure("suggestions_the_same", int((issues["given_label"] == issues["suggested_label"]).sum()))
    for kind, rows in issues["kind"].value_counts().items():
        step.measure(f"issues: {kind}", rows)
    step.measure("wrong_labels_estimated", estimate_errors(evidence.labels, evidence.probabilities))
    step.measure("model_agrees_ratio", float((evidence.probabilities.argmax(axis=1) == evidence.labels).mean()))
    return {"worst": dg.MetadataValue.md(issue_table(issues))}


def cannot_judge(project: Project) -> str:
    """Why labels of this project are not judged; empty if they can be."""
    if project.task.has_lists:
        return f"expected a task with one label per text, found {project.task.kind}: its labels are not judged"
    if not project.labeling.uses_embeddings:
        return "expected embeddings of the documents; set labeling.embeddings to true and run `refresh`"
    return ""


def too_few(documents: pd.DataFrame, project: Project) -> str:
    """Why these documents are not enough; empty if they are."""
    sure = documents.loc[documents["is_confident"], "label"].value_counts().reindex(list(project.task.labels), fill_value=0)
    if sure.sum() >= LEAST_DOCUMENTS and sure.min() >= LEAST_OF_A_LABEL:
        return ""
    return (
        f"expected {LEAST_DOCUMENTS} confident labels with embeddings, {LEAST_OF_A_LABEL} of each label, found {int(sure.sum())}, "
        f"{int(sure.min())} of {sure.idxmin()}"
    )


def gather_evidence(documents: pd.DataFrame, project: Project) -> Evidence:
    """Predictions and neighbours of the documents."""
    vectors = np.stack(documents["embedding"].tolist()).astype(np.float32)
    labels = pd.Index(project.task.labels).get_indexer(pd.Index(documents["label"])).astype(np.int64)
    labelled = Labelled(
        vectors,
        documents["text"],
        documents["tokens"],
        labels,
        group_documents(documents),
        len(project.task.labels),
        documents["is_confident"].to_numpy(dtype=bool),
    )
    neighbours, cosines = nearest(vectors, NEIGHBOURS)
    probabilities = predict_out_of_fold(labelled)
    doubts = doubt(labels, probabilities, documents["share"].to_numpy(dtype=float))
    return Evidence(documents, project.task.labels, labels, doubts, probabilities, neighbours, cosines, language_of(project))


def look_for(evidence: Evidence, votes: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Issues of every kind, so many of each at most: columns of `label_issues`."""
    parts = [doubted_labels(evidence, limit), differing_duplicates(evidence, limit), contradicted_votes(evidence, votes, limit)]
    return to_table(parts, datetime.now(UTC))


def predictions_of(evidence: Evidence) -> pd.DataFrame:
    """The predictions as rows of `label_predictions`."""
    ids = evidence.documents["document_id"]
    return pd.DataFrame({"document_id": ids, "probabilities": list(evidence.probabilities)})[LABEL_PREDICTIONS.column_names()]

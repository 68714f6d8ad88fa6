"""What people and programs ask of the resources: search, trace, report. Commands and the data access API both ask here.

Models have a module of their own (`model_queries.py`); who may see what is decided in `visibility.py`.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.labeling.annotators import ALL_VOTES_SQL
from resources.lakehouse import Lakehouse, LakehouseError
from resources.object_store import ObjectStore
from resources.search_index import SearchIndex

SHOWN_CHARS = 160
TRACED_TABLES = (
    "raw_documents",
    "rejected_documents",
    "clean_documents",
    "annotations",
    "rule_votes",
    "model_votes",
    "labeled_documents",
    "label_issues",
    "text_outliers",
    "training_dataset",
    "label_predictions",
    "pool_predictions",
)
# The objects whose bytes the document was parsed from, under their content hash.
RAW_OBJECTS_SQL = """
SELECT * FROM raw_objects WHERE (source, raw_sha256) IN (SELECT source, raw_sha256 FROM raw_documents WHERE document_id = $id)
"""
# Every data set version that the document ever was in.
DATASET_VERSIONS_SQL = """
SELECT dataset_version, split, label, confidence, group_id, min(increment_id) AS increment_id
FROM lake.history.training_dataset WHERE document_id = $id GROUP BY ALL ORDER BY increment_id
"""
# The models that were made from those versions. What is not a train row they were chosen or judged by.
MODELS_SQL = """
SELECT model_id, dataset_version, base_model, code_version, manifest_sha256, trained_at, increment_id FROM fine_tuned_model
WHERE dataset_version IN (SELECT dataset_version FROM lake.history.training_dataset WHERE document_id = $id) ORDER BY trained_at
"""
# Labels that the document had before the present one, oldest first.
EARLIER_LABELS_SQL = """
SELECT * FROM lake.main.labeled_documents
WHERE document_id = $id
  AND increment_id IN (SELECT increment_id FROM lake.main.increments WHERE state IN ('approved', 'superseded'))
  AND increment_id < (SELECT max(increment_id) FROM labeled_documents WHERE document_id = $id)
ORDER BY increment_id
"""
# What is known of those who voted on the document.
ANNOTATORS_SQL = f"SELECT * FROM annotators WHERE annotator_id IN (SELECT voter FROM ({ALL_VOTES_SQL}) WHERE document_id = $id)"
INCREMENTS_SQL = """
SELECT increment_id, asset, "partition", run_id, code_version, created_at
FROM lake.main.increments WHERE list_contains($ids, increment_id) ORDER BY increment_id
"""


# Of each rule of cleaning some documents, the newest first: the text as it came and as it is now.
SAMPLES_SQL = """
WITH found AS (
    SELECT document_id, 'repaired' AS rule, text AS after, NULL AS detail FROM clean_documents WHERE is_repaired
    UNION ALL
    SELECT document_id, 'personal_data' AS rule, text AS after, NULL AS detail FROM clean_documents WHERE replacements IS NOT NULL
    UNION ALL
    SELECT document_id, reason AS rule, NULL AS after, detail FROM rejected_documents
)
SELECT rule, document_id, text AS before, after, detail
FROM found JOIN raw_documents USING (document_id)
WHERE $rule IS NULL OR rule = $rule
QUALIFY row_number() OVER (PARTITION BY rule ORDER BY collected_at DESC, document_id) <= $limit
ORDER BY rule, collected_at DESC, document_id
"""


def sample_rules(lakehouse: Lakehouse, rule: str | None, limit: int) -> list[dict[str, Any]]:
    """Documents that cleaning changed or refused, a few of each rule: rule, id, the text before and after, and why.

    Raises:
        LookupError: There is no such rule.
    """
    from assets.cleaning.expectations import REASONS

    known = ("repaired", "personal_data", *REASONS)
    if rule is not None and rule not in known:
        raise LookupError(f"Expected a rule out of {', '.join(known)}, found {rule!r}.")
    rows = lakehouse.read(SAMPLES_SQL, {"rule": rule, "limit": limit}).astype(object)
    shown = rows.assign(
        **{
            column: rows[column].map(lambda text: shorten(text) if isinstance(text, str) else "")
            for column in ("before", "after", "detail")
        }
    )
    return [{str(key): value for key, value in row.items()} for row in shown.to_dict("records")]


def find_documents(
    lakehouse: Lakehouse, index: SearchIndex, query: str, limit: int, sources: Collection[str] | None = None
) -> pd.DataFrame:
    """Published documents that match a query: the columns of `clean_documents` and `score` (BM25), best first.

    Args:
        lakehouse: Where the documents are.
        index: What finds them.
        query: Words, in English or Chinese.
        limit: Most documents.
        sources: Only these; None looks in all.
    """
    from assets.cleaning.tokens import tokenize_text

    tokens = tokenize_text(query, "und")
    hits = [hit for source in ([None] if sources is None else sorted(sources)) for hit in index.search(tokens, limit, source)]
    wanted = pd.DataFrame({"document_id": [hit.document_id for hit in hits], "score": [hit.score for hit in hits]})
    wanted = wanted.astype({"document_id": "str", "score": "float"})
    sql = "SELECT c.*, score FROM wanted JOIN clean_documents c USING (document_id) ORDER BY score DESC, document_id LIMIT $limit"
    return lakehouse.read(sql, {"limit": limit}, frames={"wanted": wanted})


def search_documents(lakehouse: Lakehouse, index: SearchIndex, query: str, limit: int, source: str | None) -> list[dict[str, Any]]:
    """What `find_documents` finds, for a terminal: score, source, id and the beginning of the text."""
    found = find_documents(lakehouse, index, query, limit, None if source is None else [source])
    return [
        {"score": f"{row['score']:.2f}", "source": row["source"], "document_id": row["document_id"], "text": shorten(row["text"])}
        for row in found.to_dict("records")
    ]


def shorten(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " …"


def trace_document(lakehouse: Lakehouse, document_id: str) -> dict[str, Any]:
    """Everything that is known of a document, table by table, each row with the increment that made it and that increment's code.

    Beside the tables: the raw objects it was parsed from (`raw_objects`), labels that it had before (`earlier_labels`), what is known of
    those who voted on it (`annotators`), the data set versions it was in (`dataset_versions`) and the models made from those (`models`).

    Raises:
        LookupError: No table holds it.
    """
    statements = {table: f"SELECT * FROM {table} WHERE document_id = $id" for table in TRACED_TABLES}
    statements |= {"raw_objects": RAW_OBJECTS_SQL, "earlier_labels": EARLIER_LABELS_SQL, "annotators": ANNOTATORS_SQL}
    statements |= {"dataset_versions": DATASET_VERSIONS_SQL, "models": MODELS_SQL}
    trace: dict[str, Any] = {}
    for name, sql in statements.items():
        rows = lakehouse.read(sql, {"id": document_id})
        if len(rows):
            trace[name] = as_json(rows)
    if not trace:
        raise LookupError(
            f"Expected a document id, found {document_id!r} in none of {', '.join(TRACED_TABLES)}. `textmill search` prints ids."
        )
    ids = {row["increment_id"] for rows in trace.values() for row in rows}
    increments = lakehouse.read(INCREMENTS_SQL, {"ids": sorted(ids)})
    trace["increments"] = as_json(increments)
    return trace


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as JSON writes it: one object per row, times in ISO 8601, what is missing as null."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso", force_ascii=False, double_precision=15))
    return rows


@dataclass(frozen=True)
class ReportFound:
    """The newest report: its headline as plain text, and where it lies."""

    model_id: str
    headline: str
    location: str


def newest_report(lakehouse: Lakehouse, store: ObjectStore) -> ReportFound:
    """The newest published evaluation report.

    Raises:
        LakehouseError: There is none.
    """
    from assets.training.judging.report import headline

    frame = lakehouse.read("SELECT * FROM evaluation_report WHERE increment_id = (SELECT max(increment_id) FROM evaluation_report)")
    if frame.empty:
        raise LakehouseError("Expected an evaluation report, found none. Materialize `evaluation_report` first.")
    model_id = str(frame["model_id"].iloc[0])
    return ReportFound(model_id, headline(frame), store.url(f"reports/{model_id}/report.md"))

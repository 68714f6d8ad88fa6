"""What people and programs ask of the resources: search, trace, report. Commands and the data access API both ask here.

Models have a module of their own (`model_queries.py`); who may see what is decided in `visibility.py`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.labeling.annotators import ALL_VOTES_SQL
from resources.lakehouse import Lakehouse, LakehouseError
from resources.object_store import ObjectStore
from resources.search_engine import SearchEngine
from resources.search_query import EVERYTHING, Filters, any_word, parse_query, tokens_of, words_of
from services.highlights import find_highlights, marked_excerpt, shorten
from services.meaning import Meaning

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


@dataclass(frozen=True)
class SearchPage:
    """Answers to a query.

    Attributes:
        total: How many documents match.
        is_any: No document has all words of the query; these have any of them.
        rows: The columns of `clean_documents`, `label`, `score` (BM25, best first) and `highlights`, lists of pairs of positions in `text`.
    """

    total: int
    is_any: bool
    rows: pd.DataFrame


FOUND_SQL = """
SELECT c.*, label, score FROM wanted JOIN clean_documents c USING (document_id) LEFT JOIN labeled_documents USING (document_id)
ORDER BY place, score DESC, document_id
"""


def find_documents(
    lakehouse: Lakehouse,
    index: SearchEngine,
    query: str,
    limit: int,
    offset: int = 0,
    filters: Filters = EVERYTHING,
    meaning: Meaning | None = None,
) -> SearchPage:
    """Published documents that match a query.

    Args:
        lakehouse: Where the documents are.
        index: What finds them.
        query: What is looked for, in the language of `resources/search_query.py`.
        limit: Most documents.
        offset: How many of the best are left out.
        filters: What is looked for besides.
        meaning: Has a say in the order, where the query has words; they are then found by any of them.

    Raises:
        NoEmbeddingsError: Meaning was asked for, and nothing that was found has an embedding.
        SearchQueryError: The query cannot be understood.
        SearchIndexError: There is no index, or the page lies too far behind.
    """
    from assets.cleaning.tokens import tokenize_text

    asked = parse_query(query, tokenize_text)
    content = any_word(asked)
    if meaning is not None and (said := words_of(query)):
        found = meaning.search(index, filters.applied_to(content or asked), said, limit, offset)
        is_any, places = content is not None and found.total > 0, [*range(len(found.hits))]
    else:
        found, is_any = index.search(filters.applied_to(asked), limit, offset), False
        if not found.total and content is not None:
            found = index.search(filters.applied_to(content), limit, offset)
            is_any = found.total > 0
        places = [0] * len(found.hits)
    hits = {"document_id": [hit.document_id for hit in found.hits], "score": [hit.score for hit in found.hits], "place": places}
    wanted = pd.DataFrame(hits).astype({"document_id": "str", "score": "float", "place": "int64"})
    rows = lakehouse.read(FOUND_SQL, frames={"wanted": wanted})
    tokens = tokens_of(asked)
    texts = zip(rows["text"], rows["language"], strict=True)
    highlights = pd.Series([find_highlights(text, tokens, language) for text, language in texts], index=rows.index, dtype=object)
    return SearchPage(found.total, is_any, rows.assign(highlights=highlights))


def shown_page(page: SearchPage, mark: Callable[[str], str] = str) -> list[dict[str, Any]]:
    """A page for a terminal: score, source, label, id and what is around the first highlight of the text.

    Args:
        page: What was found.
        mark: Makes words stand out.
    """
    rows = page.rows.astype(object).where(page.rows.notna(), "").to_dict("records")
    return [
        {
            "score": f"{row['score']:.2f}",
            "source": row["source"],
            "label": row["label"],
            "document_id": row["document_id"],
            "text": marked_excerpt(row["text"], row["highlights"], mark),
        }
        for row in rows
    ]


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

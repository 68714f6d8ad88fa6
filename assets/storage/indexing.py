"""What the full-text index is told of documents: their tokens, and what they are filtered by.

A document is told anew when its tokens or its label are new. Engines replace what they have of it.
"""

from dataclasses import fields

import pandas as pd

from assets.answers import labels_of_answer
from assets.project import Task
from assets.schemas import SEARCH_INDEX
from resources.increments import Step
from resources.search_engine import IndexedDocument, IndexWriter

INDEXED_TABLES = ("tokens", "labeled_documents")
INDEXED_ROWS = 50_000
"""Documents that are told at a time: each time reads over the columns of all."""
INDEXED_SQL = """
SELECT document_id, t.source, t.language, l.label, published_at, tokens, s.document_id IS NULL AS is_new
FROM wanted JOIN tokens t USING (document_id) JOIN clean_documents USING (document_id)
LEFT JOIN labeled_documents l USING (document_id) LEFT JOIN search_index s USING (document_id)
ORDER BY document_id
"""


def index_documents(step: Step, writer: IndexWriter, keys: pd.DataFrame, task: Task) -> None:
    """Tell the index of documents, and write down what it was told; those that have no tokens any more are left out.

    Args:
        step: The increment of `search_index`.
        writer: Writes to the index.
        keys: Their ids, in `document_id`.
        task: What labels mean.
    """
    found = step.lakehouse.read(INDEXED_SQL, frames={"wanted": keys})
    labels = [labels_of_answer(label, task) if isinstance(label, str) else () for label in found["label"]]
    told = found.assign(labels=pd.Series(labels, index=found.index, dtype=object))[[field.name for field in fields(IndexedDocument)]]
    writer.add(IndexedDocument(*row) for row in told.itertuples(index=False, name=None))
    step.write("search_index", found[SEARCH_INDEX.column_names()])
    step.count(rows_in=len(keys), rows_out=len(found), rows_skipped=len(keys) - len(found))
    step.add("documents_new", float(found["is_new"].sum()))


def documents_indexed(step: Step) -> int:
    """How many documents the index was told of, in all increments that count."""
    if step.is_rebuild:
        return step.counts.rows_out
    rows = step.lakehouse.read("SELECT count(*) AS rows FROM search_index")["rows"]
    return int(rows.item()) + int(step.facts.get("documents_new", 0))

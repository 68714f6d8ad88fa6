"""Wiring of `document_embeddings`: the base model embeds clean documents, in a process of its own."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.schemas import DOCUMENT_EMBEDDINGS
from assets.selections import EMBEDDINGS_SQL
from assets.training.promoting import Bench
from resources.increments import BATCH_ROWS, Step
from resources.lakehouse import Lakehouse

# Clean documents that the base model has not embedded yet.
MISSING_SQL = f"""
SELECT document_id, text FROM clean_documents ANTI JOIN ({EMBEDDINGS_SQL}) USING (document_id)
ORDER BY document_id
"""
ALL_SQL = "SELECT document_id, text FROM clean_documents ORDER BY document_id"
UNUSED = "nothing in the project uses embeddings; see labeling.embeddings"


def embed_documents(step: Step, lakehouse: Lakehouse, bench: Bench, tell: Callable[[str], None], *, again: bool) -> dict[str, Any]:
    """Write an embedding of every clean document that has none by the project's base model; nothing where the project uses none.

    Args:
        step: The increment.
        lakehouse: Where documents are.
        bench: Project and compute.
        tell: Takes progress.
        again: Embed everything anew.

    Returns:
        Metadata for the UI.
    """
    step.measure("length_error", 0.0)
    new_rows = sum(len(batch) for batch in step.batches("clean_documents"))
    if not bench.project.labeling.uses_embeddings:
        step.count(rows_in=new_rows, rows_skipped=new_rows)
        return {"embeddings": UNUSED}
    with tempfile.TemporaryDirectory() as name:
        texts, vectors = Path(name, "texts"), Path(name, "vectors")
        texts.mkdir()
        vectors.mkdir()
        rows = write_texts(lakehouse, texts, None if again else bench.project.training.base_model)
        if rows:
            run_embedding(bench, texts, vectors, tell)
        for embedded in read_vectors(vectors):
            lengths = np.linalg.norm(np.stack(embedded["embedding"].tolist()), axis=1)
            step.measure("length_error", max(step.facts["length_error"], float(np.abs(lengths - 1).max())))
            step.write("document_embeddings", embedded)
    if step.has_new_input or rows:
        step.count(rows_in=max(new_rows, rows), rows_out=rows, rows_skipped=max(new_rows - rows, 0))
    return {}


def write_texts(lakehouse: Lakehouse, folder: Path, base_model: str | None) -> int:
    """Write the texts to embed into files of bounded size, those without an embedding by the base model or all; returns how many."""
    sql, parameters = (ALL_SQL, None) if base_model is None else (MISSING_SQL, {"base_model": base_model})
    rows = 0
    for number, batch in enumerate(lakehouse.read_batches(sql, BATCH_ROWS, parameters)):
        batch.to_parquet(folder / f"{number:06}.parquet", index=False)
        rows += len(batch)
    return rows


def run_embedding(bench: Bench, texts: Path, vectors: Path, tell: Callable[[str], None]) -> None:
    """Embed files of texts in a process of its own."""

    def report(event: Any) -> None:  # noqa: ANN401  # one JSON object
        if event.get("event") == "progress":
            tell(f"document_embeddings: {event['files']} of {event['of']} files embedded")

    bench.compute.run("assets.training.embed", bench.project.training.embedding_job(texts, vectors), report)


def read_vectors(folder: Path) -> Iterator[pd.DataFrame]:
    """The embeddings, file by file: columns of `document_embeddings`."""
    for file in sorted(folder.glob("*.parquet")):
        yield pd.read_parquet(file)[DOCUMENT_EMBEDDINGS.column_names()]

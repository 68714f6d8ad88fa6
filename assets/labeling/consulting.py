"""Wiring of `model_votes`: a language model, and likeness to descriptions of the labels, vote on documents without a confident label."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.answers import count_outside_task
from assets.labeling.given_answers import records_of
from assets.labeling.prompts import ReplyError, build_instruction, enclose, prompt_version, read_reply
from assets.labeling.rules import vote_id
from assets.labeling.zero_shot import Vectors, descriptions_version, nearest_labels
from assets.project import LanguageModelSettings, Project, ZeroShot
from assets.schemas import MODEL_VOTES
from assets.selections import EMBEDDINGS_SQL, NEWEST_DOCUMENTS_SQL
from resources.compute import LocalCompute
from resources.increments import BATCH_ROWS, Step
from resources.lakehouse import Lakehouse
from resources.language_model import LanguageModel, LanguageModelError

ZERO_SHOT = "model:zero_shot"
SHOWN_CHARS = 300
NOBODY = "no model votes; see labeling.llm and labeling.zero_shot"

# Documents, newest revisions, without a confident label that the model was not asked about in this version: those of the labeling queue
# first, as it was published last.
UNASKED_SQL = f"""
SELECT c.document_id, c.source, c.language, c.text
FROM ({NEWEST_DOCUMENTS_SQL}) c
LEFT JOIN labeling_queue q ON q.document_id = c.document_id AND q.strategy NOT IN ('gold', 'label_issue')
ANTI JOIN (SELECT document_id FROM labeled_documents WHERE is_confident) d ON d.document_id = c.document_id
ANTI JOIN (SELECT document_id FROM lake.history.model_votes WHERE annotator_id = $annotator AND version = $version) v
    ON v.document_id = c.document_id
ORDER BY q.position NULLS LAST, hash(c.document_id), c.document_id LIMIT $limit
"""
EMBEDDED_SQL = f"""
SELECT c.document_id, c.source, e.embedding FROM clean_documents c
JOIN ({EMBEDDINGS_SQL}) e ON e.document_id = c.document_id
ANTI JOIN (SELECT document_id FROM lake.history.model_votes WHERE annotator_id = $annotator AND version = $version) v
    ON v.document_id = c.document_id
ORDER BY c.document_id
"""


def consult_models(step: Step, lakehouse: Lakehouse, model: LanguageModel, compute: LocalCompute, project: Project) -> dict[str, Any]:
    """Write the votes of the models that the project describes.

    Returns:
        Metadata for the UI.

    Raises:
        LanguageModelError: Not one of the documents was answered.
    """
    new_rows = sum(len(batch) for batch in step.batches("clean_documents"))
    for fact in ("answers_outside_task", "documents_asked", "documents_unanswered"):
        step.measure(fact, 0)
    metadata: dict[str, Any] = {}
    if project.labeling.llm is not None:
        metadata |= ask_model(step, lakehouse, model, project, project.labeling.llm)
    if project.labeling.zero_shot is not None:
        compare_descriptions(step, lakehouse, compute, project, project.labeling.zero_shot)
    asked, answered = int(step.facts["documents_asked"]), step.written["model_votes"]
    if step.has_new_input or asked:
        rows_in = max(new_rows, asked)
        step.count(rows_in=rows_in, rows_out=answered, rows_skipped=rows_in - answered)
    return metadata if project.labeling.llm or project.labeling.zero_shot else {"models": NOBODY}


def ask_model(step: Step, lakehouse: Lakehouse, model: LanguageModel, project: Project, settings: LanguageModelSettings) -> dict[str, Any]:
    """Ask the language model about the documents that it was not asked about yet; what it did not answer is left for the next time."""
    version = prompt_version(project.task, project.labeling.guideline, settings.prompt)
    annotator = f"model:{model.name}"
    documents = lakehouse.read(UNASKED_SQL, {"annotator": annotator, "version": version, "limit": settings.max_documents})
    asked, rows, problem = list(records_of(documents)), [], ""
    with ThreadPoolExecutor(settings.concurrency) as pool:
        for start in range(0, len(asked), settings.concurrency):
            some = asked[start : start + settings.concurrency]
            for row, reply in zip(some, pool.map(lambda each: reply_to(model, each, project, settings), some), strict=True):
                if isinstance(reply, LanguageModelError):
                    problem = str(reply)
                else:
                    rows.append(to_row(row, reply, project, annotator, version))
            if problem:
                break
    if problem and not rows:
        raise LanguageModelError(problem)
    write_rows(step, rows, project)
    step.add("documents_asked", len(asked))
    step.measure("documents_unanswered", len(asked) - len(rows))
    return {"model": model.name, "prompt": version} | ({"problem": problem} if problem else {})


def reply_to(model: LanguageModel, row: Mapping[str, Any], project: Project, settings: LanguageModelSettings) -> str | LanguageModelError:
    """The model's reply to a document, or why there is none."""
    instruction = build_instruction(row["language"], project.task, project.labeling.guideline, settings.prompt)
    try:
        return model.ask(instruction, enclose(row["text"]))
    except LanguageModelError as error:
        return error


def to_row(row: Mapping[str, Any], reply: str, project: Project, annotator: str, version: str) -> tuple[object, ...]:
    """A reply as a row of `model_votes`: a vote, or why it is none."""
    label, reason, detail = None, None, None
    try:
        label = read_reply(reply, row["text"], project.task)
        reason = None if label is not None else "unsure"
    except ReplyError as error:
        reason, detail = "malformed_reply", f"{error}: {reply[:SHOWN_CHARS]!r}"
    return (row["document_id"], row["source"], annotator, label, version, reason, detail)


def compare_descriptions(step: Step, lakehouse: Lakehouse, compute: LocalCompute, project: Project, settings: ZeroShot) -> None:
    """Vote by likeness on every embedded document that was not voted on in this version."""
    base_model = project.training.base_model
    version = descriptions_version(settings.descriptions, base_model, settings.min_margin)
    parameters = {"base_model": base_model, "annotator": ZERO_SHOT, "version": version}
    vectors: dict[str, Vectors] = {}
    for batch in lakehouse.read_batches(EMBEDDED_SQL, BATCH_ROWS, parameters):
        vectors = vectors or embed_descriptions(compute, project, settings)
        labels, _ = nearest_labels(np.stack(batch["embedding"].tolist()).astype(np.float32), vectors, settings.min_margin)
        rows = [
            (document_id, source, ZERO_SHOT, label, version, None if label is not None else "unsure", None)
            for document_id, source, label in zip(batch["document_id"], batch["source"], labels, strict=True)
        ]
        write_rows(step, rows, project)
        step.add("documents_asked", len(rows))


def embed_descriptions(compute: LocalCompute, project: Project, settings: ZeroShot) -> dict[str, Vectors]:
    """Vectors of the descriptions of every label, by the base model that embeds the documents."""
    named = [(label, text) for label, texts in settings.descriptions.items() for text in texts]
    with tempfile.TemporaryDirectory() as name:
        texts, output = Path(name, "texts"), Path(name, "vectors")
        texts.mkdir()
        output.mkdir()
        frame = pd.DataFrame({"document_id": [str(place) for place in range(len(named))], "text": [text for _, text in named]})
        frame.to_parquet(texts / "descriptions.parquet", index=False)
        compute.run("assets.training.embed", project.training.embedding_job(texts, output), lambda _event: None)
        found = np.stack(pd.read_parquet(output / "descriptions.parquet")["embedding"].tolist())
    return {label: found[[place for place, (name, _) in enumerate(named) if name == label]] for label in settings.descriptions}


def write_rows(step: Step, rows: Sequence[tuple[object, ...]], project: Project) -> None:
    """Write rows of `model_votes`."""
    columns = ["document_id", "source", "annotator_id", "label", "version", "reason", "detail"]
    frame = pd.DataFrame(rows, columns=columns).assign(voter_kind="model", value=np.nan)
    frame["vote_id"] = [vote_id(*map(str, each)) for each in zip(frame["document_id"], frame["annotator_id"], frame["label"], strict=True)]
    step.write("model_votes", frame[MODEL_VOTES.column_names()])
    answered = [label for label in frame["label"] if isinstance(label, str)]
    step.add("answers_outside_task", count_outside_task(answered, project.task))

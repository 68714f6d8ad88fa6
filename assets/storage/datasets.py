"""Frozen data sets: Parquet files per split, a manifest with checksums and a data set card, named by their content.

The version is a hash of the rows in the order of their ids, so the same rows give the same version whatever wrote them. Where
the files end up is the object store's business.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.answers import labels_of_answer
from assets.project import Project, Task
from assets.rights import training_refusal
from assets.schemas import SPLITS, TRAINING_DATASET
from assets.selections import NEWEST_DOCUMENTS_SQL
from assets.source_settings import Source

ARROW_TYPES = {"VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "DOUBLE": pa.float64(), "DOUBLE[]": pa.list_(pa.float64())}
FILE_COLUMNS = tuple(column for column in TRAINING_DATASET.columns if column.name != "dataset_version")
FILE_SCHEMA = pa.schema([pa.field(column.name, ARROW_TYPES[column.type]) for column in FILE_COLUMNS])

NO_LABEL = "(none)"
"""In counts and on the card: rows whose answer is an empty list."""

# Confident labels of the newest revision of each document, with what groups are made of.
MEMBERS_SQL = f"""
SELECT document_id, source, parent_id, cluster_id, human_votes_count, ai_training_signal
FROM labeled_documents
JOIN (SELECT document_id, parent_id, cluster_id, source, ai_training_signal FROM ({NEWEST_DOCUMENTS_SQL})) USING (document_id, source)
WHERE is_confident
"""

# The rows of the data set; `splits` is a frame with one row per member, which says whether it may be trained on.
ROWS_SQL = """
SELECT document_id, l.source, l.language, text, label, distribution, confidence, mean_rating, ratings, group_id, split,
  licence, robots_allowed, ai_training_allowed
FROM splits
JOIN labeled_documents l USING (document_id)
JOIN (SELECT document_id, text, licence, robots_allowed FROM clean_documents) USING (document_id)
ORDER BY document_id
"""

# Rows that the current data set had when it was frozen and has no more: they were erased.
ERASED_ROWS_SQL = """
SELECT coalesce(sum(rows_out), 0) - (SELECT count(*) FROM training_dataset) AS rows FROM lake.main.increments
WHERE asset = 'training_dataset' AND state = 'approved'
"""

# Tokens of the members in some splits, in batches.
TOKENS_SQL = """
SELECT document_id, tokens FROM splits JOIN tokens USING (document_id) WHERE (split = 'test') = $is_test ORDER BY document_id
"""


def training_refusals(members: pd.DataFrame, sources: Sequence[Source]) -> "pd.Series[str]":
    """Why a document may not be in a data set, by its signal and by what the project file says today; missing where it may.

    Args:
        members: One row per document, columns source and ai_training_signal.
        sources: Of the project; a document of one that is no longer there goes by its signal.
    """
    policies = {source.name: source.rights.ai_training for source in sources}
    signals = members["ai_training_signal"].astype(object).where(members["ai_training_signal"].notna(), None)
    reasons = [training_refusal(policies.get(name, "by_signals"), signal) for name, signal in zip(members["source"], signals, strict=True)]
    return pd.Series(reasons, index=members.index, dtype="str")


def permitted(labelled: pd.DataFrame) -> pd.DataFrame:
    """The documents that models may be trained on: those with a true `ai_training_allowed`."""
    return labelled[labelled["ai_training_allowed"]].reset_index(drop=True)


@dataclass
class DatasetWriter:
    """Writes the rows of a data set, in the order of their ids, to one Parquet file per split.

    Attributes:
        folder: An empty folder.
        task: The task whose answers the rows hold.
    """

    folder: Path
    task: Task
    _digest: Any = field(default_factory=hashlib.sha256)
    _files: dict[str, pq.ParquetWriter] = field(default_factory=dict)
    _rows: Counter[str] = field(default_factory=Counter)
    _counts: dict[str, Counter[str]] = field(default_factory=lambda: {split: Counter() for split in SPLITS})
    _last_id: str = ""

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows with the columns of `training_dataset` less `dataset_version`.

        Raises:
            ValueError: The rows are not in the order of their ids.
        """
        if frame.empty:
            return
        ids = [self._last_id, *frame["document_id"]]
        if ids != sorted(set(ids)):
            raise ValueError("Expected rows in the order of distinct document ids, found another order; sort them first.")
        self._last_id = ids[-1]
        rows = pa.Table.from_pandas(frame[FILE_SCHEMA.names], schema=FILE_SCHEMA, preserve_index=False)
        for row in rows.to_pylist():
            self._digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
        for split, part in frame.groupby("split"):
            self._write_split(str(split), part)

    def _write_split(self, split: str, part: pd.DataFrame) -> None:
        if split not in self._files:
            self._files[split] = pq.ParquetWriter(self.folder / f"{split}.parquet", FILE_SCHEMA, compression="zstd")
        self._files[split].write_table(pa.Table.from_pandas(part[FILE_SCHEMA.names], schema=FILE_SCHEMA, preserve_index=False))
        self._rows[split] += len(part)
        for source, answer, rows in part.groupby(["source", "label"]).size().rename("rows").reset_index().itertuples(index=False):
            for label in labels_of_answer(answer, self.task) or (NO_LABEL,):
                self._counts[split][f"{source}\0{label}"] += rows

    def finish(self) -> "FrozenDataset":
        """Close the files and name the data set."""
        for split in SPLITS:
            if split not in self._files:
                self._files[split] = pq.ParquetWriter(self.folder / f"{split}.parquet", FILE_SCHEMA, compression="zstd")
            self._files[split].close()
        files = {f"{split}.parquet": hash_file(self.folder / f"{split}.parquet") for split in SPLITS}
        return FrozenDataset(self._digest.hexdigest()[:24], self.folder, files, self._rows, self._counts)


@dataclass(frozen=True)
class FrozenDataset:
    """A finished data set.

    Attributes:
        version: Hash of the rows.
        folder: Where its files lie.
        files: SHA-256 of each file by name.
        rows: Rows per split.
        counts: Rows per split that carry a label, keyed by `source NUL label`; `NO_LABEL` for rows that carry none.
    """

    version: str
    folder: Path
    files: Mapping[str, str]
    rows: Mapping[str, int]
    counts: Mapping[str, Counter[str]]

    def label_counts(self, split: str) -> Counter[str]:
        """Rows of a split that carry each label, over all sources."""
        found: Counter[str] = Counter()
        for cell, rows in self.counts[split].items():
            found[cell.split("\0")[1]] += rows
        return found

    def describe(self, project: Project, inputs: list[str], silver_rows: int) -> None:
        """Write the manifest and the card beside the files.

        Args:
            project: The project that the labels, sources and shares come from.
            inputs: Ids of the increments that the rows come from.
            silver_rows: Rows that no person voted on.
        """
        manifest = {
            "version": self.version,
            "project": project.name,
            "task": project.task.model_dump(mode="json"),
            "splits": {split: self.rows[split] for split in SPLITS},
            "labels": {split: dict(sorted(self.label_counts(split).items())) for split in SPLITS},
            "silver_rows": silver_rows,
            "storage": project.storage.model_dump(mode="json"),
            "columns": {column.name: column.meaning for column in FILE_COLUMNS},
            "files": dict(self.files),
            "inputs": inputs,
        }
        (self.folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        (self.folder / "README.md").write_text(render_card(self, project, silver_rows), encoding="utf-8")


def render_card(dataset: FrozenDataset, project: Project, silver_rows: int) -> str:
    """The data set card: what is in it, how it was made, what it is not."""
    answer = "Each row carries the consensus label, the distribution of the votes (`distribution`, in the order of the labels)"
    if project.task.has_lists:
        order = "span, in their order" if project.task.has_spans else "label, in their order"
        answer = f"Each row carries the consensus as a JSON list, the share of the voters behind each {order} (`distribution`)"
    cells = sorted({cell for counts in dataset.counts.values() for cell in counts})
    table = ["| source | label | " + " | ".join(SPLITS) + " |", "|---|---|" + "---|" * len(SPLITS)]
    for cell in cells:
        source, label = cell.split("\0")
        table.append(f"| {source} | {label} | " + " | ".join(str(dataset.counts[split][cell]) for split in SPLITS) + " |")
    languages = "".join(f"\n- {language}" for language in project.languages)
    return "\n".join(
        [
            "---",
            f"pretty_name: {project.name} {dataset.version}",
            f"task_categories:\n- {project.task.kind.replace('_', '-')}",
            f"language:{languages}",
            "configs:\n- config_name: default\n  data_files:",
            *[f"  - split: {'validation' if split == 'dev' else split}\n    path: {split}.parquet" for split in SPLITS],
            "---",
            "",
            f"# {project.name}, data set {dataset.version}",
            "",
            f"Labels: {', '.join(project.task.labels)}. {answer}, the ratings and the confidence.",
            "",
            *_silver_warning(silver_rows, sum(dataset.rows.values())),
            *table,
            "",
            "Rows whose consensus is below the quorum are not in it; they wait in the labeling queue. Documents that share a source "
            "document or a near-duplicate cluster share a split; texts that repeat a passage of the test split are left out. The "
            "version is a hash of the rows; `manifest.json` lists the hash of every file and the increments that the rows come from.",
            "",
        ]
    )


def _silver_warning(silver_rows: int, rows: int) -> list[str]:
    """What to think of labels that nobody gave; nothing when there are none."""
    if not silver_rows:
        return []
    text = (
        f"**Silver labels:** {silver_rows:,} of {rows:,} rows were labelled by labeling functions alone; no person looked at them. "
        "Scores on such rows measure agreement with those functions, not with people."
    )
    return [text, ""]


def hash_file(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

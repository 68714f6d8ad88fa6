"""Frozen data sets without rows that were erased: the files are written anew, manifest and card say what is missing.

Does not belong here: freezing (`datasets.py`), finding what is erased (`services/`).
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.answers import labels_of_answer
from assets.markdown import with_last_section
from assets.project import Task
from assets.schemas import SPLITS
from assets.storage.datasets import NO_LABEL, hash_file


def without_rows(folder: Path, document_ids: Collection[str]) -> int:
    """Write the files of a data set anew without some documents, in place; its name stays, manifest and card say what is missing.

    The rows that a data set had at first are those of its manifest, so that one whose files were written without its manifest, since
    somebody killed the process in between, is counted right the next time.

    Args:
        folder: The data set's files, manifest and card.
        document_ids: What goes.

    Returns:
        How many rows are missing now, those of earlier erasures included.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    task, rows_before = Task.model_validate(manifest["task"]), sum(manifest["splits"].values()) + manifest.get("erased_rows", 0)
    for split in SPLITS:
        path = folder / f"{split}.parquet"
        rows = pq.read_table(path)
        kept = rows.filter(pc.invert(pc.is_in(rows["document_id"], pa.array(list(document_ids), pa.string()))))
        pq.write_table(kept, path, compression="zstd")
        manifest["splits"][split] = len(kept)
        manifest["labels"][split] = dict(sorted(count_labels(kept["label"].to_pylist(), task).items()))
        manifest["files"][path.name] = hash_file(path)
    manifest["erased_rows"] = rows_before - sum(manifest["splits"].values())
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    card = folder / "README.md"
    card.write_text(note_erased(card.read_text(encoding="utf-8"), manifest), encoding="utf-8")
    return int(manifest["erased_rows"])


def count_labels(answers: Iterable[str], task: Task) -> Counter[str]:
    """How many answers carry each label; `NO_LABEL` for those that carry none."""
    return Counter(label for answer in answers for label in labels_of_answer(answer, task) or (NO_LABEL,))


def note_erased(card: str, manifest: Mapping[str, Any]) -> str:
    """The card with a section about the rows that were erased, in place of an earlier one."""
    left = ", ".join(f"{split} {rows:,}" for split, rows in manifest["splits"].items())
    text = (
        f"{manifest['erased_rows']:,} rows were erased after this data set was frozen; the counts above are those from before. "
        f"Left are: {left}. `manifest.json` has the labels of what is left. "
        "Models that were trained on it before still hold what they learnt: retrain."
    )
    return with_last_section(card, "Erased text · 已删除的文本", text)

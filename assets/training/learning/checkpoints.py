"""Checkpoints that survive a kill at any moment: tensors as safetensors, everything else as JSON, a manifest of hashes last.

A checkpoint is a folder `step-<number>`, written under another name and renamed when every byte is on disk. Nothing is pickled.
Does not belong here: what is in a checkpoint (`finetuning.py`), finished models (`artifacts.py`).
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assets.training.manifests import flush_to_disk, sha256_of_file

KEPT_CHECKPOINTS = 2
"""The newest, and the one before in case the newest turns out to be damaged."""

TENSORS, FACTS, MANIFEST = "tensors.safetensors", "facts.json", "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training run.

    Attributes:
        step: Optimizer steps done.
        tensors: Weights, optimizer state and random state by name.
        facts: Everything else, as JSON values.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint so that it is either wholly there or not at all, then remove the older ones. Returns its folder."""
    final = folder / f"step-{checkpoint.step:09d}"
    draft = folder / f".draft-{checkpoint.step:09d}"
    for leftover in (*folder.glob(".draft-*"), final):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, draft / TENSORS)
    (draft / FACTS).write_text(json.dumps({"step": checkpoint.step, **checkpoint.facts}), encoding="utf-8")
    hashes = {name: sha256_of_file(draft / name) for name in (TENSORS, FACTS)}
    (draft / MANIFEST).write_text(json.dumps(hashes), encoding="utf-8")
    for path in (draft / TENSORS, draft / FACTS, draft / MANIFEST, draft):
        flush_to_disk(path)
    draft.rename(final)
    flush_to_disk(folder)
    for old in sorted(folder.glob("step-*"))[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def read_newest_checkpoint(folder: Path, identity: str) -> Checkpoint | None:
    """The newest checkpoint that is whole and belongs to this run; None when there is none.

    Args:
        folder: Where checkpoints are written.
        identity: Value of the fact `identity`: checkpoints of another data set, recipe or code are passed over.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        checkpoint = _read_if_whole(path)
        if checkpoint is not None and checkpoint.facts.get("identity") == identity:
            return checkpoint
    return None


def _read_if_whole(path: Path) -> Checkpoint | None:
    """A torn or damaged checkpoint reads as None: the one before it is as good, only older."""
    try:
        hashes = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if any(sha256_of_file(path / name) != hashes.get(name) for name in (TENSORS, FACTS)):
            return None
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        return Checkpoint(facts.pop("step"), load_file(path / TENSORS), facts)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError):
        return None

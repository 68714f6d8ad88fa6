"""Files that prove themselves: hashes, flushing to disk, the manifest of a finished model. Light: neither torch nor transformers.

Does not belong here: writing or opening the model itself (`artifacts.py`), checkpoints (`checkpoints.py`).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
PICKLE_ENDINGS = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"})


class ModelFolderError(RuntimeError):
    """A model folder is incomplete, was changed after it was written, or holds files that could run code."""


def write_manifest(folder: Path, facts: dict[str, Any]) -> str:
    """Write `manifest.json`: the facts and the hash of every other file of the folder. Returns the manifest's SHA-256 (hex)."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in paths:
        flush_to_disk(path)
    hashes = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in paths}
    manifest, draft = folder / MANIFEST, folder / f"{MANIFEST}.draft"
    draft.write_text(json.dumps({**facts, "files": hashes}, ensure_ascii=False, indent=2, sort_keys=True), encoding="utf-8")
    flush_to_disk(draft)
    draft.rename(manifest)
    flush_to_disk(folder)
    return sha256_of_file(manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a model folder, after checking every file against it.

    Raises:
        ModelFolderError: No manifest, a file is missing, changed or not listed, or is of a kind that can hold code.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelFolderError(f"Model in {folder}: expected {MANIFEST}, found none. The model was not written to the end: train again.")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    present = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} - {MANIFEST}
    pickles = sorted(name for name in present if Path(name).suffix in PICKLE_ENDINGS)
    if pickles:
        raise ModelFolderError(f"Model in {folder}: expected weights in safetensors only, found {pickles}, which could run code.")
    listed = set(manifest["files"])
    if present != listed:
        raise ModelFolderError(
            f"Model in {folder}: expected the files its manifest lists, "
            f"found {sorted(listed - present)} missing and {sorted(present - listed)} not listed. Fetch the model again."
        )
    changed = sorted(name for name, digest in manifest["files"].items() if sha256_of_file(folder / name) != digest)
    if changed:
        raise ModelFolderError(f"Model in {folder}: expected the contents its manifest lists, found {changed} changed; fetch it again.")
    return manifest


def sha256_of_file(path: Path) -> str:
    """Content hash (hex) of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_to_disk(path: Path) -> None:
    """Wait until a file or a folder entry is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A model's files in the object store: fetched in one way only, with every hash checked. Light: neither torch nor transformers.

The registry's table holds the SHA-256 of a model's manifest, the manifest that of every other file: whoever changes a file in the store
changes a hash that is kept elsewhere. Does not belong here: the manifest's contents (`manifests.py`), opening the network (`scorer.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from assets.training.manifests import MANIFEST, ModelFolderError, read_manifest, sha256_of_file


class ModelStore(Protocol):
    """What is needed of an object store."""

    def get(self, key: str) -> bytes:
        """All bytes of an object."""
        ...

    def exists(self, key: str) -> bool:
        """True when the key can be read."""
        ...

    def get_directory(self, prefix: str, path: Path) -> int:
        """Writes every object under a prefix into a folder."""
        ...


def fetch_model(store: ModelStore, model: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Bring a model's files into an empty folder and check them against the registry; returns the manifest.

    Args:
        store: Where the files lie.
        model: Its row of `fine_tuned_model`; read: `model_id`, `model_key`, `manifest_sha256`.
        folder: Where they are written.

    Raises:
        ModelFolderError: They are not the files that were registered.
    """
    store.get_directory(str(model["model_key"]), folder)
    found = sha256_of_file(folder / MANIFEST) if (folder / MANIFEST).is_file() else "no manifest"
    _require_registered(model, found)
    return read_manifest(folder)


def check_model(store: ModelStore, model: Mapping[str, Any]) -> dict[str, Any]:
    """Make sure that a registered model can still be had, without fetching its weights; returns the manifest.

    Raises:
        ModelFolderError: The manifest is not the registered one, or a file is gone. The contents of the other files are checked by
            `fetch_model` when the model is used.
    """
    key = str(model["model_key"])
    content = store.get(f"{key}/{MANIFEST}") if store.exists(f"{key}/{MANIFEST}") else None
    _require_registered(model, "no manifest" if content is None else hashlib.sha256(content).hexdigest())
    manifest: dict[str, Any] = json.loads(content or b"{}")
    missing = sorted(name for name in manifest["files"] if not store.exists(f"{key}/{name}"))
    if missing:
        raise ModelFolderError(f"Model {model['model_id']}: expected the files its manifest lists, found {missing} gone from the store.")
    return manifest


def _require_registered(model: Mapping[str, Any], found: str) -> None:
    if found != model["manifest_sha256"]:
        raise ModelFolderError(
            f"Model {model['model_id']}: expected the manifest that was registered, SHA-256 {model['manifest_sha256']}, found {found}. "
            "The model was changed in the object store after its training: restore it from a backup, or train again."
        )

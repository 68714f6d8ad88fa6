"""A finished model as a folder of files, with a manifest that says what it is and holds the hash of every file.

The folder: `model.safetensors` and `config.json` (the encoder: `AutoModel.from_pretrained` of transformers reads them), tokenizer files,
`head.safetensors` (the linear layer), `classifier.json` (labels and how to score), `history.json`, `predictions.parquet`, `manifest.json`.

Does not belong here: checkpoints of an unfinished run (`checkpoints.py`), scoring (`scoring.py`).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from assets.training.checkpoints import flush_to_disk
from assets.training.classifier import Pooling, TextClassifier
from assets.training.encoder import build_encoder, sha256_of_file

MANIFEST = "manifest.json"
PICKLE_ENDINGS = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"})


class ModelFolderError(RuntimeError):
    """A model folder is incomplete, was changed after it was written, or holds files that could run code."""


@dataclass(frozen=True)
class ClassifierSettings:
    """How a model turns a text into probabilities.

    Attributes:
        labels: The task's labels, in the order of the probabilities.
        pooling: How the encoder's last layer becomes one vector.
        max_tokens: Longer texts are cut.
        positive_label: With `negative_label`: valence is P(positive) - P(negative).
        negative_label: See `positive_label`.
    """

    labels: tuple[str, ...]
    pooling: Pooling
    max_tokens: int
    positive_label: str | None = None
    negative_label: str | None = None

    @property
    def poles(self) -> tuple[int, int] | None:
        """Index of the positive and of the negative label; None for a task without valence."""
        if self.positive_label is None or self.negative_label is None:
            return None
        return self.labels.index(self.positive_label), self.labels.index(self.negative_label)


def write_model(folder: Path, model: TextClassifier, tokenizer: PreTrainedTokenizerBase, settings: ClassifierSettings) -> None:
    """Write weights, configuration and tokenizer. The manifest comes last, see `write_manifest`."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = model.encoder
    encoder.config.id2label = dict(enumerate(settings.labels))
    encoder.config.label2id = {label: number for number, label in enumerate(settings.labels)}
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in model.head.state_dict().items()}
    save_file(head, folder / "head.safetensors")
    (folder / "classifier.json").write_text(json.dumps(asdict(settings), ensure_ascii=False, indent=2), encoding="utf-8")


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


def read_model(folder: Path) -> tuple[TextClassifier, ClassifierSettings]:
    """The network of a model folder with its weights, from safetensors only. Check the folder with `read_manifest` first."""
    raw = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    settings = ClassifierSettings(**{**raw, "labels": tuple(raw["labels"])})
    model = TextClassifier(build_encoder(folder), len(settings.labels), settings.pooling)
    model.encoder.load_state_dict(load_file(folder / "model.safetensors"))
    model.head.load_state_dict(load_file(folder / "head.safetensors"))
    return model, settings

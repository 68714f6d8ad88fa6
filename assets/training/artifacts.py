"""A finished model as a folder of files.

The folder: `model.safetensors` and `config.json` (the encoder: `AutoModel.from_pretrained` of transformers reads them), tokenizer files,
`head.safetensors` (the linear layer), `classifier.json` (labels and how to score), `history.json`, `predictions.parquet`, `manifest.json`.

Does not belong here: the manifest (`manifests.py`), checkpoints of an unfinished run (`checkpoints.py`), scoring (`scoring.py`).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from assets.training.classifier import Pooling, TextClassifier
from assets.training.encoder import build_encoder


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


def read_model(folder: Path) -> tuple[TextClassifier, ClassifierSettings]:
    """The network of a model folder with its weights, from safetensors only. Check the folder with `read_manifest` first."""
    raw = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    settings = ClassifierSettings(**{**raw, "labels": tuple(raw["labels"])})
    model = TextClassifier(build_encoder(folder), len(settings.labels), settings.pooling)
    model.encoder.load_state_dict(load_file(folder / "model.safetensors"))
    model.head.load_state_dict(load_file(folder / "head.safetensors"))
    return model, settings

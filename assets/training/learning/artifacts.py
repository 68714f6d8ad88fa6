"""A finished model as a folder of files.

The folder: `model.safetensors` and `config.json` (the encoder: `AutoModel.from_pretrained` of transformers reads them), tokenizer files,
`head.safetensors` (the head), `task.json` (what it answers and how to read texts), `history.json`, `predictions.parquet`, what
`exporting.py` adds, `manifest.json`.

Does not belong here: the manifest (`manifests.py`), checkpoints of an unfinished run (`checkpoints.py`), scoring (`scorer.py`).
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from assets.project import Task
from assets.training.learning.encoder import build_encoder, load_tokenizer
from assets.training.learning.network import Network, Pooling
from assets.training.learning.objectives import Objective, objective_of


class ModelSettings(BaseModel):
    """How a model turns a text into an answer.

    Attributes:
        task: What it answers.
        pooling: How the encoder's last layer becomes one vector, where the task has one answer per text.
        max_tokens: Longer texts are cut, or read in windows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task
    pooling: Pooling
    max_tokens: int


def write_model(folder: Path, model: Network, tokenizer: PreTrainedTokenizerBase, settings: ModelSettings) -> None:
    """Write weights, configuration and tokenizer. The manifest comes last, see `write_manifest`."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = model.encoder
    encoder.config.id2label = dict(enumerate(settings.task.labels))
    encoder.config.label2id = {label: number for number, label in enumerate(settings.task.labels)}
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in model.head.state_dict().items()}
    save_file(head, folder / "head.safetensors")
    (folder / "task.json").write_text(settings.model_dump_json(indent=2), encoding="utf-8")


def read_model(folder: Path) -> tuple[Network, PreTrainedTokenizerBase, Objective, ModelSettings]:
    """The network of a model folder with its weights, from safetensors only. Check the folder with `read_manifest` first."""
    settings = ModelSettings.model_validate_json((folder / "task.json").read_text(encoding="utf-8"))
    objective, tokenizer, encoder = objective_of(settings.task), load_tokenizer(folder), build_encoder(folder)
    objective.prepare(tokenizer, encoder)
    encoder.load_state_dict(load_file(folder / "model.safetensors"))
    head = objective.build_head(encoder.config.hidden_size, tokenizer, settings.pooling)
    head.load_state_dict(load_file(folder / "head.safetensors"))
    return Network(encoder, head, tokenizer.pad_token_id or 0), tokenizer, objective, settings

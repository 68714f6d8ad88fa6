"""Token ids on disk, so that no text is tokenized twice with the same tokenizer: trials, learning curves and resumed runs share them.

A file is named by the hash of all that decides its content. Damaged files are made anew. Nothing is pickled.
Does not belong here: tokenizing (`encoding.py`).
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from assets.training.learning.encoding import EncodedTexts

FORMAT = "textmill-tokens-1"


def key_of_texts(fingerprint: str, kind: str, max_tokens: int, texts: Sequence[str]) -> str:
    """SHA-256 (hex) over the base model's fingerprint, the kind of task, the longest input and every text."""
    digest = hashlib.sha256(json.dumps([FORMAT, fingerprint, kind, max_tokens, len(texts)]).encode())
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def encode_once(folder: Path | None, key: str, encode: Callable[[], EncodedTexts]) -> EncodedTexts:
    """Texts encoded earlier under this key, else encoded now and kept.

    Args:
        folder: Where they are kept; None keeps nothing.
        key: From `key_of_texts`.
        encode: Called when there is no whole file.
    """
    if folder is None:
        return encode()
    path = folder / f"{key}.safetensors"
    try:
        found = load_file(path)
        return EncodedTexts(found["ids"], found["starts"], int(found["padding_id"][0]), found["text_of"], found.get("offsets"))
    except (OSError, SafetensorError, KeyError):
        texts = encode()
    arrays: dict[str, npt.NDArray[Any]] = {
        "ids": texts.ids,
        "starts": texts.starts,
        "padding_id": np.array([texts.padding_id]),
        "text_of": texts.text_of,
    }
    if texts.offsets is not None:
        arrays["offsets"] = texts.offsets
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")  # several processes may do this at once, each writes the same
    save_file(arrays, draft)
    draft.rename(path)
    return texts

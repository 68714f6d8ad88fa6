"""Labels by likeness: the label whose description lies nearest to the text, by the cosine of embeddings.

The oldest way to classify without examples (Chang et al., "Importance of Semantic Representation: Dataless Classification", AAAI 2008),
with a sentence encoder. Does not belong here: making embeddings (`training/embed.py`), which documents are asked about (`consulting.py`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def nearest_labels(
    texts: Vectors, descriptions: Mapping[str, Vectors], min_margin: float
) -> tuple[list[str | None], npt.NDArray[np.float64]]:
    """The label of every text, None where no label is nearer than the next by the margin, and those margins, (texts,).

    Args:
        texts: Vectors of length 1, (texts, H).
        descriptions: For every label the vectors of its descriptions, (descriptions, H); the nearest one counts.
        min_margin: Least difference of the two highest cosines.
    """
    names = list(descriptions)
    cosines = np.stack([(texts @ descriptions[name].T).max(axis=1) for name in names], axis=1).astype(float)
    ordered = np.sort(cosines, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    best = cosines.argmax(axis=1)
    return [names[place] if margin >= min_margin else None for place, margin in zip(best, margins, strict=True)], margins


def descriptions_version(descriptions: Mapping[str, Sequence[str]], base_model: str, min_margin: float) -> str:
    """First digits of the hash of everything that the answers depend on, but the texts."""
    said = json.dumps([base_model, min_margin, {name: list(texts) for name, texts in descriptions.items()}], ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()[:8]

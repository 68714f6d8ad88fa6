"""Names of people, which no pattern finds: by a token classification model that the project names in `cleaning.pii.names_model`.

What patterns find is in `finding.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from assets.cleaning.pii.found import Found
from assets.pseudonyms import canonical_name

if TYPE_CHECKING:
    from transformers import TokenClassificationPipeline

# Labels for people in the tag sets of CoNLL 2003 (PER), OntoNotes (PERSON), CLUENER and others (name).
PERSON_LABELS = frozenset({"PER", "PERSON", "NAME"})
# Models read some 500 tokens; longer texts are read in pieces that overlap.
_OVERLAP_TOKENS = 64


class NameFinder(Protocol):
    """Anything that finds names of people in texts."""

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """The names in each text, as finds of the kind `name`, in order."""


class NoNames:
    """Finds nothing: the project names no model."""

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """No names in any text."""
        return [[] for _ in texts]


class ModelNames:
    """Names that a model for token classification tags."""

    def __init__(self, model: str) -> None:
        """Nothing is loaded yet.

        Args:
            model: Name on the model hub, or a folder, of a model with a fast tokenizer and weights in safetensors.
        """
        self._model = model
        self._pipeline: TokenClassificationPipeline | None = None

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """The names in each text; their canonical form is lower-cased, with single spaces.

        Raises:
            ValueError: The model has no label for people.
        """
        pipeline = self._pipeline = self._pipeline or _load(self._model)
        tagged = pipeline(list(texts)) if texts else []
        return [_people(text, entities) for text, entities in zip(texts, tagged, strict=True)]


def open_name_finder(model: str | None) -> NameFinder:
    """The finder that the project asks for."""
    return NoNames() if model is None else ModelNames(model)


def _people(text: str, entities: Iterable[Mapping[str, Any]]) -> list[Found]:
    people = [(int(each["start"]), int(each["end"])) for each in entities if str(each["entity_group"]).upper() in PERSON_LABELS]
    return [Found(start, end, "name", canonical_name(text[start:end])) for start, end in people]


def _load(name: str) -> "TokenClassificationPipeline":
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline  # loads torch: only where names are looked for

    model = AutoModelForTokenClassification.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    labels = [str(label) for label in model.config.id2label.values()]
    if not any(label.upper().removeprefix("B-").removeprefix("I-") in PERSON_LABELS for label in labels):
        raise ValueError(
            f"cleaning.pii.names_model: expected a model with a label out of {sorted(PERSON_LABELS)}, found {name} with {sorted(labels)}"
        )
    tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, trust_remote_code=False)
    return pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first", stride=_OVERLAP_TOKENS)

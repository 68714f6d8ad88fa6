"""Low-rank adapters: a few new weights beside the encoder's own, which stay as they are (Hu et al., ICLR 2022, arXiv 2106.09685).

The peft library does it; it comes with the extra `lora`. Does not belong here: training them (`finetuning.py`).
"""

from collections.abc import Callable

from transformers import PreTrainedModel

from assets.training_settings import Lora


class MissingExtraError(RuntimeError):
    """A library is not installed that the project file asks for."""


def add_adapters(encoder: PreTrainedModel, settings: Lora) -> Callable[[], None]:
    """Put adapters beside every linear layer of the encoder's layers, in place; nothing else of it is trained any more.

    Returns:
        A function to call once when training has ended: it adds the adapters to the weights, so that the encoder is a plain one again.

    Raises:
        MissingExtraError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError(
            "training.lora: expected the library peft, found none; install it with: pip install 'textmill[lora]'"
        ) from error
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules="all-linear", bias="none")
    adapted = get_peft_model(encoder, config)

    def merge() -> None:
        adapted.merge_and_unload()

    return merge

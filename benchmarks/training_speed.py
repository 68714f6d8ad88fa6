"""How fast texts are tokenized, scored and trained on, and what a checkpoint costs: `python -m benchmarks.training_speed [BASE_MODEL]`."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

from assets.project import Training
from assets.training.classifier import TextClassifier, freeze_lowest_layers, predict_logits, set_dropout
from assets.training.encoder import load_encoder, load_tokenizer, locate_base_model
from assets.training.encoding import encode_texts
from assets.training.finetuning import FineTuning
from assets.training.hardware import choose_hardware
from assets.training.records import CheckpointPolicy, Examples

WORDS = "the film is a good bad table with very many words that people write about news and products every day".split()
ROWS = 960


def main(base_model: str) -> None:
    """Print one line per measurement."""
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    hardware = choose_hardware()
    torch.set_num_threads(hardware.threads)
    print(hardware.notice)
    folder = locate_base_model(base_model).folder
    tokenizer = load_tokenizer(folder)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, int(random.integers(8, 40)))) for _ in range(ROWS)]
    encoded = encode_texts(tokenizer, texts, 128)
    tokens = len(encoded.ids)
    examples = Examples(encoded, np.full((ROWS, 3), 1 / 3, dtype=np.float32), np.zeros(ROWS, dtype=np.float32))
    show("tokenize", tokens, lambda: encode_texts(tokenizer, texts, 128))
    model = TextClassifier(load_encoder(folder), 3).to(hardware.device)
    show("score", tokens, lambda: predict_logits(model, encoded, hardware))
    few = Examples(encode_texts(tokenizer, texts[:8], 128), examples.distribution[:8], examples.valence[:8])
    for frozen, dropout in ((0, None), (0, 0.0), (3, 0.0)):
        model = TextClassifier(load_encoder(folder), 3)
        freeze_lowest_layers(model.encoder, frozen)
        set_dropout(model, dropout)
        settings = Training(epochs=1, evaluations_per_epoch=1, frozen_layers=frozen, dropout=dropout)
        show(f"train, {frozen} layers frozen, dropout {dropout}", tokens, FineTuning(model, examples, few, settings, hardware).run)
    with tempfile.TemporaryDirectory() as work:
        policy = CheckpointPolicy(Path(work), "benchmark", every_steps=ROWS // 32)
        run = FineTuning(model, examples, few, settings, hardware, checkpoints=policy)
        run.run()
        size = sum(path.stat().st_size for path in Path(work).rglob("*.safetensors"))
        print(f"{'checkpoint':<42} {run._checkpoint_seconds:8.2f} s {size / 1e6:12,.0f} MB")


def show(name: str, tokens: int, work: Callable[[], object]) -> None:
    """Time one piece of work and print seconds and real tokens per second."""
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(f"{name:<42} {seconds:8.2f} s {tokens / seconds:12,.0f} tokens/s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "all-MiniLM-L6-v2")

"""How fast texts are trained on and scored, beside the plain loop of many tutorials, in real (unpadded) tokens a second.

`python -m benchmarks.training_speed [--base-model NAME] [--rows N] [--repeats N] [--json]`. Both run in this process, in turn, on the
same texts; ratios are taken pair by pair. The plain loop pads every text to 128 tokens, takes 16 at a time, in fp32, with AdamW.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers

from assets.project import Training
from assets.training.classifier import TextClassifier, predict_logits
from assets.training.encoder import load_encoder, load_tokenizer, locate_base_model
from assets.training.encoding import encode_texts
from assets.training.finetuning import FineTuning
from assets.training.hardware import choose_hardware
from assets.training.records import Examples
from benchmarks.table import Row, print_rows

WORDS = "the film is a good bad table with very many words that people write about news and products every day".split()
LABELS = 3


def make_texts(rows: int, seed: int = 0) -> list[str]:
    """Texts of 8 to 39 words, like the demo's sentences."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, int(random.integers(8, 40)))) for _ in range(rows)]


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


class PlainLoop:
    """The peer: padded to 128, batches of 16, fp32, AdamW, in the order given."""

    def __init__(self, folder: str, texts: list[str]) -> None:
        tokenizer = load_tokenizer(folder)
        self.inputs = tokenizer(texts, padding="max_length", truncation=True, max_length=128, return_tensors="pt")
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=LABELS)

    def batches(self) -> list[dict[str, torch.Tensor]]:
        """Model inputs, 16 rows at a time."""
        rows = len(self.inputs["input_ids"])
        return [{name: values[start : start + 16] for name, values in self.inputs.items()} for start in range(0, rows, 16)]

    def train(self) -> None:
        """One epoch."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-5)
        self.model.train()
        for batch in self.batches():
            loss = self.model(**batch, labels=torch.zeros(len(batch["input_ids"]), dtype=torch.long)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    def score(self) -> None:
        """One pass without gradients."""
        self.model.eval()
        with torch.no_grad():
            for batch in self.batches():
                self.model(**batch)


def measure(base_model: str, rows: int, repeats: int) -> list[Row]:
    """One row for training, one for scoring."""
    hardware = choose_hardware()
    torch.set_num_threads(hardware.threads)
    folder = locate_base_model(base_model).folder
    texts = make_texts(rows)
    encoded = encode_texts(load_tokenizer(folder), texts, 128)
    tokens = len(encoded.ids)
    examples = Examples(encoded, np.full((rows, LABELS), 1 / LABELS, dtype=np.float32), np.zeros(rows, dtype=np.float32))
    few = Examples(encode_texts(load_tokenizer(folder), texts[:8], 128), examples.distribution[:8], examples.valence[:8])
    settings = Training(epochs=1, evaluations_per_epoch=1)
    peer = PlainLoop(str(folder), texts)

    def train() -> None:
        FineTuning(TextClassifier(load_encoder(folder), LABELS), examples, few, settings, hardware).run()

    model = TextClassifier(load_encoder(folder), LABELS).to(hardware.device)
    work = {"fine-tuning": (train, peer.train), "scoring": (lambda: predict_logits(model, encoded, hardware), peer.score)}
    rows_found = []
    for name, (ours, theirs) in work.items():
        pairs = [(tokens / seconds_of(ours), tokens / seconds_of(theirs)) for _ in range(repeats)]
        ratios = [mine / other for mine, other in pairs]
        label = f"{name}, {hardware.device} {hardware.precision}, {tokens:,} real tokens"
        rows_found.append(Row.of_pairs(label, pairs, "tokens/s", "padded fp32 loop", ratios))
    return rows_found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", default="all-MiniLM-L6-v2")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    print_rows(measure(arguments.base_model, arguments.rows, arguments.repeats), as_json=arguments.json)


if __name__ == "__main__":
    main()

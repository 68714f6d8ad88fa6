"""How fast a model is fine-tuned, in real (unpadded) tokens a second, beside the Trainer of transformers and the plain loop of tutorials.

`python -m benchmarks.training_speed [--data FOLDER] [--base-model NAME | --random-weights bert-base] [--steps N] [--batch-tokens N]
[--device auto|cpu|cuda] [--compile] [--repeats N] [--json]`. FOLDER is a frozen data set with one label per text (`train.parquet`,
`dev.parquet`); without one, texts are made up and the dev score says nothing. All run in this process, in turn, in the environment that
the platform starts its trainings in; ratios are pair by pair.

- The Trainer learns from the same rows with the same network (mean pooling, linear head), loss, rate, number of optimizer steps, and rows
  a step on average, with dynamic padding, batches grouped by length, fused AdamW, and bf16 where the hardware computes it natively.
- The plain loop pads to `--max-tokens`, takes 16 texts at a time, in fp32, with AdamW; a few batches give its rate.

The share of the matrix-product rate counts 6 operations per weight of the layers and real token (forward and backward), over the rate of
one large matrix product in the same precision on the same device.
"""

import argparse
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from torch.nn import functional

from assets.project import Task
from assets.training.learning.encoder import load_encoder, load_tokenizer, locate_base_model
from assets.training.learning.encoding import shuffled_batches
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.hardware import Hardware, choose_hardware
from assets.training.learning.network import Network, Outputs, layers_of, predict_outputs
from assets.training.learning.objectives import TextObjective, dev_macro_f1
from assets.training.learning.records import Examples
from assets.training.learning.weights import learning_rate_of
from assets.training_settings import Training
from benchmarks.environment import start_as_the_platform_does
from benchmarks.scoring_speed import MeanPoolingClassifier, seconds_of
from benchmarks.table import Row, print_rows

WORDS = "the film is a good bad table with very many words that people write about news and products every day".split()
LABELS = ("negative", "neutral", "positive")
CONFIGS = {"bert-base": transformers.BertConfig}
PLAIN_BATCHES = 8
TARGETS = {"trainer": "ratio >= 1.3 (CPU), 2 (H100)", "plain": "ratio >= 12 (CPU)", "share": ">= 0.4 (H100)"}


def make_documents(rows: int, seed: int) -> pd.DataFrame:
    """Texts of 8 to 39 words, like the demo's sentences; labels mean nothing."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, int(random.integers(8, 40)))) for _ in range(rows)]
    shares = np.eye(len(LABELS))[random.integers(0, len(LABELS), rows)]
    labels = np.array(LABELS)[shares.argmax(1)]
    return pd.DataFrame({"text": texts, "label": labels, "distribution": list(shares), "mean_rating": np.nan})


@dataclass
class Bench:
    """What all trainings share: the network's beginning, rows, recipe, hardware."""

    folder: Path
    config: transformers.PreTrainedConfig | None
    objective: TextObjective
    train: Examples
    dev: Examples
    settings: Training
    hardware: Hardware

    def __post_init__(self) -> None:
        self.tokenizer = load_tokenizer(self.folder)
        self.steps = len(shuffled_batches(self.train.texts.lengths, self.settings.batch_tokens, self.settings.seed, 0))
        few = self.dev.documents.index[:8].to_numpy()
        texts = self.dev.texts.take(few)
        self.few = Examples(self.dev.documents.iloc[few], texts, {name: target[few] for name, target in self.dev.targets.items()})

    def network(self) -> Network:
        """The same beginning every time."""
        torch.manual_seed(self.settings.seed)
        encoder = load_encoder(self.folder) if self.config is None else transformers.AutoModel.from_config(self.config)
        head = self.objective.build_head(encoder.config.hidden_size, self.tokenizer, "mean")
        return Network(encoder, head, self.tokenizer.pad_token_id).to(self.hardware.device)

    def score(self, outputs: Outputs) -> float:
        """Macro F1 on dev."""
        return dev_macro_f1(self.objective, outputs, self.dev.texts, self.dev.documents)

    def train_ours(self, is_compiled: bool) -> tuple[float, float]:
        """Real tokens a second, and macro F1 on dev, of our loop over one epoch."""
        network, settings = self.network(), self.settings.model_copy(update={"compile": is_compiled})
        run = FineTuning(network, self.objective, self.train, self.few, settings, self.hardware)
        seconds = seconds_of(lambda: finish(run.run))
        return len(self.train.texts.ids) / seconds, self.score(predict_outputs(network, self.dev.texts, self.hardware))

    def train_with_trainer(self) -> tuple[float, float]:
        """The same of the Trainer of transformers."""
        network = self.network()
        network.encoder.set_attn_implementation("sdpa")
        peer = MeanPoolingClassifier(network.encoder, network.head.linear)
        with tempfile.TemporaryDirectory() as folder:
            trainer = transformers.Trainer(
                peer,
                self.trainer_arguments(folder, learning_rate_of(network, self.settings)),
                data_collator=self.collate,
                train_dataset=self.trainer_rows(),
                compute_loss_func=lambda outputs, labels, **_: functional.cross_entropy(outputs.logits, labels),
            )
            trainer.pop_callback(transformers.PrinterCallback)
            seconds = seconds_of(lambda: finish(trainer.train))
        tokens = len(self.train.texts.ids)
        network.encoder.set_attn_implementation("textmill_packed")  # the same weights, scored as ours are
        return tokens / seconds, self.score(predict_outputs(network, self.dev.texts, self.hardware))

    def trainer_arguments(self, folder: str, learning_rate: float) -> transformers.TrainingArguments:
        """The same recipe in the Trainer's words."""
        rows = max(1, round(len(self.train.texts) / self.steps))
        return transformers.TrainingArguments(
            folder,
            per_device_train_batch_size=rows,
            max_steps=self.steps,
            learning_rate=learning_rate,
            weight_decay=self.settings.weight_decay,
            warmup_steps=round(self.steps * self.settings.warmup_share),
            bf16=self.hardware.precision == "bf16",
            use_cpu=self.hardware.device == "cpu",
            train_sampling_strategy="group_by_length",
            optim="adamw_torch_fused",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=self.settings.seed,
            remove_unused_columns=False,
            dataloader_pin_memory=self.hardware.device == "cuda",
        )

    def trainer_rows(self) -> list[dict[str, Any]]:
        """One row per text, tokenized before the clock starts, as ours are."""
        texts, shares = self.train.texts, self.train.targets["distribution"]
        bounds = zip(texts.starts[:-1], texts.starts[1:], strict=True)
        return [{"input_ids": texts.ids[first:last].tolist(), "labels": shares[row].tolist()} for row, (first, last) in enumerate(bounds)]

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Padded to the longest of the batch."""
        padded = self.tokenizer.pad({"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt")
        return {**padded, "labels": torch.tensor([row["labels"] for row in rows])}

    def train_plainly(self) -> float:
        """Real tokens a second of the plain loop, over a few batches."""
        network = self.network()
        network.encoder.set_attn_implementation("sdpa")
        peer = MeanPoolingClassifier(network.encoder, network.head.linear).train()
        count = min(16 * PLAIN_BATCHES, len(self.train.texts))
        words = self.train.documents["text"].head(count).tolist()
        inputs = self.tokenizer(words, padding="max_length", truncation=True, max_length=self.settings.max_tokens, return_tensors="pt")
        targets = torch.from_numpy(self.train.targets["distribution"][:count])
        optimizer = torch.optim.AdamW(peer.parameters(), lr=learning_rate_of(network, self.settings))

        def loop() -> None:
            for start in range(0, count, 16):
                part = slice(start, start + 16)
                ids, mask, wanted = (
                    values[part].to(self.hardware.device) for values in (inputs["input_ids"], inputs["attention_mask"], targets)
                )
                functional.cross_entropy(peer(ids, mask).logits, wanted).backward()
                optimizer.step()
                optimizer.zero_grad()

        return int(self.train.texts.starts[count]) / seconds_of(lambda: finish(loop))


def finish(work: Callable[[], object]) -> None:
    """Do it, and wait for the device."""
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def product_rate(hardware: Hardware) -> float:
    """Operations per second of a large matrix product in the precision of training; the best of several tries."""
    side = 8192 if hardware.device == "cuda" else 2048
    number = torch.bfloat16 if hardware.precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=hardware.device, dtype=number) for _ in range(2))
    times = [seconds_of(lambda: finish(lambda: left @ right)) for _ in range(8)]
    return 2 * side**3 / min(times[1:])


def prepare_bench(arguments: argparse.Namespace) -> Bench:
    """Read or make the texts, so many that an epoch has about the steps that are asked for."""
    hardware = choose_hardware(arguments.device)
    torch.set_num_threads(hardware.threads)
    folder = locate_base_model(arguments.base_model).folder
    config = CONFIGS[arguments.random_weights]() if arguments.random_weights else None
    documents = {split: read_documents(arguments.data, split, seed) for seed, split in enumerate(("train", "dev"))}
    labels = tuple(sorted(documents["train"]["label"].unique()))
    objective, tokenizer = TextObjective(Task(labels=labels)), load_tokenizer(folder)
    limit, budget = arguments.max_tokens, arguments.batch_tokens
    lengths = objective.encode(tokenizer, documents["train"]["text"].head(500).tolist(), limit).lengths
    rows = {"train": int(arguments.steps * budget / lengths.mean()), "dev": arguments.dev_rows}
    examples = {}
    for split, frame in documents.items():
        frame = frame.sample(min(rows[split], len(frame)), random_state=0).reset_index(drop=True)
        encoded = objective.encode(tokenizer, frame["text"].tolist(), limit)
        examples[split] = Examples(frame, encoded, objective.targets(encoded, frame))
    settings = Training(
        epochs=1,
        min_steps=0,
        evaluations_per_epoch=1,
        batch_tokens=budget,
        max_tokens=limit,
        learning_rate=arguments.learning_rate,
        average_decay=0.0,  # the peers do not average
        patience=9,
    )
    return Bench(folder, config, objective, examples["train"], examples["dev"], settings, hardware)


def read_documents(folder: Path | None, split: str, seed: int) -> pd.DataFrame:
    """A split of a data set, or made-up texts."""
    return make_documents(20_000, seed) if folder is None else pd.read_parquet(folder / f"{split}.parquet")


def measure(bench: Bench, repeats: int, *, is_compiled: bool) -> list[Row]:
    """Our loop beside each peer, the dev scores, and the share of the matrix-product rate."""
    if is_compiled or bench.hardware.device == "cuda":  # compiling and the first use of a kernel are not counted
        bench.train_ours(is_compiled)
        bench.train_with_trainer()
    ours, trainer, plain = [], [], []
    for _ in range(repeats):
        ours.append(bench.train_ours(is_compiled))
        trainer.append(bench.train_with_trainer())
        plain.append(bench.train_plainly())
    speeds, scores = zip(*ours, strict=True)
    their_speeds, their_scores = zip(*trainer, strict=True)
    where = f"{bench.hardware.device} {bench.hardware.precision}, {bench.steps} steps{', compiled' if is_compiled else ''}"
    network = bench.network()
    weights = sum(weight.numel() for weight in layers_of(network.encoder).parameters())
    rate = product_rate(bench.hardware)
    return [
        paired(f"fine-tuning, {where}", speeds, their_speeds, "Trainer, grouped", TARGETS["trainer"]),
        paired(f"fine-tuning, {where}", speeds, plain, "padded fp32 loop", TARGETS["plain"]),
        Row("dev macro F1, ours", float(np.median(scores)), ""),
        Row("dev macro F1, Trainer", float(np.median(their_scores)), ""),
        Row("matrix products, alone", rate / 1e9, "GFLOP/s"),
        Row("share of that rate, ours, real tokens", 6 * weights * float(np.median(speeds)) / rate, "", target=TARGETS["share"]),
        Row("share of that rate, Trainer, real tokens", 6 * weights * float(np.median(their_speeds)) / rate, ""),
    ]


def paired(name: str, ours: tuple[float, ...], theirs: tuple[float, ...] | list[float], peer: str, target: str) -> Row:
    """A row of speeds measured in turn."""
    pairs = list(zip(ours, theirs, strict=True))
    return Row.of_pairs(name, pairs, "tokens/s", peer, [mine / other for mine, other in pairs], target)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of a frozen data set with one label per text")
    parser.add_argument("--base-model", default="all-MiniLM-L6-v2", help="gives the tokenizer too")
    parser.add_argument("--random-weights", choices=sorted(CONFIGS), help="an encoder of this size that was not pre-trained")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--dev-rows", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--compile", action="store_true", help="compile our network with torch.compile")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity(logging.CRITICAL)
    print_rows(measure(prepare_bench(arguments), arguments.repeats, is_compiled=arguments.compile), as_json=arguments.json)


if __name__ == "__main__":
    start_as_the_platform_does("benchmarks.training_speed")
    main()

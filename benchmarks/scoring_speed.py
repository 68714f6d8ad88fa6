"""How fast texts are scored, beside the `text-classification` pipeline of transformers (fp32, batch_size=32), from text to probabilities.

`python -m benchmarks.scoring_speed --model FOLDER --texts FILE.parquet [--rows N] [--repeats N] [--json]`. FOLDER is a trained model with
one label per text, FILE has a column `text`. Torch, in bf16 too where the processor computes it natively, every other backend that the
folder holds, and the pipeline score the same texts in their natural order, in turn, in this process; ratios are taken pair by pair. The
pipeline's model is the same encoder with the same head: mean pooling over the mask and a linear layer, as a transformers model class of
this file, since no class of the library pools by the mean.

Also printed: the rate of a plain fp32 matrix product of the encoder's shape, the rates that each reaches in real tokens (2 operations per
weight of the layers and token), and the highest ratio that fp32 could reach, were everything but matrix products free.
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
import transformers
from transformers.modeling_outputs import SequenceClassifierOutput

from assets.training.learning.artifacts import read_model
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import layers_of, predict_outputs
from assets.training.scoring.backends import ONNX_FILES, Backend
from assets.training.scoring.exporting import cosine_of_rows
from assets.training.scoring.scorer import Scorer, load_model
from benchmarks.environment import start_as_the_platform_does
from benchmarks.table import Row, print_rows

TARGET_RATIO = 5.0
TARGET_COSINE = 0.999


class MeanPoolingClassifier(transformers.PreTrainedModel):
    """The peer's model: encoder, mean over the mask, linear layer."""

    _supports_sdpa = True  # as its encoder does

    def __init__(self, encoder: transformers.PreTrainedModel, head: torch.nn.Linear) -> None:
        super().__init__(encoder.config)
        self.encoder, self.classifier = encoder, head

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **options: Any) -> SequenceClassifierOutput:  # noqa: ANN401
        """Logits, (B, outputs)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **options).last_hidden_state
        mask = attention_mask[:, :, None].to(states.dtype)
        return SequenceClassifierOutput(logits=self.classifier((states * mask).sum(1) / mask.sum(1)))


def build_pipeline(folder: Path) -> Any:  # noqa: ANN401
    """The pipeline over the same weights, with the attention that transformers chooses for itself."""
    model, tokenizer, _, settings = read_model(folder)
    model.encoder.set_attn_implementation("sdpa")
    peer = MeanPoolingClassifier(model.encoder, model.head.linear).eval()
    tokenizer.model_max_length = settings.max_tokens
    return transformers.pipeline("text-classification", model=peer, tokenizer=tokenizer, device="cpu")


def ask_pipeline(pipeline: Any, texts: list[str], outputs: int) -> np.ndarray:  # noqa: ANN401
    """Raw logits of every text, (texts, outputs); labels that the head has beyond the task's are named LABEL_n."""
    found = pipeline(texts, batch_size=32, top_k=None, function_to_apply="none", truncation=True)
    names = [pipeline.model.config.id2label.get(number, f"LABEL_{number}") for number in range(outputs)]
    return np.array([[{entry["label"]: entry["score"] for entry in row}[name] for name in names] for row in found], dtype=np.float32)


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def gemm_rate(tokens: int, hidden: int, inner: int) -> float:
    """Operations per second of a plain fp32 matrix product, (tokens, hidden) by (hidden, inner); the best of several tries."""
    left, weight = torch.randn(tokens, hidden), torch.randn(inner, hidden)
    times = [seconds_of(lambda: torch.nn.functional.linear(left, weight)) for _ in range(50)]
    return 2 * tokens * hidden * inner / min(times)


def measure(folder: Path, texts: list[str], repeats: int) -> list[Row]:
    """One row per backend for speed and one for parity, and the limit."""
    scorers: dict[str, Scorer] = {name: load_model(folder, "cpu", "fp32", name) for name in get_args(Backend) if has_backend(folder, name)}
    first = scorers["torch"]
    if choose_hardware("cpu").precision == "bf16":
        scorers["torch in bf16"] = load_model(folder, "cpu", "bf16", "torch")
    pipeline = build_pipeline(folder)
    # the head may have one output more than there are labels (the valence): the pipeline needs a name for it
    outputs = first.model.head.linear.out_features
    pipeline.model.config.id2label = {number: pipeline.model.config.id2label.get(number, f"LABEL_{number}") for number in range(outputs)}
    expected = ask_pipeline(pipeline, texts, outputs)
    encoded = first.objective.encode(first.tokenizer, texts, first.settings.max_tokens)
    operations = 2 * len(encoded.ids) * sum(weight.numel() for weight in layers_of(first.model.encoder).parameters())
    times = {name: [] for name in [*scorers, "pipeline"]}
    for _ in range(repeats):
        times["pipeline"].append(seconds_of(lambda: pipeline(texts, batch_size=32, truncation=True)))
        for name, scorer in scorers.items():
            times[name].append(seconds_of(lambda scorer=scorer: scorer.predict(texts)))
    rows = []
    for name, scorer in scorers.items():
        pairs = [(len(texts) / ours, len(texts) / theirs) for ours, theirs in zip(times[name], times["pipeline"], strict=True)]
        ratios = [ours / theirs for ours, theirs in pairs]
        rows.append(Row.of_pairs(f"scoring, {name}", pairs, "texts/s", "transformers pipeline", ratios, f"ratio >= {TARGET_RATIO:g}"))
        cosines = cosine_of_rows(predict_outputs(scorer.model, encoded, scorer.hardware), expected)
        rows.append(Row(f"cosine of logits, {name}, mean", float(cosines.mean()), "", target=f">= {TARGET_COSINE}"))
        rows.append(Row(f"cosine of logits, {name}, least", float(cosines.min()), ""))
        rows.append(Row(f"matrix products, {name}, real tokens", operations / statistics.median(times[name]) / 1e9, "GFLOP/s"))
    return rows + limits(first, operations, statistics.median(times["pipeline"]))


def has_backend(folder: Path, name: Backend) -> bool:
    """Whether the folder can be scored that way."""
    return name == "torch" or (folder / ONNX_FILES[name]).is_file()


def limits(scorer: Scorer, operations: float, pipeline_seconds: float) -> list[Row]:
    """What fp32 could reach on this machine."""
    shape = SimpleNamespace(**scorer.model.encoder.config.to_dict())
    rate = gemm_rate(1024, shape.hidden_size, shape.intermediate_size)
    return [
        Row("matrix products, pipeline, real tokens", operations / pipeline_seconds / 1e9, "GFLOP/s"),
        Row("matrix products, alone", rate / 1e9, "GFLOP/s"),
        Row("highest ratio to the pipeline in fp32", rate / (operations / pipeline_seconds), "x"),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model with one label per text")
    parser.add_argument("--texts", type=Path, required=True, help="Parquet file with a column `text`, such as a data set's test split")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity(logging.CRITICAL)  # the pipeline lists every class that it knows when it meets a new one
    texts = pd.read_parquet(arguments.texts, columns=["text"])["text"].head(arguments.rows).tolist()
    print_rows(measure(arguments.model, texts, arguments.repeats), as_json=arguments.json)


if __name__ == "__main__":
    start_as_the_platform_does("benchmarks.scoring_speed")
    main()

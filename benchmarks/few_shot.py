"""From how many labels on fine-tuning beats a head on the frozen encoder: the measured switch behind `training.few_shot_below`.

    python -m benchmarks.few_shot [--counts 16,32,...] [--seeds 2] [--archives FOLDER] [--json]

Rated text, one grouped split. For each number of labels and each seed: rows drawn from the training part, a fifth of them (at least 8) to
decide on, macro F1 and Pearson r on the same 2,000 test rows. Both ways get the same rows.
"""

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from assets.training.judging.metrics import compute_metrics
from assets.training.judging.predictions import predictions_of_frame, statistics_of
from assets.training.learning.encoder import load_encoder, load_tokenizer, locate_base_model
from assets.training.learning.few_shot import fit_head
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network, predict_outputs
from assets.training.learning.objectives import objective_of
from assets.training.learning.records import Examples
from assets.training_settings import Training
from benchmarks.rated_text import TASK, fold_of_groups, load_rated_text
from benchmarks.table import Row, print_rows

TEST_ROWS = 2_000
FINE_TUNING = Training(epochs=10, learning_rate=1e-4, batch_tokens=512, evaluations_per_epoch=1, patience=3, average_decay=0.99)


class FewShot:
    """The encoder, the test rows, and both ways to learn."""

    def __init__(self, archives: Path, base_model: str) -> None:
        self.folder = locate_base_model(base_model).folder
        self.tokenizer, self.objective, self.hardware = load_tokenizer(self.folder), objective_of(TASK, 4.0), choose_hardware()
        torch.set_num_threads(self.hardware.threads)
        documents = load_rated_text(archives)
        fold = fold_of_groups(documents, 5)
        self.pool = documents[fold != 0]
        self.test = self.examples(documents[fold == 0].sample(TEST_ROWS, random_state=0))

    def examples(self, documents: pd.DataFrame) -> Examples:
        """Documents as examples."""
        documents = documents.reset_index(drop=True)
        texts = self.objective.encode(self.tokenizer, documents["text"].tolist(), 128)
        return Examples(documents, texts, self.objective.targets(texts, documents))

    def measure(self, count: int, seed: int) -> dict[str, tuple[float, float]]:
        """Macro F1 and Pearson r on test of both ways, from the same labels."""
        drawn = self.pool.sample(count, random_state=seed)
        held = max(8, count // 5) if count > 16 else count // 2
        train, dev = self.examples(drawn.iloc[held:]), self.examples(drawn.iloc[:held])
        found = {}
        for way in ("head", "fine-tuning"):
            torch.manual_seed(seed)
            encoder = load_encoder(self.folder)
            head = self.objective.build_head(encoder.config.hidden_size, self.tokenizer, "mean")
            model = Network(encoder, head, self.tokenizer.pad_token_id or 0)
            if way == "head":
                fit_head(model, self.objective, train, dev, self.hardware)
            else:
                settings = FINE_TUNING.model_copy(update={"seed": seed})
                FineTuning(model, self.objective, train, dev, settings, self.hardware).run()
            found[way] = self.score(model)
        return found

    def rows_of(self, count: int, seeds: int) -> Iterator[Row]:
        """The table's rows for a number of labels."""
        found = [self.measure(count, seed) for seed in range(seeds)]
        for place, metric in enumerate(("macro F1", "Pearson r")):
            pairs = [(each["head"][place], each["fine-tuning"][place]) for each in found]
            ratios = [ours / max(theirs, 1e-9) for ours, theirs in pairs]
            yield Row.of_pairs(f"head on frozen encoder, {count} labels: {metric}", pairs, "", "fine-tuning", ratios)
            yield Row(f"fine-tuning, {count} labels: {metric}", statistics.median(theirs for _, theirs in pairs), "")

    def score(self, model: Network) -> tuple[float, float]:
        """Macro F1 and Pearson r on the test rows."""
        outputs = predict_outputs(model, self.test.texts, self.hardware)
        answers = self.objective.answer(outputs, self.test.texts, self.test.documents["text"].tolist())
        metrics = compute_metrics(statistics_of(predictions_of_frame("model", answers, TASK), self.test.documents, TASK).total())
        return float(metrics["macro_f1"]), float(np.nan_to_num(metrics["pearson_r"]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="16,32,64,128,256")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--base-model", default="all-MiniLM-L6-v2")
    parser.add_argument("--archives", type=Path, default=Path(".textmill/archives"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    few_shot = FewShot(options.archives, options.base_model)
    counts = [int(count) for count in options.counts.split(",")]
    print_rows((row for count in counts for row in few_shot.rows_of(count, options.seeds)), as_json=options.json)


if __name__ == "__main__":
    main()

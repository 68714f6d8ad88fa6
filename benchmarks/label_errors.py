"""Wrong labels among the rated sentences: how many of the k that are doubted most were flipped, beside cleanlab's usual pipeline.

Labels are the majority of 15 to 98 people. One in twenty is flipped: at random, or between neighbouring labels, which people confuse. A
label is flipped with its votes: the shares of the two labels change places, as when a batch of answers was read with the wrong key. k is
the number of flips. The peer is what cleanlab's documentation begins with: logistic regression on embeddings, cross-validated, and its
label quality scores; the embeddings are the same. Labels that nobody flipped but people were divided over count as wrong findings for both.

    python -m benchmarks.label_errors --seeds 3
    python -m benchmarks.label_errors --fine-tuned --first-seed 1 --seeds 1

With `--fine-tuned` five fine-tuned models are asked besides (`labeling.issue_models: fine_tuned`), two epochs each: 15 minutes on two free
cores for each seed and kind. Finished folds lie in `--work` and are not trained again.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from assets.grouping import deal_groups
from assets.labeling.answering import FOLDS, SPLIT_COLUMNS
from assets.labeling.label_errors import Labelled, doubt, predict_out_of_fold, with_fine_tuned
from assets.training.jobs import FoldsJob
from assets.training.learning.hardware import choose_hardware
from assets.training.scoring.embedder import load_embedder
from assets.training.studies.folds_run import run_folds
from assets.training_settings import Training
from benchmarks.rated_text import TASK, load_rated_text
from benchmarks.table import Row, print_rows

FLIPPED_SHARE = 0.05
RECIPE = Training(epochs=2, learning_rate=1.5e-4, layer_decay=0.9, average_decay=0.995, warmup_share=0.06, evaluations_per_epoch=1)


class Flips:
    """The rated sentences, and ways to spoil their labels."""

    def __init__(self, archives: Path, rows: int | None, work: Path | None) -> None:
        """Read and embed the sentences.

        Args:
            archives: Folder with the downloaded source archive.
            rows: Take so many sentences only.
            work: Where fine-tuned models leave their answers; None asks none.
        """
        documents = load_rated_text(archives)
        if rows is not None:
            documents = documents.sample(rows, random_state=0)
        self.documents = documents.reset_index(drop=True)
        self.truth = pd.Index(TASK.labels).get_indexer(pd.Index(self.documents["label"]))
        self.shares = np.stack(self.documents["distribution"].tolist())
        self.work = work
        self.vectors = load_embedder("all-MiniLM-L6-v2", 128, choose_hardware()).embed(self.documents["text"].tolist())

    def spoil(self, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, the shares of votes behind them, and which were flipped."""
        random, rows = np.random.default_rng(seed), len(self.truth)
        flipped = random.choice(rows, int(FLIPPED_SHARE * rows), replace=False)
        labels, middle = self.truth.copy(), len(TASK.labels) // 2
        if kind == "at random":
            labels[flipped] = (labels[flipped] + random.integers(1, len(TASK.labels), len(flipped))) % len(TASK.labels)
        else:
            outer = random.choice([0, len(TASK.labels) - 1], len(flipped))
            labels[flipped] = np.where(labels[flipped] == middle, outer, middle)
        is_flipped = np.zeros(rows, dtype=bool)
        is_flipped[flipped] = True
        return labels, self.shares.max(axis=1), is_flipped

    def measure(self, kind: str, seed: int) -> dict[str, tuple[float, float]]:
        """Precision at k of our ranking and the peer's; of our predictions alone, without votes; and recall of what is listed at all."""
        labels, shares, is_flipped = self.spoil(kind, seed)
        k = int(is_flipped.sum())
        fine_tuned = None if self.work is None else self.fine_tuned(labels, self.work / f"{kind.replace(' ', '-')}-{seed}-{len(labels)}")
        ours = with_fine_tuned(predict_out_of_fold(self.labelled(labels)), fine_tuned)
        peer = self.peer(labels, seed)
        theirs = precision(peer, is_flipped, k)
        doubts = doubt(labels, ours, shares)
        listed = ours.argmax(axis=1) != labels
        return {
            "precision at k": (precision(-doubts, is_flipped, k), theirs),
            "precision at k, without votes": (precision(ours[np.arange(len(labels)), labels], is_flipped, k), theirs),
            "precision in the first tenth of k": (precision(-doubts, is_flipped, k // 10), precision(peer, is_flipped, k // 10)),
            "share of the flips that is listed": (float(listed[is_flipped].mean()), float("nan")),
        }

    def fine_tuned(self, labels: np.ndarray, work: Path) -> np.ndarray:
        """What models say that were fine-tuned without the sentence's group, (sentences, labels); shares are flipped with their labels."""
        places = np.arange(len(labels))
        shares = self.shares.copy()
        shares[places, self.truth], shares[places, labels] = self.shares[places, labels], self.shares[places, self.truth]
        names = np.array(TASK.labels, dtype=object)[labels]
        ratings = 4.0 * (shares @ np.array(TASK.valences))
        rows = self.documents.assign(label=names, distribution=list(shares), mean_rating=ratings)[SPLIT_COLUMNS]
        with tempfile.TemporaryDirectory() as data:
            rows.assign(fold=deal_groups(rows["group_id"], FOLDS), is_learnt_from=True).to_parquet(
                Path(data) / "train.parquet", index=False
            )
            folders = {
                "dataset_folder": data,
                "work_folder": work,
                "results_folder": work / "results",
                "cache_folder": work.parent / "tokens",
            }
            run_folds(FoldsJob(**folders, dataset_version=work.name, code_version="benchmark", task=TASK, training=RECIPE))  # type: ignore[arg-type]
        answers = pd.concat([pd.read_parquet(path) for path in sorted((work / "results").glob("*.parquet"))]).set_index("document_id")
        return np.stack(answers.loc[rows["document_id"], "probabilities"].tolist())

    def labelled(self, labels: np.ndarray) -> Labelled:
        """The sentences as our models read them."""
        texts = self.documents["text"]
        words = texts.str.lower().str.findall(r"\w+").str.join(" ")
        sure = np.ones(len(labels), dtype=bool)
        return Labelled(self.vectors, texts, words, labels, self.documents["group_id"], len(TASK.labels), sure)

    def peer(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Label quality by cleanlab's usual pipeline; low is bad."""
        from cleanlab.rank import get_label_quality_scores
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        probabilities = cross_val_predict(LogisticRegression(max_iter=400), self.vectors, labels, cv=folds, method="predict_proba")
        return np.asarray(get_label_quality_scores(labels, probabilities))


def precision(quality: np.ndarray, is_flipped: np.ndarray, k: int) -> float:
    """Share of the k worst that were flipped."""
    return float(is_flipped[np.argsort(quality, kind="stable")[:k]].mean())


def rows_of(flips: Flips, seeds: range) -> Iterator[Row]:
    """The table."""
    for kind in ("at random", "between neighbours"):
        found = [flips.measure(kind, seed) for seed in seeds]
        for name in found[0]:
            pairs = [each[name] for each in found]
            ratios = [own / peer for own, peer in pairs]
            target = ">= 0.6 and ratio >= 1" if name == "precision at k" else ""
            yield Row.of_pairs(f"5 % flipped {kind}: {name}", pairs, "share", "cleanlab", ratios, target)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--fine-tuned", action="store_true", help="ask fine-tuned models besides")
    parser.add_argument("--work", type=Path, default=Path(".textmill/label_errors"))
    parser.add_argument("--rows", type=int, help="take so many sentences only")
    parser.add_argument("--archives", type=Path, default=Path(".textmill/archives"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    flips = Flips(options.archives, options.rows, options.work if options.fine_tuned else None)
    print_rows(rows_of(flips, range(options.first_seed, options.first_seed + options.seeds)), as_json=options.json)


if __name__ == "__main__":
    main()

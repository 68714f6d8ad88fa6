"""How well the packaged encoder judges sentiment after fine-tuning, beside one person, VADER and a linear head on the frozen encoder.

    python -m benchmarks.quality [--recipes full,...] [--folds 0,1,2,3,4] [--share 1] [--work FOLDER] [--archives FOLDER] [--json]

Rated text of Hutto and Gilbert (ICWSM 2014), four sources; five folds by hash of the source document, near duplicates refused first, so
that no sentence is judged by a model that saw its article. Within a fold's training part one group in twenty decides which weights are
kept. Every row of every fold is judged once, by the model of its fold; intervals and paired tests draw whole groups. A fold takes 10 to 40
minutes on two cores; finished folds lie in `--work` and are not trained again, an interrupted one goes on from its checkpoint.

Recipes leave out or add one thing at a time, so that their difference shows what it is worth; `--share 0.3` shows it sooner, on that share
of the training rows, and lets `self-trained` take the rest of them as text without ratings. Against the first recipe named, the others get
a paired test.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV

from assets.training.judging.baselines import compute_baselines
from assets.training.judging.evaluation import evaluate
from assets.training.judging.predictions import HUMAN, VADER, Predictions, predictions_of_frame
from assets.training.learning.encoder import load_encoder, load_tokenizer, locate_base_model
from assets.training.learning.finetuning import FineTuning
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network, predict_outputs, predict_states
from assets.training.learning.objectives import objective_of
from assets.training.learning.records import CheckpointPolicy, Examples, Progress
from assets.training_settings import Training
from benchmarks.environment import start_as_the_platform_does
from benchmarks.rated_text import TASK, fold_of_groups, load_rated_text, load_rated_words
from benchmarks.table import Row, print_rows

FOLDS = 5
DEV_PARTS = 20
SOURCES = ("tweets", "movies", "products", "newspaper")
RIDGE = "frozen encoder + ridge"
PROBE = {"tweets": 0.905, "movies": 0.854, "products": 0.853, "newspaper": 0.701}
"""Pearson r of a first probe of this project: the same encoder, three epochs, one grouped split."""
RATER = {"tweets": 0.888, "movies": 0.899, "products": 0.911, "newspaper": 0.745}
"""Pearson r of one human rater with the mean rating (Hutto and Gilbert, table 4)."""

FULL = Training(
    epochs=3,
    learning_rate=1.5e-4,
    layer_decay=0.9,
    average_decay=0.995,
    warmup_share=0.06,
    evaluations_per_epoch=2,
    patience=6,
)


@dataclass(frozen=True)
class Recipe:
    """One way to train.

    Attributes:
        training: Settings.
        targets: `votes` are the distribution of the votes, `majority` the commonest label alone.
        words: Learn from the rated words of VADER's lexicon too.
        teachers: Recipes whose predictions on the training rows are averaged into the targets, half and half (distilling back).
        unrated: Learn from the rows outside the share too: their ratings are not looked at, the teachers' predictions are their targets
            (self-training).
        members: Recipes whose predictions are averaged; nothing is trained.
    """

    training: Training = FULL
    targets: str = "votes"
    words: bool = False
    teachers: tuple[str, ...] = ()
    unrated: bool = False
    members: tuple[str, ...] = field(default=())


def changed(**changes: object) -> Training:
    """The full recipe with some settings changed."""
    return FULL.model_copy(update=changes)


RECIPES = {
    "full": Recipe(),
    "majority label": Recipe(targets="majority"),
    "no valence": Recipe(changed(valence_weight=0.0)),
    "no averaging": Recipe(changed(average_decay=0.0)),
    "one rate for all layers": Recipe(changed(layer_decay=1.0)),
    "one epoch": Recipe(changed(epochs=1)),
    "six epochs": Recipe(changed(epochs=6)),
    "rated words": Recipe(words=True),
    "long": Recipe(changed(epochs=5, valence_weight=8.0), words=True),
    "second seed": Recipe(changed(seed=14)),
    "low rate": Recipe(Training(epochs=3, learning_rate=5e-5, average_decay=0.0, evaluations_per_epoch=2, patience=6)),
    "default": Recipe(Training()),
    "two seeds averaged": Recipe(members=("full", "second seed")),
    "distilled": Recipe(changed(seed=15), teachers=("full", "second seed")),
    "self-trained": Recipe(teachers=("full",), unrated=True),
}
TEACHERS = {teacher for recipe in RECIPES.values() for teacher in recipe.teachers}


class Quality:
    """Trains and remembers. All results lie under a folder named by the data and the code that shapes them."""

    def __init__(self, documents: pd.DataFrame, work: Path, base_model: str, share: float = 1.0) -> None:
        self.documents, self.work, self.share = documents, work, share
        self.fold = fold_of_groups(documents, FOLDS)
        self.is_dev = fold_of_groups(documents, DEV_PARTS, "quality-dev") == 0
        self.is_drawn = fold_of_groups(documents, 1000, "quality-share") < 1000 * share
        self.base = locate_base_model(base_model)
        self.tokenizer = load_tokenizer(self.base.folder)
        self.hardware = choose_hardware()
        torch.set_num_threads(self.hardware.threads)
        self.data = hashlib.sha256(documents[["document_id", "text", "mean_rating"]].to_json().encode()).hexdigest()

    def path_of(self, name: str, fold: int) -> Path:
        """Where the predictions of a recipe's fold lie."""
        recipe = RECIPES[name]
        settings = recipe.training.model_dump(mode="json", exclude_unset=True)
        told = [self.data, self.base.fingerprint, settings, recipe.targets, recipe.teachers, *["words"] * recipe.words]
        told += [["share", self.share]] * (self.share < 1) + ["unrated"] * recipe.unrated
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return self.work / f"{digest[:16]}-{fold}.parquet"

    def outputs_of(self, name: str, fold: int) -> np.ndarray | None:
        """Outputs for all rows by the model of a fold, (documents, outputs); None where it is not trained yet.

        Those of recipes that teach no other are only there for the rows of the fold, and not a number elsewhere.
        """
        members = RECIPES[name].members
        if members:
            parts = [self.outputs_of(member, fold) for member in members]
            return None if any(part is None for part in parts) else _average(parts)  # type: ignore[arg-type]
        path = self.path_of(name, fold)
        return np.stack(pd.read_parquet(path)["outputs"].tolist()) if path.exists() else None

    def train(self, name: str, fold: int) -> None:
        """Train one fold of a recipe, unless that was done; its teachers first."""
        recipe = RECIPES[name]
        for other in (*recipe.members, *recipe.teachers):
            self.train(other, fold)
        if self.outputs_of(name, fold) is not None:
            return
        objective = objective_of(TASK, recipe.training.valence_weight)
        held_out = self.fold == fold
        is_rated = ~held_out & ~self.is_dev & self.is_drawn
        is_unrated = ~held_out & ~self.is_dev & ~self.is_drawn & recipe.unrated
        if recipe.unrated and not is_unrated.any():
            raise SystemExit(f"{name}: expected a --share below 1, found {self.share}: all rows are rated")
        taught = self.targets_of(name, fold, is_unrated)[is_rated | is_unrated]
        train = self.examples(objective, pd.concat([taught, load_rated_words()]) if recipe.words else taught)
        dev = self.examples(objective, self.documents[~held_out & self.is_dev])
        judged = np.ones(len(held_out), dtype=bool) if name in TEACHERS else held_out
        model = self.fresh_model(objective, recipe.training.seed)
        path = self.path_of(name, fold)

        def report(progress: Progress) -> None:
            message = f"step {progress.step}/{progress.total_steps}, loss {progress.loss:.3f}, {progress.tokens_per_second:.0f} tokens/s"
            print(f"{name}, fold {fold}: {message}", file=sys.stderr, end="\r" if progress.step < progress.total_steps else "\n")

        policy = CheckpointPolicy(path.with_suffix(".checkpoints"), path.stem, min_seconds=120)
        FineTuning(model, objective, train, dev, recipe.training, self.hardware, policy, report).run()
        outputs = np.full((len(judged), len(TASK.labels) + 1), np.nan, dtype=np.float32)
        outputs[judged] = predict_outputs(model, self.examples(objective, self.documents[judged]).texts, self.hardware)
        draft = path.with_suffix(".draft")
        pd.DataFrame({"outputs": list(outputs)}).to_parquet(draft)
        draft.rename(path)

    def targets_of(self, name: str, fold: int, is_unrated: "np.ndarray[Any, Any]") -> pd.DataFrame:
        """The documents with what a recipe learns from; those without ratings have it from the teachers alone."""
        recipe = RECIPES[name]
        if recipe.targets == "majority":
            sharp = [[float(label == own) for label in TASK.labels] for own in self.documents["label"]]
            return self.documents.assign(distribution=sharp)
        if not recipe.teachers:
            return self.documents
        taught = _average([self.outputs_of(teacher, fold) for teacher in recipe.teachers])  # type: ignore[misc]
        answers = objective_of(TASK).answer(taught, None, [])  # type: ignore[arg-type]
        votes = np.array(self.documents["distribution"].tolist())
        own = np.where(is_unrated, 0.0, 0.5)
        mixed = own[:, None] * votes + (1 - own)[:, None] * np.array(answers["probabilities"].tolist())
        ratings = own * self.documents["mean_rating"].to_numpy() + (1 - own) * 4 * answers["valence"].to_numpy()
        return self.documents.assign(distribution=list(mixed), mean_rating=ratings)

    def examples(self, objective: Any, documents: pd.DataFrame) -> Examples:  # noqa: ANN401
        """Documents as training examples."""
        chosen = documents.reset_index(drop=True)
        texts = objective.encode(self.tokenizer, chosen["text"].tolist(), FULL.max_tokens)
        return Examples(chosen, texts, objective.targets(texts, chosen))

    def fresh_model(self, objective: Any, seed: int) -> Network:  # noqa: ANN401
        """The packaged encoder with a new head."""
        encoder = load_encoder(self.base.folder)
        torch.manual_seed(seed)
        return Network(encoder, objective.build_head(encoder.config.hidden_size, self.tokenizer, "mean"), self.tokenizer.pad_token_id)

    def predictions(self, name: str) -> Predictions:
        """Out-of-fold predictions of a recipe for all rows; rows of folds not trained yet have no label."""
        objective = objective_of(TASK)
        outputs = np.zeros((len(self.documents), len(TASK.labels) + 1), dtype=np.float32)
        done = np.zeros(len(self.documents), dtype=bool)
        for fold in range(FOLDS):
            found = self.outputs_of(name, fold)
            if found is not None:
                outputs[self.fold == fold], done[self.fold == fold] = found[self.fold == fold], True
        found = predictions_of_frame(name, objective.answer(outputs, None, []), TASK)  # type: ignore[arg-type]
        return Predictions(name, np.where(done, found.labels, None), found.probabilities, found.valence)

    def ridge(self) -> Predictions:
        """Ridge regression of the mean rating on the frozen encoder's mean-pooled states, fold by fold."""
        objective = objective_of(TASK)
        everything = self.examples(objective, self.documents)
        path = self.work / f"states-{self.data[:16]}.parquet"
        if not path.exists():
            states = predict_states(self.fresh_model(objective, 0), everything.texts, self.hardware)
            pd.DataFrame({"states": list(states)}).to_parquet(path)
        states = np.stack(pd.read_parquet(path)["states"].tolist())
        ratings = self.documents["mean_rating"].to_numpy()
        valence = np.zeros(len(states))
        for fold in range(FOLDS):
            held_out = self.fold == fold
            model = RidgeCV(alphas=np.logspace(-2, 3, 11)).fit(states[~held_out], ratings[~held_out])
            valence[held_out] = model.predict(states[held_out])
        labels = np.where(valence >= 0.5, "positive", np.where(valence >= 0, "neutral", "negative")).astype(object)
        return Predictions(RIDGE, labels, None, valence)


def _average(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several models' outputs: of log-probabilities, and of the valence."""
    labels = len(TASK.labels)
    logs = [part[:, :labels] - np.log(np.exp(part[:, :labels]).sum(1, keepdims=True)) for part in parts]
    return np.concatenate([np.mean(logs, axis=0), np.mean([part[:, labels:] for part in parts], axis=0)], axis=1).astype(np.float32)


def rows_of(quality: Quality, names: Sequence[str]) -> list[Row]:
    """The table: Pearson r by source beside the columns to beat, then the other metrics overall."""
    baselines = {found.scorer: found for found in compute_baselines(quality.documents, quality.documents, TASK, seed=13)}
    rivals = [baselines[VADER], quality.ridge(), baselines[HUMAN]]
    rows = []
    first = quality.predictions(names[0])
    for name in names:
        own = quality.predictions(name)
        done = np.array([label is not None for label in own.labels])
        if not done.any():
            continue
        documents = quality.documents[done].reset_index(drop=True)
        others = [*rivals, first] if name != first.scorer else rivals
        frame = evaluate([part.take(done) for part in (own, *others)], documents, TASK, name, "", seed=13).frame
        folds = len(set(quality.fold[done]))
        rows += [row for source in SOURCES for row in _rows_of_source(frame, name, source, folds)]
        rows += _rows_overall(frame, name, folds, [other.scorer for other in others])
    return rows


def _rows_of_source(frame: pd.DataFrame, name: str, source: str, folds: int) -> list[Row]:
    where = frame[frame["slice"] == f"source={source}"].set_index(["scorer", "metric"])
    value, low, high = where.loc[(name, "pearson_r"), ["value", "low", "high"]]
    title = f"{name}, {folds} of {FOLDS} folds: r, {source} [{low:.3f}, {high:.3f}]"
    peers = {scorer: float(where.loc[(scorer, "pearson_r"), "value"]) for scorer in (HUMAN, VADER, RIDGE)}
    peers |= {"one rater, as published": RATER[source], "first probe": PROBE[source]}
    best = max(RATER["newspaper"] if source == "newspaper" else 0.0, peers[VADER], peers[RIDGE], PROBE[source])
    return [Row(title, value, "r", scorer, value / peer, None, f"{best:.3f}") for scorer, peer in peers.items()]


def _rows_overall(frame: pd.DataFrame, name: str, folds: int, others: Sequence[str]) -> list[Row]:
    overall = frame[frame["slice"] == "overall"].set_index(["scorer", "metric"])
    rows = []
    for scorer in (name, HUMAN, VADER, RIDGE):
        for metric in ("pearson_r", "macro_f1", "weighted_f1", "ece", "brier"):
            if (scorer, metric) in overall.index:
                value, low, high = overall.loc[(scorer, metric), ["value", "low", "high"]]
                rows.append(Row(f"{scorer}: {metric} overall, {folds} folds [{low:.3f}, {high:.3f}]", value, ""))
    for scorer in others:
        for metric in ("pearson_r", "macro_f1"):
            difference = overall.loc[(name, f"difference/{metric}/{scorer}"), ["value", "low", "high"]]
            p_value = overall.loc[(name, f"p_value/{metric}/{scorer}"), "value"]
            title = f"{name} minus {scorer}: {metric} [{difference['low']:+.3f}, {difference['high']:+.3f}], p {p_value:.3g}"
            rows.append(Row(title, float(difference["value"]), ""))
    return rows


def main() -> None:
    """Train what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="full", help=f"comma-separated, of: {', '.join(RECIPES)}")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--share", type=float, default=1.0, help="share of the training rows whose ratings are learnt from")
    parser.add_argument("--base-model", default="all-MiniLM-L6-v2")
    parser.add_argument("--archives", type=Path, default=Path(".textmill/archives"))
    parser.add_argument("--work", type=Path, default=Path(".textmill/quality"))
    parser.add_argument("--no-training", action="store_true", help="only show what is finished")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.recipes.split(",")
    options.work.mkdir(parents=True, exist_ok=True)
    quality = Quality(load_rated_text(options.archives), options.work, options.base_model, options.share)
    for fold in [] if options.no_training else [int(fold) for fold in options.folds.split(",")]:
        for name in names:
            quality.train(name, fold)
    print_rows(rows_of(quality, names), as_json=options.json)


if __name__ == "__main__":
    start_as_the_platform_does("benchmarks.quality")
    main()

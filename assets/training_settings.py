"""The part of the project file about models: training, the search for better settings, studies, promotion.

The rest of it (sources, task, cleaning, labeling, storage) is in `project.py`.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from assets.section import Section


class Lora(Section):
    """Low-rank adapters in place of training the encoder's own weights (needs `textmill[lora]`); merged when training ends."""

    rank: int = Field(8, ge=1, description="Rank of the adapters.")
    alpha: int = Field(16, gt=0, description="Scale of the adapters; alpha / rank multiplies what they add.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapters.")


class Training(Section):
    """Fine-tuning."""

    base_model: str = Field("all-MiniLM-L6-v2", description="The packaged encoder, a folder, or any name on the model hub.")
    epochs: int = Field(2, ge=1, description="Most passes over the rows trained on; more with few rows, see `min_steps`.")
    min_steps: int = Field(
        300,
        ge=0,
        description="Optimizer steps to come near at least: with few rows every epoch goes over them several times; 0 goes once.",
    )
    share: float | Literal["all"] = Field("all", description="Share of the train split to train on, drawn by hash; `all` is 1.")
    max_tokens: int = Field(128, ge=8, le=8192, description="Longer texts are cut; with spans they are read in overlapping windows.")
    batch_tokens: int = Field(1024, ge=8, description="Most tokens per step, over all processes; texts of similar length go together.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Highest learning rate; null takes 1.5e-4 for encoders whose states are up to 384 wide, 5e-5 up to 768, 2e-5 above.",
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Each layer learns at this share of the rate of the layer above; 1 is the same."
    )
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    average_decay: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="Keep an exponential moving average of the weights with this decay, and judge and keep that; 0 does not.",
    )
    valence_weight: float = Field(4.0, ge=0, description="Weight of the squared error of the predicted valence beside soft cross-entropy.")
    patience: int = Field(2, ge=1, description="Evaluations on dev without improvement before training stops.")
    evaluations_per_epoch: int = Field(2, ge=1, description="Evaluations on dev in each epoch.")
    frozen_layers: int = Field(
        0, ge=0, description="Lowest encoder layers that keep their pre-trained weights, the embeddings with them: faster; 0 trains all."
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="Dropout while training; null keeps the base model's own.")
    lora: Lora | None = Field(None, description="Train adapters only; null trains the weights.")
    few_shot_below: int = Field(
        200,
        ge=0,
        description="With fewer train rows only a head is fitted and the encoder stays as it is, where whole texts have labels;"
        " 0 always fine-tunes.",
    )
    processes: int = Field(1, ge=1, description="Processes on this machine that share every step, one per GPU; see docs/training.md.")
    export: Literal["auto", "off"] = Field(
        "auto", description="`auto` exports the encoder to ONNX where the extra `onnx` is installed, and scores by the fastest with parity."
    )
    compile: bool = Field(False, description="Compile the network with torch.compile (a CPU needs a C++ compiler).")
    seed: int = Field(13, description="Of everything random in training and in the bootstrap.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="`auto` takes bf16 where the hardware has it.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto` takes CUDA where it is there; `cuda` fails without it.")
    retrain_after_new_labels: int = Field(500, ge=1, description="New labels since the champion's data set that request a retraining.")
    recipe: str | None = Field(
        None, description="Name of a search (`search.name`) whose best settings take the place of those here; null keeps these."
    )

    def embedding_job(self, texts: Path, vectors: Path) -> dict[str, Any]:
        """The job of `training/embed.py`: the base model embeds every file of texts in one folder into another."""
        files = {"texts_folder": str(texts), "output_folder": str(vectors)}
        return files | self.model_dump(include={"base_model", "max_tokens", "device", "precision"})


SearchedSetting = Literal[
    "learning_rate",
    "layer_decay",
    "weight_decay",
    "warmup_share",
    "average_decay",
    "valence_weight",
    "epochs",
    "batch_tokens",
    "patience",
    "dropout",
    "frozen_layers",
]


class SearchRange(Section):
    """Numbers from a lowest to a highest one, ends included."""

    low: float = Field(description="Lowest number.")
    high: float = Field(description="Highest number.")
    log: bool = Field(False, description="Draw so that every factor, not every difference, is equally likely.")

    @model_validator(mode="after")
    def ends_are_in_order(self) -> Self:
        """A range has an extent, and logarithms are of positive numbers."""
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high, and low > 0 with log, found low={self.low}, high={self.high}, log={self.log}")
        return self


SearchSpace = dict[SearchedSetting, SearchRange | tuple[float | int | None, ...]]
SEARCH_SPACE: SearchSpace = {
    "learning_rate": SearchRange(low=2e-5, high=5e-4, log=True),
    "layer_decay": SearchRange(low=0.7, high=1.0),
    "average_decay": (0.0, 0.99, 0.999),
    "valence_weight": SearchRange(low=0.5, high=16.0, log=True),
    "epochs": SearchRange(low=1, high=4),
    "batch_tokens": (512, 1024, 2048),
    "dropout": (None, 0.0, 0.1),
    "frozen_layers": (0, 1, 3),
}


class Search(Section):
    """The search for better training settings; it runs on demand: `textmill run search`. The test split is never looked at."""

    name: str = Field("default", pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="What `training.recipe` calls its best settings.")
    trials: int = Field(20, ge=1, description="Most trials.")
    minutes: float = Field(120.0, gt=0, description="Most minutes, over all trials and runs; one trial is always finished.")
    share: float | Literal["all"] = Field(0.25, description="Share of the train split that a trial learns from; `all` is 1.")
    metric: Literal["dev_macro_f1", "dev_loss"] = Field(
        "dev_macro_f1", description="What is best: the highest macro F1, or the lowest loss."
    )
    pruner: Literal["median", "hyperband", "none"] = Field("median", description="How trials that do worse than others are ended early.")
    seed: int = Field(13, description="Of what is tried; training itself takes `training.seed`.")
    space: SearchSpace = Field(
        SEARCH_SPACE, min_length=1, description="Settings of `training` that are tried: a range, or a list of values."
    )

    @model_validator(mode="after")
    def space_holds_settings(self) -> Self:
        """Every value that can be tried is one that the setting can have."""
        for name, wanted in self.space.items():
            values = (wanted.low, wanted.high) if isinstance(wanted, SearchRange) else wanted
            if not values:
                raise ValueError(f"search.space.{name}: expected a range or values, found none")
            for value in values:
                Training.model_validate({name: value})
        if self.metric == "dev_loss" and "valence_weight" in self.space:
            raise ValueError(
                "search.metric: expected dev_macro_f1 while valence_weight is searched, which changes the loss, found dev_loss"
            )
        return self


class Studies(Section):
    """What is measured about the data on demand, on the dev split: `textmill run study`."""

    shares: tuple[float, ...] = Field(
        (0.05, 0.1, 0.2, 0.5, 1.0), min_length=1, description="Shares of the train split that the learning curve trains on."
    )
    few_shot_rows: tuple[int, ...] = Field((16, 64, 256), description="Train rows that the learning curve fits only a head to.")
    seeds: tuple[int, ...] = Field((13,), min_length=1, description="Every point is measured once with each.")
    epochs: int | None = Field(None, ge=1, description="Epochs of every training of a study; null takes `training.epochs`.")
    ablation_share: float = Field(0.3, gt=0, le=1, description="Share of the train split that the ablation trains on.")
    bootstrap_samples: int = Field(1000, ge=100, description="Samples that the ablation's intervals are drawn from.")

    @model_validator(mode="after")
    def amounts_are_possible(self) -> Self:
        """Shares are shares, and rows are rows."""
        odd = [share for share in self.shares if not 0 < share <= 1] + [rows for rows in self.few_shot_rows if rows < 2]
        if odd:
            raise ValueError(f"studies: expected shares above 0 and at most 1, and at least 2 few_shot_rows, found {odd}")
        return self


BehaviourName = Literal["typos", "names", "emoji", "punctuation", "casing", "whitespace", "negation"]


class Promotion(Section):
    """When a challenger replaces the champion, and what every champion must be able to do."""

    metric: Literal["macro_f1", "micro_f1", "accuracy", "pearson_r"] = Field(
        "macro_f1", description="What champion and challenger are compared by."
    )
    max_overall_loss: float = Field(0.0, ge=0, description="Loss of the metric, overall, that is still no loss.")
    max_slice_loss: float = Field(0.02, ge=0, description="The same on any source.")
    bootstrap_samples: int = Field(1000, ge=100, description="Samples that intervals are drawn from.")
    min_scores: dict[str, float] = Field(
        {"macro_f1": 0.3}, description="Lowest value of metrics on the whole test split; the default is what guessing three labels gives."
    )
    min_slice_scores: dict[str, float] = Field({}, description="The same on every source.")
    max_ece: float | None = Field(
        0.25,
        ge=0,
        le=1,
        description="Highest expected calibration error; spans have no probabilities and are not asked; null asks nothing.",
    )
    max_latency_ms: float | None = Field(
        1000.0, gt=0, description="Highest 95th percentile of requests with one text to the serving app, on the machine of the gate."
    )
    max_model_bytes: int | None = Field(2_000_000_000, gt=0, description="Largest size of the model's files together.")
    behaviours: tuple[BehaviourName, ...] = Field(
        ("typos", "names", "emoji", "punctuation", "casing", "whitespace", "negation"),
        description="Built-in behavioural tests to run; those that do not suit the kind of task are left out.",
    )
    behaviour_file: str | None = Field(
        None, description="YAML or JSONL file with cases of your own (see docs/models.md). A relative path counts from the repository."
    )
    behaviour_cases: int = Field(60, ge=1, description="Most test texts that each built-in behavioural test edits.")
    min_behaviour_pass_rate: dict[str, float] = Field(
        {"typos": 0.7, "names": 0.7, "punctuation": 0.7, "casing": 0.7, "whitespace": 0.7},
        description="Lowest share of passed cases by behavioural test, built-in or your own; a test not named here is only reported.",
    )

    @model_validator(mode="after")
    def limits_can_be_met(self) -> Self:
        """A pass rate is a share, and a threshold names a test that is run."""
        odd = {name: rate for name, rate in self.min_behaviour_pass_rate.items() if not 0 <= rate <= 1}
        if odd:
            raise ValueError(f"expected shares from 0 to 1 in min_behaviour_pass_rate, found {odd}")
        if "min_behaviour_pass_rate" in self.model_fields_set and self.behaviour_file is None:
            unknown = sorted(set(self.min_behaviour_pass_rate) - set(self.behaviours))
            if unknown:
                raise ValueError(f"expected behavioural tests out of {list(self.behaviours)} in min_behaviour_pass_rate, found {unknown}")
        return self

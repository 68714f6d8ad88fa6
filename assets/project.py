"""The schema of a project file (`config/*.yaml`): what a team says about its sources, its task and its thresholds.

Deployment values (addresses, keys, folders) do not belong here: they come from the environment, and a project file may name
them as `${NAME}` or `${NAME:-default}` (see `dagster_project/environments.py`, which also loads the file).
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the project file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldMapping(Section):
    """Which field of a record holds what. A field that is not named is not read."""

    external_id: str | None = Field("id", description="Field with the record's id; null takes the hash of the text.")
    text: str = Field("text", description="Field with the text.")
    parent_id: str | None = Field(None, description="Field with the id of the article, product or thread the text belongs to.")
    title: str | None = Field(None, description="Field with the title.")
    url: str | None = Field(None, description="Field with the address.")
    published_at: str | None = Field(None, description="Field with the publication time (ISO 8601).")
    votes: str | None = Field(
        None,
        description="Field with votes: a list of ratings, of labels, or of {annotator, value | label | labels | spans}; the spans of one "
        "annotator as [[start, end, label], …] or [{start, end, label | labels}, …]; {text: […], answer_start: […]} for the answers to a "
        "question; or JSON of one of these. An empty list is no vote.",
    )
    spans: str | None = Field(
        None, description="Field with the spans of one annotator, in the shapes of `votes`; here an empty list says that there are none."
    )
    annotator: str | None = Field(
        None,
        description="Name of the annotator (not of a field) of `spans` and of the tags in CoNLL files, where they do not say; "
        "null takes `anonymous:01`, for CoNLL files `conll`.",
    )
    head: str | None = Field(None, description="For relations: field with the place of the first entity, {start, end} or [start, end].")
    tail: str | None = Field(None, description="For relations: field with the place of the second entity.")
    question: str | None = Field(None, description="For question answering: field with the question; `text` then holds the answer.")

    @model_validator(mode="after")
    def entities_come_in_pairs(self) -> Self:
        """A relation has two entities, and a text is asked about or related, not both."""
        if (self.head is None) != (self.tail is None):
            raise ValueError(f"expected both `head` and `tail` or neither, found head={self.head!r} and tail={self.tail!r}")
        if self.head is not None and self.question is not None:
            raise ValueError("expected either `head` and `tail` or `question`, found all three")
        return self

    def field_names(self) -> list[str]:
        """Every field that is read."""
        named = (self.external_id, self.text, self.parent_id, self.title, self.url, self.published_at)
        return [name for name in (*named, self.votes, self.spans, self.head, self.tail, self.question) if name]

    def required_names(self) -> list[str]:
        """The fields without which no record makes a document."""
        return [name for name in (self.text, self.head, self.tail, self.question) if name]


class SourceBase(Section):
    """What every source has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="Partition key; also the `source` column.")
    fields: FieldMapping = FieldMapping()
    licence: str | None = Field(
        None, description="Licence of the texts, for the cards of data sets and models; null is said to be unknown."
    )
    max_object_bytes: int = Field(64_000_000, gt=0, description="Objects larger than this are refused unread.")
    max_text_chars: int = Field(1_000_000, gt=0, description="Texts longer than this are refused.")


class FilesSource(SourceBase):
    """Files in a folder: JSONL, CSV, Parquet, CoNLL or plain text; new and changed files only."""

    kind: Literal["files"]
    path: str = Field(description="Glob, for example `/data/drop/**/*.jsonl`.")
    format: Literal["auto", "jsonl", "csv", "parquet", "conll", "text"] = Field("auto", description="`auto` goes by the file's ending.")


class FeedSource(SourceBase):
    """An RSS or Atom feed: conditional requests for the feed, then the article pages."""

    kind: Literal["feed"]
    url: str = Field(pattern=r"^https?://", description="Address of the feed.")
    segment: Literal["page", "paragraph"] = Field("page", description="One document per article, or per paragraph of it.")
    timeout_seconds: float = Field(20.0, gt=0, description="Longest silence of a server; a whole page may take ten times as long.")


class SqlSource(SourceBase):
    """A query on any database that SQLAlchemy reaches."""

    kind: Literal["sql"]
    url: str = Field(description="SQLAlchemy URL; take passwords from the environment as `${NAME}`.")
    query: str = Field(description="A SELECT with `:cursor` where rows after the last one seen are asked for.")
    cursor_column: str = Field(description="Column that grows with new rows; the query must be ordered by it.")
    cursor_start: str | int = Field(0, description="Value of `:cursor` on the first run.")
    batch_rows: int = Field(10_000, gt=0, description="Rows per stored object.")


class BucketSource(SourceBase):
    """Objects under a prefix of an S3 bucket or of a local object store; new and changed objects only."""

    kind: Literal["bucket"]
    url: str = Field(description="`s3://bucket/prefix` or `file:///folder/prefix`.")
    endpoint_url: str | None = Field(None, description="Address of an S3-compatible server; null for Amazon's.")
    format: Literal["auto", "jsonl", "csv", "parquet", "conll", "text"] = Field("auto", description="`auto` goes by the object's ending.")


Source = Annotated[FilesSource | FeedSource | SqlSource | BucketSource, Field(discriminator="kind")]


class RatingScale(Section):
    """How a numeric rating becomes a label: the label of the highest threshold that the rating reaches."""

    minimum: float = Field(description="Lowest rating possible.")
    maximum: float = Field(description="Highest rating possible.")
    thresholds: dict[str, float] = Field(description="Lowest rating of each label, for example {negative: -4, neutral: 0, positive: 1}.")


TaskKind = Literal["text_classification", "multi_label_classification", "token_classification", "relation_extraction", "question_answering"]


class Task(Section):
    """What is learnt."""

    kind: TaskKind = Field(
        "text_classification",
        description="One label, any number of labels, labelled spans (NER), the relation of two marked entities, or the span that answers.",
    )
    labels: tuple[str, ...] = Field(min_length=1, description="In a fixed order; for ordinal labels from low to high.")
    positive_label: str | None = Field(None, description="With `negative_label`: valence is P(positive) - P(negative).")
    negative_label: str | None = Field(
        None, description="The other pole of the valence; the built-in labeling functions vote for these two."
    )
    values: dict[str, float] | None = Field(
        None, description="For ordinal labels: the number of each; the valence is then the expected value of the distribution."
    )
    rating: RatingScale | None = Field(None, description="For numeric votes.")

    @property
    def has_spans(self) -> bool:
        """Answers are spans of the text."""
        return self.kind in ("token_classification", "question_answering")

    @property
    def has_lists(self) -> bool:
        """Answers are lists: of labels or of spans."""
        return self.has_spans or self.kind == "multi_label_classification"

    @property
    def valences(self) -> tuple[float, ...] | None:
        """Valence of each label, -1 to 1, in order: from `values`, else from the two poles; None for a task without valence."""
        if self.values is not None:
            low, high = min(self.values.values()), max(self.values.values())
            return tuple(2 * (self.values[label] - low) / (high - low) - 1 for label in self.labels)
        if self.positive_label is None or self.negative_label is None:
            return None
        return tuple(float((label == self.positive_label) - (label == self.negative_label)) for label in self.labels)

    @model_validator(mode="after")
    def labels_are_known(self) -> Self:
        """Every label named anywhere is one of the task's labels, and there are enough of them."""
        named = [label for label in (self.positive_label, self.negative_label) if label is not None]
        named += [*(self.rating.thresholds if self.rating else ()), *(self.values or ())]
        unknown = sorted(set(named) - set(self.labels))
        if unknown:
            raise ValueError(f"expected labels out of {list(self.labels)}, found {unknown}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"expected distinct labels, found {list(self.labels)}")
        if len(self.labels) < 2 and self.kind in ("text_classification", "relation_extraction"):
            raise ValueError(f"expected at least 2 labels for {self.kind}, found {list(self.labels)}")
        return self

    @model_validator(mode="after")
    def values_fit_the_kind(self) -> Self:
        """Valence is for one label per text, and every ordinal label has a number of its own."""
        has_valence = self.valences is not None if self.values is None else True
        if self.kind != "text_classification" and (has_valence or self.rating is not None):
            raise ValueError(f"expected no positive_label, negative_label, values or rating for {self.kind}, found one")
        if self.values is not None and (set(self.values) != set(self.labels) or len(set(self.values.values())) != len(self.labels)):
            raise ValueError(f"task.values: expected one number for each of {list(self.labels)}, all different, found {self.values}")
        return self


class Cleaning(Section):
    """Thresholds of the cleaning rules."""

    min_chars: int = Field(3, ge=1, description="Shorter texts are refused (`too_short`).")
    max_chars: int = Field(20_000, gt=0, description="Longer texts are refused (`too_long`).")
    min_words: int = Field(1, ge=0, description="Fewer words (Chinese: characters) are refused (`too_few_words`).")
    max_symbol_ratio: float = Field(0.6, ge=0, le=1, description="More symbols than this share are refused (`too_many_symbols`).")
    min_language_confidence: float = Field(0.4, ge=0, le=1, description="Below it a language counts as undetermined.")
    refuse_other_languages: bool = Field(
        False, description="Refuse texts confidently identified as a language outside `languages` (`other_language`)."
    )
    near_duplicate_similarity: float = Field(0.8, gt=0, le=1, description="Jaccard similarity of shingles from which a text is refused.")


class RuleSettings(Section):
    """Which labeling functions vote, and with what weight beside one human vote."""

    enabled: tuple[str, ...] | None = Field(
        None,
        description="Names out of `RULES` in `assets/labeling/rules.py`, for token_classification out of `SPAN_RULES` in "
        "`assets/labeling/span_rules.py`; null takes all that can vote on the task.",
    )
    weight: float = Field(0.25, ge=0, description="Weight of one rule vote; one human vote weighs 1.")


class Labeling(Section):
    """Consensus, quorum and queue."""

    rules: RuleSettings = RuleSettings()
    min_human_votes: int = Field(5, ge=0, description="Fewer human votes do not make a quorum.")
    min_confidence: float = Field(0.6, ge=0, le=1, description="Lower confidence waits in the queue.")
    min_agreement: float = Field(
        0.4, ge=-1, le=1, description="Lowest agreement of people per source that passes: Krippendorff's alpha, for spans pairwise F1."
    )
    queue_budget: int = Field(500, ge=0, description="Most documents in the queue.")


class Storage(Section):
    """Splits of the data set."""

    dev_share: float = Field(0.1, gt=0, lt=0.5, description="Share of the groups that early stopping is decided on.")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="Share of the groups that only reports and the gate see.")
    split_salt: str = Field("textmill-1", description="Changing it draws other splits.")


class Lora(Section):
    """Low-rank adapters in place of training the encoder's own weights (needs `textmill[lora]`); merged when training ends."""

    rank: int = Field(8, ge=1, description="Rank of the adapters.")
    alpha: int = Field(16, gt=0, description="Scale of the adapters; alpha / rank multiplies what they add.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapters.")


class Training(Section):
    """Fine-tuning."""

    base_model: str = Field("all-MiniLM-L6-v2", description="The packaged encoder, a folder, or any name on the model hub.")
    epochs: int = Field(2, ge=1, description="Most passes over the rows trained on.")
    share: float | Literal["all"] = Field("all", description="Share of the train split to train on, drawn by hash; `all` is 1.")
    max_tokens: int = Field(128, ge=8, le=8192, description="Longer texts are cut; with spans they are read in overlapping windows.")
    batch_tokens: int = Field(1024, ge=8, description="Most tokens per step, over all processes; texts of similar length go together.")
    learning_rate: float = Field(5e-5, gt=0, description="Highest learning rate.")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Each layer learns at this share of the rate of the layer above; 1 is the same."
    )
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    average_decay: float = Field(
        0.0,
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
        0, ge=0, description="With fewer train rows the encoder stays as it is and only a head is fitted; 0 always fine-tunes."
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


class Project(Section):
    """A whole project file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Name of the project.")
    languages: tuple[str, ...] = Field(min_length=1, description="ISO 639-1 codes of the languages expected.")
    sources: tuple[Source, ...] = Field(min_length=1, description="Where texts come from; each is of one of four kinds.")
    task: Task
    cleaning: Cleaning = Cleaning()
    labeling: Labeling = Labeling()
    storage: Storage = Storage()
    training: Training = Training()
    promotion: Promotion = Promotion()
    search: Search = Search()
    studies: Studies = Studies()

    @model_validator(mode="after")
    def source_names_are_distinct(self) -> Self:
        """A source name is a partition: two sources cannot share one."""
        names = [source.name for source in self.sources]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"expected distinct source names, found {doubled} more than once")
        return self

    def source(self, name: str) -> FilesSource | FeedSource | SqlSource | BucketSource:
        """The source of that name.

        Raises:
            KeyError: No such source; the message lists those that exist.
        """
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(f"expected a source out of {[source.name for source in self.sources]}, found {name!r}")

"""The schema of a project file (`config/*.yaml`): what a team says about its sources, its task and its thresholds.

Deployment values (addresses, keys, folders) do not belong here: they come from the environment, and a project file may name
them as `${NAME}` or `${NAME:-default}` (see `dagster_project/environments.py`, which also loads the file). What is said about models
is in `training_settings.py`, about sources in `source_settings.py`, about cleaning in `cleaning_settings.py`, about the report on storage
in `report_settings.py`.
"""

import hashlib
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from assets.cleaning_settings import Cleaning
from assets.report_settings import Report
from assets.section import Section
from assets.source_settings import Source
from assets.training_settings import Promotion, Search, Studies, Training


class RatingScale(Section):
    """How a numeric rating becomes a label: the label of the highest threshold that the rating reaches."""

    minimum: float = Field(description="Lowest rating possible.")
    maximum: float = Field(description="Highest rating possible.")
    thresholds: dict[str, float] = Field(description="Lowest rating of each label, for example {negative: -4, neutral: 0, positive: 1}.")


ANSWER_LABEL = "answer"
"""The label of the span that answers a question."""
TaskKind = Literal["text_classification", "multi_label_classification", "token_classification", "relation_extraction", "question_answering"]


class Task(Section):
    """What is learnt."""

    kind: TaskKind = Field(
        "text_classification",
        description="One label, any number of labels, labelled spans (NER), the relation of two marked entities, or the span that answers.",
    )
    labels: tuple[str, ...] = Field(
        (), description="In a fixed order; for ordinal labels from low to high. Questions have one, `answer`, that need not be named."
    )
    positive_label: str | None = Field(None, description="With `negative_label`: valence is P(positive) - P(negative).")
    negative_label: str | None = Field(
        None, description="The other pole of the valence; the built-in labeling functions vote for these two."
    )
    values: dict[str, float] | None = Field(
        None, description="For ordinal labels: the number of each; the valence is then the expected value of the distribution."
    )
    rating: RatingScale | None = Field(None, description="For numeric votes.")

    @property
    def labels_whole_texts(self) -> bool:
        """Whether an answer is one or several labels of a text, without places in it."""
        return self.kind in ("text_classification", "multi_label_classification")

    @property
    def has_spans(self) -> bool:
        """Answers are spans of the text."""
        return self.kind in ("token_classification", "question_answering")

    @property
    def has_lists(self) -> bool:
        """Answers are lists: of labels or of spans."""
        return self.has_spans or self.kind == "multi_label_classification"

    @property
    def is_ordinal(self) -> bool:
        """Whether labels have an order, with a number for each."""
        return self.values is not None

    @property
    def valences(self) -> tuple[float, ...] | None:
        """Valence of each label, -1 to 1, in order: from `values`, else from the two poles; None for a task without valence."""
        if self.values is not None:
            low, high = min(self.values.values()), max(self.values.values())
            return tuple(2 * (self.values[label] - low) / (high - low) - 1 for label in self.labels)
        if self.positive_label is None or self.negative_label is None:
            return None
        return tuple(float((label == self.positive_label) - (label == self.negative_label)) for label in self.labels)

    @model_validator(mode="before")
    @classmethod
    def questions_have_one_label(cls, given: Any) -> Any:  # noqa: ANN401
        """The answers to questions have a label that nobody needs to name."""
        if isinstance(given, dict) and given.get("kind") == "question_answering":
            labels = given.get("labels") or (ANSWER_LABEL,)
            if tuple(labels) != (ANSWER_LABEL,):
                raise ValueError(f"task.labels: expected [{ANSWER_LABEL}] or nothing for question_answering, found {list(labels)}")
            return {**given, "labels": (ANSWER_LABEL,)}
        return given

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
        if not self.labels:
            raise ValueError("task.labels: expected the labels of the task as a list, found none")
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


class CustomRule(Section):
    """A labeling function without code: a label, given where every condition holds."""

    name: str = Field(pattern=r"^\w{1,60}$", description="`rule:<name>` is the annotator.")
    label: str = Field(description="The label that it gives; with spans, to what `regex` or `words` match.")
    regex: str | None = Field(None, description="Regular expression that the text must contain; capital letters do not matter.")
    words: tuple[str, ...] = Field((), description="Words or phrases of which the text must contain one.")
    title: str | None = Field(None, description="Regular expression that the title must contain.")
    source: str | None = Field(None, description="Only documents of this source.")
    languages: tuple[str, ...] | None = Field(None, description="Only texts in these languages (ISO 639-1).")
    min_chars: int | None = Field(None, ge=0, description="Only texts of so many characters or more.")
    max_chars: int | None = Field(None, ge=0, description="Only texts of so many characters or fewer.")

    @model_validator(mode="after")
    def conditions_make_sense(self) -> Self:
        """There is a condition, patterns compile, and the text is looked at in one way."""
        if self.regex is not None and self.words:
            raise ValueError("expected either `regex` or `words`, found both")
        if any(not word.strip() for word in self.words):
            raise ValueError("expected words with letters, found an empty one")
        for pattern in (self.regex, self.title):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ValueError(f"expected a regular expression, found {pattern!r}: {error}") from error
        if self.model_dump(exclude={"name", "label", "languages"}, exclude_defaults=True) == {}:
            raise ValueError("expected a condition: regex, words, title, source, min_chars or max_chars; found none")
        return self


class RuleSettings(Section):
    """Which labeling functions vote, and with what weight beside one human vote."""

    enabled: tuple[str, ...] | None = Field(
        None,
        description="Names of built-in functions: `lexicon` and `emoticon` for text_classification, for token_classification those in "
        "`assets/labeling/span_rules.py`; null takes all that can vote on the task.",
    )
    custom: tuple[CustomRule, ...] = Field((), description="Labeling functions without code; see `labeling.rules.custom[]`.")
    modules: tuple[str, ...] = Field(
        (), description="Python files with labeling functions of your own (`@labeling_function`); relative paths count from the repository."
    )
    weight: float = Field(0.25, ge=0, description="Weight of one rule vote; one human vote weighs 1.")


class LanguageModelSettings(Section):
    """A language model as an annotator: any server with the chat completions interface of OpenAI. Its key is `TEXTMILL_LLM_API_KEY`."""

    url: str = Field(description="Address of the interface with its version, `https://…/v1`; plain http to this machine only.")
    model: str = Field(min_length=1, description="Name of the model; `model:<name>` is the annotator.")
    prompt: str | None = Field(
        None,
        min_length=1,
        description="Your own wording of the question, with `{labels}` and `{guideline}`. It must ask for JSON as the default does.",
    )
    max_documents: int = Field(200, ge=0, description="Most documents that it is asked about in one materialization.")
    concurrency: int = Field(4, ge=1, le=64, description="Requests at a time.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for a reply.")


class ZeroShot(Section):
    """Votes by likeness: for the label whose description is nearest to the text."""

    descriptions: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        min_length=2, description="For every label sentences that a text of it could be, or that describe it."
    )
    min_margin: float = Field(0.05, ge=0, le=2, description="The nearest label must be nearer than the next by this difference of cosines.")


class Gold(Section):
    """Questions whose answer is known, mixed in with the others to measure who answers."""

    annotators: tuple[str, ...] = Field(
        (), description="Whose answers are taken for the truth: they decide the label, and everybody else's are measured by them."
    )
    share: float = Field(0.05, ge=0, lt=1, description="Share of the queue that asks again what these annotators answered.")
    min_accuracy: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Fewer right answers to gold questions refuse the labels of an increment, and make an annotator suspicious.",
    )
    min_answers: int = Field(20, ge=1, description="Fewer answers to gold questions are not judged.")


QueueStrategy = Literal["uncertainty", "disagreement", "balance", "diversity", "label_issue", "outlier", "random"]
Consensus = Literal["auto", "majority", "weighted_majority", "one_coin", "dawid_skene", "mace", "ratings", "crowdlab"]


class Labeling(Section):
    """Consensus, quorum and queue."""

    consensus: Consensus = Field(
        "auto",
        description="How votes for one label per text become a consensus: all people alike (`majority`), by agreement with the majority, "
        "by what is learnt of each annotator, for numeric votes by what the mean of many would be (`ratings`), or by people and a model "
        "together (`crowdlab`, once `label_issues` has predictions). `auto` is `dawid_skene` where all people have names, else `majority`.",
    )
    rules: RuleSettings = RuleSettings()
    llm: LanguageModelSettings | None = Field(None, description="A language model that votes; null asks none.")
    zero_shot: ZeroShot | None = Field(None, description="Votes by likeness to descriptions of the labels; null gives none.")
    model_weight: float = Field(0.5, ge=0, description="Weight of one vote of a model; one human vote weighs 1.")
    gold: Gold = Gold()
    min_human_votes: int = Field(5, ge=0, description="Fewer human votes do not make a quorum.")
    min_confidence: float = Field(0.6, ge=0, le=1, description="Lower confidence waits in the queue.")
    min_agreement: float = Field(
        0.4, ge=-1, le=1, description="Lowest agreement of people per source that passes: Krippendorff's alpha, for spans pairwise F1."
    )
    guideline: str | None = Field(
        None,
        min_length=1,
        description="What annotators should know, as text; paragraphs are separated by blank lines. Votes carry its version: the first "
        "digits of its SHA-256.",
    )
    queue_budget: int = Field(500, ge=0, description="Most documents in the queue.")
    pool_budget: int = Field(
        5000, ge=0, description="Most documents without a confident label that the champion is asked about in one materialization."
    )
    queue_mix: dict[QueueStrategy, Annotated[float, Field(gt=0)]] = Field(
        {"uncertainty": 0.4, "disagreement": 0.2, "balance": 0.2, "label_issue": 0.1, "outlier": 0.05, "random": 0.1},
        min_length=1,
        description="Share of the queue that each strategy fills; `{random: 1}` draws documents as they come.",
    )

    embeddings: bool = Field(
        False,
        description="Embed clean documents with `training.base_model`, for `label_issues`; `diversity` in `queue_mix` asks for it too.",
    )

    issue_models: Literal["frozen", "fine_tuned"] = Field(
        "frozen",
        description="What `label_issues` compares labels with: models on frozen embeddings and words (minutes), or besides five fine-tuned "
        "ones, each without a fifth of the labels (five trainings; finds more). Lists of labels and spans need `fine_tuned`.",
    )
    max_issues: int = Field(1000, ge=1, description="Most rows of each kind in `label_issues`; the worst are kept.")

    @property
    def uses_embeddings(self) -> bool:
        """Whether something needs the vectors of documents."""
        return self.embeddings or self.zero_shot is not None or "diversity" in self.queue_mix

    @property
    def weights(self) -> dict[str, float]:
        """Weight of one vote by kind of voter."""
        return {"human": 1.0, "rule": self.rules.weight, "model": self.model_weight}

    @property
    def guideline_version(self) -> str | None:
        """First eight hexadecimal digits of the guideline's SHA-256; None without a guideline."""
        return None if self.guideline is None else hashlib.sha256(self.guideline.encode()).hexdigest()[:8]


class Storage(Section):
    """Splits of the data set."""

    dev_share: float = Field(0.1, gt=0, lt=0.5, description="Share of the groups that early stopping is decided on.")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="Share of the groups that only reports and the gate see.")
    split_salt: str = Field("textmill-1", description="Changing it draws other splits.")


Role = Literal["viewer", "annotator", "trainer", "admin", "metrics"]
"""`metrics` may read `/metrics` and nothing else."""


class Access(Section):
    """What the data access API shows to whom, and how much at a time. Tokens are made with `textmill token create`."""

    sources: dict[Role, tuple[str, ...]] = Field({}, description="Sources whose rows a role sees; a role that is not named sees all.")
    restricted_sources: tuple[str, ...] = Field(
        (), description="Sources whose texts, titles and addresses are hidden, and not searched, but for `restricted_text_roles`."
    )
    restricted_text_roles: tuple[Role, ...] = Field(("admin",), description="Roles that read the texts of `restricted_sources`.")
    raw_text_roles: tuple[Role, ...] = Field(
        ("admin",), description="Roles whose lineage has the text as it was collected, before personal data was replaced."
    )
    pseudonym_roles: tuple[Role, ...] = Field(
        ("trainer", "admin"),
        description="Roles that see who voted, and which pseudonym stands in a text; others see keyed names of people, and only what kind "
        "of personal data was replaced.",
    )
    requests_per_minute: int = Field(600, ge=1, description="Most requests of one token, or of one address without a valid one.")
    max_body_bytes: int = Field(100_000, gt=0, description="Longer requests are refused.")
    download_seconds: int = Field(300, ge=1, le=86_400, description="How long a signed download address is good for.")


class Retention(Section):
    """What is kept of the past. Rows of superseded increments, data sets and models stay whatever is set here."""

    snapshots_days: int = Field(7, ge=0, le=3650, description="Days that an earlier state of the tables can be read by its snapshot.")
    backups: int = Field(30, ge=1, description="Backups that stay; after one that was proven, older ones go with what only they held.")
    timings_days: int = Field(
        400,
        ge=1,
        le=3650,
        description="Days that counts of reads and writes stay; a compaction removes older ones. At least `report.window_days`.",
    )


class Project(Section):
    """A whole project file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Name of the project.")
    languages: tuple[str, ...] = Field(min_length=1, description="ISO 639-1 codes of the languages expected.")
    contact: str | None = Field(
        None,
        pattern=r"^[!-~]{3,200}$",
        description="Page or mail address where operators of web sites find who is asking; part of the user agent of every request.",
    )
    sources: tuple[Source, ...] = Field(min_length=1, description="Where texts come from; the kinds are shown in `docs/collection.md`.")
    task: Task
    cleaning: Cleaning = Cleaning()
    labeling: Labeling = Labeling()
    storage: Storage = Storage()
    retention: Retention = Retention()
    report: Report = Report()
    training: Training = Training()
    promotion: Promotion = Promotion()
    search: Search = Search()
    studies: Studies = Studies()
    access: Access = Access()

    @model_validator(mode="after")
    def source_names_are_distinct(self) -> Self:
        """A source name is a partition: two sources cannot share one."""
        names = [source.name for source in self.sources]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"expected distinct source names, found {doubled} more than once")
        return self

    @model_validator(mode="after")
    def timings_stay_as_long_as_they_are_reported(self) -> Self:
        """A report on counts that are gone would show too few, and nobody could tell."""
        if self.retention.timings_days < self.report.window_days:
            raise ValueError(
                f"retention.timings_days: expected at least report.window_days ({self.report.window_days}), "
                f"found {self.retention.timings_days}"
            )
        return self

    @model_validator(mode="after")
    def access_is_to_known_sources(self) -> Self:
        """A misspelt source must not leave texts open that were meant to be hidden."""
        named = {*self.access.restricted_sources, *(name for names in self.access.sources.values() for name in names)}
        unknown = sorted(named - {source.name for source in self.sources})
        if unknown:
            raise ValueError(f"access: expected sources out of {[source.name for source in self.sources]}, found {unknown}")
        return self

    @model_validator(mode="after")
    def ratings_have_a_scale(self) -> Self:
        """Ratings can only decide where there are some."""
        if self.labeling.consensus == "ratings" and self.task.rating is None:
            raise ValueError(
                "labeling.consensus: expected `task.rating` beside `ratings`, found none; describe the scale or choose another consensus"
            )
        return self

    @model_validator(mode="after")
    def descriptions_are_of_labels(self) -> Self:
        """Likeness votes for one of the task's labels."""
        if self.labeling.zero_shot is None:
            return self
        if self.task.has_lists:
            raise ValueError(f"labeling.zero_shot: expected a task with one label per text, found {self.task.kind}")
        unknown = sorted(set(self.labeling.zero_shot.descriptions) - set(self.task.labels))
        if unknown:
            raise ValueError(f"labeling.zero_shot.descriptions: expected labels out of {list(self.task.labels)}, found {unknown}")
        return self

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            KeyError: No such source; the message lists those that exist.
        """
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(f"expected a source out of {[source.name for source in self.sources]}, found {name!r}")

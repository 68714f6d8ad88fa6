"""Every lakehouse table, declared once: columns, types, meaning, key.

From here come the DDL, the base of every expectation suite, the column metadata shown in Dagster and the asset catalog.
What does not belong here: rules that look at more than one column (see each stage's `expectations.py`) and the ledger's
own tables (see `resources/ledger.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from assets.rights import SIGNALS

ColumnType = Literal["VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN", "TIMESTAMPTZ", "DOUBLE[]", "FLOAT[]", "UBIGINT[]"]


@dataclass(frozen=True)
class Column:
    """One column: its name, SQL type, meaning in words, and what every row promises about it."""

    name: str
    type: ColumnType
    meaning: str
    nullable: bool = False
    allowed: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Table:
    """One table of the lakehouse.

    Attributes:
        name: Also the name of its asset, when it has one, and of its suite function.
        producer: The asset step whose increments write it; tables of one producer are audited and approved together.
        meaning: What one row is.
        key: Columns that identify a row. Unique within an increment; unique across the table unless `latest_by_key`.
        latest_by_key: The published view shows only the newest row per key; older ones stay as history.
        withdrawn_when: SQL condition of newest rows that say that there is none any more under their key: the published view leaves them
            out, increments that are read one after the other hold them. With `latest_by_key` only.
        may_be_empty: An increment may hold no row of this table.
    """

    name: str
    producer: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    latest_by_key: bool = False
    may_be_empty: bool = False
    withdrawn_when: str | None = None

    def column_names(self) -> list[str]:
        """Names in declaration order, without the ledger's `increment_id`."""
        return [column.name for column in self.columns]


DOCUMENT_ID = Column("document_id", "VARCHAR", "Hash of source, external id and text: identifies one revision of a document.")
SOURCE = Column("source", "VARCHAR", "Name of the source in the project file.")
EXTERNAL_ID = Column("external_id", "VARCHAR", "The document's id at its source.")
PARENT_ID = Column("parent_id", "VARCHAR", "Id of the larger thing the text was cut from (article, product); the external id if none.")
LANGUAGE = Column("language", "VARCHAR", "ISO 639-1 code of the text's language; `und` when undetermined.")
TEXT = Column("text", "VARCHAR", "The text.")
RAW_SHA256 = Column("raw_sha256", "VARCHAR", "Content hash of the raw bytes the row was parsed from.")
LOCATOR = Column("locator", "VARCHAR", "Where in the raw bytes: `line 12`, `paragraph 3`, `row 7`.")
REASON = Column("reason", "VARCHAR", "Short stable reason why the row was refused.")
DETAIL = Column("detail", "VARCHAR", "What was expected and what was found, in words.")

LICENCE = Column("licence", "VARCHAR", "Licence of the text, as the project file names it for its source.", nullable=True)
ROBOTS_ALLOWED = Column(
    "robots_allowed", "BOOLEAN", "The host's robots.txt permitted reading it; missing where there was none to ask.", nullable=True
)
AI_TRAINING_SIGNAL = Column(
    "ai_training_signal",
    "VARCHAR",
    "What its host or page says against training models on it (`assets/rights.py`).",
    nullable=True,
    allowed=SIGNALS,
)
AI_TRAINING_ALLOWED = Column(
    "ai_training_allowed", "BOOLEAN", "Models might be trained on it, by its signal and by the project file of that day.", nullable=True
)
AUTHORS = Column("authors", "VARCHAR", "Keyed pseudonyms of those who wrote it, joined by spaces.", nullable=True)
RIGHTS = (LICENCE, ROBOTS_ALLOWED, AI_TRAINING_SIGNAL, AI_TRAINING_ALLOWED)

RAW_OBJECTS = Table(
    "raw_objects",
    "raw_documents",
    "One row per fetched object; its bytes lie in the object store under `raw/<sha256>`.",
    (
        SOURCE,
        Column("uri", "VARCHAR", "Where the bytes came from."),
        RAW_SHA256,
        Column("media_type", "VARCHAR", "Media type that selects the parser."),
        Column("charset", "VARCHAR", "Charset declared by the transport.", nullable=True),
        Column("role", "VARCHAR", "What the bytes hold.", allowed=("documents", "annotations")),
        Column("parent_id", "VARCHAR", "Id given by the feed or listing to the object.", nullable=True),
        Column("published_at", "TIMESTAMPTZ", "Publication time given by the transport.", nullable=True),
        AUTHORS,
        Column("size_bytes", "BIGINT", "Length of the bytes.", minimum=0),
        Column("fetched_at", "TIMESTAMPTZ", "When the bytes were fetched (UTC)."),
        ROBOTS_ALLOWED,
        AI_TRAINING_SIGNAL,
    ),
    ("source", "uri", "raw_sha256"),
    latest_by_key=True,
    may_be_empty=True,
)

RAW_DOCUMENTS = Table(
    "raw_documents",
    "raw_documents",
    "One row per document and revision, as collected.",
    (
        DOCUMENT_ID,
        SOURCE,
        EXTERNAL_ID,
        PARENT_ID,
        Column("revision", "BIGINT", "1 for the first text seen under this external id, then counted up.", minimum=1),
        TEXT,
        Column("title", "VARCHAR", "Title, where the source has one.", nullable=True),
        Column("url", "VARCHAR", "Address for people, where there is one.", nullable=True),
        Column("published_at", "TIMESTAMPTZ", "Publication time, where the source has one.", nullable=True),
        AUTHORS,
        RAW_SHA256,
        LOCATOR,
        Column("collected_at", "TIMESTAMPTZ", "When textmill collected it (UTC)."),
        *RIGHTS,
    ),
    ("document_id",),
    may_be_empty=True,
)

REJECTED_RECORDS = Table(
    "rejected_records",
    "raw_documents",
    "One row per record or fetch that collection could not turn into a document.",
    (
        SOURCE,
        Column("uri", "VARCHAR", "Where the bytes came from, or were expected."),
        Column("raw_sha256", "VARCHAR", "Content hash of the raw bytes; empty when nothing could be fetched.", nullable=True),
        LOCATOR,
        REASON,
        DETAIL,
        Column("rejected_at", "TIMESTAMPTZ", "When (UTC)."),
    ),
    ("source", "uri", "raw_sha256", "locator"),
    latest_by_key=True,
    may_be_empty=True,
)

COLLECTION_CURSORS = Table(
    "collection_cursors",
    "raw_documents",
    "One row per thing a source has already read: file fingerprint, ETag, last id.",
    (
        SOURCE,
        Column("cursor_key", "VARCHAR", "What was read: a path, a URL, a query."),
        Column("cursor_value", "VARCHAR", "How far: fingerprint, validators, last value."),
    ),
    ("source", "cursor_key"),
    latest_by_key=True,
    may_be_empty=True,
)

SECONDS = Column("seconds", "DOUBLE", "How long the annotator took, where that was measured.", nullable=True, minimum=0)
GUIDELINE = Column("guideline", "VARCHAR", "Version of the guideline that the annotator was shown, where there was one.", nullable=True)

RAW_ANNOTATIONS = Table(
    "raw_annotations",
    "raw_annotations",
    "One row per vote as collected; an annotator's newest vote on a document counts. Neither value nor label: the vote was withdrawn.",
    (
        Column("vote_id", "VARCHAR", "Hash of document, annotator and answer."),
        DOCUMENT_ID,
        SOURCE,
        EXTERNAL_ID,
        Column("annotator_id", "VARCHAR", "Who voted; `anonymous:NN` where the source does not identify raters."),
        Column("value", "DOUBLE", "Numeric rating, when the vote is one.", nullable=True),
        Column(
            "label", "VARCHAR", "Named label; or JSON of labels, or of spans with what they cover, when the vote is one.", nullable=True
        ),
        SECONDS,
        GUIDELINE,
        RAW_SHA256,
        Column("collected_at", "TIMESTAMPTZ", "When textmill collected it (UTC)."),
    ),
    ("document_id", "annotator_id"),
    latest_by_key=True,
    may_be_empty=True,
)

REJECTED_ANNOTATIONS = Table(
    "rejected_annotations",
    "raw_annotations",
    "One row per arriving vote that could not be used.",
    (
        SOURCE,
        Column("uri", "VARCHAR", "Where the vote came from."),
        RAW_SHA256,
        LOCATOR,
        REASON,
        DETAIL,
        Column("rejected_at", "TIMESTAMPTZ", "When (UTC)."),
    ),
    ("source", "uri", "raw_sha256", "locator"),
    latest_by_key=True,
    may_be_empty=True,
)

CLUSTER_ID = Column("cluster_id", "VARCHAR", "Near-duplicate cluster: the document id of its earliest member.")

CLEAN_DOCUMENTS = Table(
    "clean_documents",
    "clean_documents",
    "One row per document that passed every cleaning rule.",
    (
        DOCUMENT_ID,
        SOURCE,
        EXTERNAL_ID,
        PARENT_ID,
        Column("revision", "BIGINT", "Revision of the external id.", minimum=1),
        TEXT,
        Column("title", "VARCHAR", "Title; empty when the source has none (see `has_title`)."),
        Column("has_title", "BOOLEAN", "False when the title was filled in."),
        LANGUAGE,
        Column("language_confidence", "DOUBLE", "Probability given by the language identifier.", minimum=0, maximum=1),
        Column("is_repaired", "BOOLEAN", "True when decoding damage was repaired."),
        Column("text_chars", "BIGINT", "Length in characters.", minimum=1),
        Column("text_words", "BIGINT", "Length in words; Chinese counts characters.", minimum=0),
        Column("symbol_ratio", "DOUBLE", "Share of characters that are symbols; a run of one symbol counts once.", minimum=0, maximum=1),
        Column("is_code_switched", "BOOLEAN", "Chinese and words in Latin script both make up a fifth or more."),
        Column(
            "replacements",
            "VARCHAR",
            "JSON of the personal data that was replaced in the text: where each pseudonym stands, its kind, and for how many visible "
            "characters it stands. Missing where none was.",
            nullable=True,
        ),
        CLUSTER_ID,
        Column("published_at", "TIMESTAMPTZ", "Publication time; the collection time when the source has none."),
        Column("has_published_at", "BOOLEAN", "False when the publication time was filled in."),
        AUTHORS,
        Column("collected_at", "TIMESTAMPTZ", "When textmill collected it (UTC)."),
        *RIGHTS,
    ),
    ("document_id",),
    may_be_empty=True,
)

REJECTED_DOCUMENTS = Table(
    "rejected_documents",
    "clean_documents",
    "One row per document that a cleaning rule refused; its text stays in `raw_documents`.",
    (
        DOCUMENT_ID,
        SOURCE,
        EXTERNAL_ID,
        REASON,
        DETAIL,
        Column("rule_version", "BIGINT", "Version of the rule that refused it; it rises when the rule refuses other texts.", minimum=1),
        Column("duplicate_of", "VARCHAR", "The document kept instead, for duplicates.", nullable=True),
        Column("rejected_at", "TIMESTAMPTZ", "When (UTC)."),
    ),
    ("document_id",),
    may_be_empty=True,
)

DUPLICATE_INDEX = Table(
    "duplicate_index",
    "clean_documents",
    "One row per clean document: what later increments are compared with.",
    (
        DOCUMENT_ID,
        Column("text_sha256", "VARCHAR", "Hash of the text folded for exact comparison."),
        Column("scheme", "VARCHAR", "Identifies shingling, hashing and banding; sketches of other schemes are not comparable."),
        Column("bands", "UBIGINT[]", "One hash per LSH band; empty for texts too short to sketch."),
        CLUSTER_ID,
    ),
    ("document_id",),
    may_be_empty=True,
)

TOKENS = Table(
    "tokens",
    "tokens",
    "One row per clean document: its words, for search and baselines.",
    (
        DOCUMENT_ID,
        SOURCE,
        LANGUAGE,
        Column("tokens", "VARCHAR", "Segmented, lower-cased, stop words removed, stemmed; joined by spaces."),
        Column("tokens_count", "BIGINT", "How many.", minimum=0),
    ),
    ("document_id",),
)

OUTLIER_MEASURES = ("length", "entropy", "symbols", "digits", "addresses", "unknown_words", "meaning")

TEXT_OUTLIERS = Table(
    "text_outliers",
    "text_outliers",
    "One row per clean document and measure by which it is unlike the others of its source; each look replaces the one before.",
    (
        DOCUMENT_ID,
        SOURCE,
        Column("measure", "VARCHAR", "By what.", allowed=OUTLIER_MEASURES),
        Column("value", "DOUBLE", "What it has; for `length` the logarithm of its characters."),
        Column("typical", "DOUBLE", "The median of its source."),
        Column("score", "DOUBLE", "Robust z-score; 100 stands for more.", minimum=0, maximum=100),
        Column("explanation", "VARCHAR", "Why, in words."),
    ),
    ("document_id", "measure"),
    may_be_empty=True,
)

VOTER_KINDS = ("human", "rule", "model")
VOTE_COLUMNS = (
    Column("vote_id", "VARCHAR", "Hash of document, annotator and answer."),
    DOCUMENT_ID,
    SOURCE,
    Column("annotator_id", "VARCHAR", "Who voted: a person, `rule:<name>` or `model:<id>`."),
    Column("voter_kind", "VARCHAR", "What kind of voter.", allowed=VOTER_KINDS),
    Column("label", "VARCHAR", "The answer: a label of the task, or a JSON list of labels or spans (`assets/answers.py`)."),
    Column("value", "DOUBLE", "Numeric rating behind the label, when there was one.", nullable=True),
)

ANNOTATIONS = Table(
    "annotations",
    "annotations",
    "One row per usable human vote, in the task's labels. Without a label: the vote was withdrawn, and is not published any more.",
    (*(replace(column, nullable=True) if column.name == "label" else column for column in VOTE_COLUMNS), SECONDS, GUIDELINE),
    ("document_id", "annotator_id"),
    latest_by_key=True,
    may_be_empty=True,
    withdrawn_when="label IS NULL",
)

REJECTED_VOTES = Table(
    "rejected_votes",
    "annotations",
    "One row per human vote that does not fit the task.",
    (
        Column("vote_id", "VARCHAR", "The vote in `raw_annotations`."),
        DOCUMENT_ID,
        SOURCE,
        REASON,
        DETAIL,
    ),
    ("document_id", "vote_id"),
    latest_by_key=True,
    may_be_empty=True,
)

RULE_VOTES = Table(
    "rule_votes",
    "rule_votes",
    "One row per vote of a labeling function; an abstention is no row.",
    VOTE_COLUMNS,
    ("document_id", "annotator_id"),
    latest_by_key=True,
    may_be_empty=True,
)

MODEL_VOTES = Table(
    "model_votes",
    "model_votes",
    "One row per document that a model was asked about. Without a label it gave no vote, which is not published; it is not asked again.",
    (
        *(replace(column, nullable=True) if column.name == "label" else column for column in VOTE_COLUMNS),
        Column("version", "VARCHAR", "First digits of the hash of the prompt, or of the descriptions: whatever is asked the same way."),
        Column("reason", "VARCHAR", "Why it gave no vote.", nullable=True, allowed=("unsure", "malformed_reply")),
        Column("detail", "VARCHAR", "What was expected and what was found, in words.", nullable=True),
    ),
    ("document_id", "annotator_id"),
    latest_by_key=True,
    may_be_empty=True,
    withdrawn_when="label IS NULL",
)

LABELED_DOCUMENTS = Table(
    "labeled_documents",
    "labeled_documents",
    "One row per document and consensus; the newest counts. Rows with `is_confident = false` wait in `labeling_queue`.",
    (
        DOCUMENT_ID,
        SOURCE,
        LANGUAGE,
        Column("label", "VARCHAR", "Consensus answer, written as votes are; empty when nobody voted.", nullable=True),
        Column("distribution", "DOUBLE[]", "Share of the weighted votes, or learnt probability, of each label; for spans behind each."),
        Column("confidence", "DOUBLE", "Posterior probability that the answer beats the runner-up among annotators.", minimum=0, maximum=1),
        Column("is_confident", "BOOLEAN", "Votes and confidence reach the quorum."),
        Column("votes_count", "BIGINT", "Votes of all kinds.", minimum=0),
        Column("human_votes_count", "BIGINT", "Votes of people.", minimum=0),
        Column("mean_rating", "DOUBLE", "Mean of the numeric human ratings, in rating units.", nullable=True),
        Column("ratings", "DOUBLE[]", "The numeric human ratings, sorted."),
        Column("reason", "VARCHAR", "Why it is not confident.", nullable=True, allowed=("no_votes", "too_few_votes", "low_confidence")),
    ),
    ("document_id",),
    latest_by_key=True,
)

ANNOTATORS = Table(
    "annotators",
    "labeled_documents",
    "One row per annotator and increment of labels: what all votes say of the annotator; the newest counts.",
    (
        Column(
            "annotator_id",
            "VARCHAR",
            "A person, `rule:<name>`, `model:<name>`, or `anonymous:<source>`: all raters whom a source does not name.",
        ),
        Column("voter_kind", "VARCHAR", "What kind of voter.", allowed=VOTER_KINDS),
        Column("votes_count", "BIGINT", "Votes on clean documents.", minimum=1),
        Column("gold_count", "BIGINT", "Votes on documents whose answer is known.", minimum=0),
        Column("gold_ratio", "DOUBLE", "Share of those that are right; parts of lists count.", True, None, 0, 1),
        Column(
            "agreement_ratio",
            "DOUBLE",
            "Share of the votes on documents with several votes that are the consensus; for lists their mean F1 with the votes of others.",
            True,
            None,
            0,
            1,
        ),
        Column("accuracy_ratio", "DOUBLE", "Probability of being right, where the consensus learns it.", True, None, 0, 1),
        Column("median_seconds", "DOUBLE", "Time that a vote took, where it was measured.", nullable=True, minimum=0),
        Column("hasty_ratio", "DOUBLE", "Share of the timed votes that were too fast for the text to have been read.", True, None, 0, 1),
        Column("commonest_label", "VARCHAR", "The answer given most often."),
        Column("commonest_ratio", "DOUBLE", "Its share of the votes.", minimum=0, maximum=1),
        Column("confusion", "DOUBLE[]", "Probability of each given label under each true one, true by true; empty if not learnt."),
        Column(
            "suspicion",
            "VARCHAR",
            "What should be looked at: wrong on what is known, nearly always the same answer whatever the document, less agreement than by "
            "chance, or too fast.",
            nullable=True,
            allowed=("fails_gold", "always_the_same", "at_odds", "too_fast"),
        ),
    ),
    ("annotator_id",),
    latest_by_key=True,
    may_be_empty=True,
)

ANNOTATOR_AGREEMENT = Table(
    "annotator_agreement",
    "labeled_documents",
    "One row per source, part of its votes and measure, and increment of labels: how much people agree; the newest counts.",
    (
        SOURCE,
        Column(
            "part",
            "VARCHAR",
            "Which votes: `all`, `label <label>` (that one or another), or `month <YYYY-MM>` in which a document's last vote came.",
        ),
        Column(
            "measure",
            "VARCHAR",
            "Krippendorff's alpha and Fleiss' kappa of everybody, the mean of Cohen's kappa of all pairs of named people, or pairwise F1.",
            allowed=("krippendorff_alpha", "fleiss_kappa", "cohen_kappa", "pairwise_f1"),
        ),
        Column("level", "VARCHAR", "What is compared.", allowed=("interval", "ordinal", "nominal", "labels", "spans")),
        Column("score", "DOUBLE", "1 is full agreement; 0 is chance, for F1 none.", maximum=1),
        Column("documents_count", "BIGINT", "Documents with at least two votes.", minimum=1),
        Column("votes_count", "BIGINT", "Votes on them.", minimum=2),
    ),
    ("source", "part", "measure"),
    latest_by_key=True,
    may_be_empty=True,
)

QUEUE_STRATEGIES = ("uncertainty", "disagreement", "balance", "diversity", "label_issue", "outlier", "random", "gold")
QUEUE_REASONS = ("no_votes", "too_few_votes", "low_confidence", "gold", "label_issue")

LABELING_QUEUE = Table(
    "labeling_queue",
    "labeling_queue",
    "One row per document that people should label next, most useful first.",
    (
        DOCUMENT_ID,
        SOURCE,
        LANGUAGE,
        TEXT,
        Column("position", "BIGINT", "Rank in the queue, from 1.", minimum=1),
        Column("strategy", "VARCHAR", "What chose it.", allowed=QUEUE_STRATEGIES),
        Column(
            "reason", "VARCHAR", "Why it waits; `gold`: the answer is known; `label_issue`: the label is doubted.", allowed=QUEUE_REASONS
        ),
        Column("confidence", "DOUBLE", "Confidence of the present consensus.", minimum=0, maximum=1),
        Column("votes_count", "BIGINT", "Votes it already has.", minimum=0),
    ),
    ("document_id",),
    may_be_empty=True,
)

LABEL_ISSUES = Table(
    "label_issues",
    "label_issues",
    "One row per label, or single vote, that is probably wrong; each look at the labels replaces the one before.",
    (
        DOCUMENT_ID,
        SOURCE,
        Column(
            "kind",
            "VARCHAR",
            "A model that did not learn from the document says otherwise; an almost identical text has another label; or a vote is neither "
            "the label nor what the model says.",
            allowed=("model_disagrees", "duplicates_differ", "vote_contradicted"),
        ),
        Column("annotator_id", "VARCHAR", "Whose vote, where it is a single one; else empty."),
        Column("given_label", "VARCHAR", "The label, or the vote."),
        Column("suggested_label", "VARCHAR", "What is more probable."),
        Column("score", "DOUBLE", "How much the given one is to be doubted.", minimum=0, maximum=1),
        Column("explanation", "VARCHAR", "Why, in words."),
        Column("found_at", "TIMESTAMPTZ", "When (UTC)."),
    ),
    ("document_id", "kind", "annotator_id"),
    may_be_empty=True,
)

LABEL_PREDICTIONS = Table(
    "label_predictions",
    "label_issues",
    "One row per labelled document that was looked at: what models say that did not learn from it.",
    (DOCUMENT_ID, Column("probabilities", "DOUBLE[]", "Probability of every label, in the task's order.")),
    ("document_id",),
    may_be_empty=True,
)

DOCUMENT_EMBEDDINGS = Table(
    "document_embeddings",
    "document_embeddings",
    "One row per clean document and base model, where the project uses embeddings: its text as a vector.",
    (
        DOCUMENT_ID,
        Column("encoder", "VARCHAR", "The base model: its name, `@`, and the first digits of its fingerprint."),
        Column("embedding", "FLOAT[]", "Mean of the last layer's states, of length 1: dot products are cosines."),
    ),
    ("document_id", "encoder"),
    latest_by_key=True,
    may_be_empty=True,
)

POOL_PREDICTIONS = Table(
    "pool_predictions",
    "pool_predictions",
    "One row per document without a confident label that the champion was asked about; the newest answer counts.",
    (
        DOCUMENT_ID,
        Column("model_id", "VARCHAR", "The champion that answered."),
        Column("label", "VARCHAR", "Its answer: a label of the task, or a JSON list of labels or spans."),
        Column("confidence", "DOUBLE", "Its confidence; the least confident span's, where there are spans.", minimum=0, maximum=1),
        Column("margin", "DOUBLE", "Difference of the two highest probabilities, where texts have one label.", True, None, 0, 1),
    ),
    ("document_id",),
    latest_by_key=True,
    may_be_empty=True,
)

LABELING_TASKS = Table(
    "labeling_tasks",
    "labeling_tasks",
    "One row per task that was added to the labeling server; a document that is added again has its newest here.",
    (
        DOCUMENT_ID,
        SOURCE,
        Column("server_url", "VARCHAR", "Address of the server."),
        Column("project_id", "BIGINT", "Project on the server."),
        Column("suggestion", "VARCHAR", "Answer that people are shown at first.", nullable=True),
        Column("suggested_by", "VARCHAR", "Whose: the id of a model, or `votes` for the consensus so far.", nullable=True),
        GUIDELINE,
        Column("added_at", "TIMESTAMPTZ", "When (UTC)."),
    ),
    ("document_id",),
    latest_by_key=True,
    may_be_empty=True,
)

SPLITS = ("train", "dev", "test")
TRAINING_DATASET = Table(
    "training_dataset",
    "training_dataset",
    "One row per document of the current frozen data set version.",
    (
        Column("dataset_version", "VARCHAR", "Content hash of the data set."),
        DOCUMENT_ID,
        SOURCE,
        LANGUAGE,
        TEXT,
        Column("label", "VARCHAR", "Consensus answer."),
        Column("distribution", "DOUBLE[]", "Vote distribution in the task's label order, for spans in their order: the soft label."),
        Column("confidence", "DOUBLE", "Confidence of the consensus.", minimum=0, maximum=1),
        Column("mean_rating", "DOUBLE", "Mean human rating, in rating units.", nullable=True),
        Column("ratings", "DOUBLE[]", "The numeric human ratings, sorted."),
        Column("group_id", "VARCHAR", "Documents of one group (same source document or near-duplicate cluster) share a split."),
        Column("split", "VARCHAR", "Which split.", allowed=SPLITS),
        LICENCE,
        ROBOTS_ALLOWED,
        Column("ai_training_allowed", "BOOLEAN", "Models may be trained on it: true in every row, or the data set is rejected."),
    ),
    ("document_id",),
)

SEARCH_INDEX = Table(
    "search_index",
    "search_index",
    "One row per document that the full-text index holds, and another one each time that its label changes.",
    (
        DOCUMENT_ID,
        SOURCE,
        LANGUAGE,
        Column("label", "VARCHAR", "The consensus that it is found by; null while there is none.", nullable=True),
    ),
    ("document_id",),
    latest_by_key=True,
)

BACKUP = Table(
    "backup",
    "backup",
    "One row per backup that was restored on trial and came back as it was.",
    (
        Column("backup_id", "VARCHAR", "When it was begun; what `textmill restore` asks for."),
        Column("made_at", "TIMESTAMPTZ", "When it was begun."),
        Column("tables_count", "BIGINT", "Tables whose rows were compared.", minimum=1),
        Column("rows_count", "BIGINT", "Rows of all tables.", minimum=0),
        Column("files_count", "BIGINT", "Files of the lakehouse and objects.", minimum=1),
        Column("total_bytes", "BIGINT", "Bytes that it holds.", minimum=1),
        Column("copied_bytes", "BIGINT", "Bytes that no earlier backup held.", minimum=0),
    ),
    ("backup_id",),
)

COMPACTION = Table(
    "compaction",
    "compaction",
    "One row per compaction of the lakehouse.",
    (
        Column("compacted_at", "TIMESTAMPTZ", "When it was begun."),
        Column("files_before", "BIGINT", "Data files of all tables.", minimum=0),
        Column("files_after", "BIGINT", "Data files of all tables, afterwards.", minimum=0),
        Column("bytes_before", "BIGINT", "Bytes of the data files.", minimum=0),
        Column("bytes_after", "BIGINT", "Bytes of the data files, afterwards.", minimum=0),
        Column("snapshots_expired", "BIGINT", "Earlier states that can no longer be read.", minimum=0),
        Column("files_deleted", "BIGINT", "Files that nothing needed any more.", minimum=0),
        Column("catalog_bytes", "BIGINT", "Length of the catalog, afterwards.", minimum=0),
        Column(
            "timings_removed",
            "BIGINT",
            "Counts of reads and writes that were older than `retention.timings_days`.",
            nullable=True,
            minimum=0,
        ),
    ),
    ("compacted_at",),
)

STORAGE_REPORT = Table(
    "storage_report",
    "storage_report",
    "One row per figure of a report on storage.",
    (
        Column("reported_at", "TIMESTAMPTZ", "When it was measured."),
        Column(
            "section",
            "VARCHAR",
            "What it is about.",
            allowed=("latency", "failures", "freshness", "bytes", "files", "cost", "growth", "forecast"),
        ),
        Column("subject", "VARCHAR", "Place and operation, source, place, or table; `all` for all of them."),
        Column("metric", "VARCHAR", "What was measured; ends with its unit, `_ratio` or what was counted."),
        Column("value", "DOUBLE", "The figure."),
    ),
    ("reported_at", "section", "subject", "metric"),
)

FINE_TUNED_MODEL = Table(
    "fine_tuned_model",
    "fine_tuned_model",
    "One row per trained model.",
    (
        Column("model_id", "VARCHAR", "Hash of data set version, recipe, base model and code version."),
        Column("dataset_version", "VARCHAR", "Data set it was trained on."),
        Column("base_model", "VARCHAR", "Name of the pre-trained encoder."),
        Column("code_version", "VARCHAR", "Version of the training code."),
        Column("recipe", "VARCHAR", "Training settings as canonical JSON."),
        Column("seed", "BIGINT", "Random seed."),
        Column("device", "VARCHAR", "Hardware it was trained on."),
        Column("train_rows", "BIGINT", "Rows trained on.", minimum=1),
        Column("train_share", "DOUBLE", "Share of the train split that was used.", minimum=0, maximum=1),
        Column("best_epoch", "DOUBLE", "Epoch whose weights were kept.", minimum=0),
        Column("dev_macro_f1", "DOUBLE", "Macro F1 on the dev split.", minimum=0, maximum=1),
        Column("training_seconds", "DOUBLE", "Wall time of training.", minimum=0),
        Column("model_key", "VARCHAR", "Prefix of the model's files in the object store."),
        Column("manifest_sha256", "VARCHAR", "Content hash of its manifest, which lists the hash of every file."),
        Column("trained_at", "TIMESTAMPTZ", "When training ended (UTC)."),
        Column(
            "erased_train_rows", "BIGINT", "Rows of its train split that were erased since; missing for none.", nullable=True, minimum=0
        ),
        Column(
            "erased_other_rows",
            "BIGINT",
            "Rows of its dev and test split that were erased since: it was chosen and measured by them; missing for none.",
            nullable=True,
            minimum=0,
        ),
    ),
    ("model_id",),
)

EVALUATION_REPORT = Table(
    "evaluation_report",
    "evaluation_report",
    "One row per model, scorer, slice and metric on the frozen test split.",
    (
        Column("model_id", "VARCHAR", "The model reported on."),
        Column("dataset_version", "VARCHAR", "Data set whose test split was scored."),
        Column("scorer", "VARCHAR", "What predicted: the model or a baseline beside it."),
        Column("slice", "VARCHAR", "`overall` or `source=<name>`."),
        Column("metric", "VARCHAR", "Name of the metric."),
        Column("value", "DOUBLE", "Its value."),
        Column("low", "DOUBLE", "Lower end of the bootstrap 95 % interval.", nullable=True),
        Column("high", "DOUBLE", "Upper end of the bootstrap 95 % interval.", nullable=True),
        Column("rows_count", "BIGINT", "Test rows in the slice.", minimum=1),
    ),
    ("model_id", "dataset_version", "scorer", "slice", "metric"),
)

CHAMPION_MODEL = Table(
    "champion_model",
    "champion_model",
    "One row per decision of the gate or of a person, newest last; the newest names the champion.",
    (
        Column("decision_id", "VARCHAR", "Identifies the decision."),
        Column("challenger_id", "VARCHAR", "Model that was judged, promoted by a person, or rolled back to."),
        Column("previous_champion_id", "VARCHAR", "Champion before.", nullable=True),
        Column("champion_id", "VARCHAR", "Champion after.", nullable=True),
        Column("decision", "VARCHAR", "What was decided.", allowed=("promoted", "refused", "overridden", "rolled_back")),
        Column("reason", "VARCHAR", "Why, in words."),
        Column("dataset_version", "VARCHAR", "Frozen test split both were scored on."),
        Column("evidence", "VARCHAR", "What was compared and measured, and what each criterion found, as JSON."),
        Column("decided_at", "TIMESTAMPTZ", "When (UTC)."),
    ),
    ("decision_id",),
)

HYPERPARAMETER_SEARCH = Table(
    "hyperparameter_search",
    "hyperparameter_search",
    "One row per trial of a search for training settings, judged on the dev split.",
    (
        Column("study_id", "VARCHAR", "The search's name, and a hash of data set, space and fixed settings."),
        Column("study", "VARCHAR", "The search's name: what `training.recipe` asks for."),
        Column("trial", "BIGINT", "Number of the trial, from 0.", minimum=0),
        Column("dataset_version", "VARCHAR", "Data set that was trained and judged on."),
        Column(
            "state",
            "VARCHAR",
            "How it ended; an interrupted trial is tried again under another number.",
            allowed=("complete", "pruned", "failed", "interrupted"),
        ),
        Column("params", "VARCHAR", "The settings tried, as JSON."),
        Column(
            "dev_macro_f1", "DOUBLE", "Macro F1 on dev at the lowest dev loss, or where it was ended.", nullable=True, minimum=0, maximum=1
        ),
        Column("dev_loss", "DOUBLE", "Loss on dev there.", nullable=True),
        Column("best_epoch", "DOUBLE", "Epoch of that moment.", nullable=True, minimum=0),
        Column("seconds", "DOUBLE", "Wall time of the trial.", minimum=0),
        Column("is_best", "BOOLEAN", "The winner so far; at most one per study."),
        Column("reason", "VARCHAR", "Why it did not complete.", nullable=True),
    ),
    ("study_id", "trial"),
    latest_by_key=True,
)

LEARNING_CURVE = Table(
    "learning_curve",
    "learning_curve",
    "One row per training on a part of the train split, slice and metric on the dev split.",
    (
        Column("study_id", "VARCHAR", "Hash of data set, training settings and settings of the study."),
        Column("dataset_version", "VARCHAR", "Data set that was trained and judged on."),
        Column("method", "VARCHAR", "How it was trained.", allowed=("fine_tuning", "few_shot_head")),
        Column("share", "DOUBLE", "Share of the train split asked for.", minimum=0, maximum=1),
        Column("train_rows", "BIGINT", "Rows trained on.", minimum=1),
        Column("seed", "BIGINT", "Random seed."),
        Column("slice", "VARCHAR", "`overall` or `source=<name>`."),
        Column("metric", "VARCHAR", "Name of the metric."),
        Column("value", "DOUBLE", "Its value on dev."),
    ),
    ("study_id", "method", "share", "seed", "slice", "metric"),
    latest_by_key=True,
)

ABLATION_REPORT = Table(
    "ablation_report",
    "ablation_report",
    "One row per source or labeling function left out of the train split, and slice of the dev split: what it was worth.",
    (
        Column("study_id", "VARCHAR", "Hash of data set, training settings, settings of the study and the votes left out."),
        Column("dataset_version", "VARCHAR", "Data set that was trained and judged on."),
        Column("kind", "VARCHAR", "What was left out.", allowed=("source", "labeling_function")),
        Column("removed", "VARCHAR", "Its name."),
        Column("slice", "VARCHAR", "`overall` or `source=<name>`."),
        Column("train_rows_changed", "BIGINT", "Train rows that were lost, or whose label or distribution changed.", minimum=0),
        Column("with_all", "DOUBLE", "Macro F1 on dev when trained on everything.", minimum=0, maximum=1),
        Column("without", "DOUBLE", "Macro F1 on dev when trained without it.", minimum=0, maximum=1),
        Column("difference", "DOUBLE", "What it was worth: `with_all` - `without`; above 0 it helps.", minimum=-1, maximum=1),
        Column("low", "DOUBLE", "Lower end of the paired bootstrap 95 % interval of the difference.", nullable=True),
        Column("high", "DOUBLE", "Upper end of it.", nullable=True),
        Column("is_trained", "BOOLEAN", "False when leaving it out changes no label, so that nothing had to be trained."),
    ),
    ("study_id", "kind", "removed", "slice"),
    latest_by_key=True,
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        RAW_OBJECTS,
        RAW_DOCUMENTS,
        REJECTED_RECORDS,
        COLLECTION_CURSORS,
        RAW_ANNOTATIONS,
        REJECTED_ANNOTATIONS,
        CLEAN_DOCUMENTS,
        REJECTED_DOCUMENTS,
        DUPLICATE_INDEX,
        TOKENS,
        TEXT_OUTLIERS,
        ANNOTATIONS,
        REJECTED_VOTES,
        RULE_VOTES,
        MODEL_VOTES,
        LABELED_DOCUMENTS,
        ANNOTATORS,
        ANNOTATOR_AGREEMENT,
        LABEL_ISSUES,
        LABEL_PREDICTIONS,
        LABELING_QUEUE,
        DOCUMENT_EMBEDDINGS,
        POOL_PREDICTIONS,
        LABELING_TASKS,
        TRAINING_DATASET,
        SEARCH_INDEX,
        BACKUP,
        COMPACTION,
        STORAGE_REPORT,
        FINE_TUNED_MODEL,
        EVALUATION_REPORT,
        CHAMPION_MODEL,
        HYPERPARAMETER_SEARCH,
        LEARNING_CURVE,
        ABLATION_REPORT,
    )
}


def tables_of(producer: str) -> list[Table]:
    """Tables written by one step, in declaration order."""
    return [table for table in TABLES.values() if table.producer == producer]


def check_columns(table: Table, found: Iterable[str]) -> None:
    """Raise unless a frame has exactly the table's columns (in any order).

    Raises:
        ValueError: Columns are missing or unknown; the message lists both.
    """
    expected, actual = set(table.column_names()), set(found)
    if expected != actual:
        raise ValueError(
            f"Table {table.name}: expected columns {sorted(expected)}, found {sorted(actual)}; "
            f"missing {sorted(expected - actual)}, unknown {sorted(actual - expected)}."
        )

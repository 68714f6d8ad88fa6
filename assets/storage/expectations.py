"""What the storage tables promise."""

from assets.project import Project
from assets.quality.suites import Suite, expect_fact, expect_rows, expect_task_answers, suite
from assets.schemas import BACKUP, COMPACTION, SEARCH_INDEX, STORAGE_REPORT, TRAINING_DATASET


def training_dataset(project: Project) -> Suite:
    """The data set is labelled, split without leakage, and each split can be used."""
    splits = [
        expect_fact(f"{split}_split_has_rows", f"The {split} split has rows.", f"rows_{split}", minimum=1)
        for split in ("train", "dev", "test")
    ]
    return suite(
        TRAINING_DATASET,
        *expect_task_answers(project.task),
        expect_rows("texts_are_not_empty", "Every text has a character.", "column_value_lengths_to_be_between", column="text", min_value=1),
        expect_rows(
            "confidence_reaches_the_quorum",
            "Every consensus reaches the quorum's confidence.",
            "column_values_to_be_between",
            column="confidence",
            min_value=project.labeling.min_confidence,
        ),
        expect_rows(
            "training_is_allowed",
            "Models may be trained on every text: neither its source nor a signal of its host or page forbids it.",
            "column_values_to_be_in_set",
            column="ai_training_allowed",
            value_set=[True],
        ),
        expect_fact("groups_stay_together", "No group spans two splits.", "leaking_groups", maximum=0),
        expect_fact("clusters_stay_together", "No near-duplicate cluster spans two splits.", "leaking_clusters", maximum=0),
        expect_fact(
            "test_is_not_repeated", "No other text repeats eight tokens in a row of the test split.", "rows_repeating_test", maximum=0
        ),
        expect_fact(
            "passages_were_compared", "Every text has tokens by which it was compared with the test split.", "rows_not_compared", maximum=0
        ),
        expect_fact("every_label_is_trained_on", "The train split has every label.", "labels_missing_in_train", maximum=0, severity="WARN"),
        *splits,
    )


def search_index(_project: Project) -> Suite:
    """The index holds what the lakehouse holds."""
    return suite(
        SEARCH_INDEX,
        expect_fact("index_is_complete", "The index holds every clean document that was to be indexed.", "documents_missing", maximum=0),
    )


def backup(_project: Project) -> Suite:
    """What was backed up came back."""
    return suite(
        BACKUP,
        expect_fact("every_table_came_back", "Every table was restored on trial with the same rows.", "tables_that_differ", maximum=0),
    )


def compaction(_project: Project) -> Suite:
    """Compaction makes the lakehouse smaller; that it keeps all rows is seen to while files are merged."""
    return suite(
        COMPACTION,
        expect_fact("files_become_fewer", "There are no more data files than before.", "files_added", maximum=0),
    )


def storage_report(_project: Project) -> Suite:
    """Everything was measured; failures and silent sources are reported."""
    return suite(
        STORAGE_REPORT,
        expect_fact("every_table_was_measured", "The files of every table were counted.", "tables_unmeasured", maximum=0),
        expect_fact(
            "failures_are_rare", "At most one read or write in a hundred failed.", "failed_calls_ratio", maximum=0.01, severity="WARN"
        ),
        expect_fact(
            "every_source_has_documents",
            "Every source of the project has a published document.",
            "sources_without_documents",
            maximum=0,
            severity="WARN",
        ),
    )

"""What the collection tables promise."""

from assets.project import Project
from assets.quality.suites import Suite, expect_author_pseudonyms, expect_fact, expect_known_sources, expect_rows, suite
from assets.schemas import COLLECTION_CURSORS, RAW_ANNOTATIONS, RAW_DOCUMENTS, RAW_OBJECTS, REJECTED_ANNOTATIONS, REJECTED_RECORDS

SHA256 = r"^[0-9a-f]{64}$"


def raw_documents(project: Project) -> Suite:
    """Documents come from known sources, have text, and can be traced to their bytes."""
    return suite(
        RAW_DOCUMENTS,
        expect_known_sources(project),
        expect_rows(
            "texts_are_not_blank", "Every text has a visible character.", "column_values_to_match_regex", column="text", regex=r"\S"
        ),
        expect_rows(
            "bytes_can_be_found",
            "Every row names the hash of its raw bytes.",
            "column_values_to_match_regex",
            column="raw_sha256",
            regex=SHA256,
        ),
        expect_author_pseudonyms("document_id"),
        expect_fact(
            "most_records_are_readable",
            "At least half of the records became or already were documents.",
            "readable_share",
            minimum=0.5,
            severity="WARN",
        ),
    )


def raw_objects(_project: Project) -> Suite:
    """Every stored object names its content hash."""
    return suite(
        RAW_OBJECTS,
        expect_rows("hashes_are_sha256", "Every hash is a SHA-256.", "column_values_to_match_regex", column="raw_sha256", regex=SHA256),
        expect_author_pseudonyms("raw_sha256"),
    )


def rejected_records(_project: Project) -> Suite:
    """Refused records say why."""
    return suite(
        REJECTED_RECORDS,
        expect_rows(
            "reasons_are_short",
            "Every reason is a short stable word.",
            "column_values_to_match_regex",
            column="reason",
            regex=r"^[a-z_]{3,40}$",
        ),
    )


def collection_cursors(_project: Project) -> Suite:
    """Cursors name what was read."""
    return suite(
        COLLECTION_CURSORS,
        expect_rows("cursors_have_keys", "Every cursor has a key.", "column_value_lengths_to_be_between", column="cursor_key", min_value=1),
    )


def raw_annotations(_project: Project) -> Suite:
    """Votes answer with a rating or a label, and most of them found their document."""
    return suite(
        RAW_ANNOTATIONS,
        expect_rows(
            "annotators_are_named", "Every vote has an annotator.", "column_value_lengths_to_be_between", column="annotator_id", min_value=1
        ),
        expect_rows(
            "ratings_are_finite",
            "Every rating is a number of ordinary size.",
            "column_values_to_be_between",
            column="value",
            min_value=-1e6,
            max_value=1e6,
        ),
        expect_fact(
            "most_votes_find_their_document", "At most a tenth of the votes were refused.", "refused_share", maximum=0.1, severity="WARN"
        ),
    )


def rejected_annotations(_project: Project) -> Suite:
    """Refused votes say why."""
    return suite(
        REJECTED_ANNOTATIONS,
        expect_rows(
            "reasons_are_short",
            "Every reason is a short stable word.",
            "column_values_to_match_regex",
            column="reason",
            regex=r"^[a-z_]{3,40}$",
        ),
    )

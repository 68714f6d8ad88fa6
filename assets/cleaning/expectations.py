"""What the cleaning tables promise."""

from typing import TYPE_CHECKING

from assets.cleaning.pii.finding import find_personal_data
from assets.cleaning.rules import RULES
from assets.cleaning_settings import PersonalData
from assets.project import Project
from assets.quality.suites import Expectation, Suite, expect_author_pseudonyms, expect_fact, expect_nothing_found, expect_rows, suite
from assets.schemas import CLEAN_DOCUMENTS, DUPLICATE_INDEX, REJECTED_DOCUMENTS, TEXT_OUTLIERS, TOKENS

if TYPE_CHECKING:
    import pandas as pd

REASONS = (*RULES, "exact_duplicate", "near_duplicate")


def clean_documents(project: Project) -> Suite:
    """Clean texts respect the thresholds, and enough of them are in the project's languages."""
    settings = project.cleaning
    return suite(
        CLEAN_DOCUMENTS,
        expect_rows(
            "lengths_are_within_limits",
            f"Every text has {settings.min_chars} to {settings.max_chars} characters.",
            "column_values_to_be_between",
            column="text_chars",
            min_value=settings.min_chars,
            max_value=settings.max_chars,
        ),
        expect_rows(
            "symbols_are_within_limits",
            f"At most {settings.max_symbol_ratio:g} of every text are symbols.",
            "column_values_to_be_between",
            column="symbol_ratio",
            max_value=settings.max_symbol_ratio,
        ),
        expect_rows(
            "white_space_is_folded",
            "No text begins or ends with white space.",
            "column_values_to_not_match_regex",
            column="text",
            regex=r"^\s|\s$",
        ),
        expect_rows(
            "texts_are_decoded",
            "No text holds control characters.",
            "column_values_to_not_match_regex",
            column="text",
            regex=r"[\x00-\x08\x0e-\x1f]",
        ),
        expect_rows(
            "languages_are_codes",
            "Every language is a two- or three-letter code.",
            "column_values_to_match_regex",
            column="language",
            regex=r"^[a-z]{2,3}$",
        ),
        expect_author_pseudonyms("document_id"),
        *_no_personal_data(settings.pii),
        expect_fact(
            "languages_are_expected",
            f"At least 80 % of the texts are in {', '.join(project.languages)} or undetermined.",
            "expected_language_share",
            minimum=0.8,
            severity="WARN",
        ),
        expect_fact("most_documents_survive", "At least half of the documents are kept.", "kept_share", minimum=0.5, severity="WARN"),
    )


def _no_personal_data(settings: PersonalData) -> tuple[Expectation, ...]:
    """The promise that what the project replaces is in no text and no title, by what patterns find; a model's names are not looked for."""
    if not settings.kinds:
        return ()

    def find(rows: "pd.DataFrame") -> list[str]:
        return [
            f"{found.kind} in {column} of document {document_id}"
            for column in ("text", "title")
            for document_id, text in zip(rows["document_id"], rows[column], strict=True)
            for found in find_personal_data(text, settings.phone_regions)
            if found.kind in settings.kinds
        ]

    meaning = "No text and no title holds personal data of a kind that is replaced."
    return (expect_nothing_found("no_personal_data", meaning, ("document_id", "text", "title"), find),)


def rejected_documents(_project: Project) -> Suite:
    """Refused documents say why, and duplicates say of what."""
    return suite(
        REJECTED_DOCUMENTS,
        expect_rows(
            "reasons_are_known", "Every reason is a known one.", "column_values_to_be_in_set", column="reason", value_set=list(REASONS)
        ),
    )


def duplicate_index(_project: Project) -> Suite:
    """Every clean document can be compared with later ones."""
    return suite(
        DUPLICATE_INDEX,
        expect_rows("hashes_are_sha256", "Every text hash is a SHA-256.", "column_value_lengths_to_equal", column="text_sha256", value=64),
    )


def tokens(_project: Project) -> Suite:
    """Tokens are in lower case."""
    return suite(
        TOKENS,
        expect_rows(
            "tokens_are_lower_case", "No token has a capital.", "column_values_to_not_match_regex", column="tokens", regex=r"[A-Z]"
        ),
    )


def text_outliers(project: Project) -> Suite:
    """Outliers are as far out as the project asks for."""
    least = project.cleaning.outliers.min_score
    return suite(
        TEXT_OUTLIERS,
        expect_rows(
            "outliers_are_far_out",
            f"Every score is at least {least:g}.",
            "column_values_to_be_between",
            column="score",
            min_value=least,
        ),
    )

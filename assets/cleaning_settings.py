"""The part of the project's schema that is said about cleaning: thresholds of its rules and what becomes of personal data.

The rest of it is in `project.py`.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from assets.section import Section

PersonalDataKind = Literal[
    "secret", "email", "resident_id", "credit_code", "iban", "bank_card", "card", "passport", "plate", "ip", "phone", "name"
]
PERSONAL_DATA: tuple[PersonalDataKind, ...] = get_args(PersonalDataKind)
"""Every kind of personal data; where two finds overlap, the kind that stands earlier is meant."""


class PersonalData(Section):
    """Which personal data pseudonyms take the place of, in texts and titles; [cleaning](cleaning.md) says what each kind is."""

    replace: Literal["all"] | tuple[PersonalDataKind, ...] = Field("all", description="Kinds that are replaced; an empty list: none.")
    keep: tuple[PersonalDataKind, ...] = Field((), description="Kinds that are left as they are all the same.")
    phone_regions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = Field(
        ("CN", "US", "GB", "HK", "TW", "SG", "JP", "AU", "IN", "FR", "ES", "DE"),
        description="Countries (ISO 3166) whose national telephone numbers are looked for, likeliest first; with a `+` any country's are.",
    )
    names_model: str | None = Field(
        None,
        description="Model for token classification that finds names of people (`name`): on the model hub or in a folder; null finds none.",
    )

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that are replaced."""
        asked = PERSONAL_DATA if self.replace == "all" else self.replace
        return frozenset(asked) - frozenset(self.keep)

    @model_validator(mode="after")
    def names_have_a_finder(self) -> Self:
        """Names are only asked for where something can find them."""
        if self.replace != "all" and "name" in self.kinds and self.names_model is None:
            raise ValueError("cleaning.pii.replace: expected `names_model` beside `name`, found none; name a model or leave `name` out")
        return self


SkippableRule = Literal[
    "undecodable",
    "too_many_symbols",
    "automatic_text",
    "links_only",
    "advertising",
    "boilerplate",
    "repeated_words",
    "repeated_lines",
    "repeated_phrase",
    "repeated_passages",
    "short_words",
    "long_words",
    "few_letters",
    "few_stop_words",
    "list_of_bullets",
    "cut_off_lines",
    "unfinished_lines",
    "short_lines",
    "other_language",
]


class Quality(Section):
    """Thresholds of the quality rules; ratios go from 0 to 1.

    Shares of lines are asked of texts of five lines or more, statistics of prose of 50 words or more (Chinese: 100 characters).
    """

    max_advertising_signs: int = Field(
        2, ge=0, le=3, description="Kinds of signs of advertising (a contact, an offer, urgency); 3 refuses none (`advertising`)."
    )
    max_boilerplate_ratio: float = Field(
        0.5, ge=0, le=1, description="Share of the text in lines of boilerplate such as cookie notices (`boilerplate`); after C4."
    )
    min_distinct_word_ratio: float = Field(
        0.08, ge=0, le=1, description="Share of distinct words in texts of 20 to 1,000 words (`repeated_words`)."
    )
    max_repeated_line_ratio: float = Field(0.3, ge=0, le=1, description="Share of repeated lines (`repeated_lines`); Gopher's threshold.")
    max_top_ngram_ratio: float = Field(
        0.18, ge=0, le=1, description="Share of the words in the commonest phrase of three words (`repeated_phrase`); Gopher's threshold."
    )
    max_doubled_ngram_ratio: float = Field(
        0.15, ge=0, le=1, description="Share of the words in passages of five words that occurred before (`repeated_passages`); Gopher's."
    )
    min_word_chars: float = Field(3.0, ge=0, description="Mean characters a word in Latin script (`short_words`); Gopher's threshold.")
    max_word_chars: float = Field(10.0, gt=0, description="Mean characters a word in Latin script (`long_words`); Gopher's threshold.")
    min_alphabetic_word_ratio: float = Field(
        0.8, ge=0, le=1, description="Share of the words that hold a letter (`few_letters`); Gopher's threshold."
    )
    min_stop_words: int = Field(
        2, ge=0, description="Different stop words in English or Chinese prose (`few_stop_words`); Gopher's threshold."
    )
    max_bullet_line_ratio: float = Field(
        0.9, ge=0, le=1, description="Share of the lines that begin with a bullet or number (`list_of_bullets`); Gopher's threshold."
    )
    max_ellipsis_line_ratio: float = Field(
        0.3, ge=0, le=1, description="Share of the lines that end with an ellipsis (`cut_off_lines`); Gopher's threshold."
    )
    min_finished_line_ratio: float = Field(
        0.12, ge=0, le=1, description="Share of the lines that end with punctuation (`unfinished_lines`); FineWeb's threshold."
    )
    max_short_line_ratio: float = Field(
        0.67, ge=0, le=1, description="Share of the lines under 30 characters (`short_lines`); FineWeb's threshold."
    )


class Outliers(Section):
    """From when on a document is flagged as unlike the others of its source; none is dropped for it."""

    min_score: float = Field(6.0, gt=0, description="Robust z-score from which a document is flagged.")
    max_per_measure: int = Field(200, ge=0, description="Most documents that are flagged by each measure; the farthest ones.")


class Cleaning(Section):
    """Thresholds of the cleaning rules, and what becomes of personal data."""

    min_chars: int = Field(3, ge=1, description="Shorter texts are refused (`too_short`).")
    max_chars: int = Field(20_000, gt=0, description="Longer texts are refused (`too_long`).")
    min_words: int = Field(1, ge=0, description="Fewer words (Chinese: characters) are refused (`too_few_words`).")
    max_symbol_ratio: float = Field(0.6, ge=0, le=1, description="More symbols than this share are refused (`too_many_symbols`).")
    min_language_confidence: float = Field(0.4, ge=0, le=1, description="Below it a language counts as undetermined.")
    refuse_other_languages: bool = Field(
        False, description="Refuse texts confidently identified as a language outside `languages` (`other_language`)."
    )
    near_duplicate_similarity: float = Field(0.8, gt=0, le=1, description="Jaccard similarity of shingles from which a text is refused.")
    quality: Quality = Quality()
    skip_rules: tuple[SkippableRule, ...] = Field((), description="Reasons for which nothing is refused.")
    samples_per_rule: int = Field(10, ge=0, description="Documents that each run shows for each rule.")
    shows_texts: bool = Field(
        False,
        description="Show the texts of these documents, before and after, in the UI. Dagster keeps what it shows, unencrypted: only for "
        "texts that everybody may read. Without it their ids are shown, and `textmill samples` prints the texts.",
    )
    outliers: Outliers = Outliers()
    pii: PersonalData = PersonalData()

"""Turns raw documents into clean ones or refused ones: repair, replace personal data, measure, judge, fill.

What happens to one text is in `repair.py`, `pii/` and `language.py`, what refuses it in `rules.py`; duplicates come after
(`duplicates.py`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from assets.cleaning.frames import as_table, require_columns
from assets.cleaning.language import identify_language
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.repair import Repaired, repair_text
from assets.cleaning.rules import Limits, find_reasons
from assets.cleaning.samples import changed_samples, refused_samples
from assets.cleaning.statistics import STATISTICS, measure_text
from assets.cleaning.words import symbol_ratio
from assets.cleaning_settings import Cleaning
from assets.replacements import encode_replacements
from assets.schemas import CLEAN_DOCUMENTS, RAW_DOCUMENTS, REJECTED_DOCUMENTS

_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Cleaned:
    """Every raw document, exactly once, in one of two frames.

    Attributes:
        kept: One row per document that no rule refused: the columns of `clean_documents` but for `cluster_id`.
        rejected: One row per refused document: the columns of `rejected_documents`.
        replaced: How many values of each kind of personal data were replaced, in texts and titles of both.
        samples: A few documents of each rule: the columns of `samples.SAMPLE_COLUMNS`.
    """

    kept: pd.DataFrame
    rejected: pd.DataFrame
    replaced: Counter[str]
    samples: pd.DataFrame


def clean(raw: pd.DataFrame, *, settings: Cleaning, languages: tuple[str, ...], pseudonymizer: Pseudonymizer, now: datetime) -> Cleaned:
    """Repairs, pseudonymizes, measures and judges a batch of raw documents; a missing title or publication time is filled in and flagged.

    Args:
        raw: One row per document, with the columns of `raw_documents`; row order is kept.
        settings: Thresholds.
        languages: ISO 639-1 codes that the project expects.
        pseudonymizer: Replaces personal data in texts and titles.
        now: Time written into `rejected_at`; with a time zone.

    Raises:
        ValueError: A column is missing, or a document id occurs twice.
    """
    require_columns(raw, RAW_DOCUMENTS.column_names(), "raw documents")
    if raw["document_id"].duplicated().any():
        doubled = raw.loc[raw["document_id"].duplicated(), "document_id"].iloc[0]
        raise ValueError(
            f"expected distinct document ids in a batch of raw documents, found {doubled!r} more than once: audit the batch first"
        )
    raw = raw.reset_index(drop=True)
    measured = measure(raw, pseudonymizer, min_language_confidence=settings.min_language_confidence)
    reasons = find_reasons(measured, Limits(settings, languages))
    is_kept = reasons["reason"].isna()
    columns = [name for name in CLEAN_DOCUMENTS.column_names() if name != "cluster_id"]
    refused = measured.join(reasons)[~is_kept].assign(duplicate_of=None, rejected_at=now)
    replaced = Counter(kind for kinds in measured["replaced_kinds"] for kind in kinds)
    return Cleaned(
        kept=as_table(measured[is_kept], CLEAN_DOCUMENTS, columns),
        rejected=as_table(refused, REJECTED_DOCUMENTS),
        replaced=replaced,
        samples=pd.concat(
            [changed_samples(raw, measured, settings.samples_per_rule), refused_samples(measured, refused, settings.samples_per_rule)]
        ),
    )


def measure(raw: pd.DataFrame, pseudonymizer: Pseudonymizer, *, min_language_confidence: float) -> pd.DataFrame:
    """Repairs every text, replaces personal data in it, and adds what the rules look at.

    Returns:
        One row per raw document, same index. Replaced: `text` and `title` (repaired, pseudonymized, empty when missing), `published_at`
        (the collection time when missing). Added: `replacements` (of the text), `replaced_kinds` (a list, of text and title),
        `has_title`, `has_published_at`, `is_repaired`, `text_chars`, `symbol_ratio` and `replacement_ratio` (share of
        U+FFFD), `language`, `language_confidence`, and the fields of `statistics.Statistics`.
    """
    repaired = _repair_all(raw["text"])
    replaced = pseudonymizer.replace_all([each.text for each in repaired])
    replaced_titles = pseudonymizer.replace_all([each.text for each in _repair_all(raw["title"])])
    texts, titles = [each.text for each in replaced], [each.text for each in replaced_titles]
    kinds = [text.kinds + title.kinds for text, title in zip(replaced, replaced_titles, strict=True)]
    languages = [identify_language(each.without_pseudonyms, min_confidence=min_language_confidence) for each in replaced]
    statistics = [measure_text(text, language.code) for text, language in zip(texts, languages, strict=True)]
    return raw.assign(
        text=pd.Series(texts, index=raw.index, dtype="str"),
        title=pd.Series(titles, index=raw.index, dtype="str"),
        has_title=[title != "" for title in titles],
        published_at=raw["published_at"].fillna(raw["collected_at"]),
        has_published_at=raw["published_at"].notna(),
        replacements=pd.Series([encode_replacements(each.replacements) for each in replaced], index=raw.index, dtype=object),
        replaced_kinds=pd.Series(kinds, index=raw.index, dtype=object),
        is_repaired=[each.is_repaired for each in repaired],
        text_chars=[len(text) for text in texts],
        symbol_ratio=[symbol_ratio(text) for text in texts],
        replacement_ratio=[text.count(_REPLACEMENT) / max(len(text), 1) for text in texts],
        language=pd.Series([each.code for each in languages], index=raw.index, dtype="str"),
        language_confidence=[each.confidence for each in languages],
        **{name: [getattr(each, name) for each in statistics] for name in STATISTICS},
    )


def _repair_all(texts: pd.Series) -> Sequence[Repaired]:
    return [repair_text(text) if isinstance(text, str) else Repaired("", is_repaired=False) for text in texts.tolist()]

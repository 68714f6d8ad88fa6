"""What each cleaning rule did, for people: counts with versions, and a few documents of each before and after.

Deciding does not belong here (see `rules.py`, `duplicates.py`, `repair.py`, `pii/`).
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from assets.cleaning.duplicates import DUPLICATE_VERSION
from assets.cleaning.rules import RULES
from assets.markdown import markdown_table

SAMPLE_COLUMNS = ("rule", "document_id", "before", "after", "detail")
SHOWN_CHARS = 120
NOTHING = pd.DataFrame({name: pd.Series(dtype=object) for name in SAMPLE_COLUMNS})


def changed_samples(raw: pd.DataFrame, measured: pd.DataFrame, per_rule: int) -> pd.DataFrame:
    """A few documents whose decoding was repaired, and a few in which personal data was replaced.

    A text before its repair is shown only where no personal data was replaced afterwards; of a replacement only what it became.

    Args:
        raw: One row per document: `text` as it was collected.
        measured: One row per document, same index: `document_id`, `text`, `is_repaired` and `replacements`.
        per_rule: Most documents of each.

    Returns:
        One row per sample: `rule` (`repaired` or `personal_data`), `document_id`, `before`, `after` and `detail`; missing where there is
        nothing to show.
    """
    is_private = measured["replacements"].notna()
    shown = measured.assign(before=None, after=measured["text"], detail=None)
    repaired = shown.assign(rule="repaired", before=raw["text"])[measured["is_repaired"] & ~is_private]
    return first_of_each([repaired, shown.assign(rule="personal_data")[is_private]], per_rule)


def refused_samples(documents: pd.DataFrame, refused: pd.DataFrame, per_rule: int) -> pd.DataFrame:
    """A few documents of each reason for which some were refused.

    Args:
        documents: One row per document: `document_id` and `text`.
        refused: One row per refused document: `document_id`, `reason` and `detail`.
        per_rule: Most documents of each.

    Returns:
        As `changed_samples` does; `rule` is the reason, and nothing comes after.
    """
    before = documents[["document_id", "text"]].rename(columns={"text": "before"})
    chosen = refused.groupby("reason", sort=False).head(per_rule)  # before the texts are brought: most of a batch may be refused
    return first_of_each([chosen.assign(rule=chosen["reason"], after=None).merge(before, on="document_id")], per_rule)


def first_of_each(samples: Sequence[pd.DataFrame], per_rule: int) -> pd.DataFrame:
    """The samples together, at most so many of each rule, earliest first."""
    frames = [frame[list(SAMPLE_COLUMNS)].astype(object) for frame in samples if len(frame)]
    if not frames:
        return NOTHING
    return pd.concat(frames, ignore_index=True).groupby("rule", sort=False).head(per_rule).reset_index(drop=True)


def rules_table(refused: Mapping[str, int], documents: int) -> str:
    """A Markdown table of all rules: version, how many documents each refused, and their share.

    Args:
        refused: How many documents by reason.
        documents: How many were looked at.
    """
    versions = {reason: rule.version for reason, rule in RULES.items()}
    versions |= {reason: DUPLICATE_VERSION for reason in ("exact_duplicate", "near_duplicate")}
    rows = [
        (reason, version, int(refused.get(reason, 0)), f"{refused.get(reason, 0) / max(documents, 1):.2%}")
        for reason, version in versions.items()
    ]
    return markdown_table(("rule", "version", "refused", "share"), rows)


def samples_table(samples: pd.DataFrame, *, shows_texts: bool) -> str:
    """The samples as a Markdown table: with the beginning of the texts, or without any of their words."""
    if not shows_texts:
        rows = samples[["rule", "document_id", "detail"]].fillna("")
        return markdown_table(("rule", "document", "detail"), rows.itertuples(index=False))
    shown = samples.assign(before=samples["before"].map(_beginning), after=samples["after"].map(_beginning))
    return markdown_table(
        ("rule", "before", "after", "detail"), shown[["rule", "before", "after", "detail"]].fillna("").itertuples(index=False)
    )


def _beginning(text: object) -> str:
    if not isinstance(text, str):
        return ""
    line = " ⏎ ".join(text.split("\n"))
    return line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + " …"

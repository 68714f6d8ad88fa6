"""From parsed documents and votes to rows of the lakehouse: ids, revisions, and which document a vote is about.

Parsing is in `parsing.py`. Nothing here reads the lakehouse: what is known already comes in as a frame.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from assets.answers import AnswerError, decode_quoted_spans, encode_quoted_spans, quote_spans
from assets.collection.parsing import fold
from assets.rights import AiTraining, training_refusal
from assets.schemas import RAW_ANNOTATIONS, RAW_DOCUMENTS, REJECTED_ANNOTATIONS

ID_DIGITS = 32
KNOWN_COLUMNS = ["external_id", "document_id", "revision"]
# An answer of spans as `encode_quoted_spans` writes it without quotes; and what takes its place when it does not fit its document.
_BARE_SPAN = r'^\[\{"start":-?\d+,"end":-?\d+,"label":"(?:[^"\\]|\\.)*"\}'
_OUTSIDE = "\0outside"
_WITHDRAWN = "\0withdrawn"


@dataclass(frozen=True)
class NewDocuments:
    """What an object adds.

    Attributes:
        rows: One row per new document or revision; the columns of `RAW_DOCUMENTS`.
        unchanged_count: Documents that are known with exactly this text, in this or an earlier revision.
    """

    rows: pd.DataFrame
    unchanged_count: int


@dataclass(frozen=True)
class ResolvedVotes:
    """Votes that found their document, and the others.

    Attributes:
        rows: One row per new vote; the columns of `RAW_ANNOTATIONS`.
        rejected: One row per vote without a document, or with a span outside of it; the columns of `REJECTED_ANNOTATIONS`.
        unchanged_count: Votes that are known, or that occur twice here.
    """

    rows: pd.DataFrame
    rejected: pd.DataFrame
    unchanged_count: int


def to_raw_documents(
    documents: pd.DataFrame,
    *,
    source: str,
    known: pd.DataFrame,
    now: datetime,
    licence: str | None = None,
    ai_training: AiTraining = "by_signals",
) -> NewDocuments:
    """Gives parsed documents their ids and revisions, and drops those that are known.

    Args:
        documents: `Parsed.documents`; later rows count as newer.
        source: Name of the source.
        known: One row per revision stored or about to be stored: external_id, document_id, revision. May hold other ids too.
        now: Time of collection (UTC).
        licence: Licence of the source's texts, where it is known.
        ai_training: What the project file says of training on them.
    """
    ids = hash_rows([source], documents["external_id"], documents["text"])
    frame = documents.assign(document_id=pd.Series(ids, index=documents.index, dtype="str"))
    is_new = ~frame["document_id"].isin(known["document_id"]) & ~frame["document_id"].duplicated()
    new = frame[is_new]
    newest = known.groupby("external_id")["revision"].max()
    before = new["external_id"].map(newest).fillna(0).astype("int64")
    rows = new.assign(
        source=source,
        revision=before + new.groupby("external_id").cumcount() + 1,
        collected_at=pd.Timestamp(now),
        licence=pd.Series(licence, index=new.index, dtype="str"),
        ai_training_allowed=[training_refusal(ai_training, signal or None) is None for signal in new["ai_training_signal"].fillna("")],
    )
    return NewDocuments(rows[RAW_DOCUMENTS.column_names()].reset_index(drop=True), int((~is_new).sum()))


def to_raw_annotations(
    votes: pd.DataFrame,
    known_documents: pd.DataFrame,
    *,
    source: str,
    now: datetime,
    known_vote_ids: Iterable[str] = (),
) -> ResolvedVotes:
    """Finds the document of each vote and gives the vote its id.

    A vote that names a document is about that revision, one that names an external id about the newest revision under it. A vote that
    gives a text is about the document of its parent with that text, white space folded; when a parent holds the text several times,
    the order decides. Spans that came without the text get their quotes here.

    Args:
        votes: `Parsed.votes`.
        known_documents: One row per revision stored: external_id, parent_id, document_id, revision, text. It may leave out
            documents that no vote here is about.
        source: Name of the source.
        now: Time of collection (UTC).
        known_vote_ids: Votes stored already, which make no row.
    """
    targets = _resolve(votes, known_documents)
    found = votes.assign(document_id=targets["document_id"], external_id=targets["external_id"])[targets["document_id"].notna()]
    found = _quote_all(found, known_documents)
    is_outside = found["label"].eq(_OUTSIDE)
    outside, found = found[is_outside], found[~is_outside]
    named = found["label"].fillna(_WITHDRAWN)
    answers = [label if value != value else repr(value) for value, label in zip(found["value"], named, strict=True)]
    ids = hash_rows([], found["document_id"], found["annotator_id"], answers)
    rows = found.assign(vote_id=pd.Series(ids, index=found.index, dtype="str"))
    is_new = ~rows["vote_id"].isin(set(known_vote_ids)) & ~rows["vote_id"].duplicated()
    rows = rows[is_new].assign(source=source, collected_at=pd.Timestamp(now))
    lost = votes[targets["document_id"].isna()]
    return ResolvedVotes(
        rows[RAW_ANNOTATIONS.column_names()].reset_index(drop=True),
        pd.concat([_refuse(lost, source, now), _refuse_spans(outside, source, now)], ignore_index=True),
        int((~is_new).sum()),
    )


def hash_rows(constants: list[str], *columns: Iterable[str]) -> list[str]:
    """One id per row: SHA-256 over the constants and the row's values, separated by NUL; its first 32 hexadecimal digits."""
    start = "".join(f"{constant}\0" for constant in constants)
    joined = ("\0".join(values) for values in zip(*columns, strict=True))
    return [hashlib.sha256(f"{start}{row}".encode()).hexdigest()[:ID_DIGITS] for row in joined]


def _resolve(votes: pd.DataFrame, known_documents: pd.DataFrame) -> pd.DataFrame:
    """Per vote, in its order: document_id and external_id; missing where there is no such document."""
    ordered = _newest_first(known_documents)
    by_id = ordered.drop_duplicates("external_id").set_index("external_id")["document_id"]
    external_of = known_documents.drop_duplicates("document_id").set_index("document_id")["external_id"]
    is_by_document = votes["document_id"].notna()
    revision = votes["document_id"].astype(object).where(votes["document_id"].isin(external_of.index), None)
    named = votes["external_id"].astype(object).where(~is_by_document, revision.map(external_of).astype(object))
    by_vote = pd.DataFrame({"document_id": named.map(by_id).astype(object).where(~is_by_document, revision), "external_id": named})
    is_by_text = ~is_by_document & votes["external_id"].isna() & votes["text"].notna()
    if is_by_text.any():
        keys = ["parent_id", "folded", "occurrence"]
        texts = ordered.assign(folded=_fold_all(ordered["text"]))
        texts["occurrence"] = texts.groupby(["parent_id", "folded"]).cumcount()
        wanted = votes.loc[is_by_text, ["parent_id", "occurrence"]].assign(folded=_fold_all(votes.loc[is_by_text, "text"]))
        joined = wanted.merge(texts[[*keys, "document_id", "external_id"]], on=keys, how="left")
        for name in ("document_id", "external_id"):
            by_vote.loc[is_by_text, name] = joined[name].to_numpy()
    return by_vote


def _newest_first(known_documents: pd.DataFrame) -> pd.DataFrame:
    """Newest revisions before older ones; within them `a#2` before `a#10`, as in the page."""
    newest = known_documents.groupby("external_id")["revision"].transform("max")
    order = pd.DataFrame(
        {
            "is_old": known_documents["revision"] < newest,
            "digits": known_documents["external_id"].astype("str").str.len(),
            "external_id": known_documents["external_id"],
            "age": -known_documents["revision"],
        }
    )
    return known_documents.loc[order.sort_values(["is_old", "digits", "external_id", "age"]).index].reset_index(drop=True)


def _quote_all(found: pd.DataFrame, known_documents: pd.DataFrame) -> pd.DataFrame:
    """The votes with every span quoted from the vote's document; `_OUTSIDE` in place of answers that do not fit it."""
    is_bare = found["label"].fillna("").str.contains(_BARE_SPAN)
    if not is_bare.any():
        return found
    texts = known_documents.drop_duplicates("document_id").set_index("document_id")["text"]
    bare = found[is_bare]
    quoted = [_quote(answer, texts[document_id]) for answer, document_id in zip(bare["label"], bare["document_id"], strict=True)]
    labels = found["label"].astype(object)
    labels[is_bare] = quoted
    return found.assign(label=labels.astype("str"))


def _quote(answer: str, text: str) -> str:
    try:
        return encode_quoted_spans(quote_spans((quoted.span for quoted in decode_quoted_spans(answer)), text))
    except AnswerError:
        return _OUTSIDE


def _fold_all(texts: pd.Series) -> pd.Series:
    """Every text folded; each distinct text is folded once."""
    return texts.map({text: fold(text) for text in texts.unique()}).astype("str")


def _refuse(lost: pd.DataFrame, source: str, now: datetime) -> pd.DataFrame:
    named = lost["document_id"].fillna(lost["external_id"]).fillna("a text of " + lost["parent_id"].fillna("no parent"))
    rows = lost.assign(
        source=source,
        reason="no_such_document",
        detail="expected a collected document for the vote, found none for " + named,
        rejected_at=pd.Timestamp(now),
    )
    return rows[REJECTED_ANNOTATIONS.column_names()].reset_index(drop=True)


def _refuse_spans(outside: pd.DataFrame, source: str, now: datetime) -> pd.DataFrame:
    rows = outside.assign(
        source=source,
        reason="malformed_vote",
        detail="expected spans with 0 <= start < end within the text of " + outside["external_id"] + ", found one that is not",
        rejected_at=pd.Timestamp(now),
    )
    return rows[REJECTED_ANNOTATIONS.column_names()].reset_index(drop=True)

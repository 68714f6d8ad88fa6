"""The rated sentences of the demo as one frame with folds, for benchmarks: the product's own cleaning, consensus and groups."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import vaderSentiment

from assets.cleaning.documents import clean
from assets.cleaning.duplicates import CANDIDATE_COLUMNS, deduplicate
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.shingles import sketch
from assets.cleaning_settings import Cleaning
from assets.grouping import group_documents
from assets.labeling.votes import labels_of_ratings
from assets.project import RatingScale, Task
from assets.schemas import RAW_DOCUMENTS
from dagster_project.demo import open_corpus, read_rated_texts

PARTS = {"tweets": "tweets", "movies": "movieReviewSnippets", "products": "amazonReviewSnippets", "newspaper": "nytEditorialSnippets"}
TASK = Task(
    labels=("negative", "neutral", "positive"),
    negative_label="negative",
    positive_label="positive",
    rating=RatingScale(minimum=-4, maximum=4, thresholds={"negative": -4, "neutral": 0, "positive": 0.5}),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def load_rated_text(archives: Path) -> pd.DataFrame:
    """Every rated sentence that cleaning keeps: one row each, with the columns of `training_dataset` but `split` and `dataset_version`.

    Near duplicates are refused by cleaning; sentences of one article, review or tweet share a `group_id`.

    Args:
        archives: Folder with the downloaded source archive (`make demo` fetches it).
    """
    rated = {name: read_rated_texts(open_corpus(archives), part) for name, part in PARTS.items()}
    rows = [(f"{source}/{text.text_id}", source, text.parent_id, text.text, text.ratings) for source in rated for text in rated[source]]
    raw = pd.DataFrame(rows, columns=["document_id", "source", "parent_id", "text", "ratings"])
    documents = raw.assign(external_id=raw["document_id"], revision=1, raw_sha256="", locator="", collected_at=NOW)
    settings = Cleaning()
    pseudonymizer = Pseudonymizer(settings.pii.kinds, settings.pii.phone_regions, b"benchmark")
    raw_documents = documents.reindex(columns=RAW_DOCUMENTS.column_names())
    cleaned = clean(raw_documents, settings=settings, languages=("en",), pseudonymizer=pseudonymizer, now=NOW).kept
    nothing = pd.DataFrame({name: [] for name in CANDIDATE_COLUMNS})
    kept = deduplicate(cleaned, sketch(cleaned), nothing, threshold=settings.near_duplicate_similarity, now=NOW).kept
    kept = kept.merge(raw[["document_id", "ratings"]], on="document_id").sort_values("document_id", ignore_index=True)
    kept["group_id"] = group_documents(kept)
    return _with_targets(kept)


def load_rated_words() -> pd.DataFrame:
    """The words and emoticons of VADER's lexicon with the ratings of ten people each, as `load_rated_text` has sentences.

    They were rated apart from the sentences, by other people and without context.
    """
    lines = (Path(vaderSentiment.__file__).parent / "vader_lexicon.txt").read_text("utf-8").splitlines()
    rated = [line.split("\t") for line in lines if line.strip()]
    words = pd.DataFrame({"text": [row[0] for row in rated], "ratings": [tuple(json.loads(row[3])) for row in rated]})
    names = [f"words/{number}" for number in range(len(words))]
    return _with_targets(words.assign(document_id=names, group_id=names, source="words", language="en"))


def fold_of_groups(documents: pd.DataFrame, folds: int, salt: str = "quality-1") -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The fold of every row: a hash of its group decides."""
    numbers = {
        group: int.from_bytes(hashlib.sha256(f"{salt} {group}".encode()).digest()[:8], "big") % folds
        for group in documents["group_id"].unique()
    }
    return documents["group_id"].map(numbers).to_numpy(dtype=np.int64)


def _with_targets(rated: pd.DataFrame) -> pd.DataFrame:
    """Rated texts with what their ratings say."""
    distributions = _distributions(rated["ratings"])
    rated = rated.assign(
        mean_rating=[float(np.mean(ratings)) for ratings in rated["ratings"]],
        distribution=distributions,
        label=[TASK.labels[int(np.argmax(shares))] for shares in distributions],
    )
    return rated[["document_id", "source", "language", "text", "label", "distribution", "mean_rating", "ratings", "group_id"]]


def _distributions(ratings: pd.Series) -> list[list[float]]:
    """Share of each label among the ratings of every row."""
    assert TASK.rating is not None
    votes = ratings.explode()
    shares = pd.crosstab(votes.index, labels_of_ratings(votes.astype(float), TASK.rating).to_numpy(), normalize="index")
    return shares.reindex(ratings.index)[list(TASK.labels)].to_numpy().tolist()

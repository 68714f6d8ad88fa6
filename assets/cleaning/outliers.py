"""Documents that are unlike the others of their source: by length, entropy, symbols, digits, addresses, unknown words, or by meaning.

They are flagged, never dropped, because what is unlike the rest is either noise or what a model has not seen yet; people tell which.
Refusing texts does not belong here (see `rules.py`).

A score is a robust z-score: 0.6745 times the distance from the median over the median absolute deviation, and where more than half of the
values are equal, the distance over 1.2533 times the mean absolute deviation (Iglewicz & Hoaglin 1993, "How to Detect and Handle Outliers").
By meaning, a document is as far out as its mean cosine distance to the ten nearest of a fixed sample (k nearest neighbours of BERT
embeddings; Kuan & Mueller 2022, "Back to the Basics: Revisiting Out-of-Distribution Detection Baselines").
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.markdown import markdown_table
from assets.schemas import TEXT_OUTLIERS
from assets.selections import EMBEDDINGS_SQL, NEWEST_DOCUMENTS_SQL

if TYPE_CHECKING:
    from sklearn.neighbors import NearestNeighbors

Floats = npt.NDArray[np.float64]

LEAST_DOCUMENTS = 30
"""Of a source with fewer documents nobody can say what is typical."""
MOST_SCORE = 100.0
"""Where nearly all values are the same, others would be thousands of deviations away."""
NEIGHBOURS = 10
SAMPLE = 5_000
_MEDIAN, _MEAN = 0.6745, 1.2533
# Measures that only mean something when they are large, and the least value that does: most texts have no digits and no address at all.
LEAST_VALUES: Mapping[str, float] = MappingProxyType({"symbols": 0.2, "digits": 0.2, "addresses": 0.5, "unknown_words": 0.5})
_LEAST_SQL = " ".join(f"WHEN '{measure}' THEN z > 0 AND value >= {least}" for measure, least in LEAST_VALUES.items())
EXPLANATIONS: Mapping[str, Callable[[float, float], str]] = MappingProxyType(
    {
        "length": lambda found, typical: f"{np.exp(found):,.0f} characters; typical of its source are {np.exp(typical):,.0f}",
        "entropy": lambda found, typical: f"{found:.1f} bits a character; typical of texts of this length are {typical:.1f}",
        "symbols": lambda found, typical: f"{found:.0%} of the characters are symbols; typical of its source is {typical:.0%}",
        "digits": lambda found, typical: f"{found:.0%} of the characters are digits; typical of its source is {typical:.0%}",
        "addresses": lambda found, typical: f"{found:.0%} of the characters are in addresses; typical of its source is {typical:.0%}",
        "unknown_words": lambda found, typical: f"{found:.0%} of the words are in no other text; typical of its source is {typical:.0%}",
        "meaning": lambda found, typical: f"its nearest texts are {found:.2f} away (cosine); typical of its source is {typical:.2f}",
    }
)

# Newest revisions whose measures are out of line: the worst `$limit` of each measure. Entropy is compared with that of texts of about the
# same length (a power of two), since it grows with it.
OUTLIERS_SQL = rf"""
WITH words AS (
    SELECT document_id, unnest(string_split(tokens, ' ')) AS word FROM tokens WHERE tokens <> ''
), known AS (
    SELECT word FROM words GROUP BY word HAVING count(DISTINCT document_id) > 1
), unknown AS (
    SELECT document_id, avg((known.word IS NULL)::DOUBLE) AS unknown_words FROM words LEFT JOIN known USING (word) GROUP BY document_id
), measured AS (
    SELECT document_id, source, floor(log2(text_chars)) AS size, ln(text_chars) AS length, symbol_ratio AS symbols, unknown_words,
        list_aggregate(string_split(text, ''), 'entropy') AS entropy,
        length(regexp_replace(text, '[^0-9]', '', 'g')) / length(text) AS digits,
        1 - length(regexp_replace(text, '(https?://|www\.)\S+', '', 'g')) / length(text) AS addresses
    FROM ({NEWEST_DOCUMENTS_SQL}) LEFT JOIN unknown USING (document_id)
), listed AS (
    SELECT document_id, source, measure, CASE measure WHEN 'entropy' THEN size ELSE 0 END AS peers, value
    FROM (UNPIVOT measured ON length, symbols, unknown_words, entropy, digits, addresses INTO NAME measure VALUE value)
), typical AS (
    SELECT source, measure, peers, median(value) AS typical, mad(value) AS deviation, count(*) AS documents FROM listed GROUP BY ALL
), spread AS (
    SELECT source, measure, peers, typical, deviation, documents, avg(abs(value - typical)) AS mean_deviation
    FROM listed JOIN typical USING (source, measure, peers) GROUP BY ALL
), scored AS (
    SELECT document_id, source, measure, value, typical, (value - typical) * CASE WHEN deviation > 0 THEN {_MEDIAN} / deviation
        WHEN mean_deviation > 0 THEN 1 / ({_MEAN} * mean_deviation) ELSE 0 END AS z
    FROM listed JOIN spread USING (source, measure, peers) WHERE documents >= {LEAST_DOCUMENTS}
)
SELECT document_id, source, measure, value, typical, least(abs(z), {MOST_SCORE}) AS score FROM scored
WHERE abs(z) >= $min_score AND CASE measure {_LEAST_SQL} ELSE true END
QUALIFY row_number() OVER (PARTITION BY measure ORDER BY abs(z) DESC, document_id) <= $limit
"""
# Vectors of the newest revisions, and of a fixed sample of them.
VECTORS_SQL = f"""
SELECT document_id, source, embedding FROM ({NEWEST_DOCUMENTS_SQL}) JOIN ({EMBEDDINGS_SQL}) USING (document_id) ORDER BY document_id
"""
SAMPLE_SQL = f"SELECT * FROM ({VECTORS_SQL}) ORDER BY hash(document_id), document_id LIMIT {SAMPLE}"


def unlike_in_meaning(sample: pd.DataFrame, batches: Iterable[pd.DataFrame], min_score: float, limit: int) -> pd.DataFrame:
    """Documents whose nearest neighbours are unusually far away, the farthest ones.

    Args:
        sample: One row per document of a fixed sample: `document_id`, `source`, `embedding`. They say what is near and what is typical.
        batches: All documents, with the same columns.
        min_score: Robust z-score within the source from which a document is meant.
        limit: Most documents.

    Returns:
        One row per document: `document_id`, `source`, `measure`, `value` (mean cosine distance, 0 to 2), `typical` and `score`.
    """
    from sklearn.neighbors import NearestNeighbors  # not while definitions load

    found = pd.DataFrame({name: pd.Series(dtype=object) for name in ("document_id", "source", "measure", "value", "typical", "score")})
    if len(sample) < LEAST_DOCUMENTS:
        return found
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine").fit(_vectors(sample))
    ids = sample["document_id"].to_numpy(dtype=object)
    norms = _typical(sample["source"], _distances(nearest, sample, ids))
    for batch in batches:
        known = batch[batch["source"].isin(norms.index)].reset_index(drop=True)
        if known.empty:
            continue
        norm = norms.loc[known["source"]].reset_index(drop=True)
        known = known.assign(measure="meaning", value=_distances(nearest, known, ids), typical=norm["typical"])
        known = known.assign(score=((known["value"] - known["typical"]) * norm["scale"]).clip(upper=MOST_SCORE))
        new = known.loc[known["score"] >= min_score, list(found.columns)]
        if len(new):
            found = (
                pd.concat([found, new] if len(found) else [new]).sort_values(["score", "document_id"], ascending=[False, True]).head(limit)
            )
    return found.reset_index(drop=True)


def to_outliers(*found: pd.DataFrame) -> pd.DataFrame:
    """Rows of `text_outliers`, each with its reason in words, worst first."""
    rows = pd.concat([frame for frame in found if len(frame)] or [found[0]], ignore_index=True)
    words = [
        EXPLANATIONS[measure](value, typical)
        for measure, value, typical in zip(rows["measure"], rows["value"], rows["typical"], strict=True)
    ]
    rows = rows.assign(explanation=pd.Series(words, index=rows.index, dtype="str"))
    ordered = rows.sort_values(["score", "document_id", "measure"], ascending=[False, True, True], ignore_index=True)
    return ordered.astype({"value": float, "typical": float, "score": float})[TEXT_OUTLIERS.column_names()]


def outlier_table(outliers: pd.DataFrame, shown: int = 20) -> str:
    """The farthest outliers as a Markdown table, without a word of their texts."""
    rows = outliers.head(shown)[["document_id", "source", "measure", "score", "explanation"]]
    return markdown_table(
        ("document", "source", "measure", "score", "why"), rows.assign(score=rows["score"].map("{:.1f}".format)).itertuples(index=False)
    )


def _vectors(documents: pd.DataFrame) -> npt.NDArray[np.float32]:
    """(documents, dimensions)."""
    return np.stack(documents["embedding"].tolist()).astype(np.float32)


def _distances(nearest: "NearestNeighbors", documents: pd.DataFrame, ids: npt.NDArray[np.object_]) -> Floats:
    """Mean cosine distance to the ten nearest of the sample, a document itself left out, (documents,)."""
    distances, places = nearest.kneighbors(_vectors(documents))
    is_itself = ids[places] == documents["document_id"].to_numpy(dtype=object)[:, None]
    is_itself[~is_itself.any(axis=1), -1] = True  # of one that is not in the sample the farthest is left out
    return np.asarray(distances[~is_itself].reshape(len(documents), NEIGHBOURS).mean(axis=1), dtype=np.float64)


def _typical(sources: pd.Series, values: Floats) -> pd.DataFrame:
    """By source with enough documents: the median (`typical`), and what a distance from it is multiplied by (`scale`)."""
    rows = {}
    for source, group in pd.Series(values).groupby(sources.to_numpy(dtype=object)):
        deviations = (group - group.median()).abs()
        spread = deviations.median() / _MEDIAN or deviations.mean() * _MEAN
        if len(group) >= LEAST_DOCUMENTS and spread > 0:
            rows[source] = {"typical": group.median(), "scale": 1 / spread}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["typical", "scale"])

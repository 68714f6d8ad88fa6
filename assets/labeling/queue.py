"""What to ask people next.

The documents without a confident label, one of each near-duplicate cluster, since one answer serves them all. Strategies rank them, and a
mix takes from each in turn by its share:

- `uncertainty`: the least confident consensus first, and where nobody voted the smallest margin of the champion; documents that nobody
  voted on come after contested ones of equal confidence, and last those that the champion was not asked about;
- `disagreement`: the most divided votes first (Gini impurity), among documents with two votes or more;
- `diversity`: those that are least like each other and like what has a label (`diversity.py`), where documents are embedded;
- `balance`: first those that seem to have the label which the fewest confident documents have, by the votes or else by the champion;
- `label_issue`: labels that are probably wrong (`label_issues.py`), worst first, until somebody answered again;
- `outlier`: documents that are unlike the others of their source (`text_outliers`), the farthest first;
- `random`: any, by a hash of the id: the part of what people label from which rates can be estimated.

Between them lie gold questions, whose answer is known (`gold.py`): those that the fewest people answered first, in places that nobody can
guess.

Does not belong here: deciding labels (`consensus.py`).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from assets.labeling.diversity import spread_out
from assets.labeling.gold import GOLD_SQL
from assets.project import QueueStrategy
from assets.schemas import LABELING_QUEUE
from assets.selections import EMBEDDINGS_SQL, NEWEST_DOCUMENTS_SQL

# The newest revision of each document without a confident label, one per near-duplicate cluster.
_WAITING_SQL = f"""
    SELECT document_id, source, language, text, reason, confidence, votes_count, coalesce(label, suggestion) AS label,
        CASE WHEN votes_count > 0 THEN confidence WHEN margin IS NOT NULL THEN (1 + margin) / 2
            WHEN EXISTS (SELECT 1 FROM pool_predictions WHERE margin IS NOT NULL) THEN 1 ELSE confidence END AS sureness,
        list_sum(list_transform(distribution, lambda share: share * (1 - share))) AS impurity
    FROM labeled_documents
    JOIN (SELECT document_id, text, cluster_id, source FROM ({NEWEST_DOCUMENTS_SQL})) USING (document_id, source)
    LEFT JOIN (SELECT document_id, margin, label AS suggestion FROM pool_predictions) USING (document_id)
    WHERE NOT is_confident
    QUALIFY row_number() OVER (PARTITION BY cluster_id ORDER BY confidence, votes_count DESC, document_id) = 1
"""
# They, with their ranks by each strategy, from 1; missing where a strategy does not see it. Only the first `$budget` of each strategy.
CANDIDATES_SQL = f"""
WITH waiting AS ({_WAITING_SQL}), labelled AS (
    SELECT label, count(*) AS documents FROM labeled_documents WHERE is_confident GROUP BY label
), ranked AS (
    SELECT waiting.* EXCLUDE (label, impurity, sureness),
        row_number() OVER (ORDER BY sureness, votes_count DESC, document_id) AS uncertainty,
        CASE WHEN votes_count >= 2 THEN row_number() OVER (ORDER BY votes_count < 2, impurity DESC, votes_count DESC, document_id) END
            AS disagreement,
        CASE WHEN label IS NOT NULL THEN row_number() OVER (ORDER BY label IS NULL, coalesce(documents, 0), confidence, document_id) END
            AS balance,
        CASE WHEN score IS NOT NULL THEN row_number() OVER (ORDER BY score DESC NULLS LAST, document_id) END AS outlier,
        row_number() OVER (ORDER BY hash(document_id), document_id) AS random
    FROM waiting LEFT JOIN labelled USING (label)
    LEFT JOIN (SELECT document_id, max(score) AS score FROM text_outliers GROUP BY document_id) USING (document_id)
)
SELECT * FROM ranked WHERE least(uncertainty, disagreement, balance, outlier, random) <= $budget ORDER BY uncertainty
"""

# They, with their vectors; of very many a fixed sample.
POOL_SQL = f"""
SELECT document_id, source, language, text, reason, confidence, votes_count, embedding FROM ({_WAITING_SQL})
JOIN ({EMBEDDINGS_SQL}) USING (document_id)
ORDER BY hash(document_id), document_id LIMIT 20_000
"""
# Vectors of documents with confident labels, a fixed sample.
LABELLED_SQL = f"""
SELECT embedding FROM ({EMBEDDINGS_SQL}) SEMI JOIN (SELECT document_id FROM labeled_documents WHERE is_confident) USING (document_id)
ORDER BY hash(document_id), document_id LIMIT 5_000
"""

# The newest revision of each document with a label that is probably wrong, worst first, and what is known of it; of those only that nobody
# answered since the label was first doubted.
DOUBTED_SQL = f"""
WITH first AS (
    SELECT document_id, given_label, min(found_at) AS found_at FROM lake.history.label_issues WHERE kind <> 'vote_contradicted' GROUP BY ALL
), doubted AS (
    SELECT document_id, given_label, max(score) AS score FROM label_issues WHERE kind <> 'vote_contradicted' GROUP BY ALL
), answered AS (
    SELECT document_id, max(collected_at) AS answered_at FROM raw_annotations GROUP BY document_id
)
SELECT l.document_id, l.source, l.language, text, 'label_issue' AS reason, l.confidence, l.votes_count,
    row_number() OVER (ORDER BY score DESC, l.document_id) AS label_issue
FROM labeled_documents l
JOIN doubted ON doubted.document_id = l.document_id AND doubted.given_label = l.label
JOIN first ON first.document_id = l.document_id AND first.given_label = l.label
JOIN (SELECT document_id, text FROM ({NEWEST_DOCUMENTS_SQL})) c ON c.document_id = l.document_id
LEFT JOIN answered ON answered.document_id = l.document_id
WHERE is_confident AND (answered_at IS NULL OR answered_at <= found_at)
ORDER BY label_issue LIMIT $budget
"""

# The newest revision of each document whose answer is known, the least asked first.
GOLD_QUESTIONS_SQL = f"""
SELECT document_id, source, language, text, 'gold' AS reason, confidence, votes_count
FROM labeled_documents JOIN ({GOLD_SQL}) USING (document_id)
JOIN (SELECT document_id, text, source FROM ({NEWEST_DOCUMENTS_SQL})) USING (document_id, source)
ORDER BY human_votes_count, hash(document_id), document_id LIMIT $budget
"""


def rank(candidates: pd.DataFrame, mix: Mapping[QueueStrategy, float], budget: int) -> pd.DataFrame:
    """Take documents from the strategies in turn, by their shares, until the budget is spent or none is left.

    Args:
        candidates: One row per document: columns of `labeling_queue` less `position` and `strategy`, and its rank by every strategy, from
            1, missing where a strategy does not see it; without a column it sees none. The first `budget` of each strategy are enough.
        mix: Share of each strategy; they need not add up to 1.
        budget: Most documents.

    Returns:
        One row per document, columns of `labeling_queue`, most useful first.
    """
    orders = {name: iter(candidates[candidates[name].notna()].sort_values(name).index) for name in mix if name in candidates}
    taken: dict[int, QueueStrategy] = {}
    counts = dict.fromkeys(orders, 0)
    while orders and len(taken) < budget:
        name = min(orders, key=lambda each: ((counts[each] + 1) / mix[each], list(mix).index(each)))
        row = next((row for row in orders[name] if row not in taken), None)
        if row is None:
            del orders[name]
            continue
        taken[row] = name
        counts[name] += 1
    chosen = candidates.loc[list(taken)].assign(strategy=list(taken.values()), position=range(1, len(taken) + 1))
    return chosen[LABELING_QUEUE.column_names()].reset_index(drop=True)


def mix_in_gold(queue: pd.DataFrame, gold: pd.DataFrame, share: float, budget: int) -> pd.DataFrame:
    """The queue with gold questions in it, one at a place of its own in each stretch of the same length.

    Args:
        queue: One row per document, columns of `labeling_queue`, most useful first.
        gold: One row per gold question, in the order of asking: columns of `labeling_queue` less `position` and `strategy`.
        share: Of the questions that should be gold, 0 to 1 (exclusive); fewer where there are not enough. An empty queue stays empty.
        budget: Most documents; the least useful ones make room.
    """
    wanted = min(int(share * budget), round(share / (1 - share) * len(queue)), len(gold))
    if not wanted:
        return queue
    queue, gold = queue.head(budget - wanted), gold.head(wanted).assign(strategy="gold")
    stretch = len(queue) / wanted
    places = (np.arange(wanted) + pd.util.hash_array(gold["document_id"].to_numpy(dtype=object)) / 2.0**64) * stretch
    mixed = pd.concat([queue.assign(place=np.arange(len(queue)) + 0.5), gold.assign(place=places)]).sort_values("place", ignore_index=True)
    return mixed.assign(position=range(1, len(mixed) + 1))[LABELING_QUEUE.column_names()]


def with_diversity(candidates: pd.DataFrame, pool: pd.DataFrame, labelled: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Candidates with their rank by diversity, and those of the pool that only diversity sees.

    Args:
        candidates: One row per document (`CANDIDATES_SQL`).
        pool: One row per document that could be chosen (`POOL_SQL`).
        labelled: One row per document that has a label: `embedding`.
        budget: Most documents that diversity ranks.
    """
    vectors, known = (np.array(frame["embedding"].tolist(), dtype=np.float32) for frame in (pool, labelled))
    order = spread_out(vectors, known, budget)
    ranked = pool.iloc[order].drop(columns="embedding").assign(diversity=np.arange(1, len(order) + 1))
    rank_of = ranked.set_index("document_id")["diversity"]
    seen = candidates.assign(diversity=candidates["document_id"].map(rank_of))
    return pd.concat([seen, ranked[~ranked["document_id"].isin(candidates["document_id"])]], ignore_index=True)

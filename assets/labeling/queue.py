"""What to ask people next.

The documents without a confident label, most uncertain first; of a near-duplicate cluster only one is asked, since one answer
serves them all. Documents nobody voted on come after contested ones of equal confidence.
"""

import pandas as pd

from assets.schemas import LABELING_QUEUE

# The newest revision of each document that has no confident label, one per near-duplicate cluster, most uncertain first.
CANDIDATES_SQL = """
SELECT document_id, source, language, text, reason, confidence, votes_count
FROM labeled_documents
JOIN (SELECT document_id, text, cluster_id, source, external_id, revision FROM clean_documents
      QUALIFY row_number() OVER (PARTITION BY source, external_id ORDER BY revision DESC) = 1) USING (document_id, source)
WHERE NOT is_confident
QUALIFY row_number() OVER (PARTITION BY cluster_id ORDER BY confidence, votes_count DESC, document_id) = 1
ORDER BY confidence, votes_count DESC, document_id
LIMIT $budget
"""


def rank(candidates: pd.DataFrame) -> pd.DataFrame:
    """Number the candidates in their order, from 1.

    Args:
        candidates: One row per document, best first: columns of `labeling_queue` less `position`.

    Returns:
        One row per document, columns of `labeling_queue`.
    """
    return candidates.assign(position=range(1, len(candidates) + 1))[LABELING_QUEUE.column_names()]

"""Finds texts outside the test split that repeat passages of it: a score on such a split says less than it seems to.

Near-duplicate clusters never span two splits (see `splits.py`); this is about passages within texts that are otherwise different, such as a
quoted paragraph. Passages are compared by tokens, so case, punctuation, stop words and endings do not count.

n-grams of a fixed size, one in common is enough: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C, with 13 words.
"""

import hashlib
from collections.abc import Iterable, Iterator

import pandas as pd

PASSAGE_TOKENS = 8
"""About as much as 13 words of running text, of which stop words are gone."""
DISTINCT_TOKENS = 6
"""Fewer different ones in a passage say nothing: "thanks @a @b @c @d", "ha ha ha"."""


def passages(tokens: str) -> Iterator[bytes]:
    """A hash for every run of eight tokens, six of them different, of a text; none for shorter texts.

    Args:
        tokens: As the table `tokens` holds them, joined by spaces.
    """
    words = tokens.split(" ")
    for start in range(len(words) - PASSAGE_TOKENS + 1):
        passage = words[start : start + PASSAGE_TOKENS]
        if len(set(passage)) >= DISTINCT_TOKENS:
            yield hashlib.blake2b(" ".join(passage).encode(), digest_size=8).digest()


def passages_of(batches: Iterable[pd.DataFrame]) -> frozenset[bytes]:
    """All passages of the texts in batches with a column `tokens`; eight bytes a token and Python's overhead are kept in memory."""
    return frozenset(passage for batch in batches for tokens in batch["tokens"] for passage in passages(tokens))


def find_contaminated(batches: Iterable[pd.DataFrame], tested: frozenset[bytes]) -> list[str]:
    """Ids of the texts that hold a passage of the tested ones.

    Args:
        batches: One row per text: `document_id`, `tokens`.
        tested: What `passages_of` found in the test split.
    """
    return [
        str(document_id)
        for batch in batches
        for document_id, tokens in zip(batch["document_id"], batch["tokens"], strict=True)
        if not tested.isdisjoint(passages(tokens))
    ]
